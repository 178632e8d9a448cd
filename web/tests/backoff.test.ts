import assert from "node:assert/strict";
import { test } from "node:test";

import { Backoff, DELAY_MS_MAX, FIRST_DELAY_MS, TOLD_SPREAD_MS } from "../src/backoff.ts";

test("limits double up to the largest", () => {
  const backoff = new Backoff(() => 1);
  const delays = Array.from({ length: 8 }, () => backoff.nextDelayMs());
  assert.deepEqual(delays.slice(0, 4), [1, 2, 4, 8].map((factor) => factor * FIRST_DELAY_MS));
  assert.equal(delays.at(-1), DELAY_MS_MAX);
});

test("the limit holds however long the hub is away", () => {
  const backoff = new Backoff(() => 1);
  for (let attempt = 0; attempt < 5000; attempt += 1) assert.ok(backoff.nextDelayMs() <= DELAY_MS_MAX);
});

test("a delay lies anywhere between nothing and its limit", () => {
  assert.equal(new Backoff(() => 0).nextDelayMs(), 0);
  assert.equal(new Backoff(() => 0.5).nextDelayMs(), FIRST_DELAY_MS / 2);
});

test("after a reset the first limit holds again", () => {
  const backoff = new Backoff(() => 1);
  backoff.nextDelayMs();
  backoff.nextDelayMs();
  backoff.reset();
  assert.equal(backoff.nextDelayMs(), FIRST_DELAY_MS);
});

test("a hub that says how long to wait is heeded, with up to a second more", () => {
  assert.equal(new Backoff(() => 0).nextDelayMs("shutdown retry_ms=2500"), 2500);
  assert.equal(new Backoff(() => 1).nextDelayMs("shutdown retry_ms=2500"), 2500 + TOLD_SPREAD_MS);
  assert.equal(new Backoff(() => 0).nextDelayMs("shutdown node=7 retry_ms=40 x"), 40);
  assert.equal(new Backoff(() => 0).nextDelayMs("shutdown retry_ms=999999999999"), 300_000);
});

test("what is no time to wait is passed over", () => {
  for (const reason of ["", "shutdown", "retry_ms=9", "shutdown retry_ms=", "shutdown retry_ms=-1"]) {
    assert.equal(new Backoff(() => 1).nextDelayMs(reason), FIRST_DELAY_MS, reason);
  }
});
