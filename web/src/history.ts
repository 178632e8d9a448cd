// What the chart shows of one symbol: its prices over the last minutes, by time of arrival (old
// ticks that are fed again are drawn as they come in). What the hub has from before is filled in.
// Columns, since that is what the chart reads.

export const SPAN_S = 900;
const STEP_S = 0.25;
/** Dropped at once when full, so that the columns are not moved with every point. */
const POINTS_DROPPED = SPAN_S / STEP_S / 10;
const POINTS_MAX = SPAN_S / STEP_S + POINTS_DROPPED;

export type Price = number | null;

export class History {
  /** Seconds since the Unix epoch, ascending; the other columns have the same length. */
  readonly times: number[] = [];
  readonly last: Price[] = [];
  readonly bid: Price[] = [];
  readonly ask: Price[] = [];

  /** Within one step the newest prices win. */
  add(nowMs: number, last: Price, bid: Price, ask: Price): void {
    const time = stepOf(nowMs);
    const newest = this.times.length - 1;
    // A clock set back must not break the order.
    const at = newest >= 0 && time <= this.times[newest]! ? newest : newest + 1;
    if (at > newest) this.times.push(time);
    this.last[at] = last;
    this.bid[at] = bid;
    this.ask[at] = ask;
    if (this.times.length > POINTS_MAX) this.#dropOldest();
  }

  /**
   * A trade from the hub's history, at the time it happened. `since` is when the trade before it
   * happened: nothing is missing in between, so an interruption there is mended. Undefined where
   * nobody knows.
   */
  fill(timeMs: number, last: number, since: number | undefined): void {
    const time = stepOf(timeMs);
    let at = this.times.length;
    while (at > 0 && this.times[at - 1]! > time) at -= 1;
    if (at > 0 && this.times[at - 1] === time) {
      this.last[at - 1] = last;
      at -= 1;
    } else {
      this.times.splice(at, 0, time);
      this.last.splice(at, 0, last);
      this.bid.splice(at, 0, this.bid[at - 1] ?? null);
      this.ask.splice(at, 0, this.ask[at - 1] ?? null);
    }
    if (since !== undefined) this.#mend(at - 1, stepOf(since));
    if (this.times.length > POINTS_MAX) this.#dropOldest();
  }

  /** Nothing is known from here on: the lines end until the next tick. */
  interrupt(nowMs: number): void {
    if (this.times.length > 0) this.add(nowMs + STEP_S * 1000, null, null, null);
  }

  /** The last price goes on over interruptions after a time, up to an index. */
  #mend(to: number, time: number): void {
    let from = to;
    while (from > 0 && this.times[from]! > time) from -= 1;
    for (let at = from + 1; at <= to; at += 1) this.last[at] ??= this.last[at - 1] ?? null;
  }

  #dropOldest(): void {
    for (const column of [this.times, this.last, this.bid, this.ask]) {
      column.splice(0, POINTS_DROPPED);
    }
  }
}

/** In seconds. */
function stepOf(timeMs: number): number {
  return Math.floor(timeMs / 1000 / STEP_S) * STEP_S;
}
