// What the page shows in place of an empty watchlist: how to add symbols, and suggestions.

import { byId, createButton } from "./dom.ts";

export class EmptyState {
  readonly #section = byId("empty");
  readonly #group = byId("suggestions-group");
  readonly #suggestions = byId("suggestions");
  readonly #chosen: (symbol: string) => void;

  /** `chosen` is called when the user clicks a suggestion. */
  constructor(chosen: (symbol: string) => void) {
    this.#chosen = chosen;
  }

  setVisible(isVisible: boolean): void {
    this.#section.hidden = !isVisible;
  }

  suggest(symbols: readonly string[]): void {
    const buttons = symbols.map((symbol) => createButton(symbol, () => this.#chosen(symbol)));
    this.#suggestions.replaceChildren(...buttons);
    this.#group.hidden = symbols.length === 0;
  }
}
