import assert from "node:assert/strict";
import { test } from "node:test";

import {
  Backoff,
  DELAY_MS_MAX,
  FIRST_DELAY_MS,
  REQUESTED_DELAY_MS_MAX,
  REQUESTED_SPREAD_MS,
} from "../../src/client/backoff.ts";
import { HEALTHY_AFTER_MS } from "../../src/client/connection.ts";

test("delays equal those of `Backoff` in the Rust crate tickwire-protocol", () => {
  assert.equal(FIRST_DELAY_MS, 500, "Backoff::FIRST");
  assert.equal(DELAY_MS_MAX, 30_000, "Backoff::MAX");
  assert.equal(REQUESTED_DELAY_MS_MAX, 300_000, "Backoff::REQUESTED_MAX");
  assert.equal(REQUESTED_SPREAD_MS, 1_000, "Backoff::REQUESTED_SPREAD");
  assert.equal(HEALTHY_AFTER_MS, 60_000, "Backoff::HEALTHY_AFTER");
});

test("delay bounds double up to the maximum", () => {
  const backoff = new Backoff(() => 1);
  const delays = Array.from({ length: 8 }, () => backoff.nextDelayMs());
  assert.deepEqual(delays.slice(0, 4), [1, 2, 4, 8].map((factor) => factor * FIRST_DELAY_MS));
  assert.equal(delays.at(-1), DELAY_MS_MAX);
});

test("delays never exceed the maximum, even after thousands of attempts", () => {
  const backoff = new Backoff(() => 1);
  for (let attempt = 0; attempt < 5000; attempt += 1) {
    assert.ok(backoff.nextDelayMs() <= DELAY_MS_MAX);
  }
});

test("a delay is a random part of its bound", () => {
  assert.equal(new Backoff(() => 0).nextDelayMs(), 0);
  assert.equal(new Backoff(() => 0.5).nextDelayMs(), FIRST_DELAY_MS / 2);
});

test("reset restores the first bound", () => {
  const backoff = new Backoff(() => 1);
  backoff.nextDelayMs();
  backoff.nextDelayMs();
  backoff.reset();
  assert.equal(backoff.nextDelayMs(), FIRST_DELAY_MS);
});

test("a delay requested by the hub is capped, and gets up to a second of jitter", () => {
  assert.equal(new Backoff(() => 0).nextDelayMs(2500), 2500);
  assert.equal(new Backoff(() => 1).nextDelayMs(2500), 2500 + REQUESTED_SPREAD_MS);
  assert.equal(new Backoff(() => 0).nextDelayMs(999_999_999_999), REQUESTED_DELAY_MS_MAX);
});

test("a delay requested by the hub does not lengthen later delays", () => {
  const backoff = new Backoff(() => 1);
  backoff.nextDelayMs(2500);
  assert.equal(backoff.nextDelayMs(), FIRST_DELAY_MS);
});
