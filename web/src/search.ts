// The search field: a combobox over the symbols the hub knows. Names it does not know can be
// typed as well, since a symbol exists only from its first tick on.

import type { Access } from "./access.ts";
import { findSymbols } from "./directory.ts";
import { byId, create } from "./dom.ts";
import { formatWhole } from "./format.ts";
import { parseSymbol } from "./watchlist.ts";

const LISTED_MAX = 50;
const TYPING_PAUSE_MS = 90;
const RULE = "A symbol has 1 to 24 characters: letters, digits and . _ / -";

export interface SearchEvents {
  chosen(symbol: string): void;
  isWatched(symbol: string): boolean;
}

export class Search {
  readonly #input = byId<HTMLInputElement>("search-input");
  readonly #popup = byId("search-popup");
  readonly #list = byId("search-options");
  readonly #hint = byId("search-hint");
  readonly #access: Access;
  readonly #events: SearchEvents;
  #options: HTMLLIElement[] = [];
  #active = -1;
  #typing: ReturnType<typeof setTimeout> | undefined;
  #request = new AbortController();

  constructor(access: Access, events: SearchEvents) {
    this.#access = access;
    this.#events = events;
    byId("search").addEventListener("submit", (event) => event.preventDefault());
    this.#input.addEventListener("input", () => this.#typed());
    this.#input.addEventListener("focus", () => void this.#lookUp());
    this.#input.addEventListener("blur", () => this.#close());
    this.#input.addEventListener("keydown", (event) => this.#pressed(event));
    // Before the field loses the focus and the list closes under the pointer.
    this.#popup.addEventListener("pointerdown", (event) => event.preventDefault());
    this.#list.addEventListener("click", (event) => this.#clicked(event));
    document.addEventListener("keydown", (event) => this.#shortcut(event));
  }

  focus(): void {
    this.#input.focus();
  }

  #typed(): void {
    clearTimeout(this.#typing);
    this.#input.removeAttribute("aria-invalid");
    this.#typing = setTimeout(() => void this.#lookUp(), TYPING_PAUSE_MS);
  }

  async #lookUp(): Promise<void> {
    this.#request.abort();
    this.#request = new AbortController();
    const { signal } = this.#request;
    const query = this.#input.value.trim();
    try {
      const { total, symbols } = await findSymbols(query, LISTED_MAX, this.#access, signal);
      if (!signal.aborted) this.#show(symbols, this.#hintFor(query, symbols, total));
    } catch {
      if (!signal.aborted) this.#show([], "The hub cannot be asked for its symbols just now.");
    }
  }

  #hintFor(query: string, symbols: readonly string[], total: number): string {
    const symbol = parseSymbol(query);
    if (query !== "" && symbol === undefined) return RULE;
    if (symbol !== undefined && !symbols.includes(symbol)) return `Enter adds ${symbol}`;
    if (total === 0) return "The feed has no symbols yet.";
    return total > symbols.length ? `${symbols.length} of ${formatWhole(total)} symbols` : "";
  }

  #show(symbols: readonly string[], hint: string): void {
    if (document.activeElement !== this.#input) return;
    this.#options = symbols.map((symbol, index) => this.#option(symbol, index));
    this.#list.replaceChildren(...this.#options);
    this.#hint.textContent = hint;
    this.#activate(-1);
    this.#popup.hidden = symbols.length === 0 && hint === "";
    this.#input.ariaExpanded = String(!this.#popup.hidden);
  }

  #option(symbol: string, index: number): HTMLLIElement {
    const watched = this.#events.isWatched(symbol);
    const option = create("li", { id: `search-option-${index}`, role: "option" }, symbol);
    option.dataset["symbol"] = symbol;
    option.ariaSelected = "false";
    if (watched) option.append(create("span", { className: "watched" }, "watching"));
    return option;
  }

  #close(): void {
    clearTimeout(this.#typing);
    this.#request.abort();
    this.#popup.hidden = true;
    this.#input.ariaExpanded = "false";
    this.#activate(-1);
  }

  #activate(index: number): void {
    const before = this.#options[this.#active];
    if (before !== undefined) before.ariaSelected = "false";
    this.#active = index;
    const option = this.#options[index];
    if (option === undefined) {
      this.#input.removeAttribute("aria-activedescendant");
      return;
    }
    option.ariaSelected = "true";
    option.scrollIntoView({ block: "nearest" });
    this.#input.setAttribute("aria-activedescendant", option.id);
  }

  #pressed(event: KeyboardEvent): void {
    // Enter may end the composition of a character; it is then not meant for the list.
    if (event.isComposing) return;
    if (event.key === "ArrowDown") this.#move(event, 1);
    else if (event.key === "ArrowUp") this.#move(event, -1);
    else if (event.key === "Enter") this.#enter(event);
    else if (event.key === "Escape") this.#escape(event);
  }

  /** Through the options and the field itself, round and round. */
  #move(event: KeyboardEvent, step: 1 | -1): void {
    event.preventDefault();
    if (this.#popup.hidden) {
      void this.#lookUp();
      return;
    }
    const places = this.#options.length + 1;
    this.#activate(((this.#active + 1 + step + places) % places) - 1);
  }

  #enter(event: KeyboardEvent): void {
    event.preventDefault();
    const active = this.#options[this.#active]?.dataset["symbol"];
    const symbol = active ?? parseSymbol(this.#input.value);
    if (symbol !== undefined) {
      this.#choose(symbol);
    } else if (this.#input.value.trim() !== "") {
      this.#input.ariaInvalid = "true";
      this.#show([], RULE);
    }
  }

  #escape(event: KeyboardEvent): void {
    event.preventDefault();
    if (this.#popup.hidden) this.#input.value = "";
    this.#input.removeAttribute("aria-invalid");
    this.#close();
  }

  #clicked(event: Event): void {
    const option = (event.target as Element).closest<HTMLElement>("li");
    const symbol = option?.dataset["symbol"];
    if (symbol !== undefined) this.#choose(symbol);
  }

  #choose(symbol: string): void {
    this.#input.value = "";
    this.#close();
    this.#events.chosen(symbol);
  }

  #shortcut(event: KeyboardEvent): void {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
    if (document.activeElement === this.#input) return;
    event.preventDefault();
    this.focus();
  }
}
