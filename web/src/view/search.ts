// The search field: a combobox over the symbols of the feed. It also accepts symbols that the feed
// does not list, because the hub lists a symbol only after its first tick.

import type { HubApi } from "../client/hubApi.ts";
import { parseSymbol, SYMBOL_RULE } from "../protocol/symbol.ts";
import { byId, create } from "./dom.ts";
import { formatWhole } from "./format.ts";

const LISTED_MAX = 50;
/** The search starts when the user has not typed for this time. */
const TYPING_PAUSE_MS = 90;

export interface SearchEvents {
  chosen(symbol: string): void;
  isWatched(symbol: string): boolean;
}

export class Search {
  readonly #input = byId<HTMLInputElement>("search-input");
  readonly #popup = byId("search-popup");
  readonly #list = byId("search-options");
  readonly #hint = byId("search-hint");
  readonly #api: HubApi;
  readonly #events: SearchEvents;
  #options: HTMLLIElement[] = [];
  /** Index of the highlighted option; -1 while the text field itself is active. */
  #active = -1;
  #typingTimer: ReturnType<typeof setTimeout> | undefined;
  #request = new AbortController();

  constructor(api: HubApi, events: SearchEvents) {
    this.#api = api;
    this.#events = events;
    byId("search").addEventListener("submit", (event) => event.preventDefault());
    this.#input.addEventListener("input", () => this.#onInput());
    this.#input.addEventListener("focus", () => void this.#search());
    this.#input.addEventListener("blur", () => this.#close());
    this.#input.addEventListener("keydown", (event) => this.#onKeyDown(event));
    // Keeps the focus in the field: otherwise the list would close before the click arrives.
    this.#popup.addEventListener("pointerdown", (event) => event.preventDefault());
    this.#list.addEventListener("click", (event) => this.#onClick(event));
    document.addEventListener("keydown", (event) => this.#onShortcut(event));
  }

  focus(): void {
    this.#input.focus();
  }

  #onInput(): void {
    clearTimeout(this.#typingTimer);
    this.#input.removeAttribute("aria-invalid");
    this.#typingTimer = setTimeout(() => void this.#search(), TYPING_PAUSE_MS);
  }

  async #search(): Promise<void> {
    this.#request.abort();
    this.#request = new AbortController();
    const { signal } = this.#request;
    const query = this.#input.value.trim();
    try {
      const { total, symbols } = await this.#api.findSymbols(query, LISTED_MAX, signal);
      if (!signal.aborted) this.#show(symbols, this.#hintFor(query, symbols, total));
    } catch {
      if (signal.aborted) return;
      this.#show([], "The symbol list is not available. Type a symbol and press Enter to add it.");
    }
  }

  #hintFor(query: string, symbols: readonly string[], total: number): string {
    const symbol = parseSymbol(query);
    if (query !== "" && symbol === undefined) return SYMBOL_RULE;
    if (symbol !== undefined && !symbols.includes(symbol)) return `Press Enter to add ${symbol}`;
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
    const isWatched = this.#events.isWatched(symbol);
    const option = create("li", { id: `search-option-${index}`, role: "option" }, symbol);
    option.dataset["symbol"] = symbol;
    option.ariaSelected = "false";
    if (isWatched) option.append(create("span", { className: "watched" }, "watching"));
    return option;
  }

  #close(): void {
    clearTimeout(this.#typingTimer);
    this.#request.abort();
    this.#popup.hidden = true;
    this.#input.ariaExpanded = "false";
    this.#activate(-1);
  }

  #activate(index: number): void {
    const previous = this.#options[this.#active];
    if (previous !== undefined) previous.ariaSelected = "false";
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

  #onKeyDown(event: KeyboardEvent): void {
    // An Enter that ends the composition of a character is not meant for the list.
    if (event.isComposing) return;
    if (event.key === "ArrowDown") this.#move(event, 1);
    else if (event.key === "ArrowUp") this.#move(event, -1);
    else if (event.key === "Enter") this.#onEnter(event);
    else if (event.key === "Escape") this.#onEscape(event);
  }

  /** Moves the highlight in a circle through the options and the text field. */
  #move(event: KeyboardEvent, step: 1 | -1): void {
    event.preventDefault();
    if (this.#popup.hidden) {
      void this.#search();
      return;
    }
    const positions = this.#options.length + 1;
    this.#activate(((this.#active + 1 + step + positions) % positions) - 1);
  }

  #onEnter(event: KeyboardEvent): void {
    event.preventDefault();
    const active = this.#options[this.#active]?.dataset["symbol"];
    const symbol = active ?? parseSymbol(this.#input.value);
    if (symbol !== undefined) {
      this.#choose(symbol);
    } else if (this.#input.value.trim() !== "") {
      this.#input.ariaInvalid = "true";
      this.#show([], SYMBOL_RULE);
    }
  }

  #onEscape(event: KeyboardEvent): void {
    event.preventDefault();
    if (this.#popup.hidden) this.#input.value = "";
    this.#input.removeAttribute("aria-invalid");
    this.#close();
  }

  #onClick(event: Event): void {
    const option = (event.target as Element).closest<HTMLElement>("li");
    const symbol = option?.dataset["symbol"];
    if (symbol !== undefined) this.#choose(symbol);
  }

  #choose(symbol: string): void {
    this.#input.value = "";
    this.#close();
    this.#events.chosen(symbol);
  }

  /** Moves the focus to the search field when the user presses `/` elsewhere. */
  #onShortcut(event: KeyboardEvent): void {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
    if (document.activeElement === this.#input) return;
    event.preventDefault();
    this.focus();
  }
}
