import assert from "node:assert/strict";
import { test } from "node:test";

import { History } from "../src/history.ts";

test("within a quarter of a second the newest prices win", () => {
  const history = new History();
  history.add(1000, 10, null, null);
  history.add(1249, 11, 10.5, 11.5);
  history.add(1250, 12, 11.5, 12.5);
  assert.deepEqual(history.times, [1, 1.25]);
  assert.deepEqual(history.last, [11, 12]);
  assert.deepEqual(history.bid, [10.5, 11.5]);
  assert.deepEqual(history.ask, [11.5, 12.5]);
});

test("a clock that is set back keeps the times in order", () => {
  const history = new History();
  history.add(9000, 10, null, null);
  history.add(5000, 11, null, null);
  assert.deepEqual(history.times, [9]);
  assert.deepEqual(history.last, [11]);
});

test("an interruption ends the lines after the last price", () => {
  const history = new History();
  history.interrupt(500);
  assert.deepEqual(history.times, []);
  history.add(1000, 10, 9, 11);
  history.interrupt(1100);
  history.add(5000, 12, 11, 13);
  assert.deepEqual(history.last, [10, null, 12]);
});

test("memory is bounded, and what is dropped is the oldest", () => {
  const history = new History();
  const points = 10_000;
  for (let point = 0; point < points; point += 1) history.add(point * 250, point, null, null);
  assert.ok(history.times.length <= 2400, `${history.times.length} points`);
  assert.ok(history.times.length >= 2000, `${history.times.length} points`);
  for (const column of [history.last, history.bid, history.ask]) {
    assert.equal(column.length, history.times.length);
  }
  assert.equal(history.last.at(-1), points - 1);
});
