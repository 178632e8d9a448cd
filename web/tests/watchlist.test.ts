import assert from "node:assert/strict";
import { test } from "node:test";

import { parseHash, parseList, parseSymbol, WATCHED_MAX } from "../src/watchlist.ts";

test("symbols are upper case and may have dots, dashes, slashes and digits", () => {
  assert.equal(parseSymbol(" aapl "), "AAPL");
  assert.equal(parseSymbol("brk.b"), "BRK.B");
  assert.equal(parseSymbol("BTC/USD"), "BTC/USD");
  assert.equal(parseSymbol("A-1_2"), "A-1_2");
});

test("what can be no symbol is none", () => {
  for (const text of ["", "  ", "A B", "*", "É", "A,B", "X".repeat(25)]) {
    assert.equal(parseSymbol(text), undefined, JSON.stringify(text));
  }
});

test("a list keeps its order and drops repetitions and rubbish", () => {
  assert.deepEqual(parseList("MSFT,aapl,,<b>,MSFT, spy"), ["MSFT", "AAPL", "SPY"]);
});

test("a list is cut at the limit", () => {
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
