import assert from "node:assert/strict";
import { test } from "node:test";

import { Subscriber } from "../../src/client/subscriber.ts";
import { Session } from "../../src/model/session.ts";
import { WatchlistModel, type WatchlistRow } from "../../src/model/watchlist.ts";
import type { Gap, Quote, Trade } from "../../src/protocol/elements.ts";

const NOW = 1_767_364_200_000;

function watching(...symbols: string[]): {
  watchlist: WatchlistModel;
  session: Session;
  subscriber: Subscriber<WatchlistRow>;
} {
  const watchlist = new WatchlistModel();
  for (const symbol of symbols) watchlist.add(symbol);
  const events = { send: () => undefined, availabilityChanged: () => undefined };
  const subscriber = new Subscriber(watchlist, events);
  return { watchlist, session: new Session(watchlist, subscriber), subscriber };
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

test("live ticks set the last values and are counted", () => {
  const { watchlist, session } = watching("AAPL");
  session.receive([trade(1, 100), quote(1, 100.5, 101.5), trade(2, 101)], NOW);
  const row = watchlist.row("AAPL")!;
  assert.equal(row.lastPrice, 101);
  assert.equal(row.change, 1);
  assert.equal(row.trades.total, 2);
  assert.equal(row.direction, "up");
  assert.equal(row.priceChangedMs, NOW);
  assert.deepEqual([row.bid, row.bidSize, row.ask, row.askSize], [100.5, 2, 101.5, 3]);
  assert.equal(row.updatedMs, NOW);
  assert.equal(session.receivedRate.perSecond(NOW + 1000), 1.5);
});

test("conflated ticks count in the market rate but not as received or missed", () => {
  const { watchlist, session } = watching("AAPL");
  session.receive([{ kind: "snapshot" }, trade(10, 100), quote(70, 99, 101)], NOW);
  session.receive([{ kind: "live" }, trade(16, 101), quote(100, 99, 101)], NOW);
  assert.equal(session.marketRate.perSecond(NOW + 1000), 18);
  assert.equal(session.receivedRate.perSecond(NOW + 1000), 1);
  assert.equal(watchlist.row("AAPL")!.trades.total, 6);
  assert.deepEqual(session.missed, { ticks: 0, isLowerBound: false });
});

test("snapshot ticks fill the row without a flash and are not counted as received", () => {
  const { watchlist, session } = watching("AAPL");
  session.receive([trade(1, 100)], NOW);
  session.receive([{ kind: "snapshot" }], NOW);
  session.receive([trade(9, 105, 3000), quote(5, 104, 106)], NOW);
  session.receive([{ kind: "live" }], NOW);
  const row = watchlist.row("AAPL")!;
  assert.equal(row.lastPrice, 105);
  assert.equal(row.bid, 104);
  assert.equal(row.priceChangedMs, -Infinity);
  assert.equal(session.receivedRate.perSecond(NOW + 1000), 0.5);
  assert.deepEqual(session.latency.percentiles(NOW), { p50Ms: 0, p99Ms: 0 });
});

test("the snapshot after a rate change causes no flash and keeps the counts exact", () => {
  const { watchlist, session } = watching("AAPL");
  session.receive([trade(1, 100), quote(1, 99, 101)], NOW);
  const row = watchlist.row("AAPL")!;
  session.receive([{ kind: "snapshot" }], NOW + 100);
  session.receive([trade(4, 103), quote(1, 99, 101), { kind: "live" }], NOW + 100);
  assert.equal(row.lastPrice, 103);
  assert.equal(row.priceChangedMs, -Infinity);
  session.receive([trade(4, 103), trade(5, 103)], NOW + 200);
  assert.equal(row.trades.total, 5);
  assert.equal(session.marketRate.perSecond(NOW + 1000), 3);
  assert.equal(session.receivedRate.perSecond(NOW + 1000), 1.5);
});

test("the snapshot after a rate change continues the lines of the chart", () => {
  const { watchlist, session } = watching("AAPL");
  session.receive([trade(1, 100), quote(1, 99, 101)], NOW);
  session.receive([{ kind: "snapshot" }], NOW + 1000);
  session.receive([trade(1, 100), quote(3, 98, 101), { kind: "live" }], NOW + 1000);
  const { times, last, bid } = watchlist.row("AAPL")!.history;
  assert.deepEqual(times, [NOW / 1000, NOW / 1000 + 1]);
  assert.deepEqual(last, [100, 100]);
  assert.deepEqual(bid, [99, 98]);
});

test("latency is not measured in the background", () => {
  const { session } = watching("AAPL");
  session.inBackground = true;
  session.receive([trade(1, 100, 900)], NOW);
  assert.equal(session.latency.percentiles(NOW), undefined);
  session.inBackground = false;
  session.receive([trade(2, 100, 3)], NOW);
  assert.deepEqual(session.latency.percentiles(NOW), { p50Ms: 3, p99Ms: 3 });
});

test("a row that has only a snapshot is as old as its newest tick", () => {
  const { watchlist, session } = watching("AAPL");
  session.receive([{ kind: "snapshot" }, trade(9, 105, 30_000), { kind: "live" }], NOW);
  assert.equal(watchlist.row("AAPL")!.updatedMs, NOW - 30_000);
});

test("gaps count as missed ticks", () => {
  const { session } = watching("AAPL");
  session.receive([trade(10, 100)], NOW);
  session.receive([gap("trades", 11, 20), gap("quotes", 5, 5)], NOW);
  session.receive([trade(21, 100)], NOW);
  assert.deepEqual(session.missed, { ticks: 11, isLowerBound: false });
});

test("a gap without a start begins after the last tick received", () => {
  const { session } = watching("AAPL");
  session.receive([trade(10, 100), gap("trades", undefined, 14)], NOW);
  assert.deepEqual(session.missed, { ticks: 4, isLowerBound: false });
});

test("a gap of unknown size counts as at least one tick", () => {
  const { session } = watching("AAPL");
  session.receive([gap("trades", undefined, 14), gap("quotes", 7)], NOW);
  assert.deepEqual(session.missed, { ticks: 2, isLowerBound: true });
});

test("gaps of unwatched symbols and channels are ignored", () => {
  const { session } = watching("AAPL");
  session.receive([gap("trades", 1, 9, "MSFT"), gap("bars", 1, 9)], NOW);
  assert.deepEqual(session.missed, { ticks: 0, isLowerBound: false });
});

test("a repeated tick changes nothing", () => {
  const { watchlist, session } = watching("AAPL");
  session.receive([trade(1, 100), trade(2, 101), trade(1, 100)], NOW);
  assert.equal(watchlist.row("AAPL")!.lastPrice, 101);
  assert.equal(watchlist.row("AAPL")!.trades.total, 2);
  assert.equal(session.receivedRate.perSecond(NOW + 1000), 1);
});

test("trades during a disconnect count in the total but not in the rate", () => {
  const { watchlist, session } = watching("AAPL");
  reconnect(session, "a", trade(50, 100));
  reconnect(session, "a", trade(90, 101));
  assert.equal(watchlist.row("AAPL")!.trades.total, 40);
  assert.equal(session.marketRate.perSecond(NOW + 1000), 0);
  session.receive([trade(94, 102)], NOW);
  assert.equal(watchlist.row("AAPL")!.trades.total, 44);
  assert.equal(session.marketRate.perSecond(NOW + 1000), 2);
});

test("a new epoch is counted from its snapshot", () => {
  const { watchlist, session } = watching("AAPL");
  reconnect(session, "a", trade(50, 100));
  for (const seq of [90, 3]) {
    reconnect(session, `epoch ${seq}`, trade(seq, 100));
    session.receive([trade(seq + 1, 102)], NOW);
    assert.equal(watchlist.row("AAPL")!.lastPrice, 102);
  }
  assert.equal(watchlist.row("AAPL")!.trades.total, 2);
  assert.equal(session.missed.ticks, 0);
});

test("a snapshot cut off by a disconnect does not affect the next connection", () => {
  const { session } = watching("AAPL");
  session.receive([{ kind: "snapshot" }], NOW);
  session.disconnected(NOW);
  session.receive([trade(1, 100)], NOW);
  assert.equal(session.receivedRate.perSecond(NOW + 1000), 0.5);
});

test("ticks of a removed symbol are ignored, but its missed ticks stay counted", () => {
  const { watchlist, session } = watching("AAPL", "MSFT");
  session.receive([trade(1, 100), gap("trades", 2, 2), trade(3, 100)], NOW);
  watchlist.remove("AAPL");
  session.receive([trade(4, 100), trade(1, 50, 0, "MSFT")], NOW);
  assert.deepEqual(watchlist.symbols, ["MSFT"]);
  assert.equal(watchlist.row("MSFT")!.lastPrice, 50);
  assert.equal(session.missed.ticks, 1);
});

test("the feed state lasts until the disconnect, an error until it is dismissed", () => {
  const { session } = watching();
  const view = { view: "late", delayMs: 900_000 };
  session.receive([{ kind: "feed", feed: "main", state: "down", since: "s", ...view }], NOW);
  assert.deepEqual(session.feed, { name: "main", state: "down", since: "s", ...view });
  session.receive([{ kind: "error", code: 405, text: "symbol limit exceeded" }], NOW);
  assert.equal(session.error, "symbol limit exceeded (405)");
  session.dismissError();
  session.disconnected(NOW);
  assert.equal(session.error, undefined);
  assert.equal(session.feed, undefined);
});

test("the refusal of a symbol is kept in its row until the hub accepts it", () => {
  const { watchlist, session, subscriber } = watching("AAPL");
  const row = watchlist.row("AAPL")!;
  subscriber.connected();
  session.receive([{ kind: "error", code: 405, text: "not allowed", id: 1 }], NOW);
  assert.deepEqual([row.refusal, session.error], ["not allowed", undefined]);
  subscriber.retryRefused();
  session.receive([{ kind: "subscribed", id: 2 }], NOW);
  assert.equal(row.refusal, undefined);
});

test("a side without an offer has no price", () => {
  const { watchlist, session } = watching("AAPL");
  session.receive([quote(1, 0, 101)], NOW);
  assert.equal(watchlist.row("AAPL")!.bid, undefined);
  assert.equal(watchlist.row("AAPL")!.ask, 101);
});

test("errors that another key can solve are key problems", () => {
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
  assert.equal(session.keyProblem, "wrong", "the first error counts");
});

test("presenting a key to an open hub is not an error", () => {
  const { session } = watching();
  session.receive([{ kind: "authenticated" }], NOW);
  session.receive([{ kind: "error", code: 403, text: "already authenticated" }], NOW);
  assert.deepEqual([session.error, session.keyProblem], [undefined, undefined]);
});

test("prices of a delayed view are as old as the view is late", () => {
  const { watchlist, session } = watching("AAPL");
  const delayMs = 900_000;
  const feed = { kind: "feed", feed: "main", state: "live", since: "s", view: "late" } as const;
  session.receive([{ ...feed, delayMs }], NOW);
  session.receive([{ kind: "snapshot" }, trade(1, 100, delayMs + 5_000), { kind: "live" }], NOW);
  const row = watchlist.row("AAPL")!;
  assert.equal(row.updatedMs, NOW - delayMs - 5_000);
  session.receive([trade(2, 101, delayMs)], NOW);
  assert.equal(row.updatedMs, NOW - delayMs);
  assert.equal(row.priceChangedMs, NOW, "the price has changed on the screen just now");
  assert.deepEqual(row.history.times, [(NOW - delayMs) / 1000]);
  assert.ok(session.latency.percentiles(NOW + 1000)!.p99Ms < 1, "the delay is no latency");
});
