// Fills the price history of one symbol: first with the trades of the last 15 minutes that the hub
// still has, then with every live trade. After a reconnect it resumes after the last trade, or
// starts over if the hub has a new epoch. Pure: the caller passes in elements and the time, and
// sends the commands.

import { encodeReplay, encodeResume, type Command } from "../protocol/commands.ts";
import { toMillis, type StreamElement, type Trade } from "../protocol/elements.ts";
import { CONNECTION_LIMIT_EXCEEDED } from "../protocol/errorCodes.ts";
import { SPAN_S, type PriceHistory } from "./priceHistory.ts";

/** How far the clock of a feed may be ahead of the clock of this page. */
const CLOCK_SKEW_MS_MAX = 2_000;

export interface TradeHistoryEvents {
  send(command: Command): void;
  /** The key has no session left for this feed. */
  connectionLimitReached(): void;
}

export class TradeHistoryFeed {
  readonly #symbol: string;
  readonly #history: PriceHistory;
  readonly #events: TradeHistoryEvents;
  #epoch: string | undefined;
  #last: { readonly seq: number; readonly timeMs: number } | undefined;
  /** Whether trades between the last one and the next one are missing. */
  #hasGap = false;

  constructor(symbol: string, history: PriceHistory, events: TradeHistoryEvents) {
    this.#symbol = symbol;
    this.#history = history;
    this.#events = events;
  }

  receive(elements: readonly StreamElement[], nowMs: number): void {
    for (const element of elements) {
      if (element.kind === "trade") this.#receiveTrade(element, nowMs);
      else if (element.kind === "gap") this.#hasGap = true;
      else if (element.kind === "connected") this.#connected(element.epoch);
      else if (element.kind === "error" && element.code === CONNECTION_LIMIT_EXCEEDED) {
        this.#events.connectionLimitReached();
      }
    }
  }

  /** Subscribes only now, because the epoch decides whether the feed can resume. */
  #connected(epoch: string): void {
    if (this.#epoch !== undefined && epoch !== this.#epoch) {
      this.#last = undefined;
      this.#hasGap = true;
    }
    this.#epoch = epoch;
    this.#events.send(
      this.#last === undefined
        ? encodeReplay(this.#symbol, SPAN_S)
        : encodeResume(this.#symbol, epoch, this.#last.seq),
    );
  }

  #receiveTrade({ symbol, seq, time, price }: Trade, nowMs: number): void {
    if (symbol !== this.#symbol || seq <= (this.#last?.seq ?? 0)) return;
    const timeMs = toMillis(time);
    const previousMs = this.#hasGap ? undefined : this.#last?.timeMs;
    this.#last = { seq, timeMs };
    // A time far from now belongs to a recording, whose trades have no place in this history.
    if (timeMs < nowMs - SPAN_S * 1000 || timeMs > nowMs + CLOCK_SKEW_MS_MAX) return;
    this.#hasGap = false;
    this.#history.fill(Math.min(timeMs, nowMs), price, previousMs);
  }
}
