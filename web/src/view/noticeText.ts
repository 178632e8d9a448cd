// The words of a notice: what happened, and what the user can do about it.

import type { Notice } from "../model/notice.ts";
import type { Feed } from "../model/session.ts";
import { WATCHED_MAX } from "../model/watchlistStore.ts";
import { formatTimeOfDay } from "./format.ts";

/** What the button of a notice does. */
export type NoticeAction = "retry" | "reconnect" | "show-hub" | "dismiss" | "remove-refused";

export interface NoticeText {
  readonly text: string;
  /** A command for the user's terminal. */
  readonly command?: string;
  readonly action?: { readonly label: string; readonly kind: NoticeAction };
}

/** Symbols that a notice lists by name. */
const LISTED_MAX = 8;

/** Puts a notice into words; `hub` is the address of the hub. */
export function noticeText(
  notice: Notice,
  hub: { readonly host: string; readonly webSocketOrigin: string },
): NoticeText {
  switch (notice.kind) {
    case "session-replaced":
      return {
        text:
          "Prices have stopped: another tab or program uses this key now, " +
          "and the key's session limit is reached.",
        action: { label: "Reconnect here", kind: "reconnect" },
      };
    case "unknown-feed":
      return {
        text:
          `This hub has no feed ${notice.feed}, or you may not read it. ` +
          `Change ?feed= in the page's address to one of: ${notice.available.join(", ")}.`,
      };
    case "hub-unreachable":
      return {
        text: `The hub at ${hub.host} is unreachable. Any prices shown are the last known.`,
        action: { label: "Try now", kind: "retry" },
      };
    case "page-refused":
      return {
        text: `The hub at ${hub.host} does not accept this page: ${notice.reason}`,
        action: { label: "Try now", kind: "retry" },
      };
    case "hub-error":
      return dismissible(`The hub reported an error: ${notice.text}`);
    case "unreadable-message":
      return dismissible(
        `A message from the hub could not be read: ${notice.detail}. ` +
          "Reload the page; it may be older than the hub.",
      );
    case "watchlist-full":
      return dismissible(
        `The watchlist is full (${WATCHED_MAX} symbols). ` +
          `Remove a symbol to add ${notice.symbol}.`,
      );
    case "symbols-refused":
      return {
        text: `The hub does not send ${listed(notice.symbols)}: ${notice.reason}`,
        action: { label: "Remove from the list", kind: "remove-refused" },
      };
    default:
      return feedText(notice.kind, notice.feed, hub.webSocketOrigin);
  }
}

function feedText(
  kind: "feed-stale" | "source-down" | "no-publisher",
  feed: Feed,
  webSocketOrigin: string,
): NoticeText {
  const since = formatTimeOfDay(feed.since);
  switch (kind) {
    case "feed-stale":
      return {
        text: `The feed ${feed.name} has sent no ticks since ${since}. The market may be closed.`,
      };
    case "source-down":
      return {
        text:
          `The feed ${feed.name} has had no prices since ${since}: ` +
          "its publisher has lost its source.",
        action: { label: "Show details", kind: "show-hub" },
      };
    case "no-publisher":
      return {
        text:
          `The feed ${feed.name} has no publisher (since ${since}). ` +
          "Start one, for example a simulated market:",
        command: `tickwire feed sim --hub ${webSocketOrigin}`,
      };
  }
}

function dismissible(text: string): NoticeText {
  return { text, action: { label: "Dismiss", kind: "dismiss" } };
}

/** `AAPL, MSFT and 3 more` */
function listed(symbols: readonly string[]): string {
  const more = symbols.length - LISTED_MAX;
  return symbols.slice(0, LISTED_MAX).join(", ") + (more > 0 ? ` and ${more} more` : "");
}
