// What the messages of a hub mean: which ticks are live, what state the feed is in. Pure: the
// socket's handler gives it elements and the time, the views read its fields.

import type { Board } from "./board.ts";
import { Latency, Rate } from "./meter.ts";
import { toMillis, type Control, type Element, type FeedState, type Tick } from "./wire.ts";

export interface Feed {
  readonly name: string;
  readonly state: FeedState;
  /** RFC 3339. */
  readonly since: string;
}

export class Session {
  readonly rate = new Rate();
  readonly latency = new Latency();
  readonly #board: Board;
  #feed: Feed | undefined;
  #error: string | undefined;
  /** Between `snapshot` and `live`: ticks are last values from before the subscription. */
  #inSnapshot = false;

  constructor(board: Board) {
    this.#board = board;
  }

  /** Undefined while not known, that is while there is no connection. */
  get feed(): Feed | undefined {
    return this.#feed;
  }

  /** The last refusal of the hub, in its words. */
  get error(): string | undefined {
    return this.#error;
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
    this.#inSnapshot = false;
    this.#board.interrupt(nowMs);
  }

  #receiveTick(tick: Tick, nowMs: number): void {
    const row = this.#board.row(tick.symbol);
    // Unsubscribed a moment ago: some ticks were already on their way.
    if (row === undefined) return;
    if (this.#inSnapshot) {
      row.applySnapshot(tick, nowMs);
    } else if (row.applyLive(tick, nowMs)) {
      this.rate.add(nowMs);
      this.latency.add(nowMs, toMillis(tick.time));
    }
  }

  #receiveControl(control: Control): void {
    switch (control.kind) {
      case "connected":
        this.#board.restartSequences();
        break;
      case "feed":
        this.#feed = { name: control.feed, state: control.state, since: control.since };
        break;
      case "snapshot":
        this.#inSnapshot = true;
        break;
      case "live":
        this.#inSnapshot = false;
        break;
      case "error":
        this.#error = `${control.text} (${control.code})`;
        break;
    }
  }
}
