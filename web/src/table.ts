// The live table: rows in the order they were added, one of them selected.

import type { Row } from "./board.ts";
import { byId } from "./dom.ts";
import { RowView } from "./rowView.ts";

export interface TableEvents {
  picked(symbol: string): void;
  removed(symbol: string): void;
  /** Rows came into sight and wait to be drawn. */
  uncovered(): void;
}

export class Table {
  readonly #table = byId("board");
  readonly #body = byId("rows");
  readonly #views = new Map<string, RowView>();
  readonly #events: TableEvents;
  readonly #sight = new IntersectionObserver((entries) => this.#seen(entries));

  constructor(events: TableEvents) {
    this.#events = events;
    this.#body.addEventListener("click", (event) => this.#clicked(event));
    this.#body.addEventListener("keydown", (event) => this.#pressed(event));
  }

  add(row: Row): void {
    const view = new RowView(row);
    this.#views.set(row.symbol, view);
    this.#body.append(view.element);
    this.#sight.observe(view.element);
    this.#table.hidden = false;
  }

  /** Keeps the keyboard's place: a neighbour takes the focus the row had. */
  remove(symbol: string): void {
    const view = this.#views.get(symbol);
    if (view === undefined) return;
    const neighbour = this.#neighbour(view.element, 1) ?? this.#neighbour(view.element, -1);
    if (view.element.contains(document.activeElement)) neighbour?.pick.focus();
    this.#sight.unobserve(view.element);
    view.element.remove();
    this.#views.delete(symbol);
    this.#table.hidden = this.#views.size === 0;
  }

  select(symbol: string | undefined): void {
    for (const view of this.#views.values()) view.select(view.row.symbol === symbol);
  }

  reveal(symbol: string): void {
    this.#views.get(symbol)?.element.scrollIntoView({ block: "nearest" });
  }

  /** Returns whether another frame is needed although nothing new arrives. */
  draw(nowMs: number): boolean {
    let again = false;
    for (const view of this.#views.values()) again = view.draw(nowMs) || again;
    return again;
  }

  #seen(entries: readonly IntersectionObserverEntry[]): void {
    for (const { target, isIntersecting } of entries) {
      const view = this.#viewOf(target);
      if (view !== undefined) view.visible = isIntersecting;
    }
    this.#events.uncovered();
  }

  #clicked(event: Event): void {
    const target = event.target as Element;
    const view = this.#viewOf(target);
    if (view === undefined) return;
    if (view.remove.contains(target)) this.#events.removed(view.row.symbol);
    else this.#events.picked(view.row.symbol);
  }

  #pressed(event: KeyboardEvent): void {
    const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    const view = this.#viewOf(event.target as Element);
    if (step === 0 || view === undefined) return;
    event.preventDefault();
    const neighbour = this.#neighbour(view.element, step);
    if (neighbour === undefined) return;
    neighbour.pick.focus();
    this.#events.picked(neighbour.row.symbol);
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
