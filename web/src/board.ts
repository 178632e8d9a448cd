// The watched symbols and the last values of each: plain state, written by the socket's handler,
// read once per frame. Pure: `now` is an argument.

import { History } from "./history.ts";
import { Sequence } from "./sequence.ts";
import { toMillis, type Quote, type Tick, type Trade } from "./wire.ts";

export class Row {
  readonly symbol: string;
  /** Counts what has changed; a view is up to date while its copy is equal. */
  version = 0;
  /** Of the newest trade. */
  last: number | undefined;
  lastSize: number | undefined;
  /** The first trade price this page saw; what changes are measured from. */
  first: number | undefined;
  bid: number | undefined;
  bidSize = 0;
  ask: number | undefined;
  askSize = 0;
  /** When the newest tick arrived; of a snapshot, when it happened. */
  updatedMs: number | undefined;
  /** Where the last price went when it last changed. */
  direction: "up" | "down" | undefined;
  /** When a live trade last changed the price. */
  movedMs = -Infinity;
  /** Why the hub does not give this symbol to this page, in its words; undefined if it does. */
  refused: string | undefined;
  readonly history = new History();
  readonly trades = new Sequence();
  readonly quotes = new Sequence();

  constructor(symbol: string) {
    this.symbol = symbol;
  }

  /** Since the first trade seen; undefined before. */
  get change(): number | undefined {
    return this.last === undefined || this.first === undefined ? undefined : this.last - this.first;
  }

  /**
   * A last value from before the (changed) subscription: not news, so nothing lights up. Returns
   * how many ticks happened since the value that was known before.
   */
  applySnapshot(tick: Tick, nowMs: number): number {
    const ticks = this.#sequence(tick).startFrom(tick.seq);
    if (tick.kind === "trade") this.#setTrade(tick);
    else this.#setQuote(tick);
    this.#touched(Math.max(this.updatedMs ?? 0, toMillis(tick.time)), nowMs);
    return ticks;
  }

  /** Returns how many ticks happened up to this one; 0 if it is not new and changes nothing. */
  applyLive(tick: Tick, nowMs: number): number {
    const ticks = this.#sequence(tick).advance(tick.seq);
    if (ticks === 0) return 0;
    if (tick.kind === "trade") {
      if (this.last !== undefined && tick.price !== this.last) this.movedMs = nowMs;
      this.#setTrade(tick);
    } else {
      this.#setQuote(tick);
    }
    this.#touched(nowMs, nowMs);
    return ticks;
  }

  setRefused(reason: string | undefined): void {
    this.refused = reason;
    this.version += 1;
  }

  #sequence(tick: Tick): Sequence {
    return tick.kind === "trade" ? this.trades : this.quotes;
  }

  #setTrade(trade: Trade): void {
    if (this.last !== undefined && trade.price !== this.last) {
      this.direction = trade.price > this.last ? "up" : "down";
    }
    this.first ??= trade.price;
    this.last = trade.price;
    this.lastSize = trade.size;
  }

  #setQuote(quote: Quote): void {
    // A side without an offer is quoted as price 0.
    this.bid = quote.bid === 0 ? undefined : quote.bid;
    this.bidSize = quote.bidSize;
    this.ask = quote.ask === 0 ? undefined : quote.ask;
    this.askSize = quote.askSize;
  }

  #touched(updatedMs: number, nowMs: number): void {
    this.updatedMs = updatedMs;
    this.version += 1;
    this.history.add(nowMs, this.last ?? null, this.bid ?? null, this.ask ?? null);
  }
}

export class Board {
  readonly #rows = new Map<string, Row>();

  /** In the order they were added. */
  get symbols(): string[] {
    return [...this.#rows.keys()];
  }

  get size(): number {
    return this.#rows.size;
  }

  get rows(): Iterable<Row> {
    return this.#rows.values();
  }

  row(symbol: string): Row | undefined {
    return this.#rows.get(symbol);
  }

  add(symbol: string): Row {
    const row = new Row(symbol);
    this.#rows.set(symbol, row);
    return row;
  }

  remove(symbol: string): void {
    this.#rows.delete(symbol);
  }

  /** Another epoch: the hub numbers anew, and the snapshots say where it stands. */
  restartSequences(): void {
    for (const row of this.#rows.values()) {
      row.trades.restart();
      row.quotes.restart();
    }
  }

  /** The connection is lost: what happens from now on is not known. */
  interrupt(nowMs: number): void {
    for (const row of this.#rows.values()) row.history.interrupt(nowMs);
  }
}
