import assert from "node:assert/strict";
import { test } from "node:test";

import { priceRange } from "../../src/view/priceRange.ts";

test("a price that never changes is in the middle of a range, whatever its sign", () => {
  for (const price of [37.63, 0.0001, 0, -0.25, -37.63]) {
    const [from, to] = priceRange(price, price);
    assert.ok(from < price && price < to, `${price} in ${from} to ${to}`);
    assert.ok(Math.abs((from + to) / 2 - price) < 1e-9);
  }
});

test("the range contains all prices, with a margin", () => {
  for (const [min, max] of [
    [10, 20],
    [-20, -10],
    [-1, 1],
  ] as const) {
    const [from, to] = priceRange(min, max);
    assert.ok(from < min - 0.2 && max + 0.2 < to, `${min} to ${max} in ${from} to ${to}`);
  }
  assert.deepEqual(priceRange(null, null), [0, 1]);
});
