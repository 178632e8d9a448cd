// The entries of the hub panel: feeds, sources, keys and links to views.

import type { FeedStatus, FeedView, KeyStatus, SourceStatus } from "../protocol/hubStatus.ts";
import { create } from "./dom.ts";
import { formatAge, formatCount, formatTimeOfDay, formatWhole } from "./format.ts";

/** `rate` is the text of the feed's tick rate; undefined if this page may not see it. */
export function feedEntry(status: FeedStatus, rate: string | undefined): HTMLElement {
  const { feed, state, since, publishers, lost } = status;
  const facts = [formatCount(publishers, "publisher")];
  if (rate !== undefined) facts.unshift(rate);
  if (lost > 0) facts.push(`${formatWhole(lost)} lost at the source`);
  return entry(feed, state, `${state} since ${formatTimeOfDay(since)}`, facts);
}

/** `rate` is the text of the source's tick rate; undefined if the source reports no ticks. */
export function sourceEntry(
  feed: string,
  source: SourceStatus,
  rate: string | undefined,
): HTMLElement {
  const { publisher, state, since, upstream, connects, errors, detail } = source;
  const facts = [`feed ${feed}`];
  if (upstream !== undefined) facts.push(`from ${hostOf(upstream)}`);
  if (rate !== undefined) facts.push(rate);
  if (connects !== undefined) facts.push(formatCount(connects, "connect"));
  if (errors !== undefined) facts.push(formatCount(errors, "error"));
  const summary = `${state ?? "publishing"} since ${formatTimeOfDay(since)}`;
  const item = entry(publisher, state ?? "live", summary, facts);
  if (detail !== undefined && detail !== "") {
    item.append(create("p", { className: "detail-text" }, detail));
  }
  return item;
}

export function keyEntry(key: KeyStatus): HTMLElement {
  const { name, id, role, sessions, sessionsMax, publishers, refused } = key;
  const used =
    sessionsMax === undefined
      ? formatCount(sessions, "session")
      : `${sessions} of ${formatCount(sessionsMax, "session")}`;
  const facts = id === "" ? [] : [id];
  if (publishers > 0) facts.push(formatCount(publishers, "publisher"));
  if (refused > 0) facts.push(`${formatWhole(refused)} refused`);
  return entry(name, sessions + publishers > 0 ? "live" : "idle", `${role} · ${used}`, facts);
}

/** A link that shows another view and keeps the watchlist. */
export function viewLink({ view, delayMs }: FeedView, isCurrent: boolean): HTMLAnchorElement {
  const link = create("a", { href: `?feed=${encodeURIComponent(view)}` }, view);
  if (delayMs > 0) {
    link.append(create("span", { className: "delay" }, ` delayed ${formatAge(delayMs)}`));
  }
  if (isCurrent) link.ariaCurrent = "page";
  // The address has the watched symbols at the time of the click.
  link.addEventListener("click", () => (link.hash = location.hash));
  return link;
}

/** Formats a tick rate; a dash stands for a rate that is not known yet. */
export function rateText(perSecond: number | undefined): string {
  return perSecond === undefined ? "– ticks/s" : `${formatWhole(perSecond)} ticks/s`;
}

function entry(
  name: string,
  state: string,
  summary: string,
  facts: readonly string[],
): HTMLLIElement {
  const item = create("li");
  item.dataset["state"] = state;
  item.append(
    create("strong", {}, name),
    create("span", { className: "state" }, summary),
    create("span", { className: "facts" }, facts.join(" · ")),
  );
  return item;
}

function hostOf(upstream: string): string {
  return URL.canParse(upstream) ? new URL(upstream).host : upstream;
}
