import assert from "node:assert/strict";
import { test } from "node:test";

import { PriceHistory } from "../../src/client/priceHistory.ts";

test("the last prices within a quarter of a second are kept", () => {
  const history = new PriceHistory();
  history.add(1000, 10, null, null);
  history.add(1249, 11, 10.5, 11.5);
  history.add(1250, 12, 11.5, 12.5);
  assert.deepEqual(history.times, [1, 1.25]);
  assert.deepEqual(history.last, [11, 12]);
  assert.deepEqual(history.bid, [10.5, 11.5]);
  assert.deepEqual(history.ask, [11.5, 12.5]);
});

test("times stay in order when the clock is set back", () => {
  const history = new PriceHistory();
  history.add(9000, 10, null, null);
  history.add(5000, 11, null, null);
  assert.deepEqual(history.times, [9]);
  assert.deepEqual(history.last, [11]);
});

test("an interruption ends the line after the last price", () => {
  const history = new PriceHistory();
  history.interrupt(500);
  assert.deepEqual(history.times, []);
  history.add(1000, 10, 9, 11);
  history.interrupt(1100);
  history.add(5000, 12, 11, 13);
  assert.deepEqual(history.last, [10, null, 12]);
});

test("memory is bounded by dropping the oldest points", () => {
  const history = new PriceHistory();
  const points = 10_000;
  for (let point = 0; point < points; point += 1) history.add(point * 250, point, null, null);
  assert.ok(history.times.length <= 3960, `${history.times.length} points`);
  assert.ok(history.times.length >= 3600, `${history.times.length} points`);
  for (const column of [history.last, history.bid, history.ask]) {
    assert.equal(column.length, history.times.length);
  }
  assert.equal(history.last.at(-1), points - 1);
});

test("filled trades are inserted at their time and keep the other points", () => {
  const history = new PriceHistory();
  history.add(9000, 20, 19, 21);
  history.fill(1000, 10, undefined);
  history.fill(1100, 11, 1000);
  history.fill(3000, 12, 1100);
  history.fill(9500, 22, 3000);
  assert.deepEqual(history.times, [1, 3, 9, 9.5]);
  assert.deepEqual(history.last, [11, 12, 20, 22]);
  assert.deepEqual(history.bid, [null, null, 19, 19]);
  assert.deepEqual(history.ask, [null, null, 21, 21]);
});

test("a trade from the time of an interruption closes it", () => {
  const history = new PriceHistory();
  history.add(1000, 10, 9, 11);
  history.interrupt(1100);
  history.add(9000, 20, 19, 21);
  history.fill(3000, 12, 900);
  assert.deepEqual(history.times, [1, 1.25, 3, 9]);
  assert.deepEqual(history.last, [10, 10, 12, 20]);
  assert.deepEqual(history.bid, [9, null, null, 19]);
});

test("an interruption without trades is closed by the next trade", () => {
  const history = new PriceHistory();
  history.add(1000, 10, 9, 11);
  history.interrupt(1100);
  history.add(9000, 10, 9, 11);
  history.fill(10_000, 11, 1000);
  assert.deepEqual(history.last, [10, 10, 10, 11]);
});

test("an interruption stays open where trades are missing", () => {
  const history = new PriceHistory();
  history.add(1000, 10, 9, 11);
  history.interrupt(1100);
  history.fill(3000, 12, undefined);
  history.fill(4000, 13, 3000);
  assert.deepEqual(history.last, [10, null, 12, 13]);
});

test("memory stays bounded when trades are filled in", () => {
  const history = new PriceHistory();
  for (let point = 0; point < 4000; point += 1) history.add(1e9 + point * 250, 1, null, null);
  for (let point = 0; point < 4000; point += 1) history.fill(point * 250, 2, undefined);
  assert.ok(history.times.length <= 3960, `${history.times.length} points`);
  assert.equal(history.last.at(-1), 1);
});
