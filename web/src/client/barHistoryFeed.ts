// Fills the price history of one symbol with the minute bars of the last 15 minutes that the hub
// still has, and with every bar that follows. Pure: the caller passes in elements and the time, and
// sends the commands.

import { encodeBars, type Command } from "../protocol/commands.ts";
import { toMillis, type Bar, type StreamElement } from "../protocol/elements.ts";
import { CONNECTION_LIMIT_EXCEEDED } from "../protocol/errorCodes.ts";
import { BAR_S, SPAN_S, type PriceHistory } from "./priceHistory.ts";

export interface BarHistoryEvents {
  send(command: Command): void;
  /** The key has no session left for this feed. */
  connectionLimitReached(): void;
}

export class BarHistoryFeed {
  readonly #symbol: string;
  readonly #history: PriceHistory;
  readonly #events: BarHistoryEvents;
  #delayMs = 0;
  /** Whether bars between the last one and the next one may be missing. */
  #hasGap = true;

  constructor(symbol: string, history: PriceHistory, events: BarHistoryEvents) {
    this.#symbol = symbol;
    this.#history = history;
    this.#events = events;
  }

  receive(elements: readonly StreamElement[], nowMs: number): void {
    for (const element of elements) {
      if (element.kind === "bar") this.#receiveBar(element, nowMs);
      else if (element.kind === "gap") this.#hasGap = true;
      else if (element.kind === "feed") this.#delayMs = element.delayMs;
      else if (element.kind === "connected") this.#connected();
      else if (element.kind === "error" && element.code === CONNECTION_LIMIT_EXCEEDED) {
        this.#events.connectionLimitReached();
      }
    }
  }

  /** Asks for all bars again: there are few, and the history keeps one of each minute. */
  #connected(): void {
    this.#hasGap = true;
    this.#events.send(encodeBars(this.#symbol, SPAN_S + BAR_S));
  }

  #receiveBar({ symbol, time, open, close }: Bar, nowMs: number): void {
    if (symbol !== this.#symbol) return;
    const startMs = toMillis(time);
    const ageMs = nowMs - this.#delayMs - startMs;
    // A time far from now belongs to a recording, whose bars have no place in this history.
    if (ageMs < 0 || ageMs > (SPAN_S + 2 * BAR_S) * 1000) return;
    this.#history.addBar(startMs / 1000, open, close, this.#hasGap);
    this.#hasGap = false;
  }
}
