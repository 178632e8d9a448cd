import assert from "node:assert/strict";
import { test } from "node:test";

import { parseSymbol } from "../../src/protocol/symbol.ts";

test("symbols are converted to upper case and may contain digits and . _ / -", () => {
  assert.equal(parseSymbol(" aapl "), "AAPL");
  assert.equal(parseSymbol("brk.b"), "BRK.B");
  assert.equal(parseSymbol("BTC/USD"), "BTC/USD");
  assert.equal(parseSymbol("A-1_2"), "A-1_2");
});

test("invalid symbols are rejected", () => {
  for (const text of ["", "  ", "A B", "*", "É", "A,B", "X".repeat(25)]) {
    assert.equal(parseSymbol(text), undefined, JSON.stringify(text));
  }
});
