// The table of watched symbols, in the order in which they were added; one row is selected.

import type { WatchlistRow } from "../model/watchlist.ts";
import { byId } from "./dom.ts";
import { RowView } from "./rowView.ts";

export interface WatchlistTableEvents {
  selected(symbol: string): void;
  removed(symbol: string): void;
  /** Rows scrolled into view and have to be drawn. */
  rowsAppeared(): void;
}

export class WatchlistTable {
  readonly #table = byId("watchlist");
  readonly #body = byId("rows");
  readonly #views = new Map<string, RowView>();
  readonly #events: WatchlistTableEvents;
  readonly #visibility = new IntersectionObserver((entries) => this.#onVisibility(entries));

  constructor(events: WatchlistTableEvents) {
    this.#events = events;
    this.#body.addEventListener("click", (event) => this.#onClick(event));
    this.#body.addEventListener("keydown", (event) => this.#onKeyDown(event));
  }

  add(row: WatchlistRow): void {
    const view = new RowView(row);
    this.#views.set(row.symbol, view);
    this.#body.append(view.element);
    this.#visibility.observe(view.element);
    this.#table.hidden = false;
  }

  /** Removes a row; if it has the focus, a neighbouring row takes it. */
  remove(symbol: string): void {
    const view = this.#views.get(symbol);
    if (view === undefined) return;
    const neighbour = this.#neighbour(view.element, 1) ?? this.#neighbour(view.element, -1);
    if (view.element.contains(document.activeElement)) neighbour?.selectButton.focus();
    this.#visibility.unobserve(view.element);
    view.element.remove();
    this.#views.delete(symbol);
    this.#table.hidden = this.#views.size === 0;
  }

  select(symbol: string | undefined): void {
    for (const view of this.#views.values()) view.select(view.row.symbol === symbol);
  }

  scrollTo(symbol: string): void {
    this.#views.get(symbol)?.element.scrollIntoView({ block: "nearest" });
  }

  /** Returns whether another frame is needed even if no new values arrive. */
  draw(nowMs: number, detailIsDrawn: boolean): boolean {
    let needsFrame = false;
    for (const view of this.#views.values()) {
      needsFrame = view.draw(nowMs, detailIsDrawn) || needsFrame;
    }
    return needsFrame;
  }

  #onVisibility(entries: readonly IntersectionObserverEntry[]): void {
    for (const { target, isIntersecting } of entries) {
      const view = this.#viewOf(target);
      if (view !== undefined) view.isVisible = isIntersecting;
    }
    this.#events.rowsAppeared();
  }

  #onClick(event: Event): void {
    const target = event.target as Element;
    const view = this.#viewOf(target);
    if (view === undefined) return;
    if (view.removeButton.contains(target)) this.#events.removed(view.row.symbol);
    else this.#events.selected(view.row.symbol);
  }

  #onKeyDown(event: KeyboardEvent): void {
    const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    const view = this.#viewOf(event.target as Element);
    if (step === 0 || view === undefined) return;
    event.preventDefault();
    const neighbour = this.#neighbour(view.element, step);
    if (neighbour === undefined) return;
    neighbour.selectButton.focus();
    this.#events.selected(neighbour.row.symbol);
  }

  #viewOf(target: Element): RowView | undefined {
    const symbol = target.closest<HTMLElement>("tr")?.dataset["symbol"];
    return symbol === undefined ? undefined : this.#views.get(symbol);
  }

  #neighbour(row: Element, step: 1 | -1): RowView | undefined {
    const sibling = step === 1 ? row.nextElementSibling : row.previousElementSibling;
    return sibling === null ? undefined : this.#viewOf(sibling);
  }
}
