// The symbols the hub knows: asked over HTTP when somebody looks for one.

export interface Directory {
  /** How many symbols the feed has, not only those listed. */
  readonly total: number;
  readonly symbols: readonly string[];
}

/** Rejects if the hub cannot be reached or answers something else. */
export async function findSymbols(
  query: string,
  limit: number,
  signal?: AbortSignal,
): Promise<Directory> {
  const parameters = new URLSearchParams({ q: query, limit: String(limit) });
  const response = await fetch(`/api/symbols?${parameters}`, signal === undefined ? {} : { signal });
  if (!response.ok) throw new Error(`the hub answered ${response.status}`);
  const body = (await response.json()) as { total: number; symbols: { symbol: string }[] };
  return { total: body.total, symbols: body.symbols.map(({ symbol }) => symbol) };
}

/** What most people would look for first, where the feed has it. */
const WELL_KNOWN = ["AAPL", "MSFT", "NVDA", "AMZN", "GOOGL", "META", "TSLA", "SPY"];
const LISTED_MAX = 1000;

/** A few symbols to begin with; empty as long as the feed has none. */
export async function suggestSymbols(): Promise<string[]> {
  const { symbols } = await findSymbols("", LISTED_MAX);
  const listed = new Set(symbols);
  const known = WELL_KNOWN.filter((symbol) => listed.has(symbol));
  return [...new Set([...known, ...symbols])].slice(0, WELL_KNOWN.length);
}
