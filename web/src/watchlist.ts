// The list of watched symbols outside this page's life: in the address (to be shared) and in the
// browser's storage (to be there next time).

/** More rows than this help nobody and would slow the page. */
export const WATCHED_MAX = 200;

const SYMBOL = /^[A-Z0-9._/-]{1,24}$/;
const STORAGE_KEY = "tickwire.watchlist";

/** The symbol somebody meant, or undefined if no symbol can be called that. */
export function parseSymbol(text: string): string | undefined {
  const symbol = text.trim().toUpperCase();
  return SYMBOL.test(symbol) ? symbol : undefined;
}

/** `aapl,MSFT` → AAPL, MSFT. What is no symbol is left out, and so is what comes twice. */
export function parseList(text: string): string[] {
  const symbols = text.split(",").map(parseSymbol);
  return [...new Set(symbols.filter((symbol) => symbol !== undefined))].slice(0, WATCHED_MAX);
}

/** The list of an address's fragment (`#AAPL,MSFT`); undefined if it has none. */
export function parseHash(hash: string): string[] | undefined {
  let text = hash.slice(1);
  try {
    text = decodeURIComponent(text);
  } catch {
    // A stray percent sign: no symbol has one, so the names around it still count.
  }
  const symbols = parseList(text);
  return symbols.length > 0 ? symbols : undefined;
}

/** Undefined on the first visit; empty if the last symbol was removed. */
export function recall(): string[] | undefined {
  return parseHash(location.hash) ?? recallStored();
}

export function remember(symbols: readonly string[]): void {
  const list = symbols.join(",");
  history.replaceState(null, "", list === "" ? location.pathname + location.search : `#${list}`);
  try {
    localStorage.setItem(STORAGE_KEY, list);
  } catch {
    // Storage may be forbidden; the address still has the list.
  }
}

function recallStored(): string[] | undefined {
  try {
    const list = localStorage.getItem(STORAGE_KEY);
    return list === null ? undefined : parseList(list);
  } catch {
    return undefined;
  }
}
