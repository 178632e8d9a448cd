import assert from "node:assert/strict";
import { afterEach, mock, test } from "node:test";

import { HubAddress } from "../../src/client/hubAddress.ts";
import { HubApi } from "../../src/client/hubApi.ts";
import { KeyStore } from "../../src/client/keyStore.ts";
import { statusJson } from "./status.ts";

const page = { protocol: "http:", host: "hub:8080", search: "" };
const keyStore = new KeyStore({ tab: undefined, device: undefined });
const api = new HubApi(new HubAddress(page), keyStore);

/** Answers requests with these bodies, by path; returns the paths that were requested. */
function mockFetch(bodies: Record<string, unknown>): string[] {
  const paths: string[] = [];
  mock.method(globalThis, "fetch", async (path: string) => {
    paths.push(path);
    const body = bodies[path];
    return new Response(JSON.stringify(body ?? ""), { status: body === undefined ? 401 : 200 });
  });
  return paths;
}

afterEach(() => mock.restoreAll());

test("keys are not requested without permission", async () => {
  const paths = mockFetch({ "/api/status": statusJson() });
  assert.deepEqual((await api.report()).keys, []);
  assert.deepEqual(paths, ["/api/status"]);
});

test("an administrator receives the keys, and an open hub has none", async () => {
  const status = statusJson({ may_see_keys: true });
  const json = { id: "", name: "(no key)", role: "read", sessions: 2, publishers: 0, refused: 0 };
  const anonymous = { ...json, sessionsMax: undefined };
  const keys = [{ ...json, id: "TWA", name: "desk", sessions_max: 5 }, json];
  mockFetch({ "/api/status": status, "/api/keys": { keys } });
  const desk = { ...anonymous, id: "TWA", name: "desk", sessionsMax: 5 };
  assert.deepEqual((await api.report()).keys, [desk, anonymous]);
  mock.restoreAll();
  mockFetch({ "/api/status": status, "/api/keys": { keys: [json] } });
  assert.deepEqual((await api.report()).keys, []);
});

test("the reason for refusing the page is the text of a 403, and only that", async () => {
  for (const [status, body, expected] of [
    [403, "origin http://hub.example is not allowed\n", "origin http://hub.example is not allowed"],
    [204, null, undefined],
    [405, null, undefined],
  ] as const) {
    const answer = async () => new Response(body, { status });
    const fetched = mock.method(globalThis, "fetch", answer);
    assert.equal(await api.refusal(), expected);
    assert.deepEqual(fetched.mock.calls[0]?.arguments, ["/ws", { method: "OPTIONS" }]);
    mock.restoreAll();
  }
});

test("a refused request rejects", async () => {
  mockFetch({});
  await assert.rejects(api.report(), /the hub answered 401/);
});

test("an answer with a missing or wrong field rejects and names the field", async () => {
  mockFetch({ "/api/status": statusJson({ version: undefined }) });
  await assert.rejects(api.status(), /^WireError: status\.version is undefined, not a string$/);
  mock.restoreAll();
  const since = "2026-01-02T14:30:00Z";
  const counts = { publishers: 0, ticks_in: 0, lost: 0 };
  const feed = { feed: "main", state: "odd", since, ...counts, sources: [] };
  mockFetch({ "/api/status": statusJson({ feeds: [feed] }) });
  await assert.rejects(api.status(), /feed\.state is odd, not live, stale or down/);
});

test("a source that reports nothing has only its name and time", async () => {
  const since = "2026-01-02T14:30:00Z";
  const sources = [{ publisher: "sim", since }];
  const feed = { feed: "main", state: "live", since, publishers: 1, ticks_in: 7, lost: 0, sources };
  mockFetch({ "/api/status": statusJson({ feeds: [feed] }) });
  const [decoded] = (await api.status()).feeds;
  assert.equal(decoded?.ticksIn, 7);
  assert.deepEqual(decoded?.sources[0], {
    publisher: "sim",
    state: undefined,
    since,
    detail: undefined,
    upstream: undefined,
    connects: undefined,
    errors: undefined,
    ticks: undefined,
  });
});

test("a symbol search names the selected feed", async () => {
  const address = new HubAddress({ ...page, search: "?feed=sip" });
  const body = { feed: "sip", total: 5, symbols: [{ symbol: "AAPL", channels: ["trades"] }] };
  const paths = mockFetch({ "/api/symbols?q=A&limit=50&feed=sip": body });
  const found = await new HubApi(address, keyStore).findSymbols("A", 50);
  assert.deepEqual(found, { total: 5, symbols: ["AAPL"] });
  assert.equal(paths.length, 1);
});

test("sockets use the scheme and the feed of the page", () => {
  assert.equal(new HubAddress(page).socketUrl(), "ws://hub:8080/ws");
  const secure = new HubAddress({ protocol: "https:", host: "hub", search: "?feed=a%20b" });
  assert.equal(secure.socketUrl(), "wss://hub/ws?feed=a+b");
  secure.selectFeed(undefined);
  assert.deepEqual([secure.socketUrl(), secure.requestedFeed], ["wss://hub/ws", "a b"]);
});
