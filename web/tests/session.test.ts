import assert from "node:assert/strict";
import { test } from "node:test";

import { Board } from "../src/board.ts";
import { Session } from "../src/session.ts";
import type { Quote, Trade } from "../src/wire.ts";

const NOW = 1_767_364_200_000;

function watching(...symbols: string[]): { board: Board; session: Session } {
  const board = new Board();
  for (const symbol of symbols) board.add(symbol);
  return { board, session: new Session(board) };
}

function trade(seq: number, price: number, ageMs = 0, symbol = "AAPL"): Trade {
  return { kind: "trade", symbol, seq, time: BigInt(NOW - ageMs) * 1_000_000n, price, size: 100 };
}

function quote(seq: number, bid: number, ask: number): Quote {
  const time = BigInt(NOW) * 1_000_000n;
  return { kind: "quote", symbol: "AAPL", seq, time, bid, bidSize: 2, ask, askSize: 3 };
}

test("live ticks set the last values and count", () => {
  const { board, session } = watching("AAPL");
  session.receive([trade(1, 100), quote(1, 100.5, 101.5), trade(2, 101)], NOW);
  const row = board.row("AAPL")!;
  assert.equal(row.last, 101);
  assert.equal(row.change, 1);
  assert.equal(row.volume, 200);
  assert.equal(row.direction, "up");
  assert.equal(row.movedMs, NOW);
  assert.deepEqual([row.bid, row.bidSize, row.ask, row.askSize], [100.5, 2, 101.5, 3]);
  assert.equal(row.updatedMs, NOW);
  assert.equal(session.rate.perSecond(NOW + 1000), 1.5);
});

test("snapshot ticks fill the row but are neither news nor counted", () => {
  const { board, session } = watching("AAPL");
  session.receive([trade(1, 100)], NOW);
  session.receive([{ kind: "snapshot" }], NOW);
  session.receive([trade(9, 105, 3000), quote(5, 104, 106)], NOW);
  session.receive([{ kind: "live" }], NOW);
  const row = board.row("AAPL")!;
  assert.equal(row.last, 105);
  assert.equal(row.bid, 104);
  assert.equal(row.movedMs, -Infinity);
  assert.equal(row.volume, 100);
  assert.equal(session.rate.perSecond(NOW + 1000), 0.5);
  assert.deepEqual(session.latency.percentiles(NOW), { p50Ms: 0, p99Ms: 0 });
});

test("a row that only has a snapshot is as old as its newest tick", () => {
  const { board, session } = watching("AAPL");
  session.receive([{ kind: "snapshot" }, trade(9, 105, 30_000), { kind: "live" }], NOW);
  assert.equal(board.row("AAPL")!.updatedMs, NOW - 30_000);
});

test("a gap is counted once, per topic", () => {
  const { board, session } = watching("AAPL");
  session.receive([trade(1, 100), quote(1, 99, 101), trade(2, 100), quote(4, 99, 101)], NOW);
  assert.equal(board.missed, 2);
  session.receive([trade(3, 100), quote(5, 99, 101)], NOW);
  assert.equal(board.missed, 2);
});

test("a repeated tick changes nothing", () => {
  const { board, session } = watching("AAPL");
  session.receive([trade(1, 100), trade(2, 101), trade(1, 100)], NOW);
  assert.equal(board.row("AAPL")!.last, 101);
  assert.equal(board.row("AAPL")!.volume, 200);
});

test("a reconnect is no gap, whether the hub numbers on or anew", () => {
  const { board, session } = watching("AAPL");
  session.receive([trade(50, 100)], NOW);
  for (const seq of [90, 3]) {
    session.disconnected(NOW);
    session.receive([{ kind: "connected", epoch: "e" }, { kind: "snapshot" }], NOW);
    session.receive([trade(seq, 100), { kind: "live" }, trade(seq + 1, 102)], NOW);
    assert.equal(board.row("AAPL")!.last, 102);
  }
  assert.equal(board.missed, 0);
});

test("a snapshot cut short by a lost connection does not mute the next one", () => {
  const { board, session } = watching("AAPL");
  session.receive([{ kind: "snapshot" }], NOW);
  session.disconnected(NOW);
  session.receive([trade(1, 100)], NOW);
  assert.equal(board.row("AAPL")!.volume, 100);
});

test("ticks of a symbol that was removed are ignored, its losses are not forgotten", () => {
  const { board, session } = watching("AAPL", "MSFT");
  session.receive([trade(1, 100), trade(3, 100)], NOW);
  board.remove("AAPL");
  session.receive([trade(4, 100), trade(1, 50, 0, "MSFT")], NOW);
  assert.deepEqual(board.symbols, ["MSFT"]);
  assert.equal(board.row("MSFT")!.last, 50);
  assert.equal(board.missed, 1);
});

test("feed state and refusals are kept until they no longer hold", () => {
  const { session } = watching();
  session.receive([{ kind: "feed", feed: "main", state: "down", since: "s" }], NOW);
  assert.deepEqual(session.feed, { name: "main", state: "down", since: "s" });
  session.receive([{ kind: "error", code: 405, text: "symbol limit exceeded" }], NOW);
  assert.equal(session.error, "symbol limit exceeded (405)");
  session.dismissError();
  session.disconnected(NOW);
  assert.equal(session.error, undefined);
  assert.equal(session.feed, undefined);
});

test("a side without an offer has no price", () => {
  const { board, session } = watching("AAPL");
  session.receive([quote(1, 0, 101)], NOW);
  assert.equal(board.row("AAPL")!.bid, undefined);
  assert.equal(board.row("AAPL")!.ask, 101);
});
