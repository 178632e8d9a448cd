// What the page shows of the hub itself: feeds, sources, views, keys. In a real browser, from real hubs.

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { launch, openPage, priceChanges } from "./browser.mjs";
import { addKey, startFeed, startHub, stop, stopAll } from "./processes.mjs";

const secret = "a-secret-of-the-page-test";
const reader = { id: "READER", secret, role: "read" };
const admin = { id: "ADMIN", secret, role: "admin" };

let hub;
let browser;
/** Errors in the browser's console. */
const errors = [];

before(async () => {
  hub = await startHub();
  startFeed(hub.port);
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await stopAll();
});

test("the panel shows feeds, views and what a source reports", async () => {
  const context = await browser.newContext();
  const visitor = await open(context, { hash: "#AAPL" });
  await visitor.locator('#status-feed[data-state="live"]').click();
  await visitor.locator("#hub-feeds li", { hasText: /^mainlive since .*ticks\/s · 1 publisher$/ }).waitFor();
  assert.equal(await visitor.locator("#hub-views a[aria-current]").textContent(), "main");
  assert.equal(await visitor.locator("#hub-keys-group").isHidden(), true, "the hub is open");

  const detail = "406 connection limit exceeded: somebody else holds the slot";
  await visitor.evaluate(reportFrom, { publisher: "relay", detail });
  const relay = visitor.locator('#hub-sources li[data-state="down"]', { hasText: "relay" });
  await relay.filter({ hasText: "from stream.example" }).filter({ hasText: detail }).waitFor();
  await relay.filter({ hasText: "7 connects" }).waitFor();

  await visitor.setViewportSize({ width: 360, height: 740 });
  const overflow = await visitor.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(overflow <= 0, `${overflow} px too wide for a phone`);
  await visitor.locator("#status-feed").click();
  assert.equal(await visitor.locator("#hub").isHidden(), true);
  await context.close();
});

test("a feed whose only publisher has lost its source says so", async () => {
  const lone = await startHub();
  const context = await browser.newContext();
  const relay = await open(context, { url: lone.url, hash: "#AAPL" });
  await relay.getByText("No feed is sending prices to this hub").waitFor();
  const detail = "connection refused; next try in 4 s";
  await relay.evaluate(reportFrom, { publisher: "relay", detail });
  await relay.locator("#status-feed").click();
  await relay.locator("#hub-sources li", { hasText: detail }).waitFor();

  const visitor = await open(context, { url: lone.url, hash: "#AAPL" });
  await visitor.getByText("The feed main has lost the place its prices come from").waitFor();
  await visitor.getByRole("button", { name: "Show why" }).click();
  await visitor.locator("#hub-sources li", { hasText: detail }).waitFor();
  await context.close();
  await stop(lone.child, "SIGKILL");
});

test("another view is a link away and keeps the list", async () => {
  const context = await browser.newContext();
  const visitor = await open(context, { hash: "#FAKEPACA" });
  await visitor.locator('#status-feed[data-state="live"]').click();
  await visitor.locator("#hub-views").getByRole("link", { name: "test", exact: true }).click();
  await visitor.locator("#status-feed", { hasText: "test live" }).waitFor();
  const { search, hash } = new URL(visitor.url());
  assert.deepEqual([search, hash], ["?feed=test", "#FAKEPACA"]);
  const shows = () => /\d/.test(document.querySelector('tr[data-symbol="FAKEPACA"] td.bid').textContent);
  await visitor.waitForFunction(shows);
  await context.close();
});

test("an address with a feed that the hub does not have says which there are", async () => {
  const context = await browser.newContext();
  const failed = () => {}; // the socket is refused
  const visitor = await openPage(context, hub.url, { hash: "?feed=spi", failed });
  await visitor.getByText("This hub has no feed spi for you; there are ").waitFor();
  await context.close();
});

test("a guarded hub shows its prices to who has a key", async () => {
  const { guarded, market, end } = await guard(reader, admin);
  const context = await browser.newContext();
  const visitor = await open(context, guarded);
  await visitor.getByText("This hub shows its prices to those who have a key.").waitFor();
  assert.equal(await visitor.locator("tbody tr").count(), 0);

  await enter(visitor, { ...reader, secret: "not-the-secret-at-all" });
  await visitor.getByText("The hub does not know this key").waitFor();
  await enter(visitor, reader);
  await visitor.locator("tbody tr[data-symbol]").first().waitFor();
  const symbol = await visitor.locator("tbody tr").first().getAttribute("data-symbol");
  await priceChanges(visitor, symbol);
  assert.equal(await visitor.locator("#key").isHidden(), true);

  await visitor.reload();
  await priceChanges(visitor, symbol);
  await visitor.locator("#status-feed").click();
  await visitor.locator("#hub-feeds li").first().waitFor();
  assert.equal(await visitor.locator("#hub-keys-group").isHidden(), true, "for administrators");
  await visitor.getByRole("button", { name: `Forget the key ${reader.id}` }).click();
  await visitor.getByText("This hub shows its prices to those who have a key.").waitFor();

  await enter(visitor, admin, { keep: true });
  await visitor.locator("#status-feed").click();
  const own = visitor.locator("#hub-keys li", { hasText: admin.id });
  await own.filter({ hasText: "admin · 2 sessions" }).waitFor();
  const publisher = visitor.locator("#hub-keys li", { hasText: market.id });
  await publisher.filter({ hasText: "1 publisher" }).waitFor();
  const second = await open(context, { url: guarded.url, hash: `#${symbol}` });
  await priceChanges(second, symbol);
  for (const tab of [visitor, second]) assert.ok(!tab.url().includes(secret));
  await context.close();
  await end();
});

test("a key that may not read the first feed is shown what it may read", async () => {
  const limited = { ...reader, flags: ["--feeds", "sip,delayed_sip,test"] };
  const { guarded, end } = await guard(limited);
  const context = await browser.newContext();
  const visitor = await open(context, { url: guarded.url, hash: "#AAPL" });
  await enter(visitor, limited);
  await priceChanges(visitor, "AAPL");
  assert.equal(await visitor.locator("#key").isHidden(), true);
  await visitor.locator("#status-feed").click();
  await visitor.locator("#hub-views a[aria-current]", { hasText: /^sip$/ }).waitFor();
  await visitor.reload();
  await priceChanges(visitor, "AAPL");

  // Who names a feed that is not for this key is not shown another one, but told where they are.
  await visitor.goto(`${guarded.url}/?feed=main#AAPL`);
  await visitor.getByText("This key may not see this feed.").waitFor();
  await visitor.locator("#hub-views").getByRole("link", { name: "sip", exact: true }).click();
  await priceChanges(visitor, "AAPL");
  await context.close();
  await end();
});

test("symbols that a key may not have cost the others nothing", async () => {
  const limited = { ...reader, flags: ["--symbols", "AAPL,MSFT"] };
  const { guarded, end } = await guard(limited);
  const context = await browser.newContext();
  const hash = "#NVDA,AAPL,AMZN,MSFT,META";
  const visitor = await open(context, { url: guarded.url, hash });
  await enter(visitor, limited);
  for (const symbol of ["AAPL", "MSFT"]) await priceChanges(visitor, symbol);
  for (const symbol of ["NVDA", "AMZN", "META"]) {
    const row = visitor.locator(`tr[data-symbol="${symbol}"] td.change`);
    await row.filter({ hasText: "not allowed" }).waitFor();
  }
  const notice = visitor.locator("#notice", { hasText: "Not for you: NVDA, AMZN, META." });
  await notice.filter({ hasText: "its symbols: AAPL, MSFT" }).waitFor();
  await notice.getByRole("button", { name: "Remove from the list" }).click();
  await visitor.locator("#notice").waitFor({ state: "hidden" });
  assert.equal(new URL(visitor.url()).hash, "#AAPL,MSFT");
  await priceChanges(visitor, "AAPL");
  await context.close();
  await end();
});

test("a key for so many names shows as many, and another one when one is removed", async () => {
  const limited = { ...reader, flags: ["--symbols-max", "4"] };
  const { guarded, end } = await guard(limited);
  const context = await browser.newContext();
  const visitor = await open(context, { url: guarded.url, hash: "#AAPL,MSFT,NVDA" });
  await enter(visitor, limited);
  const notice = visitor.locator("#notice", { hasText: /^Not for you: [A-Z]+\. / });
  await notice.waitFor();
  await visitor.getByRole("button", { name: "Stop watching AAPL" }).click();
  await notice.waitFor({ state: "hidden" });
  for (const symbol of ["MSFT", "NVDA"]) await priceChanges(visitor, symbol);
  await context.close();
  await end();
});

test("two tabs with a key for one session take it from each other when told to", async () => {
  const single = { ...reader, flags: ["--sessions-max", "1", "--when-full", "replace"] };
  const { guarded, end } = await guard(single);
  const context = await browser.newContext();
  const tabs = [];
  for (let tab = 0; tab < 2; tab += 1) {
    const visitor = await open(context, { url: guarded.url, hash: "#AAPL" });
    if (tab === 0) await enter(visitor, single, { keep: true });
    await priceChanges(visitor, "AAPL");
    tabs.push(visitor);
  }
  const [first, second] = tabs;
  const takeBack = { name: "Take it back" };
  await first.getByRole("button", takeBack).click();
  await priceChanges(first, "AAPL");
  await second.getByRole("button", takeBack).waitFor();
  await first.locator("#notice").waitFor({ state: "hidden" });
  await context.close();
  await end();
});

test("the console has no errors", () => {
  assert.deepEqual(errors, []);
});

function open(context, { url = hub.url, hash } = {}) {
  return openPage(context, url, { hash, failed: (text) => errors.push(text) });
}

/** A hub with these keys, and a market with one of its own. */
async function guard(...keys) {
  const folder = await mkdtemp(join(tmpdir(), "tickwire-page-"));
  const file = join(folder, "keys.toml");
  const market = { id: "MARKET", secret, role: "publish" };
  for (const key of [market, ...keys]) await addKey(file, key);
  const guarded = await startHub(0, "--keys", file);
  const feed = startFeed(guarded.port, "--token", `${market.id}:${secret}`);
  const end = async () => {
    await Promise.all([feed, guarded.child].map((child) => stop(child, "SIGKILL")));
    await rm(folder, { recursive: true });
  };
  return { guarded, market, end };
}

/** Fills the form for a key. */
async function enter(where, { id, secret }, { keep = false } = {}) {
  await where.getByLabel("Key id").fill(id);
  await where.getByLabel("Secret").fill(secret);
  await where.getByLabel("Keep it on this device").setChecked(keep);
  await where.getByRole("button", { name: "Show prices" }).click();
}

/** Runs in the page: publishes nothing, and reports why. */
function reportFrom({ publisher, detail }) {
  const socket = new WebSocket(`ws://${location.host}/publish`);
  const report = { action: "report", state: "down", detail, upstream: "wss://stream.example/v2/sip" };
  socket.onopen = () => {
    socket.send(JSON.stringify({ action: "publish", publisher }));
    socket.send(JSON.stringify({ ...report, connects: 7, errors: 2, ticks: 0 }));
  };
}
