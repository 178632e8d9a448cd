// Keeps the list of watched symbols across visits: in the page's address, where it can be shared,
// and in the browser's storage.

import { parseSymbol } from "../protocol/symbol.ts";

/** Longer lists are of no use on a screen and would slow the page down. */
export const WATCHED_MAX = 200;

const STORAGE_KEY = "tickwire.watchlist";

/** Parses `aapl,MSFT`; drops invalid symbols and duplicates, and cuts at `WATCHED_MAX`. */
export function parseList(text: string): string[] {
  const symbols = text.split(",").map(parseSymbol);
  return [...new Set(symbols.filter((symbol) => symbol !== undefined))].slice(0, WATCHED_MAX);
}

/** Parses an address's fragment (`#AAPL,MSFT`); undefined if it has no symbols. */
export function parseHash(hash: string): string[] | undefined {
  let text = hash.slice(1);
  try {
    text = decodeURIComponent(text);
  } catch {
    // A stray percent sign is part of no symbol; the other symbols are still valid.
  }
  const symbols = parseList(text);
  return symbols.length > 0 ? symbols : undefined;
}

/** Returns the saved list: undefined on the first visit, empty if the user removed all symbols. */
export function loadWatchlist(): string[] | undefined {
  return parseHash(location.hash) ?? loadStored();
}

export function saveWatchlist(symbols: readonly string[]): void {
  const list = symbols.join(",");
  history.replaceState(null, "", list === "" ? location.pathname + location.search : `#${list}`);
  try {
    localStorage.setItem(STORAGE_KEY, list);
  } catch {
    // The browser may forbid storage; the address still has the list.
  }
}

function loadStored(): string[] | undefined {
  try {
    const list = localStorage.getItem(STORAGE_KEY);
    return list === null ? undefined : parseList(list);
  } catch {
    return undefined;
  }
}
