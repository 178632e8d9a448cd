// The panel about the hub itself: its feeds, where their ticks come from, who uses its keys. Asked
// for only while somebody looks.

import type { Access } from "./access.ts";
import { byId, create } from "./dom.ts";
import { feedName } from "./feedName.ts";
import { formatAge, formatTimeOfDay, formatWhole } from "./format.ts";
import {
  askHub,
  Rates,
  type FeedStatus,
  type HubReport,
  type HubStatus,
  type KeyStatus,
  type Source,
  type View,
} from "./hubStatus.ts";

const ASK_EVERY_MS = 2_000;

export interface HubPanelEvents {
  keyForgotten(): void;
  /** Whether the hub would answer: not while it wants a key. */
  mayAsk(): boolean;
}

export class HubPanel {
  readonly #button = byId<HTMLButtonElement>("status-feed");
  readonly #panel = byId("hub");
  readonly #views = byId("hub-views");
  readonly #line = byId("hub-line");
  readonly #forget = byId<HTMLButtonElement>("hub-forget");
  readonly #access: Access;
  readonly #events: HubPanelEvents;
  readonly #rates = new Rates();
  #viewsShown = "";

  constructor(access: Access, events: HubPanelEvents) {
    this.#access = access;
    this.#events = events;
    this.#button.addEventListener("click", () => this.#toggle());
    this.#forget.addEventListener("click", () => events.keyForgotten());
    document.addEventListener("visibilitychange", () => void this.refresh());
    setInterval(() => void this.refresh(), ASK_EVERY_MS);
  }

  /** Asks the hub once, if the panel can be seen. */
  async refresh(): Promise<void> {
    if (this.#panel.hidden || document.hidden || !this.#events.mayAsk()) return;
    try {
      this.#show(await askHub(this.#access), Date.now());
    } catch {
      this.#line.textContent = "The hub cannot be asked just now.";
    }
  }

  open(): void {
    if (this.#panel.hidden) this.#toggle();
  }

  #toggle(): void {
    this.#panel.hidden = !this.#panel.hidden;
    this.#button.ariaExpanded = String(!this.#panel.hidden);
    void this.refresh();
  }

  #show({ status, keys }: HubReport, nowMs: number): void {
    this.#showViews(status);
    const sources = status.feeds.flatMap((feed) =>
      feed.sources.map((source) => ({ feed: feed.feed, source })),
    );
    fill("hub-feeds", status.feeds.map((feed) => this.#feed(feed, nowMs)));
    fill("hub-sources", sources.map(({ feed, source }) => this.#source(feed, source, nowMs)));
    fill("hub-keys", keys.map(keyEntry));
    this.#line.textContent = this.#summary(status, nowMs);
    this.#forget.hidden = this.#access.key === undefined;
    this.#forget.textContent = `Forget the key ${this.#access.key?.id ?? ""}`;
  }

  /** Made anew only when they change: they can have the focus. */
  #showViews({ views, feeds }: HubStatus): void {
    const current = feedName ?? feeds[0]?.feed;
    const shown = JSON.stringify([current, views]);
    if (shown === this.#viewsShown) return;
    this.#viewsShown = shown;
    this.#views.replaceChildren(...views.map((view) => viewLink(view, view.view === current)));
  }

  #feed(feed: FeedStatus, nowMs: number): HTMLElement {
    const perSecond = this.#rates.perSecond(`feed ${feed.feed}`, feed.ticks_in, nowMs);
    const facts = [rateText(perSecond), count(feed.publishers, "publisher")];
    if (feed.lost > 0) facts.push(`${formatWhole(feed.lost)} lost at the source`);
    return entry(feed.feed, feed.state, `${feed.state} since ${formatTimeOfDay(feed.since)}`, facts);
  }

  #source(feed: string, source: Source, nowMs: number): HTMLElement {
    const { publisher, state, since, upstream, connects, errors, ticks, detail } = source;
    const facts = [`feeds ${feed}`];
    if (upstream !== undefined) facts.push(`from ${hostOf(upstream)}`);
    if (ticks !== undefined) {
      facts.push(rateText(this.#rates.perSecond(`source ${feed} ${publisher}`, ticks, nowMs)));
    }
    if (connects !== undefined) facts.push(count(connects, "connect"));
    if (errors !== undefined) facts.push(count(errors, "error"));
    const line = `${state ?? "publishing"} since ${formatTimeOfDay(since)}`;
    const item = entry(publisher, state ?? "live", line, facts);
    if (detail !== undefined && detail !== "") {
      item.append(create("p", { className: "detail-text" }, detail));
    }
    return item;
  }

  #summary(status: HubStatus, nowMs: number): string {
    const delivered = this.#rates.perSecond("delivered", status.ticks_delivered, nowMs);
    return [
      `Tickwire ${status.version}`,
      `up ${formatAge(status.uptime_s * 1000)}`,
      count(status.sessions, "session"),
      count(status.subscriptions, "subscription"),
      `${rateText(delivered)} delivered`,
    ].join(" · ");
  }
}

/** A list with its heading; both go when it is empty. */
function fill(id: string, items: readonly HTMLElement[]): void {
  const list = byId(id);
  list.replaceChildren(...items);
  byId(`${id}-group`).hidden = items.length === 0;
}

function entry(
  name: string,
  state: string,
  line: string,
  facts: readonly string[],
): HTMLLIElement {
  const item = create("li");
  item.dataset["state"] = state;
  item.append(
    create("strong", {}, name),
    create("span", { className: "state" }, line),
    create("span", { className: "facts" }, facts.join(" · ")),
  );
  return item;
}

function keyEntry(key: KeyStatus): HTMLElement {
  const { name, id, role, sessions, sessions_max: most, publishers, refused } = key;
  const used = most === undefined ? count(sessions, "session") : `${sessions} of ${count(most, "session")}`;
  const facts = id === "" ? [] : [id];
  if (publishers > 0) facts.push(count(publishers, "publisher"));
  if (refused > 0) facts.push(`${formatWhole(refused)} refused`);
  return entry(name, sessions + publishers > 0 ? "live" : "idle", `${role} · ${used}`, facts);
}

function viewLink({ view, delay_ms: delayMs }: View, isCurrent: boolean): HTMLAnchorElement {
  const link = create("a", { href: `?feed=${encodeURIComponent(view)}` }, view);
  if (delayMs > 0) link.append(create("span", { className: "delay" }, ` ${formatAge(delayMs)} later`));
  if (isCurrent) link.ariaCurrent = "page";
  // The watched symbols come along; they are in the address by now.
  link.addEventListener("click", () => (link.hash = location.hash));
  return link;
}

function hostOf(upstream: string): string {
  return URL.canParse(upstream) ? new URL(upstream).host : upstream;
}

function rateText(perSecond: number | undefined): string {
  return perSecond === undefined ? "– ticks/s" : `${formatWhole(perSecond)} ticks/s`;
}

function count(number: number, what: string): string {
  return `${formatWhole(number)} ${what}${number === 1 ? "" : "s"}`;
}
