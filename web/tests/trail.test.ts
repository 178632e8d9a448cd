import assert from "node:assert/strict";
import { test } from "node:test";

import { decode } from "@msgpack/msgpack";

import { History, SPAN_S } from "../src/history.ts";
import { Trail } from "../src/trail.ts";
import type { Element, Trade } from "../src/wire.ts";

const NOW = 1_767_364_200_000;
const GAP: Element = { kind: "gap", channel: "trades", symbol: "AAPL", from: 1, to: 2 };

function trade(seq: number, price: number, agoMs: number, symbol = "AAPL"): Trade {
  return { kind: "trade", symbol, seq, time: BigInt(NOW - agoMs) * 1_000_000n, price, size: 1 };
}

/** A trail on its first connection, and all it has sent; "refused" where it found no place. */
function following(): { history: History; trail: Trail; sent: unknown[] } {
  const history = new History();
  const sent: unknown[] = [];
  const send = (command: Uint8Array): unknown => sent.push(decode(command));
  const trail = new Trail("AAPL", history, send, () => sent.push("refused"));
  assert.deepEqual(sent, []);
  trail.receive([connected("one")], NOW);
  return { history, trail, sent };
}

function connected(epoch: string): Element {
  return { kind: "connected", epoch };
}

const SUBSCRIBE = { action: "subscribe", trades: ["AAPL"] };
const REPLAY = { ...SUBSCRIBE, from: `-${SPAN_S}s` };

test("a chart is filled with what was, at the time it happened", () => {
  const { history, trail, sent } = following();
  assert.deepEqual(sent, [REPLAY]);
  history.add(NOW, 12, null, null);
  trail.receive([trade(7, 10, 60_000), trade(8, 11, 30_000)], NOW);
  assert.deepEqual(history.times, [NOW / 1000 - 60, NOW / 1000 - 30, NOW / 1000]);
  assert.deepEqual(history.last, [10, 11, 12]);
});

test("after a loss it goes on behind the last trade, and nothing counts twice", () => {
  const { history, trail, sent } = following();
  trail.receive([trade(7, 10, 60_000)], NOW);
  history.interrupt(NOW - 59_000);
  trail.receive([connected("one")], NOW);
  const resume = { epoch: "one", after: { trades: { AAPL: 7 } } };
  assert.deepEqual(sent, [REPLAY, { ...SUBSCRIBE, resume }]);
  trail.receive([trade(7, 99, 60_000), trade(8, 11, 30_000)], NOW);
  assert.deepEqual(history.last, [10, 10, 11]);
});

test("a trail that had nothing yet begins as at first", () => {
  const { trail, sent } = following();
  trail.receive([connected("one")], NOW);
  assert.deepEqual(sent, [REPLAY, REPLAY]);
});

test("the line is broken where trades are missing", () => {
  for (const loss of [GAP, connected("two")]) {
    const { history, trail } = following();
    trail.receive([trade(7, 10, 60_000)], NOW);
    history.interrupt(NOW - 59_000);
    trail.receive([loss, trade(9, 11, 30_000), trade(10, 12, 20_000)], NOW);
    assert.deepEqual(history.last, [10, null, 11, 12], loss.kind);
  }
});

test("a hub that numbers anew is asked for all it has, and followed from there", () => {
  const { history, trail, sent } = following();
  trail.receive([trade(700, 10, 60_000)], NOW);
  trail.receive([connected("two")], NOW);
  assert.deepEqual(sent, [REPLAY, REPLAY]);
  trail.receive([trade(3, 11, 30_000)], NOW);
  assert.deepEqual(history.last, [10, 11]);
  trail.receive([connected("two")], NOW);
  const resume = { epoch: "two", after: { trades: { AAPL: 3 } } };
  assert.deepEqual(sent.at(-1), { ...SUBSCRIBE, resume });
});

test("trades of a recording, other symbols and other times are not drawn", () => {
  const { history, trail } = following();
  trail.receive([trade(1, 10, 86_400_000), trade(2, 10, -60_000), trade(1, 10, 0, "MSFT")], NOW);
  assert.deepEqual(history.times, []);
});

test("a feed whose clock is a little ahead draws nothing in the future", () => {
  const { history, trail } = following();
  trail.receive([trade(1, 10, -1_500)], NOW);
  assert.deepEqual(history.times, [NOW / 1000]);
});

test("only a refusal for want of a place is told", () => {
  const { trail, sent } = following();
  trail.receive([{ kind: "error", code: 405, text: "symbol limit exceeded" }], NOW);
  assert.deepEqual(sent, [REPLAY]);
  trail.receive([{ kind: "error", code: 406, text: "connection limit exceeded" }], NOW);
  assert.deepEqual(sent, [REPLAY, "refused"]);
});
