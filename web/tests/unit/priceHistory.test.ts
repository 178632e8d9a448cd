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

/** The line of the past, with times relative to the first minute. */
function past(history: PriceHistory): [number, number | null][] {
  const { times, prices } = history.past();
  return times.map((time, at) => [time - MINUTE, prices[at]!]);
}

const MINUTE = 1_200;

test("bars say what the price was before the first live price", () => {
  const history = new PriceHistory();
  history.addBar(MINUTE, 10, 11, true);
  history.addBar(MINUTE + 60, 12, 13, false);
  history.add((MINUTE + 150) * 1000, 20, null, null);
  assert.deepEqual(past(history), [
    [0, 10],
    [59.75, 11],
    [60, 12],
    [119.75, 13],
    [150.125, null],
  ]);
  assert.deepEqual(history.last, [20], "live prices are left alone");
});

test("the bar of the minute of the first live price leads to it", () => {
  const history = new PriceHistory();
  history.add((MINUTE + 30) * 1000, 20, null, null);
  assert.deepEqual(past(history), [], "nothing is known of the time before");
  history.addBar(MINUTE, 10, 25, true);
  assert.deepEqual(past(history), [
    [0, 10],
    [30, 20],
    [30.125, null],
  ]);
});

test("a minute without trades keeps the price, and a minute that may be missing is empty", () => {
  for (const [hasGap, held] of [
    [false, 11],
    [true, null],
  ] as const) {
    const history = new PriceHistory();
    history.addBar(MINUTE, 10, 11, true);
    history.addBar(MINUTE + 180, 12, 13, hasGap);
    assert.deepEqual(past(history).slice(1, 4), [
      [59.75, 11],
      [179.75, held],
      [180, 12],
    ]);
  }
});

test("bars fill interruptions, and only these", () => {
  const history = new PriceHistory();
  history.add((MINUTE + 10) * 1000, 20, 19, 21);
  history.interrupt((MINUTE + 30) * 1000);
  history.add((MINUTE + 100) * 1000, 24, 23, 25);
  assert.deepEqual(past(history), []);
  history.addBar(MINUTE, 19, 21, true);
  history.addBar(MINUTE + 60, 22, 25, false);
  assert.deepEqual(past(history), [
    [0, 19],
    [10, 20],
    [10.125, null],
    [30.25, 20],
    [59.75, 21],
    [60, 22],
    [100, 24],
    [100.125, null],
  ]);
  assert.deepEqual(history.last, [20, null, 24]);
});

test("a repeated bar replaces the one before, and old bars are dropped", () => {
  const history = new PriceHistory();
  for (let minute = 0; minute < 100; minute += 1) {
    history.addBar(MINUTE + minute * 60, minute, minute, minute === 0);
  }
  history.addBar(MINUTE + 99 * 60, 7, 8, true);
  const line = past(history);
  assert.equal(line.length, 2 * 17 + 1);
  assert.deepEqual(line.slice(-3).map(([, price]) => price), [7, 8, null]);
});
