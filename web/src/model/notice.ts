// Decides which problem the page shows in its notice. Only the most important one is shown; the
// view puts it into words.

import type { HubStatus } from "../protocol/hubStatus.ts";
import { hasPublisher, hasView } from "./feeds.ts";
import type { Feed, Session } from "./session.ts";
import type { WatchlistRow } from "./watchlist.ts";

/** A problem of this page itself. */
export type Fault =
  | { readonly kind: "unreadable-message"; readonly detail: string }
  | { readonly kind: "watchlist-full"; readonly symbol: string };

export type Notice =
  /** A newer session of the same key has replaced this one, because of the key's session limit. */
  | { readonly kind: "session-replaced" }
  /** The page's address names a feed that the hub does not have, or this key may not read. */
  | { readonly kind: "unknown-feed"; readonly feed: string; readonly available: readonly string[] }
  | { readonly kind: "hub-unreachable" }
  /** The hub does not accept pages under the name by which this one has reached it. */
  | { readonly kind: "page-refused"; readonly reason: string }
  | { readonly kind: "hub-error"; readonly text: string }
  | Fault
  | { readonly kind: "feed-stale"; readonly feed: Feed }
  /** No publisher of the feed is connected. */
  | { readonly kind: "no-publisher"; readonly feed: Feed }
  /** The publisher of the feed is connected but has lost its own source. */
  | { readonly kind: "source-down"; readonly feed: Feed }
  | {
      readonly kind: "symbols-refused";
      readonly symbols: readonly string[];
      /** The hub's reason for the first symbol; the others may have other reasons. */
      readonly reason: string;
    };

/** Asks the hub; every method rejects if it does not answer. */
export interface HubRequests {
  status(): Promise<HubStatus>;
  /** Returns why the hub refuses connections of this page; undefined if it accepts them. */
  refusal(): Promise<string | undefined>;
}

export class NoticeModel {
  /** Set until the next connection when a newer session of the key has replaced this one. */
  sessionReplaced = false;
  /** Shown until dismissed. */
  fault: Fault | undefined;
  readonly #requests: HubRequests;
  readonly #changed: () => void;
  #isUnreachable = false;
  #refusal: string | undefined;
  #unknownFeed: Extract<Notice, { kind: "unknown-feed" }> | undefined;
  #hasPublisher = false;

  /** Calls `changed` when an answer of the hub may change the notice. */
  constructor(requests: HubRequests, changed: () => void) {
    this.#requests = requests;
    this.#changed = changed;
  }

  /** True from a failed connection until the next successful one. */
  get isUnreachable(): boolean {
    return this.#isUnreachable;
  }

  connected(): void {
    this.#isUnreachable = false;
    this.#refusal = undefined;
    this.sessionReplaced = false;
    this.#unknownFeed = undefined;
  }

  /**
   * Handles a failed connection. Browsers do not say why a WebSocket was refused, so this checks
   * whether the hub accepts this page, and whether it has the feed that the page shows.
   */
  disconnected(feed: string | undefined): void {
    this.#isUnreachable = true;
    this.#answer(this.#requests.refusal(), (reason) => {
      if (this.#isUnreachable) this.#refusal = reason;
    });
    if (feed === undefined) return;
    this.#answer(this.#requests.status(), (status) => {
      if (!this.#isUnreachable) return;
      const available = status.views.map(({ view }) => view);
      this.#unknownFeed = hasView(status, feed)
        ? undefined
        : { kind: "unknown-feed", feed, available };
    });
  }

  /** Handles a feed that went down: checks whether its publisher is still connected. */
  feedDown(feed: string): void {
    this.#hasPublisher = false;
    this.#answer(this.#requests.status(), (status) => {
      this.#hasPublisher = hasPublisher(status, feed);
    });
  }

  /** Dismisses the notices that the user can dismiss: faults of the page and errors of the hub. */
  dismiss(session: Session): void {
    this.fault = undefined;
    session.dismissError();
  }

  /** Returns the most important problem; undefined if there is none. */
  current(session: Session, refused: readonly WatchlistRow[]): Notice | undefined {
    if (this.sessionReplaced) return { kind: "session-replaced" };
    if (this.#refusal !== undefined) return { kind: "page-refused", reason: this.#refusal };
    if (this.#unknownFeed !== undefined) return this.#unknownFeed;
    if (this.#isUnreachable) return { kind: "hub-unreachable" };
    if (session.error !== undefined) return { kind: "hub-error", text: session.error };
    return this.fault ?? this.#feedNotice(session.feed) ?? refusedNotice(refused);
  }

  #feedNotice(feed: Feed | undefined): Notice | undefined {
    if (feed === undefined || feed.state === "live") return undefined;
    if (feed.state === "stale") return { kind: "feed-stale", feed };
    return { kind: this.#hasPublisher ? "source-down" : "no-publisher", feed };
  }

  /** Does nothing if the hub does not answer: the notice then keeps its more general text. */
  #answer<A>(request: Promise<A>, apply: (answer: A) => void): void {
    request.then(
      (answer) => {
        apply(answer);
        this.#changed();
      },
      () => undefined,
    );
  }
}

function refusedNotice(rows: readonly WatchlistRow[]): Notice | undefined {
  const [first] = rows;
  if (first?.refusal === undefined) return undefined;
  const symbols = rows.map(({ symbol }) => symbol);
  return { kind: "symbols-refused", symbols, reason: first.refusal };
}
