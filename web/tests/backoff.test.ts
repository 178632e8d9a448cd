import assert from "node:assert/strict";
import { test } from "node:test";

import { Backoff, DELAY_MS_MAX, FIRST_DELAY_MS } from "../src/backoff.ts";

test("delays double up to the limit", () => {
  const backoff = new Backoff(() => 1);
  const delays = Array.from({ length: 8 }, () => backoff.nextDelayMs());
  assert.deepEqual(delays.slice(0, 4), [1, 2, 4, 8].map((factor) => factor * FIRST_DELAY_MS));
  assert.equal(delays.at(-1), DELAY_MS_MAX);
});

test("the limit holds however long the hub is away", () => {
  const backoff = new Backoff(() => 1);
  for (let attempt = 0; attempt < 5000; attempt += 1) assert.ok(backoff.nextDelayMs() <= DELAY_MS_MAX);
});

test("jitter takes up to half of a delay", () => {
  assert.equal(new Backoff(() => 0).nextDelayMs(), FIRST_DELAY_MS / 2);
  assert.equal(new Backoff(() => 0.5).nextDelayMs(), FIRST_DELAY_MS * 0.75);
});

test("after a reset the first delay comes again", () => {
  const backoff = new Backoff(() => 1);
  backoff.nextDelayMs();
  backoff.nextDelayMs();
  backoff.reset();
  assert.equal(backoff.nextDelayMs(), FIRST_DELAY_MS);
});
