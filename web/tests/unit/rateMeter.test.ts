import assert from "node:assert/strict";
import { test } from "node:test";

import { RateMeter } from "../../src/model/rateMeter.ts";

const NOW = 1_767_364_200_000;

test("the rate averages the last two complete seconds", () => {
  const rate = new RateMeter();
  for (let slot = 0; slot < 30; slot += 1) rate.add(NOW, 10);
  for (let tick = 0; tick < 100; tick += 1) rate.add(NOW + 1000, 1);
  rate.add(NOW + 2000, 999);
  assert.equal(rate.perSecond(NOW + 2500), 200);
});

test("the rate falls to zero when ticks stop", () => {
  const rate = new RateMeter();
  rate.add(NOW, 1);
  assert.equal(rate.perSecond(NOW + 1500), 0.5);
  assert.equal(rate.perSecond(NOW + 3000), 0);
  assert.equal(rate.perSecond(NOW + 6000), 0);
});
