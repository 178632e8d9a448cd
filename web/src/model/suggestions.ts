// Symbols to start with, for a visitor whose watchlist is empty.

/** Well-known symbols that are suggested first, if the feed has them. */
const WELL_KNOWN = ["AAPL", "MSFT", "NVDA", "AMZN", "GOOGL", "META", "TSLA", "SPY"];

/** Symbols to request from the hub as candidates. */
export const CANDIDATES_MAX = 1000;

/** Picks up to eight of the symbols that the feed has. */
export function suggestSymbols(candidates: readonly string[]): string[] {
  const available = new Set(candidates);
  const wellKnown = WELL_KNOWN.filter((symbol) => available.has(symbol));
  return [...new Set([...wellKnown, ...candidates])].slice(0, WELL_KNOWN.length);
}
