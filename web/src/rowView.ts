// One row of the table, updated in place.

import type { Row } from "./board.ts";
import { create, LiveText } from "./dom.ts";
import {
  decimalsOf,
  formatAge,
  formatChange,
  formatCompact,
  formatPercent,
  formatPrice,
} from "./format.ts";

/** How long a changed price stays lit before it fades (the fading is the style sheet's). */
const FLASH_MS = 150;
/** A busy price pulses calmly instead of flickering or being lit all the time. */
const FLASH_EVERY_MS = 900;
/** Nobody reads figures that change more often. */
const DRAW_EVERY_MS = 100;

export class RowView {
  readonly row: Row;
  readonly element: HTMLTableRowElement;
  readonly pick: HTMLButtonElement;
  readonly remove: HTMLButtonElement;
  readonly #lastCell: HTMLTableCellElement;
  readonly #changeCell: HTMLTableCellElement;
  readonly #last: LiveText;
  readonly #change: LiveText;
  readonly #percent: LiveText;
  readonly #bid: LiveText;
  readonly #bidSize: LiveText;
  readonly #ask: LiveText;
  readonly #askSize: LiveText;
  readonly #size: LiveText;
  readonly #trades: LiveText;
  readonly #age: LiveText;
  /** Whether somebody can see the row; the table watches it. */
  visible = false;
  #version = -1;
  #dueMs = -Infinity;
  // Never fewer than before, so that the figures of a column do not jump. Trades inside the spread
  // may have more than quotes.
  #tradeDecimals = 2;
  #quoteDecimals = 2;
  #flashedMs = -Infinity;
  #flashing = false;

  constructor(row: Row) {
    this.row = row;
    this.element = create("tr", { role: "row" });
    this.element.dataset["symbol"] = row.symbol;
    this.pick = create("button", {
      type: "button",
      textContent: row.symbol,
      // A long name is cut in a narrow table.
      title: row.symbol,
    });
    this.#cell("symbol").append(this.pick);
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
    this.#size = text(this.#cell("traded"));
    this.#trades = text(this.#cell("trades"));
    this.#age = text(this.#cell("age"));
    this.remove = create("button", {
      type: "button",
      className: "remove",
      ariaLabel: `Stop watching ${row.symbol}`,
      textContent: "×",
    });
    this.#cell("action").append(this.remove);
  }

  select(selected: boolean): void {
    this.element.classList.toggle("selected", selected);
    this.pick.ariaPressed = String(selected);
  }

  /** Returns whether the row must be drawn again soon although nothing new arrives. */
  draw(nowMs: number): boolean {
    if (!this.visible) return false;
    const changed = this.#version !== this.row.version;
    const due = changed && nowMs >= this.#dueMs;
    if (due) {
      this.#version = this.row.version;
      // At random, so that rows which change together are not all drawn in the same frame.
      this.#dueMs = nowMs + DRAW_EVERY_MS * (0.75 + 0.5 * Math.random());
      this.#drawTrade();
      this.#drawQuote();
    }
    this.#drawAge(nowMs);
    return this.#drawFlash(nowMs) || (changed && !due);
  }

  #drawTrade(): void {
    const { last, lastSize, first, change, direction, trades, refused } = this.row;
    this.#changeCell.title = refused ?? "";
    if (refused !== undefined || last === undefined || first === undefined || change === undefined) {
      this.#change.set("");
      this.#percent.set(refused === undefined ? "no trade yet" : "not allowed");
      setData(this.#changeCell, "trend", "flat");
      return;
    }
    this.#tradeDecimals = decimalsOf(last, this.#tradeDecimals);
    this.#last.set(formatPrice(last, this.#tradeDecimals));
    this.#change.set(formatChange(change, this.#tradeDecimals));
    this.#percent.set(formatPercent(change, first));
    this.#size.set(formatCompact(lastSize ?? 0));
    this.#trades.set(formatCompact(trades.passed));
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
    const fresh = nowMs - this.row.movedMs < FLASH_MS;
    if (fresh && nowMs - this.#flashedMs >= FLASH_EVERY_MS) {
      this.#flashedMs = nowMs;
      this.#flashing = true;
      setData(this.#lastCell, "flash", this.row.direction ?? "");
    } else if (this.#flashing && nowMs - this.#flashedMs >= FLASH_MS) {
      this.#flashing = false;
      delete this.#lastCell.dataset["flash"];
    }
    return this.#flashing;
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
