import assert from "node:assert/strict";
import { test } from "node:test";

import { Latency, NEAR_NOW_MS, Rate } from "../src/meter.ts";

const NOW = 1_767_364_200_000;

test("rate is that of the last two complete seconds", () => {
  const rate = new Rate();
  for (let slot = 0; slot < 30; slot += 1) rate.add(NOW, 10);
  for (let tick = 0; tick < 100; tick += 1) rate.add(NOW + 1000, 1);
  rate.add(NOW + 2000, 999);
  assert.equal(rate.perSecond(NOW + 2500), 200);
});

test("rate falls to nothing when ticks end", () => {
  const rate = new Rate();
  rate.add(NOW, 1);
  assert.equal(rate.perSecond(NOW + 1500), 0.5);
  assert.equal(rate.perSecond(NOW + 3000), 0);
  assert.equal(rate.perSecond(NOW + 6000), 0);
});

test("percentiles are those of the samples, within a twentieth", () => {
  const latency = new Latency();
  for (let delayMs = 1; delayMs <= 1000; delayMs += 1) latency.add(NOW, NOW - delayMs);
  const { p50Ms, p99Ms } = latency.percentiles(NOW)!;
  assert.ok(Math.abs(p50Ms - 500) <= 25, `p50 ${p50Ms}`);
  assert.ok(Math.abs(p99Ms - 990) <= 50, `p99 ${p99Ms}`);
});

test("small delays are exact", () => {
  const latency = new Latency();
  for (let tick = 0; tick < 98; tick += 1) latency.add(NOW, NOW - 3.2);
  latency.add(NOW, NOW - 40);
  latency.add(NOW, NOW - 40);
  assert.deepEqual(latency.percentiles(NOW), { p50Ms: 3, p99Ms: 40 });
});

test("events that are not near now have no latency", () => {
  const latency = new Latency();
  latency.add(NOW, NOW - NEAR_NOW_MS - 1);
  latency.add(NOW, NOW + NEAR_NOW_MS + 1);
  assert.equal(latency.percentiles(NOW), undefined);
  latency.add(NOW, NOW - NEAR_NOW_MS);
  assert.ok(latency.percentiles(NOW)!.p50Ms > NEAR_NOW_MS * 0.95);
});

test("an event from the near future counts as no delay", () => {
  const latency = new Latency();
  latency.add(NOW, NOW + 20);
  assert.deepEqual(latency.percentiles(NOW), { p50Ms: 0, p99Ms: 0 });
});

test("samples are forgotten after five seconds", () => {
  const latency = new Latency();
  latency.add(NOW, NOW - 10);
  assert.notEqual(latency.percentiles(NOW + 4000), undefined);
  assert.equal(latency.percentiles(NOW + 5000), undefined);
});
