import assert from "node:assert/strict";
import { test } from "node:test";

import { SequenceTracker } from "../../src/client/sequence.ts";

test("contiguous numbers count one tick each", () => {
  const sequence = new SequenceTracker();
  for (const seq of [41, 42, 43]) assert.equal(sequence.applyLive(seq), 1);
  assert.equal(sequence.total, 3);
  assert.equal(sequence.last, 43);
});

test("a jump counts the conflated ticks", () => {
  const sequence = new SequenceTracker();
  sequence.applyLive(10);
  assert.equal(sequence.applyLive(14), 4);
  assert.equal(sequence.applyLive(15), 1);
  assert.equal(sequence.total, 6);
});

test("repeated and older ticks are not counted", () => {
  const sequence = new SequenceTracker();
  sequence.applyLive(10);
  assert.equal(sequence.applyLive(10), 0);
  assert.equal(sequence.applyLive(9), 0);
  assert.equal(sequence.applyLive(11), 1);
  assert.equal(sequence.total, 2);
});

test("ticks before the first snapshot are not counted", () => {
  const sequence = new SequenceTracker();
  assert.equal(sequence.last, undefined);
  assert.equal(sequence.applySnapshot(500), 0);
  assert.equal(sequence.applyLive(503), 3);
  assert.equal(sequence.total, 3);
});

test("a later snapshot counts the ticks up to it once", () => {
  const sequence = new SequenceTracker();
  sequence.applySnapshot(500);
  assert.equal(sequence.applySnapshot(520), 20);
  assert.equal(sequence.applySnapshot(520), 0);
  assert.equal(sequence.applyLive(520), 0);
  assert.equal(sequence.applyLive(521), 1);
  assert.equal(sequence.total, 21);
});

test("the total continues when a new epoch starts", () => {
  const sequence = new SequenceTracker();
  sequence.applySnapshot(50);
  sequence.applyLive(53);
  sequence.startEpoch();
  assert.equal(sequence.applySnapshot(2), 0);
  assert.equal(sequence.applyLive(3), 1);
  assert.equal(sequence.total, 4);
});
