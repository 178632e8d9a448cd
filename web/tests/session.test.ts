import assert from "node:assert/strict";
import { test } from "node:test";

import { Board } from "../src/board.ts";
import { Session } from "../src/session.ts";
import { Subscriber } from "../src/subscriber.ts";
import type { Gap, Quote, Trade } from "../src/wire.ts";

const NOW = 1_767_364_200_000;

function watching(...symbols: string[]): {
  board: Board;
  session: Session;
  subscriber: Subscriber;
} {
  const board = new Board();
  for (const symbol of symbols) board.add(symbol);
  const subscriber = new Subscriber(board, { send: () => undefined, changed: () => undefined });
  return { board, session: new Session(board, subscriber), subscriber };
}

function trade(seq: number, price: number, ageMs = 0, symbol = "AAPL"): Trade {
  return { kind: "trade", symbol, seq, time: BigInt(NOW - ageMs) * 1_000_000n, price, size: 100 };
}

function quote(seq: number, bid: number, ask: number): Quote {
  const time = BigInt(NOW) * 1_000_000n;
  return { kind: "quote", symbol: "AAPL", seq, time, bid, bidSize: 2, ask, askSize: 3 };
}

function gap(channel: string, from?: number, to?: number, symbol = "AAPL"): Gap {
  return { kind: "gap", channel, symbol, from, to };
}

function reconnect(session: Session, epoch: string, ...last: Trade[]): void {
  session.disconnected(NOW);
  session.receive([{ kind: "connected", epoch }, { kind: "snapshot" }], NOW);
  session.receive([...last, { kind: "live" }], NOW);
}

test("live ticks set the last values and count", () => {
  const { board, session } = watching("AAPL");
  session.receive([trade(1, 100), quote(1, 100.5, 101.5), trade(2, 101)], NOW);
  const row = board.row("AAPL")!;
  assert.equal(row.last, 101);
  assert.equal(row.change, 1);
  assert.equal(row.trades.passed, 2);
  assert.equal(row.direction, "up");
  assert.equal(row.movedMs, NOW);
  assert.deepEqual([row.bid, row.bidSize, row.ask, row.askSize], [100.5, 2, 101.5, 3]);
  assert.equal(row.updatedMs, NOW);
  assert.equal(session.received.perSecond(NOW + 1000), 1.5);
});

test("ticks that newer ones overtook happened, but did not come and are not missed", () => {
  const { board, session } = watching("AAPL");
  session.receive([{ kind: "snapshot" }, trade(10, 100), quote(70, 99, 101)], NOW);
  session.receive([{ kind: "live" }, trade(16, 101), quote(100, 99, 101)], NOW);
  assert.equal(session.market.perSecond(NOW + 1000), 18);
  assert.equal(session.received.perSecond(NOW + 1000), 1);
  assert.equal(board.row("AAPL")!.trades.passed, 6);
  assert.deepEqual(session.missed, { ticks: 0, orMore: false });
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
  assert.equal(session.received.perSecond(NOW + 1000), 0.5);
  assert.deepEqual(session.latency.percentiles(NOW), { p50Ms: 0, p99Ms: 0 });
});

test("the snapshot of a changed rate lights nothing up and keeps all counts right", () => {
  const { board, session } = watching("AAPL");
  session.receive([trade(1, 100), quote(1, 99, 101)], NOW);
  const row = board.row("AAPL")!;
  session.receive([{ kind: "snapshot" }], NOW + 100);
  session.receive([trade(4, 103), quote(1, 99, 101), { kind: "live" }], NOW + 100);
  assert.equal(row.last, 103);
  assert.equal(row.movedMs, -Infinity);
  session.receive([trade(4, 103), trade(5, 103)], NOW + 200);
  assert.equal(row.trades.passed, 5);
  assert.equal(session.market.perSecond(NOW + 1000), 3);
  assert.equal(session.received.perSecond(NOW + 1000), 1.5);
});

test("the snapshot of a changed rate goes on with the lines of the chart", () => {
  const { board, session } = watching("AAPL");
  session.receive([trade(1, 100), quote(1, 99, 101)], NOW);
  session.receive([{ kind: "snapshot" }], NOW + 1000);
  session.receive([trade(1, 100), quote(3, 98, 101), { kind: "live" }], NOW + 1000);
  const { times, last, bid } = board.row("AAPL")!.history;
  assert.deepEqual(times, [NOW / 1000, NOW / 1000 + 1]);
  assert.deepEqual(last, [100, 100]);
  assert.deepEqual(bid, [99, 98]);
});

test("in the background delays are not measured", () => {
  const { session } = watching("AAPL");
  session.inBackground = true;
  session.receive([trade(1, 100, 900)], NOW);
  assert.equal(session.latency.percentiles(NOW), undefined);
  session.inBackground = false;
  session.receive([trade(2, 100, 3)], NOW);
  assert.deepEqual(session.latency.percentiles(NOW), { p50Ms: 3, p99Ms: 3 });
});

test("a row that only has a snapshot is as old as its newest tick", () => {
  const { board, session } = watching("AAPL");
  session.receive([{ kind: "snapshot" }, trade(9, 105, 30_000), { kind: "live" }], NOW);
  assert.equal(board.row("AAPL")!.updatedMs, NOW - 30_000);
});

test("gaps that the hub names are missed ticks", () => {
  const { session } = watching("AAPL");
  session.receive([trade(10, 100)], NOW);
  session.receive([gap("trades", 11, 20), gap("quotes", 5, 5)], NOW);
  session.receive([trade(21, 100)], NOW);
  assert.deepEqual(session.missed, { ticks: 11, orMore: false });
});

test("a gap without a beginning begins behind the last tick that came", () => {
  const { session } = watching("AAPL");
  session.receive([trade(10, 100), gap("trades", undefined, 14)], NOW);
  assert.deepEqual(session.missed, { ticks: 4, orMore: false });
});

test("a gap whose size nobody knows is one tick or more", () => {
  const { session } = watching("AAPL");
  session.receive([gap("trades", undefined, 14), gap("quotes", 7)], NOW);
  assert.deepEqual(session.missed, { ticks: 2, orMore: true });
});

test("gaps of what nobody watches here are passed over", () => {
  const { session } = watching("AAPL");
  session.receive([gap("trades", 1, 9, "MSFT"), gap("bars", 1, 9)], NOW);
  assert.deepEqual(session.missed, { ticks: 0, orMore: false });
});

test("a repeated tick changes nothing", () => {
  const { board, session } = watching("AAPL");
  session.receive([trade(1, 100), trade(2, 101), trade(1, 100)], NOW);
  assert.equal(board.row("AAPL")!.last, 101);
  assert.equal(board.row("AAPL")!.trades.passed, 2);
  assert.equal(session.received.perSecond(NOW + 1000), 1);
});

test("after a reconnect the trades meanwhile are counted, but are no rate of now", () => {
  const { board, session } = watching("AAPL");
  reconnect(session, "a", trade(50, 100));
  reconnect(session, "a", trade(90, 101));
  assert.equal(board.row("AAPL")!.trades.passed, 40);
  assert.equal(session.market.perSecond(NOW + 1000), 0);
  session.receive([trade(94, 102)], NOW);
  assert.equal(board.row("AAPL")!.trades.passed, 44);
  assert.equal(session.market.perSecond(NOW + 1000), 2);
});

test("a hub that numbers anew is followed from its snapshot", () => {
  const { board, session } = watching("AAPL");
  reconnect(session, "a", trade(50, 100));
  for (const seq of [90, 3]) {
    reconnect(session, `epoch ${seq}`, trade(seq, 100));
    session.receive([trade(seq + 1, 102)], NOW);
    assert.equal(board.row("AAPL")!.last, 102);
  }
  assert.equal(board.row("AAPL")!.trades.passed, 2);
  assert.equal(session.missed.ticks, 0);
});

test("a snapshot cut short by a lost connection does not mute the next one", () => {
  const { session } = watching("AAPL");
  session.receive([{ kind: "snapshot" }], NOW);
  session.disconnected(NOW);
  session.receive([trade(1, 100)], NOW);
  assert.equal(session.received.perSecond(NOW + 1000), 0.5);
});

test("ticks of a symbol that was removed are ignored, what it missed is not forgotten", () => {
  const { board, session } = watching("AAPL", "MSFT");
  session.receive([trade(1, 100), gap("trades", 2, 2), trade(3, 100)], NOW);
  board.remove("AAPL");
  session.receive([trade(4, 100), trade(1, 50, 0, "MSFT")], NOW);
  assert.deepEqual(board.symbols, ["MSFT"]);
  assert.equal(board.row("MSFT")!.last, 50);
  assert.equal(session.missed.ticks, 1);
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

test("a symbol that is refused is said of its row, until the hub gives it", () => {
  const { board, session, subscriber } = watching("AAPL");
  const row = board.row("AAPL")!;
  subscriber.connected();
  session.receive([{ kind: "error", code: 405, text: "not yours", id: 1 }], NOW);
  assert.deepEqual([row.refused, session.error], ["not yours", undefined]);
  subscriber.retry();
  session.receive([{ kind: "subscribed", id: 2 }], NOW);
  assert.equal(row.refused, undefined);
});

test("a side without an offer has no price", () => {
  const { board, session } = watching("AAPL");
  session.receive([quote(1, 0, 101)], NOW);
  assert.equal(board.row("AAPL")!.bid, undefined);
  assert.equal(board.row("AAPL")!.ask, 101);
});

test("what a key may mend is told apart from other refusals", () => {
  const { session } = watching();
  const refuse = (code: number): void =>
    session.receive([{ kind: "error", code, text: "refused" }], NOW);
  for (const [code, problem] of [
    [401, "missing"],
    [402, "wrong"],
    [404, "missing"],
    [409, "insufficient"],
  ] as const) {
    refuse(code);
    assert.deepEqual([session.keyProblem, session.error], [problem, undefined]);
    session.disconnected(NOW);
    assert.equal(session.keyProblem, undefined);
  }
  refuse(402);
  refuse(401);
  assert.equal(session.keyProblem, "wrong", "the first says why");
});

test("a key that is shown where none is needed is no trouble", () => {
  const { session } = watching();
  session.receive([{ kind: "authenticated" }], NOW);
  session.receive([{ kind: "error", code: 403, text: "already authenticated" }], NOW);
  assert.deepEqual([session.error, session.keyProblem], [undefined, undefined]);
});
