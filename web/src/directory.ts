// The symbols the hub knows: asked over HTTP when somebody looks for one.

import type { Access } from "./access.ts";
import { withFeed } from "./feedName.ts";
import { ask } from "./hubStatus.ts";

export interface Directory {
  /** How many symbols the feed has, not only those listed. */
  readonly total: number;
  readonly symbols: readonly string[];
}

/** Rejects if the hub cannot be reached or answers something else. */
export async function findSymbols(
  query: string,
  limit: number,
  access: Access,
  signal?: AbortSignal,
): Promise<Directory> {
  const path = withFeed("/api/symbols", { q: query, limit: String(limit) });
  type Found = { total: number; symbols: { symbol: string }[] };
  const { total, symbols } = await ask<Found>(path, access, signal);
  return { total, symbols: symbols.map(({ symbol }) => symbol) };
}

/** What most people would look for first, where the feed has it. */
const WELL_KNOWN = ["AAPL", "MSFT", "NVDA", "AMZN", "GOOGL", "META", "TSLA", "SPY"];
const LISTED_MAX = 1000;

/** A few symbols to begin with; empty as long as the feed has none. */
export async function suggestSymbols(access: Access): Promise<string[]> {
  const { symbols } = await findSymbols("", LISTED_MAX, access);
  const listed = new Set(symbols);
  const known = WELL_KNOWN.filter((symbol) => listed.has(symbol));
  return [...new Set([...known, ...symbols])].slice(0, WELL_KNOWN.length);
}
