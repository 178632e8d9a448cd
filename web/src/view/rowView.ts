// One row of the watchlist table, updated in place.

import { decimalsOf } from "../model/decimals.ts";
import type { WatchlistRow } from "../model/watchlist.ts";
import { create, LiveText } from "./dom.ts";
import {
  formatAge,
  formatChange,
  formatCompact,
  formatPercent,
  formatPrice,
} from "./format.ts";

/** How long a changed price is highlighted before the style sheet fades it out. */
const FLASH_MS = 150;
/** The shortest time between two flashes, so that a busy price pulses instead of flickering. */
const FLASH_INTERVAL_MS = 900;
/** Figures that change faster cannot be read. */
const DRAW_INTERVAL_MS = 100;

export class RowView {
  readonly row: WatchlistRow;
  readonly element: HTMLTableRowElement;
  readonly selectButton: HTMLButtonElement;
  readonly removeButton: HTMLButtonElement;
  readonly #lastCell: HTMLTableCellElement;
  readonly #changeCell: HTMLTableCellElement;
  readonly #last: LiveText;
  readonly #change: LiveText;
  readonly #percent: LiveText;
  readonly #bid: LiveText;
  readonly #bidSize: LiveText;
  readonly #ask: LiveText;
  readonly #askSize: LiveText;
  readonly #tradeSize: LiveText;
  readonly #trades: LiveText;
  readonly #age: LiveText;
  /** Whether the row is scrolled into view; set by the table. Other rows are not drawn. */
  isVisible = false;
  #drawnVersion = -1;
  #nextDrawMs = -Infinity;
  // Trades inside the spread may need more decimals than quotes.
  #quoteDecimals = 2;
  #flashedMs = -Infinity;
  #isFlashing = false;
  #isSelected = false;

  constructor(row: WatchlistRow) {
    this.row = row;
    this.element = create("tr", { role: "row" });
    this.element.dataset["symbol"] = row.symbol;
    this.selectButton = create("button", {
      type: "button",
      textContent: row.symbol,
      // A narrow table cuts off a long symbol.
      title: row.symbol,
    });
    this.#cell("symbol").append(this.selectButton);
    this.#lastCell = this.#cell("last");
    this.#last = text(this.#lastCell);
    this.#changeCell = this.#cell("change");
    this.#change = text(this.#changeCell);
    this.#percent = text(this.#changeCell, "percent");
    const bid = this.#cell("bid");
    this.#bid = text(bid);
    this.#bidSize = text(bid, "size");
    const ask = this.#cell("ask");
    this.#ask = text(ask);
    this.#askSize = text(ask, "size");
    this.#tradeSize = text(this.#cell("trade-size"));
    this.#trades = text(this.#cell("trades"));
    this.#age = text(this.#cell("age"));
    this.removeButton = create("button", {
      type: "button",
      className: "remove",
      ariaLabel: `Stop watching ${row.symbol}`,
      textContent: "×",
    });
    this.#cell("action").append(this.removeButton);
  }

  select(isSelected: boolean): void {
    this.#isSelected = isSelected;
    this.element.classList.toggle("selected", isSelected);
    this.selectButton.ariaPressed = String(isSelected);
  }

  /**
   * Returns whether the row needs another frame even if no new values arrive. The selected row is
   * drawn in the same frames as the headline and the chart, so that all three agree.
   */
  draw(nowMs: number, detailIsDrawn: boolean): boolean {
    if (!this.isVisible) return false;
    const hasChanged = this.#drawnVersion !== this.row.version;
    const isDue = hasChanged && (this.#isSelected ? detailIsDrawn : nowMs >= this.#nextDrawMs);
    if (isDue) {
      this.#drawnVersion = this.row.version;
      // Random, so that rows which change together are drawn in different frames.
      this.#nextDrawMs = nowMs + DRAW_INTERVAL_MS * (0.75 + 0.5 * Math.random());
      this.#drawTrade();
      this.#drawQuote();
    }
    this.#drawAge(nowMs);
    return this.#drawFlash(nowMs) || (hasChanged && !isDue);
  }

  #drawTrade(): void {
    const { lastPrice, lastSize, firstPrice, change, direction, trades, refusal } = this.row;
    const { decimals } = this.row;
    this.#changeCell.title = refusal ?? "";
    const isUnknown = lastPrice === undefined || firstPrice === undefined || change === undefined;
    if (refusal !== undefined || isUnknown) {
      this.#change.set("");
      this.#percent.set(refusal === undefined ? "no trade yet" : "unavailable");
      setData(this.#changeCell, "trend", "flat");
      return;
    }
    this.#last.set(formatPrice(lastPrice, decimals));
    this.#change.set(formatChange(change, decimals));
    this.#percent.set(formatPercent(change, firstPrice));
    this.#tradeSize.set(formatCompact(lastSize ?? 0));
    this.#trades.set(formatCompact(trades.total));
    setData(this.#changeCell, "trend", change > 0 ? "up" : change < 0 ? "down" : "flat");
    setData(this.#lastCell, "direction", direction ?? "");
  }

  #drawQuote(): void {
    const { bid, bidSize, ask, askSize } = this.row;
    this.#drawSide(this.#bid, this.#bidSize, bid, bidSize);
    this.#drawSide(this.#ask, this.#askSize, ask, askSize);
  }

  #drawSide(price: LiveText, size: LiveText, value: number | undefined, count: number): void {
    if (value !== undefined) this.#quoteDecimals = decimalsOf(value, this.#quoteDecimals);
    price.set(value === undefined ? "" : formatPrice(value, this.#quoteDecimals));
    size.set(value === undefined ? "" : `× ${formatCompact(count)}`);
  }

  #drawAge(nowMs: number): void {
    const { updatedMs } = this.row;
    this.#age.set(updatedMs === undefined ? "–" : formatAge(nowMs - updatedMs));
  }

  #drawFlash(nowMs: number): boolean {
    const hasNewPrice = nowMs - this.row.priceChangedMs < FLASH_MS;
    if (hasNewPrice && nowMs - this.#flashedMs >= FLASH_INTERVAL_MS) {
      this.#flashedMs = nowMs;
      this.#isFlashing = true;
      setData(this.#lastCell, "flash", this.row.direction ?? "");
    } else if (this.#isFlashing && nowMs - this.#flashedMs >= FLASH_MS) {
      this.#isFlashing = false;
      delete this.#lastCell.dataset["flash"];
    }
    return this.#isFlashing;
  }

  #cell(className: string): HTMLTableCellElement {
    const cell = create("td", { role: "cell", className });
    this.element.append(cell);
    return cell;
  }
}

function text(cell: HTMLElement, className = "value"): LiveText {
  const span = create("span", { className });
  cell.append(span);
  return new LiveText(span);
}

function setData(element: HTMLElement, name: string, value: string): void {
  if (element.dataset[name] !== value) element.dataset[name] = value;
}
