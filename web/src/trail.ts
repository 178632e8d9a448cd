// The trades of one symbol from a quarter of an hour ago on, for the chart: what the hub's history
// has of them, then every trade as it comes. After a loss of the connection it goes on behind the
// last one, or begins anew if the hub has. Pure: the connection's handler gives it elements and the
// time, and sends what it says.

import { SPAN_S, type History } from "./history.ts";
import { encodeReplay, encodeResume, toMillis, type Element, type Trade } from "./wire.ts";

/** The hub's code for a key with as many sessions as it may have. */
const CONNECTION_LIMIT = 406;

/** The clock of a feed may be ahead of this one's. */
const AHEAD_MS_MAX = 2_000;

export class Trail {
  readonly #symbol: string;
  readonly #history: History;
  readonly #send: (command: Uint8Array<ArrayBuffer>) => void;
  readonly #refused: () => void;
  #epoch: string | undefined;
  #last: { readonly seq: number; readonly timeMs: number } | undefined;
  /** Whether trades before the next one are missing. */
  #broken = false;

  /** `refused` is called when there is no place for one connection more. */
  constructor(
    symbol: string,
    history: History,
    send: (command: Uint8Array<ArrayBuffer>) => void,
    refused: () => void,
  ) {
    this.#symbol = symbol;
    this.#history = history;
    this.#send = send;
    this.#refused = refused;
  }

  receive(elements: readonly Element[], nowMs: number): void {
    for (const element of elements) {
      if (element.kind === "trade") this.#trade(element, nowMs);
      else if (element.kind === "gap") this.#broken = true;
      else if (element.kind === "connected") this.#connected(element.epoch);
      else if (element.kind === "error" && element.code === CONNECTION_LIMIT) this.#refused();
    }
  }

  /** Only the greeting tells whether the numbers go on, so nothing is asked for before it. */
  #connected(epoch: string): void {
    if (this.#epoch !== undefined && epoch !== this.#epoch) {
      this.#last = undefined;
      this.#broken = true;
    }
    this.#epoch = epoch;
    this.#send(
      this.#last === undefined
        ? encodeReplay(this.#symbol, SPAN_S)
        : encodeResume(this.#symbol, epoch, this.#last.seq),
    );
  }

  #trade({ symbol, seq, time, price }: Trade, nowMs: number): void {
    if (symbol !== this.#symbol || seq <= (this.#last?.seq ?? 0)) return;
    const timeMs = toMillis(time);
    const since = this.#broken ? undefined : this.#last?.timeMs;
    this.#last = { seq, timeMs };
    // Times far from now are those of a recording: where its trades belong is not known here.
    if (timeMs < nowMs - SPAN_S * 1000 || timeMs > nowMs + AHEAD_MS_MAX) return;
    this.#broken = false;
    this.#history.fill(Math.min(timeMs, nowMs), price, since);
  }
}
