// The selected symbol: its name, its last price in large type, and the chart.

import type { Price } from "../client/priceHistory.ts";
import { decimalsOf } from "../model/decimals.ts";
import type { WatchlistRow } from "../model/watchlist.ts";
import { Chart, type ChartReading } from "./chart.ts";
import { byId, LiveText } from "./dom.ts";
import { delayText, formatChange, formatPercent, formatPrice } from "./format.ts";

/** Figures that change faster cannot be read, and the points of the chart are 250 ms apart. */
const DRAW_INTERVAL_MS = 100;

export class DetailView {
  readonly #section = byId("detail");
  readonly #plot = byId("plot");
  readonly #chart = new Chart(this.#plot);
  readonly #changeElement = byId("detail-change");
  readonly #symbol = new LiveText(byId("detail-symbol"));
  readonly #last = new LiveText(byId("detail-last"));
  readonly #change = new LiveText(this.#changeElement);
  readonly #delay = new LiveText(byId("detail-delay"));
  readonly #legend = {
    time: new LiveText(byId("legend-time")),
    last: new LiveText(byId("legend-last")),
    bid: new LiveText(byId("legend-bid")),
    ask: new LiveText(byId("legend-ask")),
  };
  #row: WatchlistRow | undefined;
  #drawnMs = -Infinity;

  /** The selected row; undefined if nothing is selected. */
  get row(): WatchlistRow | undefined {
    return this.#row;
  }

  show(row: WatchlistRow | undefined): void {
    this.#row = row;
    this.#drawnMs = -Infinity;
    this.#chart.reset();
    this.#section.hidden = row === undefined;
    if (row === undefined) return;
    this.#symbol.set(row.symbol);
    this.#plot.ariaLabel = `Prices of ${row.symbol} over the last minutes`;
  }

  /** Returns whether figures and chart were drawn. `delayMs` is the delay of the view. */
  draw(nowMs: number, delayMs: number, isConnected: boolean): boolean {
    if (this.#row === undefined) return false;
    const isDue = nowMs - this.#drawnMs >= DRAW_INTERVAL_MS;
    if (isDue) {
      this.#drawnMs = nowMs;
      this.#drawFigures(this.#row);
      this.#delay.set(delayText(delayMs));
      this.#chart.draw(this.#row, nowMs - delayMs, isConnected);
    }
    this.#drawLegend(this.#chart.reading());
    return isDue;
  }

  #drawFigures({ lastPrice, firstPrice, change, refusal, decimals }: WatchlistRow): void {
    if (lastPrice === undefined || firstPrice === undefined || change === undefined) {
      this.#last.set("");
      this.#change.set(refusal === undefined ? "Waiting for the first trade" : "Unavailable");
      this.#changeElement.dataset["trend"] = "flat";
      return;
    }
    this.#last.set(formatPrice(lastPrice, decimals));
    const percent = formatPercent(change, firstPrice);
    this.#change.set(`${formatChange(change, decimals)}  ${percent}`);
    this.#changeElement.dataset["trend"] = change > 0 ? "up" : change < 0 ? "down" : "flat";
  }

  #drawLegend(reading: ChartReading | undefined): void {
    const { time, last, bid, ask } = this.#legend;
    time.set(reading === undefined ? "" : new Date(reading.timeMs).toLocaleTimeString("en-GB"));
    last.set(priceText(reading?.last));
    bid.set(priceText(reading?.bid));
    ask.set(priceText(reading?.ask));
  }
}

function priceText(price: Price | undefined): string {
  return price == null ? "–" : formatPrice(price, decimalsOf(price));
}
