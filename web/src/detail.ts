// The selected symbol: its name, its price in large, and the chart.

import type { Row } from "./board.ts";
import { Chart, type Reading } from "./chart.ts";
import { byId, LiveText } from "./dom.ts";
import { decimalsOf, formatChange, formatPercent, formatPrice } from "./format.ts";
import type { Price } from "./history.ts";

/** Nobody reads figures that change more often, and the chart's points are 250 ms wide. */
const DRAW_EVERY_MS = 100;

export class Detail {
  readonly #section = byId("detail");
  readonly #plot = byId("plot");
  readonly #chart = new Chart(this.#plot);
  readonly #changeElement = byId("detail-change");
  readonly #symbol = new LiveText(byId("detail-symbol"));
  readonly #last = new LiveText(byId("detail-last"));
  readonly #change = new LiveText(this.#changeElement);
  readonly #legend = {
    time: new LiveText(byId("legend-time")),
    last: new LiveText(byId("legend-last")),
    bid: new LiveText(byId("legend-bid")),
    ask: new LiveText(byId("legend-ask")),
  };
  #row: Row | undefined;
  #drawnMs = -Infinity;
  #decimals = 2;

  get row(): Row | undefined {
    return this.#row;
  }

  show(row: Row | undefined): void {
    this.#row = row;
    this.#decimals = 2;
    this.#drawnMs = -Infinity;
    this.#chart.reset();
    this.#section.hidden = row === undefined;
    if (row === undefined) return;
    this.#symbol.set(row.symbol);
    this.#plot.ariaLabel = `Prices of ${row.symbol} over the last minutes`;
  }

  draw(nowMs: number, connected: boolean): void {
    if (this.#row === undefined) return;
    if (nowMs - this.#drawnMs >= DRAW_EVERY_MS) {
      this.#drawnMs = nowMs;
      this.#drawFigures(this.#row);
      this.#chart.draw(this.#row.history, nowMs, connected);
    }
    this.#drawLegend(this.#chart.reading());
  }

  #drawFigures({ last, first, change, refused }: Row): void {
    if (last === undefined || first === undefined || change === undefined) {
      this.#last.set("");
      this.#change.set(refused === undefined ? "Waiting for the first trade" : "Not allowed");
      this.#changeElement.dataset["trend"] = "flat";
      return;
    }
    this.#decimals = decimalsOf(last, this.#decimals);
    this.#last.set(formatPrice(last, this.#decimals));
    this.#change.set(`${formatChange(change, this.#decimals)}  ${formatPercent(change, first)}`);
    this.#changeElement.dataset["trend"] = change > 0 ? "up" : change < 0 ? "down" : "flat";
  }

  #drawLegend(reading: Reading | undefined): void {
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
