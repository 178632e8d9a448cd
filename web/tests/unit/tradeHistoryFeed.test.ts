import assert from "node:assert/strict";
import { test } from "node:test";

import { decode } from "@msgpack/msgpack";

import { PriceHistory, SPAN_S } from "../../src/client/priceHistory.ts";
import { TradeHistoryFeed } from "../../src/client/tradeHistoryFeed.ts";
import type { StreamElement, Trade } from "../../src/protocol/elements.ts";

const NOW = 1_767_364_200_000;
const GAP: StreamElement = { kind: "gap", channel: "trades", symbol: "AAPL", from: 1, to: 2 };

function trade(seq: number, price: number, agoMs: number, symbol = "AAPL"): Trade {
  return { kind: "trade", symbol, seq, time: BigInt(NOW - agoMs) * 1_000_000n, price, size: 1 };
}

/** A feed on its first connection, with its commands; "limit" stands for a refused connection. */
function connectedFeed(): { history: PriceHistory; feed: TradeHistoryFeed; sent: unknown[] } {
  const history = new PriceHistory();
  const sent: unknown[] = [];
  const feed = new TradeHistoryFeed("AAPL", history, {
    send: (command) => sent.push(decode(command)),
    connectionLimitReached: () => sent.push("limit"),
  });
  assert.deepEqual(sent, []);
  feed.receive([connected("one")], NOW);
  return { history, feed, sent };
}

function connected(epoch: string): StreamElement {
  return { kind: "connected", epoch };
}

const SUBSCRIBE = { action: "subscribe", trades: ["AAPL"] };
const REPLAY = { ...SUBSCRIBE, from: `-${SPAN_S}s` };

test("trades of the past are filled in at the time they happened", () => {
  const { history, feed, sent } = connectedFeed();
  assert.deepEqual(sent, [REPLAY]);
  history.add(NOW, 12, null, null);
  feed.receive([trade(7, 10, 60_000), trade(8, 11, 30_000)], NOW);
  assert.deepEqual(history.times, [NOW / 1000 - 60, NOW / 1000 - 30, NOW / 1000]);
  assert.deepEqual(history.last, [10, 11, 12]);
});

test("a reconnect resumes after the last trade and adds no trade twice", () => {
  const { history, feed, sent } = connectedFeed();
  feed.receive([trade(7, 10, 60_000)], NOW);
  history.interrupt(NOW - 59_000);
  feed.receive([connected("one")], NOW);
  const resume = { epoch: "one", after: { trades: { AAPL: 7 } } };
  assert.deepEqual(sent, [REPLAY, { ...SUBSCRIBE, resume }]);
  feed.receive([trade(7, 99, 60_000), trade(8, 11, 30_000)], NOW);
  assert.deepEqual(history.last, [10, 10, 11]);
});

test("a reconnect before the first trade replays again", () => {
  const { feed, sent } = connectedFeed();
  feed.receive([connected("one")], NOW);
  assert.deepEqual(sent, [REPLAY, REPLAY]);
});

test("the line is interrupted where trades are missing", () => {
  for (const loss of [GAP, connected("two")]) {
    const { history, feed } = connectedFeed();
    feed.receive([trade(7, 10, 60_000)], NOW);
    history.interrupt(NOW - 59_000);
    feed.receive([loss, trade(9, 11, 30_000), trade(10, 12, 20_000)], NOW);
    assert.deepEqual(history.last, [10, null, 11, 12], loss.kind);
  }
});

test("a new epoch is replayed from the start and resumed from there", () => {
  const { history, feed, sent } = connectedFeed();
  feed.receive([trade(700, 10, 60_000)], NOW);
  feed.receive([connected("two")], NOW);
  assert.deepEqual(sent, [REPLAY, REPLAY]);
  feed.receive([trade(3, 11, 30_000)], NOW);
  assert.deepEqual(history.last, [10, 11]);
  feed.receive([connected("two")], NOW);
  const resume = { epoch: "two", after: { trades: { AAPL: 3 } } };
  assert.deepEqual(sent.at(-1), { ...SUBSCRIBE, resume });
});

test("trades of recordings and of other symbols are not drawn", () => {
  const { history, feed } = connectedFeed();
  feed.receive([trade(1, 10, 86_400_000), trade(2, 10, -60_000), trade(1, 10, 0, "MSFT")], NOW);
  assert.deepEqual(history.times, []);
});

test("a trade slightly in the future is drawn at the current time", () => {
  const { history, feed } = connectedFeed();
  feed.receive([trade(1, 10, -1_500)], NOW);
  assert.deepEqual(history.times, [NOW / 1000]);
});

test("only a connection limit error is reported", () => {
  const { feed, sent } = connectedFeed();
  feed.receive([{ kind: "error", code: 405, text: "symbol limit exceeded" }], NOW);
  assert.deepEqual(sent, [REPLAY]);
  feed.receive([{ kind: "error", code: 406, text: "connection limit exceeded" }], NOW);
  assert.deepEqual(sent, [REPLAY, "limit"]);
});
