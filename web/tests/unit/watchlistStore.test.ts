import assert from "node:assert/strict";
import { test } from "node:test";

import { parseHash, parseList, WATCHED_MAX } from "../../src/model/watchlistStore.ts";

test("a list keeps its order and drops duplicates and invalid symbols", () => {
  assert.deepEqual(parseList("MSFT,aapl,,<b>,MSFT, spy"), ["MSFT", "AAPL", "SPY"]);
});

test("a list is cut at the maximum", () => {
  const names = Array.from({ length: WATCHED_MAX + 5 }, (_, index) => `S${index}`);
  assert.equal(parseList(names.join(",")).length, WATCHED_MAX);
});

test("an address without symbols has no list", () => {
  assert.equal(parseHash(""), undefined);
  assert.equal(parseHash("#"), undefined);
  assert.equal(parseHash("#%"), undefined);
  assert.deepEqual(parseHash("#AAPL,MSFT"), ["AAPL", "MSFT"]);
  assert.deepEqual(parseHash("#BTC%2FUSD"), ["BTC/USD"]);
});
