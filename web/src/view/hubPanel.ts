// The panel about the hub: its feeds, their sources, and the use of its keys. Requests them from
// the hub only while the panel is open.

import type { HubAddress } from "../client/hubAddress.ts";
import type { HubApi, HubReport } from "../client/hubApi.ts";
import type { KeyStore } from "../client/keyStore.ts";
import { CounterRates } from "../model/counterRates.ts";
import type { FeedStatus, HubStatus, SourceStatus } from "../protocol/hubStatus.ts";
import { byId } from "./dom.ts";
import { formatAge, formatCount } from "./format.ts";
import { feedEntry, keyEntry, rateText, sourceEntry, viewLink } from "./hubPanelEntries.ts";

const REFRESH_INTERVAL_MS = 2_000;

export interface HubPanelEvents {
  /** The user wants this page to forget the key. */
  keyForgotten(): void;
  /** Whether the hub would answer: it does not until the user enters a key that it requires. */
  canRequest(): boolean;
}

export class HubPanel {
  readonly #button = byId<HTMLButtonElement>("status-feed");
  readonly #panel = byId("hub");
  readonly #views = byId("hub-views");
  readonly #summaryLine = byId("hub-summary");
  readonly #forgetButton = byId<HTMLButtonElement>("hub-forget");
  readonly #api: HubApi;
  readonly #address: HubAddress;
  readonly #keyStore: KeyStore;
  readonly #events: HubPanelEvents;
  readonly #rates = new CounterRates();
  /** The views that are shown, serialized. */
  #shownViews = "";

  constructor(api: HubApi, address: HubAddress, keyStore: KeyStore, events: HubPanelEvents) {
    this.#api = api;
    this.#address = address;
    this.#keyStore = keyStore;
    this.#events = events;
    this.#button.addEventListener("click", () => this.#toggle());
    this.#forgetButton.addEventListener("click", () => events.keyForgotten());
    document.addEventListener("visibilitychange", () => void this.refresh());
    setInterval(() => void this.refresh(), REFRESH_INTERVAL_MS);
  }

  /** Requests the status of the hub and shows it, if the panel is visible. */
  async refresh(): Promise<void> {
    if (this.#panel.hidden || document.hidden || !this.#events.canRequest()) return;
    try {
      this.#show(await this.#api.report(), Date.now());
    } catch {
      this.#summaryLine.textContent = "The hub's status is not available right now. Retrying…";
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
    const { feeds } = status;
    const sources = feeds.flatMap(({ feed, sources }) =>
      sources.map((source) => this.#sourceEntry(feed, source, nowMs)),
    );
    fillGroup("hub-feeds", feeds.map((feed) => this.#feedEntry(feed, nowMs)));
    fillGroup("hub-sources", sources);
    fillGroup("hub-keys", keys.map(keyEntry));
    this.#summaryLine.textContent = this.#summary(status, nowMs);
    this.#forgetButton.hidden = this.#keyStore.key === undefined;
    this.#forgetButton.textContent = `Forget the key ${this.#keyStore.key?.id ?? ""}`;
  }

  /** Replaces the links only when they change, because one of them can have the focus. */
  #showViews({ views, feeds }: HubStatus): void {
    const current = this.#address.feed ?? feeds[0]?.feed;
    const shown = JSON.stringify([current, views]);
    if (shown === this.#shownViews) return;
    this.#shownViews = shown;
    this.#views.replaceChildren(...views.map((view) => viewLink(view, view.view === current)));
  }

  #feedEntry(feed: FeedStatus, nowMs: number): HTMLElement {
    return feedEntry(feed, this.#rate(`feed ${feed.feed}`, feed.ticksIn, nowMs));
  }

  #sourceEntry(feed: string, source: SourceStatus, nowMs: number): HTMLElement {
    const { publisher, ticks } = source;
    return sourceEntry(feed, source, this.#rate(`source ${feed} ${publisher}`, ticks, nowMs));
  }

  /** Returns the text of a counter's rate; undefined without the counter. */
  #rate(counter: string, count: number | undefined, nowMs: number): string | undefined {
    return count === undefined
      ? undefined
      : rateText(this.#rates.perSecond(counter, count, nowMs));
  }

  #summary(status: HubStatus, nowMs: number): string {
    const { version, uptimeS, sessions, subscriptions, ticksDelivered } = status;
    const facts = [`Tickwire ${version}`, `up ${formatAge(uptimeS * 1000)}`];
    if (sessions !== undefined) facts.push(formatCount(sessions, "session"));
    if (subscriptions !== undefined) facts.push(formatCount(subscriptions, "subscription"));
    const delivered = this.#rate("delivered", ticksDelivered, nowMs);
    if (delivered !== undefined) facts.push(`${delivered} delivered`);
    return facts.join(" · ");
  }
}

/** Fills a list; hides it with its heading if it is empty. */
function fillGroup(listId: string, items: readonly HTMLElement[]): void {
  byId(listId).replaceChildren(...items);
  byId(`${listId}-group`).hidden = items.length === 0;
}
