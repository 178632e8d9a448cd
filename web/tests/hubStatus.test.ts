import assert from "node:assert/strict";
import { afterEach, mock, test } from "node:test";

import { Access } from "../src/access.ts";
import { askHub, firstView, hasPublisher, problemOfFeed, Rates } from "../src/hubStatus.ts";

const access = new Access({ tab: undefined, device: undefined });

/** A hub that answers these bodies, and the paths that were asked for. */
function answering(bodies: Record<string, unknown>): string[] {
  const asked: string[] = [];
  mock.method(globalThis, "fetch", async (path: string) => {
    asked.push(path);
    const body = bodies[path];
    return new Response(JSON.stringify(body ?? ""), { status: body === undefined ? 401 : 200 });
  });
  return asked;
}

afterEach(() => mock.restoreAll());

test("who may not see the keys does not ask for them", async () => {
  const asked = answering({ "/api/status": { may_see_keys: false } });
  assert.deepEqual((await askHub(access)).keys, []);
  assert.deepEqual(asked, ["/api/status"]);
});

test("an administrator sees the keys, and an open hub has none", async () => {
  const status = { may_see_keys: true };
  const nobody = { id: "", name: "(no key)", role: "read", sessions: 2, publishers: 0, refused: 0 };
  const keys = [{ ...nobody, id: "TWA", name: "desk" }, nobody];
  answering({ "/api/status": status, "/api/keys": { keys } });
  assert.deepEqual((await askHub(access)).keys, keys);
  mock.restoreAll();
  answering({ "/api/status": status, "/api/keys": { keys: [nobody] } });
  assert.deepEqual((await askHub(access)).keys, []);
});

test("the view to begin with is of the first feed, and as early as can be had", async () => {
  const [late, early] = [{ view: "a", feed: "main", delay_ms: 9 }, { view: "z", feed: "main", delay_ms: 0 }];
  const test = { view: "b", feed: "test", delay_ms: 0 };
  const feeds = [{ feed: "main" }, { feed: "test" }];
  for (const [views, first] of [
    [[late, test, early], "z"],
    [[test, late], "a"],
    [[test], "b"],
    [[], undefined],
  ] as const) {
    answering({ "/api/status": { feeds, views } });
    assert.equal(await firstView(access), first);
    mock.restoreAll();
  }
});

test("a refusal is an error, not an empty answer", async () => {
  answering({});
  await assert.rejects(askHub(access), /the hub answered 401/);
});

test("a feed that the hub does not have is told from those it has", async () => {
  answering({ "/api/status": { views: [{ view: "main" }, { view: "sip" }] } });
  assert.equal(await problemOfFeed("sip", access), undefined);
  const problem = "This hub has no feed spi for you; there are main, sip.";
  assert.equal(await problemOfFeed("spi", access), problem);
});

test("a feed has a publisher or not, whatever its state", async () => {
  const feeds = [
    { feed: "main", publishers: 1 },
    { feed: "other", publishers: 0 },
  ];
  answering({ "/api/status": { feeds } });
  const found = await Promise.all(["main", "other", "none"].map((feed) => hasPublisher(feed, access)));
  assert.deepEqual(found, [true, false, false]);
});

test("rates are those between two looks, and none over a restart", () => {
  const rates = new Rates();
  assert.equal(rates.perSecond("a", 100, 1_000), undefined);
  assert.equal(rates.perSecond("b", 5, 1_000), undefined);
  assert.equal(rates.perSecond("a", 300, 3_000), 100);
  assert.equal(rates.perSecond("a", 300, 4_000), 0);
  assert.equal(rates.perSecond("a", 10, 5_000), undefined);
  assert.equal(rates.perSecond("a", 20, 5_000), undefined, "no time has passed");
  assert.equal(rates.perSecond("b", 6, 3_000), 0.5);
});
