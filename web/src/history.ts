// What the chart shows of one symbol: its prices over the last minutes, by time of arrival (a
// replay of old ticks is drawn as it comes in). Columns, since that is what the chart reads.

export const SPAN_S = 600;
const STEP_S = 0.25;
const POINTS_MAX = SPAN_S / STEP_S;
/** Dropped at once when full, so that the columns are not moved with every point. */
const POINTS_DROPPED = POINTS_MAX / 10;

export type Price = number | null;

export class History {
  /** Seconds since the Unix epoch, ascending; the other columns have the same length. */
  readonly times: number[] = [];
  readonly last: Price[] = [];
  readonly bid: Price[] = [];
  readonly ask: Price[] = [];

  /** Within one step the newest prices win. */
  add(nowMs: number, last: Price, bid: Price, ask: Price): void {
    const time = Math.floor(nowMs / 1000 / STEP_S) * STEP_S;
    const newest = this.times.length - 1;
    // A clock set back must not break the order.
    const at = newest >= 0 && time <= this.times[newest]! ? newest : newest + 1;
    if (at > newest) this.times.push(time);
    this.last[at] = last;
    this.bid[at] = bid;
    this.ask[at] = ask;
    if (this.times.length > POINTS_MAX) this.#dropOldest();
  }

  /** Nothing is known from here on: the lines end until the next tick. */
  interrupt(nowMs: number): void {
    if (this.times.length > 0) this.add(nowMs + STEP_S * 1000, null, null, null);
  }

  #dropOldest(): void {
    for (const column of [this.times, this.last, this.bid, this.ask]) {
      column.splice(0, POINTS_DROPPED);
    }
  }
}
