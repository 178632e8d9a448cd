import assert from "node:assert/strict";
import { test } from "node:test";

import { CounterRates } from "../../src/model/counterRates.ts";

test("a rate is the increase between two reports, and unknown after a restart", () => {
  const rates = new CounterRates();
  assert.equal(rates.perSecond("a", 100, 1_000), undefined);
  assert.equal(rates.perSecond("b", 5, 1_000), undefined);
  assert.equal(rates.perSecond("a", 300, 3_000), 100);
  assert.equal(rates.perSecond("a", 300, 4_000), 0);
  assert.equal(rates.perSecond("a", 10, 5_000), undefined);
  assert.equal(rates.perSecond("a", 20, 5_000), undefined, "no time has passed");
  assert.equal(rates.perSecond("b", 6, 3_000), 0.5);
});
