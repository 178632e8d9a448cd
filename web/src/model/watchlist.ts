// The watched symbols and the last values of each. The session writes them, the views read them
// once per frame. Pure: the time is an argument.

import { PriceHistory } from "../client/priceHistory.ts";
import { SequenceTracker } from "../client/sequence.ts";
import { toMillis, type Quote, type Tick, type Trade } from "../protocol/elements.ts";
import { decimalsOf } from "./decimals.ts";

/** The last values of one watched symbol. */
export class WatchlistRow {
  readonly symbol: string;
  /** Incremented with every change; a view that drew the same version is up to date. */
  version = 0;
  /** Price of the newest trade. */
  lastPrice: number | undefined;
  /** Decimals that show every trade exactly. They never shrink, so that figures do not jump. */
  decimals = 2;
  /** Size of the newest trade. */
  lastSize: number | undefined;
  /** Price of the first trade since the symbol was added; `change` is measured from it. */
  firstPrice: number | undefined;
  bid: number | undefined;
  bidSize = 0;
  ask: number | undefined;
  askSize = 0;
  /**
   * When the newest live tick was due on the undelayed feed; after a snapshot, the time of the
   * newest tick in it.
   */
  updatedMs: number | undefined;
  /** Direction of the last change of the price. */
  direction: "up" | "down" | undefined;
  /** When a live trade last changed the price. */
  priceChangedMs = -Infinity;
  /** The hub's reason for not delivering this symbol; undefined if it does. */
  refusal: string | undefined;
  readonly history = new PriceHistory();
  readonly trades = new SequenceTracker();
  readonly quotes = new SequenceTracker();

  constructor(symbol: string) {
    this.symbol = symbol;
  }

  /** Price change since `firstPrice`; undefined before the first trade. */
  get change(): number | undefined {
    const { lastPrice, firstPrice } = this;
    return lastPrice === undefined || firstPrice === undefined ? undefined : lastPrice - firstPrice;
  }

  /**
   * Takes a last value that precedes the live ticks of a subscription. It does not count as a new
   * price, so the row does not flash. `marketMs` is the present less the delay of the view. Returns
   * the number of ticks since the value known before.
   */
  applySnapshot(tick: Tick, marketMs: number): number {
    const ticks = this.#sequence(tick).applySnapshot(tick.seq);
    if (tick.kind === "trade") this.#setTrade(tick);
    else this.#setQuote(tick);
    this.#updated(Math.max(this.updatedMs ?? 0, toMillis(tick.time)), marketMs);
    return ticks;
  }

  /**
   * Takes a live tick. `marketMs` is the present less the delay of the view. Returns the number of
   * ticks since the one before, this one included; 0 if the tick is a repetition or older, and was
   * ignored.
   */
  applyLive(tick: Tick, nowMs: number, marketMs = nowMs): number {
    const ticks = this.#sequence(tick).applyLive(tick.seq);
    if (ticks === 0) return 0;
    if (tick.kind === "trade") {
      if (this.lastPrice !== undefined && tick.price !== this.lastPrice) {
        this.priceChangedMs = nowMs;
      }
      this.#setTrade(tick);
    } else {
      this.#setQuote(tick);
    }
    this.#updated(marketMs, marketMs);
    return ticks;
  }

  setRefusal(reason: string | undefined): void {
    this.refusal = reason;
    this.version += 1;
  }

  #sequence(tick: Tick): SequenceTracker {
    return tick.kind === "trade" ? this.trades : this.quotes;
  }

  #setTrade(trade: Trade): void {
    if (this.lastPrice !== undefined && trade.price !== this.lastPrice) {
      this.direction = trade.price > this.lastPrice ? "up" : "down";
    }
    this.firstPrice ??= trade.price;
    this.decimals = decimalsOf(trade.price, this.decimals);
    this.lastPrice = trade.price;
    this.lastSize = trade.size;
  }

  #setQuote(quote: Quote): void {
    // The wire has price 0 for a side without an offer.
    this.bid = quote.bid === 0 ? undefined : quote.bid;
    this.bidSize = quote.bidSize;
    this.ask = quote.ask === 0 ? undefined : quote.ask;
    this.askSize = quote.askSize;
  }

  #updated(updatedMs: number, marketMs: number): void {
    this.updatedMs = updatedMs;
    this.version += 1;
    this.history.add(marketMs, this.lastPrice ?? null, this.bid ?? null, this.ask ?? null);
  }
}

/** The watched symbols, in the order in which they were added. */
export class WatchlistModel {
  readonly #rows = new Map<string, WatchlistRow>();

  get symbols(): string[] {
    return [...this.#rows.keys()];
  }

  get size(): number {
    return this.#rows.size;
  }

  get rows(): Iterable<WatchlistRow> {
    return this.#rows.values();
  }

  /** The rows that the hub refuses to deliver. */
  get refusedRows(): WatchlistRow[] {
    return [...this.#rows.values()].filter((row) => row.refusal !== undefined);
  }

  row(symbol: string): WatchlistRow | undefined {
    return this.#rows.get(symbol);
  }

  add(symbol: string): WatchlistRow {
    const row = new WatchlistRow(symbol);
    this.#rows.set(symbol, row);
    return row;
  }

  remove(symbol: string): void {
    this.#rows.delete(symbol);
  }

  /** Forgets the sequence numbers of the old epoch; the snapshots bring those of the new one. */
  startEpoch(): void {
    for (const row of this.#rows.values()) {
      row.trades.startEpoch();
      row.quotes.startEpoch();
    }
  }

  /** Ends the chart lines of all rows, because the connection was lost. */
  interrupt(marketMs: number): void {
    for (const row of this.#rows.values()) row.history.interrupt(marketMs);
  }
}
