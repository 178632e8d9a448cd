import assert from "node:assert/strict";
import { test } from "node:test";

import { decode } from "@msgpack/msgpack";

import { BarHistoryFeed } from "../../src/client/barHistoryFeed.ts";
import { PriceHistory, SPAN_S } from "../../src/client/priceHistory.ts";
import type { Bar, StreamElement } from "../../src/protocol/elements.ts";

const NOW = 1_767_364_200_000;
const GAP: StreamElement = { kind: "gap", channel: "bars", symbol: "AAPL", from: 1, to: 2 };
const CONNECTED: StreamElement = { kind: "connected", epoch: "one" };

function bar(agoS: number, open: number, close: number, symbol = "AAPL"): Bar {
  return { kind: "bar", symbol, time: BigInt(NOW - agoS * 1000) * 1_000_000n, open, close };
}

/** A feed on its first connection, with its commands; "limit" stands for a refused connection. */
function connectedFeed(): { history: PriceHistory; feed: BarHistoryFeed; sent: unknown[] } {
  const history = new PriceHistory();
  const sent: unknown[] = [];
  const feed = new BarHistoryFeed("AAPL", history, {
    send: (command) => sent.push(decode(command)),
    connectionLimitReached: () => sent.push("limit"),
  });
  assert.deepEqual(sent, []);
  feed.receive([CONNECTED], NOW);
  return { history, feed, sent };
}

const REPLAY = { action: "subscribe", bars: ["AAPL"], from: `-${SPAN_S + 60}s` };

test("bars of the past are asked for on every connection", () => {
  const { history, feed, sent } = connectedFeed();
  feed.receive([bar(120, 10, 11), bar(60, 12, 13)], NOW);
  assert.deepEqual(history.past().prices, [10, 11, 12, 13, null]);
  feed.receive([CONNECTED, bar(120, 10, 11), bar(60, 12, 13)], NOW);
  assert.deepEqual(history.past().prices, [10, 11, 12, 13, null]);
  assert.deepEqual(sent, [REPLAY, REPLAY]);
});

test("the line is interrupted where bars are missing", () => {
  const { history, feed } = connectedFeed();
  feed.receive([bar(240, 10, 11), GAP, bar(60, 12, 13)], NOW);
  assert.deepEqual(history.past().prices, [10, 11, null, 12, 13, null]);
});

test("bars of recordings and of other symbols are not drawn", () => {
  const { history, feed } = connectedFeed();
  feed.receive([bar(86_400, 1, 2), bar(-60, 1, 2), bar(60, 1, 2, "MSFT")], NOW);
  assert.deepEqual(history.past().times, []);
});

test("on a delayed view the times of bars count from the delayed present", () => {
  const { history, feed } = connectedFeed();
  const feedElement = { kind: "feed", feed: "main", state: "live", since: "s" } as const;
  feed.receive([{ ...feedElement, view: "late", delayMs: 3_600_000 }], NOW);
  feed.receive([bar(3_660, 10, 11), bar(60, 12, 13)], NOW);
  assert.deepEqual(history.past().prices, [10, 11, null]);
});

test("only a connection limit error is reported", () => {
  const { feed, sent } = connectedFeed();
  feed.receive([{ kind: "error", code: 405, text: "symbol limit exceeded" }], NOW);
  assert.deepEqual(sent, [REPLAY]);
  feed.receive([{ kind: "error", code: 406, text: "connection limit exceeded" }], NOW);
  assert.deepEqual(sent, [REPLAY, "limit"]);
});
