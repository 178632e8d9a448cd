import assert from "node:assert/strict";
import { test } from "node:test";

import { Sequence } from "../src/sequence.ts";

test("contiguous numbers miss nothing", () => {
  const sequence = new Sequence();
  for (const seq of [41, 42, 43]) assert.equal(sequence.accept(seq), true);
  assert.equal(sequence.missed, 0);
});

test("a jump counts what is between", () => {
  const sequence = new Sequence();
  sequence.accept(10);
  assert.equal(sequence.accept(14), true);
  assert.equal(sequence.missed, 3);
  sequence.accept(15);
  assert.equal(sequence.missed, 3);
});

test("repeated and overtaken ticks are not new", () => {
  const sequence = new Sequence();
  sequence.accept(10);
  assert.equal(sequence.accept(10), false);
  assert.equal(sequence.accept(9), false);
  assert.equal(sequence.accept(11), true);
  assert.equal(sequence.missed, 0);
});

test("a snapshot is where counting starts, whatever came before", () => {
  const sequence = new Sequence();
  sequence.accept(10);
  sequence.startFrom(500);
  assert.equal(sequence.accept(501), true);
  assert.equal(sequence.missed, 0);
  assert.equal(sequence.accept(503), true);
  assert.equal(sequence.missed, 1);
});

test("a loss stays counted when the numbering begins anew", () => {
  const sequence = new Sequence();
  sequence.accept(1);
  sequence.accept(3);
  sequence.restart();
  assert.equal(sequence.accept(1), true);
  assert.equal(sequence.missed, 1);
});
