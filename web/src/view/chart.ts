// The chart of one symbol's last minutes. The only module that uses uPlot.

import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";

import { SPAN_S, type Price, type PriceHistory } from "../client/priceHistory.ts";
import type { WatchlistRow } from "../model/watchlist.ts";
import { formatPrice } from "./format.ts";
import { priceRange } from "./priceRange.ts";

/** The shortest time axis, so that the first points are not stretched over the whole width. */
const SPAN_S_MIN = 30;
const AXIS_FONT = '11px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif';
const PRICE_TAG_HEIGHT = 18;
/** Labels closer to the left edge are left out, because the edge would cut them off. */
const LABEL_MARGIN = 20;
/** Allowed distances of grid lines: 1, 2 and 5 times each power of ten. */
const PRICE_STEPS = Array.from({ length: 17 }, (_, power) => power - 9).flatMap((power) =>
  [1, 2, 5].map((digit) => Number(`${digit}e${power}`)),
);

/** The prices of the chart at one time. */
export interface ChartReading {
  readonly timeMs: number;
  readonly last: Price;
  readonly bid: Price;
  readonly ask: Price;
}

export class Chart {
  readonly #parent: HTMLElement;
  #plot: uPlot | undefined;
  #nowS = 0;
  #decimals = 2;
  #newest: Price = null;

  constructor(parent: HTMLElement) {
    this.#parent = parent;
    new ResizeObserver(() => this.#plot?.setSize(this.#size())).observe(parent);
    // The canvas does not follow the style sheet: its colours are read when it is created.
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.reset());
  }

  /** Removes the chart; the next draw creates it again with another symbol or other colours. */
  reset(): void {
    this.#plot?.destroy();
    this.#plot = undefined;
    this.#decimals = 2;
  }

  /** `extendToNow` continues the lines to the present, because the newest prices still hold. */
  draw({ history, decimals }: WatchlistRow, nowMs: number, extendToNow: boolean): void {
    this.#nowS = nowMs / 1000;
    this.#newest = history.last.at(-1) ?? null;
    this.#decimals = decimals;
    this.#plot ??= new uPlot(this.#options(), [[], [], [], [], []], this.#parent);
    this.#plot.setData(columns(history, extendToNow ? this.#nowS : undefined));
  }

  /** Returns the prices at the cursor, or the newest ones; undefined if there are none. */
  reading(): ChartReading | undefined {
    const plot = this.#plot;
    if (plot === undefined || plot.data[0].length === 0) return undefined;
    const at = plot.cursor.idx ?? plot.data[0].length - 1;
    const [times, bid, ask, last, past] = plot.data;
    return {
      timeMs: times[at]! * 1000,
      last: last?.[at] ?? past?.[at] ?? null,
      bid: bid?.[at] ?? null,
      ask: ask?.[at] ?? null,
    };
  }

  #size(): { width: number; height: number } {
    return { width: this.#parent.clientWidth, height: this.#parent.clientHeight };
  }

  #options(): uPlot.Options {
    const style = getComputedStyle(this.#parent);
    const colour = (name: string): string => style.getPropertyValue(name).trim();
    const stepped = uPlot.paths.stepped!({ align: 1 });
    const straight = uPlot.paths.linear!();
    const line = (name: string, width: number, paths = stepped): uPlot.Series => ({
      stroke: colour(name),
      width,
      paths,
      points: { show: false },
    });
    return {
      ...this.#size(),
      padding: [12, 0, 0, 8],
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 7 } },
      scales: {
        x: { range: (_plot, min) => this.#timeRange(min) },
        y: { range: (_plot, min, max) => priceRange(min, max) },
      },
      axes: this.#axes(colour),
      // In the order of `columns`; later series are drawn over earlier ones.
      series: [
        {},
        line("--line-bid", 1),
        line("--line-ask", 1),
        line("--line-last", 2),
        line("--line-last", 2, straight),
      ],
      bands: [{ series: [2, 1], fill: colour("--line-spread") }],
      hooks: { draw: [(plot) => this.#drawPriceTag(plot, colour)] },
    };
  }

  #axes(colour: (name: string) => string): uPlot.Axis[] {
    const common: uPlot.Axis = {
      stroke: colour("--muted"),
      font: AXIS_FONT,
      grid: { stroke: colour("--rule"), width: 1 },
      ticks: { show: false },
    };
    return [
      { ...common, grid: { show: false }, size: 26, space: 72, values: timesOfDay },
      {
        ...common,
        side: 1,
        size: (_plot, labels) => 18 + 7 * Math.max(6, ...(labels ?? []).map((l) => l.length)),
        space: 36,
        // No finer than the decimals shown, or neighbouring labels would be equal.
        incrs: () => PRICE_STEPS.filter((step) => step >= 10 ** -this.#decimals),
        values: (plot, splits) => splits.map((price) => this.#priceLabel(plot, price)),
      },
    ];
  }

  /** Returns an empty label where the tag of the newest price is drawn. */
  #priceLabel(plot: uPlot, price: number): string {
    const newest = this.#newest;
    const distance =
      newest === null ? Infinity : plot.valToPos(newest, "y") - plot.valToPos(price, "y");
    return Math.abs(distance) < PRICE_TAG_HEIGHT * 0.8 ? "" : formatPrice(price, this.#decimals);
  }

  #timeRange(first: number | null): [number, number] {
    const from = first === null ? this.#nowS : first;
    const earliest = Math.max(from, this.#nowS - SPAN_S);
    return [Math.min(earliest, this.#nowS - SPAN_S_MIN), this.#nowS];
  }

  /** Draws the newest price on the price axis. */
  #drawPriceTag(plot: uPlot, colour: (name: string) => string): void {
    const price = this.#newest;
    if (price === null) return;
    const { ctx, bbox } = plot;
    const ratio = devicePixelRatio;
    const height = PRICE_TAG_HEIGHT * ratio;
    const y = Math.round(plot.valToPos(price, "y", true));
    const left = bbox.left + bbox.width;
    ctx.save();
    ctx.fillStyle = colour("--line-last");
    ctx.fillRect(left, y - height / 2, ctx.canvas.width - left, height);
    ctx.fillStyle = colour("--panel");
    ctx.font = AXIS_FONT.replace("11px", `${11 * ratio}px`);
    ctx.textAlign = "left";
    ctx.textBaseline = "middle";
    ctx.fillText(formatPrice(price, this.#decimals), left + 5 * ratio, y + ratio / 2);
    ctx.restore();
  }
}

/**
 * Returns the data of the chart: bid, ask and last as they arrived, and the prices of bars from
 * times before. With `nowS` the newest prices are repeated at that time.
 */
function columns(history: PriceHistory, nowS: number | undefined): uPlot.AlignedData {
  const { times, prices } = history.past();
  return uPlot.join([liveColumns(history, nowS), [times, prices]]);
}

function liveColumns(history: PriceHistory, nowS: number | undefined): uPlot.AlignedData {
  const { times, bid, ask, last } = history;
  if (nowS === undefined || times.length === 0) return [times, bid, ask, last];
  const extended = (column: readonly Price[]): Price[] => [...column, column.at(-1) ?? null];
  const extendedTimes = [...times, Math.max(nowS, times.at(-1)!)];
  return [extendedTimes, extended(bid), extended(ask), extended(last)];
}

function timesOfDay(plot: uPlot, splits: number[]): string[] {
  const wholeMinutes = splits.every((split) => split % 60 === 0);
  return splits.map((split) => {
    if (plot.valToPos(split, "x") < LABEL_MARGIN) return "";
    return new Date(split * 1000).toLocaleTimeString("en-GB").slice(0, wholeMinutes ? 5 : 8);
  });
}
