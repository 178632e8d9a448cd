import assert from "node:assert/strict";
import { test } from "node:test";

import { decimalsOf } from "../../src/model/decimals.ts";
import {
  commaList,
  delayText,
  formatAge,
  formatChange,
  formatCompact,
  formatCount,
  formatDelay,
  formatPercent,
  formatPrice,
} from "../../src/view/format.ts";

test("prices show all their decimals, at least two", () => {
  const shown = (price: number) => formatPrice(price, decimalsOf(price));
  assert.equal(shown(126), "126.00");
  assert.equal(shown(126.5), "126.50");
  assert.equal(shown(0.8123), "0.8123");
  assert.equal(shown(126.125), "126.125");
  assert.equal(shown(0.000001), "0.000001");
  assert.equal(shown(0.000000001), "0.000000001");
  assert.equal(shown(700_000.12), "700,000.12");
});

test("decimalsOf never returns fewer decimals than requested", () => {
  assert.equal(decimalsOf(126.5, 4), 4);
});

test("changes have a sign", () => {
  assert.equal(formatChange(0.3, 2), "+0.30");
  assert.equal(formatChange(-0.3, 2), "−0.30");
  assert.equal(formatChange(0, 2), "0.00");
  assert.equal(formatPercent(1, 50), "+2.00 %");
  assert.equal(formatPercent(-1, 50), "−2.00 %");
  assert.equal(formatPercent(-0.01, 500), "0.00 %");
  assert.equal(formatPercent(1, 0), "");
});

test("compact counts have at most four digits", () => {
  assert.equal(formatCompact(0), "0");
  assert.equal(formatCompact(9_999), "9,999");
  assert.equal(formatCompact(10_000), "10.0K");
  assert.equal(formatCompact(999_499), "999K");
  assert.equal(formatCompact(999_500), "1.00M");
  assert.equal(formatCompact(4_560_000_000), "4.56B");
  assert.equal(formatCompact(4_560_000_000_000), "4,560B");
});

test("ages show the largest unit", () => {
  const second = 1000;
  assert.equal(formatAge(-5), "now");
  assert.equal(formatAge(999), "now");
  assert.equal(formatAge(59 * second), "59s");
  assert.equal(formatAge(61 * second), "1m");
  assert.equal(formatAge(2 * 3600 * second), "2h");
  assert.equal(formatAge(3 * 86_400 * second), "3d");
  assert.equal(formatAge(8 * 366 * 86_400 * second), "8y");
});

test("delays below a millisecond are not shown as zero", () => {
  assert.equal(formatDelay(0), "<1 ms");
  assert.equal(formatDelay(12.4), "12 ms");
  assert.equal(formatDelay(2500), "2.5 s");
});

test("only a count of one has its noun in the singular", () => {
  assert.deepEqual(
    [0, 1, 2000].map((count) => formatCount(count, "session")),
    ["0 sessions", "1 session", "2,000 sessions"],
  );
});

test("the delay of a view is named, and a live view has none", () => {
  const feed = (delayMs: number) => commaList("sip live", delayText(delayMs));
  assert.equal(feed(900_000), "sip live, delayed by 15m");
  assert.equal(feed(0), "sip live");
});
