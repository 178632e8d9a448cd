import assert from "node:assert/strict";
import { test } from "node:test";

import { LatencyMeter, NEAR_NOW_MS } from "../../src/model/latencyMeter.ts";

const NOW = 1_767_364_200_000;

test("percentiles are within 5 % of those of the samples", () => {
  const latency = new LatencyMeter();
  for (let delayMs = 1; delayMs <= 1000; delayMs += 1) latency.add(NOW, NOW - delayMs);
  const { p50Ms, p99Ms } = latency.percentiles(NOW)!;
  assert.ok(Math.abs(p50Ms - 500) <= 25, `p50 ${p50Ms}`);
  assert.ok(Math.abs(p99Ms - 990) <= 50, `p99 ${p99Ms}`);
});

test("small delays are exact", () => {
  const latency = new LatencyMeter();
  for (let tick = 0; tick < 98; tick += 1) latency.add(NOW, NOW - 3.2);
  latency.add(NOW, NOW - 40);
  latency.add(NOW, NOW - 40);
  assert.deepEqual(latency.percentiles(NOW), { p50Ms: 3, p99Ms: 40 });
});

test("events far from now are not measured", () => {
  const latency = new LatencyMeter();
  latency.add(NOW, NOW - NEAR_NOW_MS - 1);
  latency.add(NOW, NOW + NEAR_NOW_MS + 1);
  assert.equal(latency.percentiles(NOW), undefined);
  latency.add(NOW, NOW - NEAR_NOW_MS);
  assert.ok(latency.percentiles(NOW)!.p50Ms > NEAR_NOW_MS * 0.95);
});

test("an event from the near future counts as no delay", () => {
  const latency = new LatencyMeter();
  latency.add(NOW, NOW + 20);
  assert.deepEqual(latency.percentiles(NOW), { p50Ms: 0, p99Ms: 0 });
});

test("samples expire after five seconds", () => {
  const latency = new LatencyMeter();
  latency.add(NOW, NOW - 10);
  assert.notEqual(latency.percentiles(NOW + 4000), undefined);
  assert.equal(latency.percentiles(NOW + 5000), undefined);
});
