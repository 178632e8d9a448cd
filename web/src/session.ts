// What the messages of a hub mean: which ticks are live, what state the feed is in. Pure: the
// socket's handler gives it elements and the time, the views read its fields.

import type { Board } from "./board.ts";
import type { KeyProblem } from "./keyForm.ts";
import { Latency, Rate } from "./meter.ts";
import type { Subscriber } from "./subscriber.ts";
import {
  toMillis,
  type Control,
  type Element,
  type FeedState,
  type Gap,
  type Tick,
} from "./wire.ts";

export interface Feed {
  readonly name: string;
  readonly state: FeedState;
  /** RFC 3339. */
  readonly since: string;
}

/** Ticks that the hub says it left out. */
export interface Missed {
  readonly ticks: number;
  /** Of some gaps the hub does not know the size: there are at least `ticks`. */
  readonly orMore: boolean;
}

/** Errors that another key may mend. */
const KEY_PROBLEMS: ReadonlyMap<number, KeyProblem> = new Map([
  [401, "missing"],
  [402, "wrong"],
  [404, "missing"],
  [409, "insufficient"],
]);
/** Some of the names that a command asked for are not to be had, or are too many. */
const SYMBOL_LIMIT = 405;
/** A key was shown where none is needed. */
const ALREADY_AUTHENTICATED = 403;

export class Session {
  /** Ticks of the watched symbols, whether they came here or not. */
  readonly market = new Rate();
  readonly received = new Rate();
  /**
   * While true delays are not measured: values come rarely then, on purpose, and how long they
   * waited would tell nothing about the hub.
   */
  inBackground = false;
  readonly latency = new Latency();
  readonly #board: Board;
  readonly #subscriber: Subscriber;
  #feed: Feed | undefined;
  #error: string | undefined;
  #keyProblem: KeyProblem | undefined;
  /** Between `snapshot` and `live`: ticks are last values from before the subscription. */
  #inSnapshot = false;
  #epoch: string | undefined;
  /** From a new connection to its first last values: what happened before is no rate of now. */
  #catchingUp = false;
  #missed: Missed = { ticks: 0, orMore: false };

  constructor(board: Board, subscriber: Subscriber) {
    this.#board = board;
    this.#subscriber = subscriber;
  }

  /** Undefined while not known, that is while there is no connection. */
  get feed(): Feed | undefined {
    return this.#feed;
  }

  /** The last refusal of the hub, in its words. */
  get error(): string | undefined {
    return this.#error;
  }

  /** Why the hub lets this connection see nothing, if it does not. */
  get keyProblem(): KeyProblem | undefined {
    return this.#keyProblem;
  }

  /** Since the page was opened. */
  get missed(): Missed {
    return this.#missed;
  }

  dismissError(): void {
    this.#error = undefined;
  }

  receive(elements: readonly Element[], nowMs: number): void {
    for (const element of elements) {
      if (element.kind === "trade" || element.kind === "quote") this.#receiveTick(element, nowMs);
      else this.#receiveControl(element);
    }
  }

  disconnected(nowMs: number): void {
    this.#feed = undefined;
    this.#keyProblem = undefined;
    this.#inSnapshot = false;
    this.#board.interrupt(nowMs);
  }

  #receiveTick(tick: Tick, nowMs: number): void {
    const row = this.#board.row(tick.symbol);
    // Unsubscribed a moment ago: some ticks were already on their way.
    if (row === undefined) return;
    if (this.#inSnapshot) {
      const ticks = row.applySnapshot(tick, nowMs);
      if (!this.#catchingUp) this.market.add(nowMs, ticks);
      return;
    }
    const ticks = row.applyLive(tick, nowMs);
    if (ticks === 0) return;
    this.market.add(nowMs, ticks);
    this.received.add(nowMs, 1);
    if (!this.inBackground) this.latency.add(nowMs, toMillis(tick.time));
  }

  #receiveControl(control: Control): void {
    switch (control.kind) {
      case "connected":
        if (control.epoch !== this.#epoch) this.#board.restartSequences();
        this.#epoch = control.epoch;
        this.#catchingUp = true;
        break;
      case "feed":
        this.#feed = { name: control.feed, state: control.state, since: control.since };
        break;
      case "snapshot":
        this.#inSnapshot = true;
        break;
      case "live":
        this.#inSnapshot = false;
        this.#catchingUp = false;
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

  #receiveError({ code, text, id }: Control & { kind: "error" }): void {
    if (code === ALREADY_AUTHENTICATED) return;
    if (code === SYMBOL_LIMIT && this.#subscriber.refused(id, text)) return;
    this.#keyProblem ??= KEY_PROBLEMS.get(code);
    if (!KEY_PROBLEMS.has(code)) this.#error = `${text} (${code})`;
  }

  #receiveGap({ channel, symbol, from, to }: Gap): void {
    const row = this.#board.row(symbol);
    if (row === undefined || (channel !== "trades" && channel !== "quotes")) return;
    const before = from === undefined ? row[channel].last : from - 1;
    const known = before !== undefined && to !== undefined && to > before;
    this.#missed = {
      ticks: this.#missed.ticks + (known ? to - before : 1),
      orMore: this.#missed.orMore || !known,
    };
  }
}
