// The prices of one symbol over the last minutes, as the chart draws them. Live prices are recorded
// by time of arrival, so that a replayed recording is drawn as it comes in. Minute bars say what
// the price was where no live price is known. Stored in columns, because uPlot reads columns.

/** The time that the history covers. */
export const SPAN_S = 900;
/** The length of a bar. */
export const BAR_S = 60;
/** The resolution of the history: of several prices within a step the last one counts. */
const STEP_S = 0.25;
/** A full history drops this many points at once, so that not every new point moves the columns. */
const POINTS_DROPPED = SPAN_S / STEP_S / 10;
const POINTS_MAX = SPAN_S / STEP_S + POINTS_DROPPED;
const BARS_MAX = SPAN_S / BAR_S + 2;

/** Null where no price is known. */
export type Price = number | null;

/** A minute bar; times are in seconds since the Unix epoch. */
interface MinuteBar {
  readonly start: number;
  readonly open: number;
  readonly close: number;
  /** Whether bars between the one before and this one may be missing. */
  readonly hasGap: boolean;
}

/** A time without live prices, with the live prices at its ends. */
interface UnknownTime {
  readonly from: number;
  readonly to: number;
  readonly before: Price;
  readonly after: Price;
}

/** A line between known prices; null interrupts it. */
export interface PastPrices {
  readonly times: number[];
  readonly prices: Price[];
}

export class PriceHistory {
  /** Seconds since the Unix epoch, ascending; the other columns have the same length. */
  readonly times: number[] = [];
  readonly last: Price[] = [];
  readonly bid: Price[] = [];
  readonly ask: Price[] = [];
  /** Ascending by time. */
  #bars: MinuteBar[] = [];

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

  /** Records the bar of the minute that began at `start`; replaces that of the same minute. */
  addBar(start: number, open: number, close: number, hasGap: boolean): void {
    const others = this.#bars.filter((bar) => bar.start !== start);
    const replaced = this.#bars.find((bar) => bar.start === start);
    const bar = { start, open, close, hasGap: hasGap && (replaced?.hasGap ?? true) };
    this.#bars = [...others, bar].toSorted((a, b) => a.start - b.start).slice(-BARS_MAX);
  }

  /** Ends the lines of the chart until the next price, because the connection was lost. */
  interrupt(nowMs: number): void {
    if (this.times.length > 0) this.add(nowMs + STEP_S * 1000, null, null, null);
  }

  /** Returns the prices of bars, for the times at which no live price is known. */
  past(): PastPrices {
    const line = barLine(this.#bars);
    const points = this.#unknownTimes().flatMap((unknown) => within(line, unknown));
    return { times: points.map(([time]) => time), prices: points.map(([, price]) => price) };
  }

  /** The times before the first live price, and in interruptions. */
  #unknownTimes(): UnknownTime[] {
    const unknown: UnknownTime[] = [];
    let from = -Infinity;
    let before: Price = null;
    let isKnown = false;
    this.last.forEach((price, at) => {
      const time = this.times[at]!;
      if (price !== null && !isKnown) unknown.push({ from, to: time, before, after: price });
      if (price === null && isKnown) from = time;
      isKnown = price !== null;
      before = price ?? before;
    });
    if (!isKnown) unknown.push({ from, to: Infinity, before, after: null });
    return unknown;
  }

  #dropOldest(): void {
    for (const column of [this.times, this.last, this.bid, this.ask]) {
      column.splice(0, POINTS_DROPPED);
    }
  }
}

type Point = readonly [time: number, price: Price];

/** Connects open and close of each bar, and holds the price over minutes without a trade. */
function barLine(bars: readonly MinuteBar[]): Point[] {
  return bars.flatMap(({ start, open, close, hasGap }, at): Point[] => {
    const before = bars[at - 1];
    const opening: Point[] = [[start, open]];
    if (before !== undefined && before.start + BAR_S < start) {
      opening.unshift([start - STEP_S, hasGap ? null : before.close]);
    }
    return [...opening, [start + BAR_S - STEP_S, close]];
  });
}

/** Returns the part of a line in a time without live prices, joined to the live prices around. */
function within(line: readonly Point[], { from, to, before, after }: UnknownTime): Point[] {
  const points = line.filter(([time]) => time >= from && time < to);
  if (before !== null && covers(line, from)) points.unshift([from, before]);
  if (after !== null && covers(line, to)) points.push([to, after]);
  return points.length === 0 ? [] : [...points, [to + STEP_S / 2, null]];
}

/** Whether a line has a price at a time. */
function covers(line: readonly Point[], time: number): boolean {
  const next = line.findIndex(([at]) => at > time);
  return next > 0 && line[next]![1] !== null && line[next - 1]![1] !== null;
}

/** Rounds down to a step; the result is in seconds. */
function stepOf(timeMs: number): number {
  return Math.floor(timeMs / 1000 / STEP_S) * STEP_S;
}
