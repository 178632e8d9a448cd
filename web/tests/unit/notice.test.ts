import assert from "node:assert/strict";
import { test } from "node:test";

import { Subscriber } from "../../src/client/subscriber.ts";
import { NoticeModel, type Notice } from "../../src/model/notice.ts";
import { Session } from "../../src/model/session.ts";
import { WatchlistModel } from "../../src/model/watchlist.ts";
import type { FeedState } from "../../src/protocol/elements.ts";
import type { HubStatus } from "../../src/protocol/hubStatus.ts";
import { noticeText } from "../../src/view/noticeText.ts";
import { feedStatus, hubStatus } from "./status.ts";

const HUB = { host: "hub:8080", webSocketOrigin: "ws://hub:8080" };

/** The notices of a page whose hub answers with this status, or not at all. */
class FakePage {
  readonly watchlist = new WatchlistModel();
  readonly #events = { send: () => undefined, availabilityChanged: () => undefined };
  readonly session = new Session(this.watchlist, new Subscriber(this.watchlist, this.#events));
  readonly notices: NoticeModel;

  constructor(status?: HubStatus, refusal?: string) {
    const unreachable = async () => {
      throw new Error("unreachable");
    };
    const requests = {
      status: status === undefined ? unreachable : async () => status,
      refusal: status === undefined ? unreachable : async () => refusal,
    };
    this.notices = new NoticeModel(requests, () => undefined);
  }

  feed(state: FeedState): void {
    const since = "about noon";
    this.session.receive([{ kind: "feed", feed: "main", state, since, view: "main", delayMs: 0 }], 0);
  }

  current(): Notice | undefined {
    return this.notices.current(this.session, this.watchlist.refusedRows);
  }

  text(): string | undefined {
    const notice = this.current();
    return notice && noticeText(notice, HUB).text;
  }
}

/** Lets the promises of a status request settle. */
async function settle(): Promise<void> {
  await new Promise(setImmediate);
}

test("only the most important problem is shown", () => {
  const page = new FakePage();
  assert.equal(page.current(), undefined);
  page.watchlist.add("AAPL").setRefusal("not allowed");
  assert.equal(page.current()?.kind, "symbols-refused");
  page.feed("stale");
  assert.equal(page.current()?.kind, "feed-stale");
  page.notices.fault = { kind: "watchlist-full", symbol: "MSFT" };
  assert.equal(page.current()?.kind, "watchlist-full");
  page.session.receive([{ kind: "error", code: 500, text: "internal error" }], 0);
  assert.equal(page.current()?.kind, "hub-error");
  page.notices.disconnected(undefined);
  assert.equal(page.current()?.kind, "hub-unreachable");
  page.notices.sessionReplaced = true;
  assert.equal(page.current()?.kind, "session-replaced");
  page.notices.connected();
  page.notices.dismiss(page.session);
  assert.equal(page.current()?.kind, "feed-stale");
});

test("an unknown feed and an unreachable hub have different notices", async () => {
  const views = ["main", "sip"].map((view) => ({ view, feed: "main", delayMs: 0 }));
  const page = new FakePage(hubStatus({ views }));
  page.notices.disconnected("sip");
  await settle();
  assert.equal(page.current()?.kind, "hub-unreachable");
  page.notices.disconnected("spi");
  await settle();
  const available = ["main", "sip"];
  assert.deepEqual(page.current(), { kind: "unknown-feed", feed: "spi", available });
  assert.match(page.text()!, /no feed spi.* to one of: main, sip\.$/);
});

test("a hub that refuses the page gives its reason until it accepts a connection", async () => {
  const page = new FakePage(hubStatus({}), "origin http://hub.example is not allowed");
  page.notices.disconnected("spi");
  await settle();
  assert.match(page.text()!, /does not accept this page: origin http:\/\/hub\.example is not/);
  page.notices.connected();
  assert.equal(page.current(), undefined);
});

test("a feed without a publisher and one without a source have different notices", async () => {
  for (const [publishers, kind] of [
    [0, "no-publisher"],
    [1, "source-down"],
  ] as const) {
    const page = new FakePage(hubStatus({ feeds: [feedStatus("main", publishers)] }));
    page.feed("down");
    page.notices.feedDown("main");
    await settle();
    assert.equal(page.current()?.kind, kind);
  }
});

test("an unanswered status request leaves the more general notice", async () => {
  const page = new FakePage();
  page.feed("down");
  page.notices.feedDown("main");
  page.notices.disconnected("main");
  await settle();
  assert.equal(page.current()?.kind, "hub-unreachable");
  page.notices.connected();
  assert.equal(page.current()?.kind, "no-publisher");
});

test("a notice lists at most eight symbols by name", () => {
  const page = new FakePage();
  for (let at = 1; at <= 10; at += 1) page.watchlist.add(`S${at}`).setRefusal("too many");
  assert.equal(
    page.text(),
    "The hub does not send S1, S2, S3, S4, S5, S6, S7, S8 and 2 more: too many",
  );
});
