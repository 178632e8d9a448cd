import assert from "node:assert/strict";
import { test } from "node:test";

import { Sequence } from "../src/sequence.ts";

test("contiguous numbers are one tick each", () => {
  const sequence = new Sequence();
  for (const seq of [41, 42, 43]) assert.equal(sequence.advance(seq), 1);
  assert.equal(sequence.passed, 3);
  assert.equal(sequence.last, 43);
});

test("a jump tells how many ticks there were", () => {
  const sequence = new Sequence();
  sequence.advance(10);
  assert.equal(sequence.advance(14), 4);
  assert.equal(sequence.advance(15), 1);
  assert.equal(sequence.passed, 6);
});

test("repeated and overtaken ticks are not new", () => {
  const sequence = new Sequence();
  sequence.advance(10);
  assert.equal(sequence.advance(10), 0);
  assert.equal(sequence.advance(9), 0);
  assert.equal(sequence.advance(11), 1);
  assert.equal(sequence.passed, 2);
});

test("what was before the first snapshot is not counted", () => {
  const sequence = new Sequence();
  assert.equal(sequence.last, undefined);
  assert.equal(sequence.startFrom(500), 0);
  assert.equal(sequence.advance(503), 3);
  assert.equal(sequence.passed, 3);
});

test("a later snapshot counts what happened up to it, once", () => {
  const sequence = new Sequence();
  sequence.startFrom(500);
  assert.equal(sequence.startFrom(520), 20);
  assert.equal(sequence.startFrom(520), 0);
  assert.equal(sequence.advance(520), 0);
  assert.equal(sequence.advance(521), 1);
  assert.equal(sequence.passed, 21);
});

test("the count goes on when the numbering begins anew", () => {
  const sequence = new Sequence();
  sequence.startFrom(50);
  sequence.advance(53);
  sequence.restart();
  assert.equal(sequence.startFrom(2), 0);
  assert.equal(sequence.advance(3), 1);
  assert.equal(sequence.passed, 4);
});
