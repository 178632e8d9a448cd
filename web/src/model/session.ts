// Applies the elements of a hub's stream to the watchlist, and keeps the state of the session: the
// feed, errors, missed ticks and figures. Pure: the caller passes in elements and the time, the
// views read the fields.

import type { Subscriber } from "../client/subscriber.ts";
import {
  toMillis,
  type ControlElement,
  type ErrorElement,
  type FeedState,
  type Gap,
  type StreamElement,
  type Tick,
} from "../protocol/elements.ts";
import {
  ALREADY_AUTHENTICATED,
  AUTH_FAILED,
  AUTH_TIMEOUT,
  INSUFFICIENT_SUBSCRIPTION,
  NOT_AUTHENTICATED,
  SYMBOL_LIMIT_EXCEEDED,
} from "../protocol/errorCodes.ts";
import { LatencyMeter } from "./latencyMeter.ts";
import { RateMeter } from "./rateMeter.ts";
import type { WatchlistModel, WatchlistRow } from "./watchlist.ts";

export interface Feed {
  readonly name: string;
  readonly state: FeedState;
  /** RFC 3339. */
  readonly since: string;
  /** Name of the view that the page reads the feed under. */
  readonly view: string;
  /** Delay of the view; 0 if it is live. */
  readonly delayMs: number;
}

/** Ticks that the hub reported as gaps. */
export interface MissedTicks {
  readonly ticks: number;
  /** Whether the size of some gaps is unknown, so that `ticks` is a lower bound. */
  readonly isLowerBound: boolean;
}

/** Why the page has to ask the user for a key. */
export type KeyProblem = "missing" | "wrong" | "insufficient";

/** Errors that the user can solve with another key. */
const KEY_PROBLEMS: ReadonlyMap<number, KeyProblem> = new Map([
  [NOT_AUTHENTICATED, "missing"],
  [AUTH_FAILED, "wrong"],
  [AUTH_TIMEOUT, "missing"],
  [INSUFFICIENT_SUBSCRIPTION, "insufficient"],
]);

export class Session {
  /** Ticks of the watched symbols at the hub, including those that were conflated. */
  readonly marketRate = new RateMeter();
  /** Ticks that arrived in this page. */
  readonly receivedRate = new RateMeter();
  readonly latency = new LatencyMeter();
  /** Set while the page is hidden. Values then wait up to a second, so latency is not measured. */
  inBackground = false;
  readonly #watchlist: WatchlistModel;
  readonly #subscriber: Subscriber<WatchlistRow>;
  #feed: Feed | undefined;
  #delayMs = 0;
  #error: string | undefined;
  #keyProblem: KeyProblem | undefined;
  /** Between `snapshot` and `live`: ticks are last values from before the subscription. */
  #inSnapshot = false;
  #epoch: string | undefined;
  /** True until the first snapshot of a connection ends: its ticks are no measure of the rate. */
  #isCatchingUp = false;
  #missed: MissedTicks = { ticks: 0, isLowerBound: false };

  constructor(watchlist: WatchlistModel, subscriber: Subscriber<WatchlistRow>) {
    this.#watchlist = watchlist;
    this.#subscriber = subscriber;
  }

  /** Undefined until the hub has reported it on this connection. */
  get feed(): Feed | undefined {
    return this.#feed;
  }

  /** Delay of the view that the hub has last reported: prices are this much older than now. */
  get delayMs(): number {
    return this.#delayMs;
  }

  /** The text of the hub's last error that concerns neither keys nor single symbols. */
  get error(): string | undefined {
    return this.#error;
  }

  /** Why the hub rejects this connection; undefined if it does not. */
  get keyProblem(): KeyProblem | undefined {
    return this.#keyProblem;
  }

  /** Ticks missed since the page was opened. */
  get missed(): MissedTicks {
    return this.#missed;
  }

  dismissError(): void {
    this.#error = undefined;
  }

  receive(elements: readonly StreamElement[], nowMs: number): void {
    for (const element of elements) {
      if (element.kind === "trade" || element.kind === "quote") this.#receiveTick(element, nowMs);
      else if (element.kind !== "bar") this.#receiveControl(element);
    }
  }

  disconnected(nowMs: number): void {
    this.#feed = undefined;
    this.#keyProblem = undefined;
    this.#inSnapshot = false;
    this.#watchlist.interrupt(nowMs - this.#delayMs);
  }

  #receiveTick(tick: Tick, nowMs: number): void {
    const row = this.#watchlist.row(tick.symbol);
    // A symbol that was just unsubscribed may still have ticks on their way.
    if (row === undefined) return;
    const marketMs = nowMs - this.#delayMs;
    if (this.#inSnapshot) {
      const ticks = row.applySnapshot(tick, marketMs);
      if (!this.#isCatchingUp) this.marketRate.add(nowMs, ticks);
      return;
    }
    const ticks = row.applyLive(tick, nowMs, marketMs);
    if (ticks === 0) return;
    this.marketRate.add(nowMs, ticks);
    this.receivedRate.add(nowMs, 1);
    if (!this.inBackground) this.latency.add(nowMs, toMillis(tick.time) + this.#delayMs);
  }

  #receiveControl(control: ControlElement): void {
    switch (control.kind) {
      case "connected":
        if (control.epoch !== this.#epoch) this.#watchlist.startEpoch();
        this.#epoch = control.epoch;
        this.#isCatchingUp = true;
        break;
      case "feed":
        this.#feed = {
          name: control.feed,
          state: control.state,
          since: control.since,
          view: control.view,
          delayMs: control.delayMs,
        };
        this.#delayMs = control.delayMs;
        break;
      case "snapshot":
        this.#inSnapshot = true;
        break;
      case "live":
        this.#inSnapshot = false;
        this.#isCatchingUp = false;
        break;
      case "gap":
        this.#receiveGap(control);
        break;
      case "error":
        this.#receiveError(control);
        break;
      case "subscribed":
        this.#subscriber.accepted(control.id);
        break;
      case "authenticated":
        break;
    }
  }

  #receiveError({ code, text, id }: ErrorElement): void {
    if (code === ALREADY_AUTHENTICATED) return; // an open hub ignores the key
    if (code === SYMBOL_LIMIT_EXCEEDED && this.#subscriber.refused(id, text)) return;
    this.#keyProblem ??= KEY_PROBLEMS.get(code);
    if (!KEY_PROBLEMS.has(code)) this.#error = `${text} (${code})`;
  }

  #receiveGap({ channel, symbol, from, to }: Gap): void {
    const row = this.#watchlist.row(symbol);
    if (row === undefined || (channel !== "trades" && channel !== "quotes")) return;
    const before = from === undefined ? row[channel].last : from - 1;
    const isKnown = before !== undefined && to !== undefined && to > before;
    this.#missed = {
      ticks: this.#missed.ticks + (isKnown ? to - before : 1),
      isLowerBound: this.#missed.isLowerBound || !isKnown,
    };
  }
}
