// Page tests about the hub: feeds, sources, views and keys. They use a real browser and real hubs.

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { launch, openPage, waitForPriceChange } from "./browser.mjs";
import { addKey, startFeed, startHub, stop, stopAll } from "./processes.mjs";

const secret = "a-secret-of-the-page-test";
const reader = { id: "READER", secret, role: "read" };
const admin = { id: "ADMIN", secret, role: "admin" };

let hub;
let browser;
/** Errors in the consoles of all pages. */
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

test("the hub panel shows feeds, views and the report of a source", async () => {
  const context = await browser.newContext();
  const visitor = await open(context, { hash: "#AAPL" });
  await visitor.locator('#status-feed[data-state="live"]').click();
  const feed = /^mainlive since .*ticks\/s · 1 publisher$/;
  await visitor.locator("#hub-feeds li", { hasText: feed }).waitFor();
  assert.equal(await visitor.locator("#hub-views a[aria-current]").textContent(), "main");
  assert.equal(await visitor.locator("#hub-keys-group").isHidden(), true, "the hub is open");

  const detail = "406 connection limit exceeded: another client has the connection";
  await visitor.evaluate(reportSourceDown, { publisher: "relay", detail });
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

test("a feed whose only publisher lost its source shows the reason", async () => {
  const other = await startHub();
  const context = await browser.newContext();
  const relay = await open(context, { url: other.url, hash: "#AAPL" });
  await relay.getByText("The feed main has no publisher").waitFor();
  const detail = "connection refused; next try in 4 s";
  await relay.evaluate(reportSourceDown, { publisher: "relay", detail });
  await relay.locator("#status-feed").click();
  await relay.locator("#hub-sources li", { hasText: detail }).waitFor();

  const visitor = await open(context, { url: other.url, hash: "#AAPL" });
  await visitor.getByText("its publisher has lost its source").waitFor();
  await visitor.getByRole("button", { name: "Show details" }).click();
  await visitor.locator("#hub-sources li", { hasText: detail }).waitFor();
  await context.close();
  await stop(other.child, "SIGKILL");
});

test("the link to another view keeps the watchlist", async () => {
  const context = await browser.newContext();
  const visitor = await open(context, { hash: "#FAKEPACA" });
  await visitor.locator('#status-feed[data-state="live"]').click();
  await visitor.locator("#hub-views").getByRole("link", { name: "test", exact: true }).click();
  await visitor.locator("#status-feed", { hasText: "test live" }).waitFor();
  const { search, hash } = new URL(visitor.url());
  assert.deepEqual([search, hash], ["?feed=test", "#FAKEPACA"]);
  const cell = visitor.locator('tr[data-symbol="FAKEPACA"] td.bid');
  await cell.filter({ hasText: /\d/ }).waitFor();
  await context.close();
});

test("a delayed view says so in the feed, the detail and every age", async () => {
  const late = await startHub(0, "--views", "late=main+2s");
  startFeed(late.port);
  const context = await browser.newContext();
  const visitor = await open(context, { url: late.url, hash: "?feed=late#AAPL" });
  await visitor.locator("#status-feed", { hasText: "late live, delayed by 2s" }).waitFor();
  await visitor.locator("#detail-delay", { hasText: "delayed by 2s" }).waitFor();
  await waitForPriceChange(visitor, "AAPL");
  const age = await visitor.locator('tr[data-symbol="AAPL"] td.age').textContent();
  assert.ok(/^\d+s$/.test(age) && parseInt(age) >= 2, age);
  await context.close();
  await stop(late.child, "SIGKILL");
});

test("an address with an unknown feed lists the available feeds", async () => {
  const context = await browser.newContext();
  const failed = () => {}; // the refused socket is an error in the console
  const visitor = await openPage(context, hub.url, { hash: "?feed=spi", failed });
  await visitor.getByText("This hub has no feed spi").waitFor();
  await context.close();
});

test("a page under a name that the hub does not know gives the reason and the remedy", async () => {
  const named = await launch("--host-resolver-rules=MAP prices.example 127.0.0.1");
  const failed = () => {}; // the refused socket is an error in the console
  const url = `http://prices.example:${hub.port}`;
  const visitor = await openPage(await named.newContext(), url, { failed });
  await visitor.getByText("--allowed-hosts prices.example").waitFor();
  await named.close();
});

test("a guarded hub shows prices only with a valid key", async () => {
  const { guarded, market, stopAndClean } = await startGuardedHub(reader, admin);
  const context = await browser.newContext();
  const visitor = await open(context, guarded);
  await visitor.getByText("Enter a key to see prices.").waitFor();
  assert.equal(await visitor.locator("tbody tr").count(), 0);

  await enterKey(visitor, { ...reader, secret: "not-the-secret-at-all" });
  await visitor.getByText("The key id or the secret is wrong.").waitFor();
  await enterKey(visitor, reader);
  await visitor.locator("tbody tr[data-symbol]").first().waitFor();
  const symbol = await visitor.locator("tbody tr").first().getAttribute("data-symbol");
  await waitForPriceChange(visitor, symbol);
  assert.equal(await visitor.locator("#key").isHidden(), true);

  await visitor.reload();
  await waitForPriceChange(visitor, symbol);
  await visitor.locator("#status-feed").click();
  await visitor.locator("#hub-feeds li").first().waitFor();
  const keysAreHidden = await visitor.locator("#hub-keys-group").isHidden();
  assert.equal(keysAreHidden, true, "only administrators see keys");
  await visitor.getByRole("button", { name: `Forget the key ${reader.id}` }).click();
  await visitor.getByText("Enter a key to see prices.").waitFor();

  await enterKey(visitor, admin, { remember: true });
  await visitor.locator("#status-feed").click();
  const adminKey = visitor.locator("#hub-keys li", { hasText: admin.id });
  await adminKey.filter({ hasText: "admin · 2 sessions" }).waitFor();
  const marketKey = visitor.locator("#hub-keys li", { hasText: market.id });
  await marketKey.filter({ hasText: "1 publisher" }).waitFor();
  const second = await open(context, { url: guarded.url, hash: `#${symbol}` });
  await waitForPriceChange(second, symbol);
  for (const tab of [visitor, second]) assert.ok(!tab.url().includes(secret));
  await context.close();
  await stopAndClean();
});

test("a key that may not read the first feed is shown another one", async () => {
  const limited = { ...reader, flags: ["--feeds", "sip,delayed_sip,test"] };
  const { guarded, stopAndClean } = await startGuardedHub(limited);
  const context = await browser.newContext();
  const visitor = await open(context, { url: guarded.url, hash: "#AAPL" });
  await enterKey(visitor, limited);
  await waitForPriceChange(visitor, "AAPL");
  assert.equal(await visitor.locator("#key").isHidden(), true);
  await visitor.locator("#status-feed").click();
  await visitor.locator("#hub-views a[aria-current]", { hasText: /^sip$/ }).waitFor();
  await visitor.reload();
  await waitForPriceChange(visitor, "AAPL");

  // A feed named in the address is not replaced; the page offers the feeds that the key may read.
  await visitor.goto(`${guarded.url}/?feed=main#AAPL`);
  await visitor.getByText("This key may not read this feed.").waitFor();
  await visitor.locator("#hub-views").getByRole("link", { name: "sip", exact: true }).click();
  await waitForPriceChange(visitor, "AAPL");
  await context.close();
  await stopAndClean();
});

test("symbols that a key may not have do not affect the others", async () => {
  const limited = { ...reader, flags: ["--symbols", "AAPL,MSFT"] };
  const { guarded, stopAndClean } = await startGuardedHub(limited);
  const context = await browser.newContext();
  const hash = "#NVDA,AAPL,AMZN,MSFT,META";
  const visitor = await open(context, { url: guarded.url, hash });
  await enterKey(visitor, limited);
  for (const symbol of ["AAPL", "MSFT"]) await waitForPriceChange(visitor, symbol);
  for (const symbol of ["NVDA", "AMZN", "META"]) {
    const row = visitor.locator(`tr[data-symbol="${symbol}"] td.change`);
    await row.filter({ hasText: "unavailable" }).waitFor();
  }
  const notice = visitor.locator("#notice", { hasText: "The hub does not send NVDA, AMZN, META:" });
  await notice.filter({ hasText: "its symbols: AAPL, MSFT" }).waitFor();
  await notice.getByRole("button", { name: "Remove from the list" }).click();
  await visitor.locator("#notice").waitFor({ state: "hidden" });
  assert.equal(new URL(visitor.url()).hash, "#AAPL,MSFT");
  await waitForPriceChange(visitor, "AAPL");
  await context.close();
  await stopAndClean();
});

test("removing a symbol makes room for one beyond the key's symbol limit", async () => {
  const limited = { ...reader, flags: ["--symbols-max", "4"] };
  const { guarded, stopAndClean } = await startGuardedHub(limited);
  const context = await browser.newContext();
  const visitor = await open(context, { url: guarded.url, hash: "#AAPL,MSFT,NVDA" });
  await enterKey(visitor, limited);
  const notice = visitor.locator("#notice", { hasText: /^The hub does not send [A-Z]+: / });
  await notice.waitFor();
  await visitor.getByRole("button", { name: "Stop watching AAPL" }).click();
  await notice.waitFor({ state: "hidden" });
  for (const symbol of ["MSFT", "NVDA"]) await waitForPriceChange(visitor, symbol);
  await context.close();
  await stopAndClean();
});

test("two tabs with a key for one session can take it over from each other", async () => {
  const single = { ...reader, flags: ["--sessions-max", "1", "--when-full", "replace"] };
  const { guarded, stopAndClean } = await startGuardedHub(single);
  const context = await browser.newContext();
  const tabs = [];
  for (let tab = 0; tab < 2; tab += 1) {
    const visitor = await open(context, { url: guarded.url, hash: "#AAPL" });
    if (tab === 0) await enterKey(visitor, single, { remember: true });
    await waitForPriceChange(visitor, "AAPL");
    tabs.push(visitor);
  }
  const [first, second] = tabs;
  const reconnect = { name: "Reconnect here" };
  await first.getByRole("button", reconnect).click();
  await waitForPriceChange(first, "AAPL");
  await second.getByRole("button", reconnect).waitFor();
  await first.locator("#notice").waitFor({ state: "hidden" });
  await context.close();
  await stopAndClean();
});

test("the console has no errors", () => {
  assert.deepEqual(errors, []);
});

function open(context, { url = hub.url, hash } = {}) {
  return openPage(context, url, { hash, failed: (text) => errors.push(text) });
}

/** Starts a hub with these keys, and a market that publishes with another key. */
async function startGuardedHub(...keys) {
  const folder = await mkdtemp(join(tmpdir(), "tickwire-page-"));
  const file = join(folder, "keys.toml");
  const market = { id: "MARKET", secret, role: "publish" };
  for (const key of [market, ...keys]) await addKey(file, key);
  const guarded = await startHub(0, "--keys", file);
  const feed = startFeed(guarded.port, "--token", `${market.id}:${secret}`);
  const stopAndClean = async () => {
    await Promise.all([feed, guarded.child].map((child) => stop(child, "SIGKILL")));
    await rm(folder, { recursive: true });
  };
  return { guarded, market, stopAndClean };
}

/** Fills in the key form and submits it. */
async function enterKey(page, { id, secret }, { remember = false } = {}) {
  await page.getByLabel("Key id").fill(id);
  await page.getByLabel("Secret").fill(secret);
  await page.getByLabel("Remember the key on this device").setChecked(remember);
  await page.getByRole("button", { name: "Show prices" }).click();
}

/** Runs in the page: connects as a publisher and reports that its source is down. */
function reportSourceDown({ publisher, detail }) {
  const socket = new WebSocket(`ws://${location.host}/publish`);
  const upstream = "wss://stream.example/v2/sip";
  const report = { action: "report", state: "down", detail, upstream };
  socket.onopen = () => {
    socket.send(JSON.stringify({ action: "publish", publisher }));
    socket.send(JSON.stringify({ ...report, connects: 7, errors: 2, ticks: 0 }));
  };
}
