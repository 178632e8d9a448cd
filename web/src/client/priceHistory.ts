// The prices of one symbol over the last minutes, as the chart draws them. Live prices are recorded
// by time of arrival, so that a replayed recording is drawn as it comes in; trades from the hub's
// history are filled in at the time they happened. Stored in columns, because uPlot reads columns.

/** The time that the history covers. */
export const SPAN_S = 900;
/** The resolution of the history: of several prices within a step the last one counts. */
const STEP_S = 0.25;
/** A full history drops this many points at once, so that not every new point moves the columns. */
const POINTS_DROPPED = SPAN_S / STEP_S / 10;
const POINTS_MAX = SPAN_S / STEP_S + POINTS_DROPPED;

/** Null where no price is known. */
export type Price = number | null;

export class PriceHistory {
  /** Seconds since the Unix epoch, ascending; the other columns have the same length. */
  readonly times: number[] = [];
  readonly last: Price[] = [];
  readonly bid: Price[] = [];
  readonly ask: Price[] = [];

  /** Records the prices of now; replaces those of the same step. */
  add(nowMs: number, last: Price, bid: Price, ask: Price): void {
    const time = stepOf(nowMs);
    const newest = this.times.length - 1;
    // The times stay in order even if the clock was set back.
    const at = newest >= 0 && time <= this.times[newest]! ? newest : newest + 1;
    if (at > newest) this.times.push(time);
    this.last[at] = last;
    this.bid[at] = bid;
    this.ask[at] = ask;
    if (this.times.length > POINTS_MAX) this.#dropOldest();
  }

  /**
   * Inserts a trade from the hub's history. `previousMs` is the time of the preceding trade and
   * closes an interruption between the two; undefined if trades in between may be missing.
   */
  fill(timeMs: number, last: number, previousMs: number | undefined): void {
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
    if (previousMs !== undefined) this.#closeInterruptions(stepOf(previousMs), at - 1);
    if (this.times.length > POINTS_MAX) this.#dropOldest();
  }

  /** Ends the lines of the chart until the next price, because the connection was lost. */
  interrupt(nowMs: number): void {
    if (this.times.length > 0) this.add(nowMs + STEP_S * 1000, null, null, null);
  }

  /** Continues the last price over interruptions after time `fromTime`, up to index `to`. */
  #closeInterruptions(fromTime: number, to: number): void {
    let from = to;
    while (from > 0 && this.times[from]! > fromTime) from -= 1;
    for (let at = from + 1; at <= to; at += 1) this.last[at] ??= this.last[at - 1] ?? null;
  }

  #dropOldest(): void {
    for (const column of [this.times, this.last, this.bid, this.ask]) {
      column.splice(0, POINTS_DROPPED);
    }
  }
}

/** Rounds down to a step; the result is in seconds. */
function stepOf(timeMs: number): number {
  return Math.floor(timeMs / 1000 / STEP_S) * STEP_S;
}
