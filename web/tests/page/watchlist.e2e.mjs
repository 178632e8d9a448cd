// Page tests about watchlist, chart and connection. They use a real browser and a real hub with a
// simulated market.

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { launch, openPage, waitForPriceChange, recorder, TIMEOUT_MS } from "./browser.mjs";
import { startFeed, startHub, stop, stopAll } from "./processes.mjs";

const FEEDS = ["--feeds", "main,archive"];
/** The lowest refresh rate that a visible page requests. */
const VISIBLE_RATE_MIN = 10;

let hub;
let browser;
let page;
/** The traffic of the sockets of `page`. */
const { sent, received, record } = recorder();
/** Errors in the consoles of all pages, and whether they are from a restart of a hub. */
const errors = [];
let isRestarting = false;

before(async () => {
  hub = await startHub(0, ...FEEDS);
  startFeed(hub.port);
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await stopAll();
});

test("a first visit shows prices without any input", async () => {
  const visitor = await open(await browser.newContext());
  await visitor.locator("tbody tr[data-symbol]").first().waitFor();
  const symbol = await visitor.locator("tbody tr").first().getAttribute("data-symbol");
  await waitForPriceChange(visitor, symbol);
  await visitor.context().close();
});

test("typed symbols show changing prices", async () => {
  const context = await browser.newContext();
  // An empty stored list, as if the last symbol had been removed on an earlier visit.
  await context.addInitScript(() => {
    if (localStorage.getItem("tickwire.watchlist") === null) {
      localStorage.setItem("tickwire.watchlist", "");
    }
  });
  page = await open(context);
  page.on("websocket", record);
  await page.reload();
  await page.getByText("You are not watching any symbol yet.").waitFor();
  // A page without symbols sends `list`, once it is connected.
  await until(() => sent.some(({ action }) => action === "list"));

  await type("aapl", "Enter");
  await type("MSFT", "Enter");
  await waitForPriceChange(page, "AAPL");
  await waitForPriceChange(page, "MSFT");
  assert.deepEqual(await watched(), ["AAPL", "MSFT"]);
  assert.equal(new URL(page.url()).hash, "#AAPL,MSFT");
  const subscribes = sent.filter(({ action }) => action !== "list");
  assert.ok(subscribes.length > 0);
  for (const { action, delivery, max_rate: rate } of subscribes) {
    assert.deepEqual({ action, delivery }, { action: "subscribe", delivery: "latest" });
    assert.ok(rate >= VISIBLE_RATE_MIN && rate <= 60, `max_rate ${rate}`);
  }
});

test("the chart of the selected symbol is drawn", async () => {
  await page.getByRole("button", { name: "AAPL", exact: true }).click();
  assert.equal(await page.locator("#detail-symbol").textContent(), "AAPL");
  await page.waitForFunction(() => {
    const canvas = document.querySelector("#plot canvas");
    if (canvas === null || canvas.width === 0) return false;
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    return data.some((value) => value !== 0);
  });
});

test("the chart starts with bars from before the page was opened", async () => {
  const context = await browser.newContext();
  const traffic = recorder();
  const openedMs = Date.now();
  const minute = Math.floor(openedMs / 60_000) * 60_000;
  // In a symbol and a feed of its own, so that the hub keeps making the bars of the others.
  const bars = [3, 2].map((ago) => bar("BARRED", new Date(minute - ago * 60_000), 100 + ago));
  await publish(`${hub.url}/publish?feed=archive`, [...bars, trade("BARRED", new Date(), 110)]);
  const options = { hash: "?feed=archive#BARRED", record: traffic.record };
  const visitor = await open(context, options);
  const { sent, received } = traffic.chart;
  await until(() => received.filter((element) => element[0] === "b").length === 2);
  assert.deepEqual(sent, [{ action: "subscribe", bars: ["BARRED"], from: "-960s" }]);

  const { x, y, height } = await visitor.locator("#plot .u-over").boundingBox();
  await until(async () => {
    await visitor.mouse.move(x, y + height / 2);
    await visitor.mouse.move(x + 1, y + height / 2);
    return (await visitor.locator("#legend-last").textContent()) === "103.00";
  });
  const shown = await visitor.locator("#legend-time").textContent();
  assert.equal(shown, new Date(minute - 3 * 60_000).toLocaleTimeString("en-GB"));
  await context.close();
});

test("flat, zero and negative prices are drawn, and headline, row and chart agree", async () => {
  for (const [symbol, price, text] of [
    ["FLAT", 37.63, "37.63"],
    ["ZERO", 0, "0.00"],
    ["MINUS", -37.63, "-37.63"],
  ]) {
    const context = await browser.newContext();
    const visitor = await open(context, { hash: `?feed=archive#${symbol}` });
    const cell = visitor.locator(`tr[data-symbol="${symbol}"] td.last`);
    await until(async () => {
      await publish(`${hub.url}/publish?feed=archive`, [trade(symbol, new Date(), price)]);
      return (await visitor.evaluate(linePixels)) > 50;
    });
    assert.equal(await cell.textContent(), text);
    assert.equal(await visitor.locator("#detail-last").textContent(), text);
    assert.equal(await visitor.locator("#legend-last").textContent(), text);
    await context.close();
  }
});

test("selecting another symbol changes the chart but no watchlist subscription", async () => {
  const context = await browser.newContext();
  const traffic = recorder();
  const visitor = await open(context, { hash: "#AAPL,MSFT", record: traffic.record });
  await until(() => traffic.chart.sent.length === 1);
  await visitor.getByRole("button", { name: "MSFT", exact: true }).click();
  await until(() => traffic.chart.sent.length === 2);
  assert.deepEqual(traffic.chart.sent[1].bars, ["MSFT"]);
  await waitForPriceChange(visitor, "AAPL");
  for (const { delivery } of traffic.sent) assert.equal(delivery, "latest");
  await context.close();
});

test("arrow keys and Enter choose a symbol from the search list", async () => {
  await page.getByRole("combobox").fill("MS");
  const first = page.getByRole("option").first();
  await first.filter({ hasText: /^MS/ }).waitFor();
  const symbol = await first.getAttribute("data-symbol");
  await page.keyboard.press("ArrowDown");
  assert.equal(await first.getAttribute("aria-selected"), "true");
  await page.keyboard.press("Enter");
  await page.locator(`tr.selected[data-symbol="${symbol}"]`).waitFor();
  await page.getByRole("listbox").waitFor({ state: "hidden" });
});

test("an invalid symbol is refused with an explanation", async () => {
  await type("a b", "Enter");
  await page.getByText("A symbol has 1 to 24 characters").waitFor();
  await page.keyboard.press("Escape");
  await page.keyboard.press("Escape");
  assert.equal(await page.getByRole("combobox").inputValue(), "");
});

test("a reload keeps the watchlist", async () => {
  const before = await watched();
  await page.reload();
  await waitForPriceChange(page, "AAPL");
  assert.deepEqual(await watched(), before);
});

test("a removed symbol leaves the table and is no longer received", async () => {
  const from = received.length;
  await page.getByRole("button", { name: "Stop watching MSFT" }).click();
  await page.locator('tr[data-symbol="MSFT"]').waitFor({ state: "detached" });
  const ack = await until(() =>
    received
      .slice(from)
      .find((element) => element.T === "subscription" && element.trades?.includes("MSFT")),
  );
  const since = () => received.slice(received.indexOf(ack));
  await until(() => since().filter((element) => element[1] === "AAPL").length >= 30);
  assert.equal(since().filter((element) => element[1] === "MSFT").length, 0);
  assert.equal(await page.locator('tr[data-symbol="MSFT"]').count(), 0);
});

test("a hidden page receives one value a second, a visible one the full rate", async () => {
  const context = await browser.newContext();
  await context.addInitScript(emulateVisibility);
  const traffic = recorder();
  const visitor = await open(context, { hash: "#AAPL,MSFT", record: traffic.record });
  await waitForPriceChange(visitor, "AAPL");

  const hidden = await rateChange(traffic, (rate) => rate === 1, () =>
    visitor.evaluate(() => setHidden(true)),
  );
  await until(() => hidden().length >= 1);
  const startMs = performance.now();
  await until(() => hidden().length >= 3);
  const tookMs = performance.now() - startMs;
  assert.ok(tookMs > 1_000, `two more values within ${tookMs} ms`);
  const before = traffic.chart.received.length;

  const visible = await rateChange(traffic, (rate) => rate >= VISIBLE_RATE_MIN, () =>
    visitor.evaluate(() => setHidden(false)),
  );
  await until(() => visible().length >= 10);
  // By the times of the events, which do not depend on the load of the machine.
  const times = visible().map(([, , , time]) => toMillis(time));
  assert.ok(times[9] - times[0] < 5_000, `ten values of ${times[9] - times[0]} ms`);
  // The chart connection was closed while hidden, and the chart is filled again.
  await until(() => traffic.chart.received.length > before);
  assert.equal(traffic.chart.sent.length, 2);
  assert.equal(traffic.chart.received[before].T, "success");

  await waitForPriceChange(visitor, "AAPL");
  await waitForTradeCount(visitor, traffic);
  assertSeqsRise(traffic.received);
  assert.equal(await visitor.locator("#status-missed").textContent(), "0");
  assert.equal(await visitor.locator("#notice").isHidden(), true);
  await context.close();
});

test("the page survives a restart of the hub", async () => {
  isRestarting = true;
  await stop(hub.child);
  await page.locator('#status-connection[data-state="reconnecting"]').waitFor();
  await page.getByRole("button", { name: "Try now" }).waitFor();
  hub = await startHub(hub.port, ...FEEDS);
  await page.locator('#status-connection[data-state="live"]').waitFor();
  isRestarting = false;
  await page.locator('#status-feed[data-state="live"]').waitFor();
  await waitForPriceChange(page, "AAPL");
  await page.locator("#notice").waitFor({ state: "hidden" });
  assert.equal(await page.locator("#status-missed").textContent(), "0");
});

test("the chart is filled again after a kill and restart of the hub", async () => {
  const dataDir = ["--data-dir", await mkdtemp(join(tmpdir(), "tickwire-page-"))];
  const killed = await startHub(0, ...dataDir);
  const feed = startFeed(killed.port);
  const context = await browser.newContext();
  const traffic = recorder();
  const visitor = await open(context, { hash: "#AAPL", record: traffic.record, url: killed.url });
  await waitForPriceChange(visitor, "AAPL");
  const { sent } = traffic.chart;
  await until(() => sent.length === 1);

  isRestarting = true;
  await stop(killed.child, "SIGKILL");
  await visitor.locator('#status-connection[data-state="reconnecting"]').waitFor();
  const again = await startHub(killed.port, ...dataDir);
  await visitor.locator('#status-connection[data-state="live"]').waitFor();
  isRestarting = false;
  await until(() => sent.length >= 2);
  assert.deepEqual(sent.at(-1), sent[0]);
  await waitForPriceChange(visitor, "AAPL");
  assert.equal(await visitor.locator("#status-missed").textContent(), "0");
  await visitor.locator("#notice").waitFor({ state: "hidden" });
  await context.close();
  await Promise.all([feed, again.child].map((child) => stop(child, "SIGKILL")));
  await rm(dataDir[1], { recursive: true });
});

test("the console has no errors except refused connections during restarts", () => {
  // A hub that is killed resets connections, or closes those whose request it has not answered.
  const refused =
    /ERR_CONNECTION_(REFUSED|RESET)|ERR_EMPTY_RESPONSE|WebSocket connection to .* failed/;
  const unexpected = errors.filter((error) => !error.isRestarting || !refused.test(error.text));
  assert.deepEqual(unexpected, []);
});

/** Opens the page in a new tab; its errors are collected for the last test. */
function open(context, { url = hub.url, ...options } = {}) {
  const failed = (text) => errors.push({ text, isRestarting });
  return openPage(context, url, { ...options, failed });
}

function trade(symbol, time, price) {
  return { T: "t", S: symbol, t: time.toISOString(), i: 1, x: "", p: price, s: 1, c: [], z: "" };
}

/** Returns a bar that opens at `open` and closes 1 higher. */
function bar(symbol, time, open) {
  const prices = { o: open, h: open + 1, l: open, c: open + 1, vw: open };
  return { T: "b", S: symbol, t: time.toISOString(), ...prices, v: 1, n: 1 };
}

async function publish(url, ticks) {
  const answer = await fetch(url, { method: "POST", body: JSON.stringify(ticks) });
  assert.equal(answer.status, 200, await answer.text());
}

/** Runs in the page. Returns how many pixels of the chart have the colour of the last price. */
function linePixels() {
  const canvas = document.querySelector("#plot canvas");
  if (canvas === null || canvas.width === 0) return 0;
  const probe = document.createElement("p");
  probe.style.color = "var(--line-last)";
  document.querySelector("#plot").append(probe);
  const [r, g, b] = getComputedStyle(probe).color.match(/\d+/g).map(Number);
  probe.remove();
  const plotWidth = canvas.width - 110; // the axis has a tag of the same colour
  const { data } = canvas.getContext("2d").getImageData(0, 0, plotWidth, canvas.height);
  let pixels = 0;
  for (let at = 0; at < data.length; at += 4) {
    const distance =
      Math.abs(data[at] - r) + Math.abs(data[at + 1] - g) + Math.abs(data[at + 2] - b);
    if (data[at + 3] > 150 && distance < 60) pixels += 1;
  }
  return pixels;
}

/** Runs in the page before its scripts. Replaces `hidden`, which a headless browser never sets. */
function emulateVisibility() {
  let hidden = false;
  Object.defineProperty(document, "hidden", { get: () => hidden });
  window.setHidden = (value) => {
    hidden = value;
    document.dispatchEvent(new Event("visibilitychange"));
  };
}

/**
 * Calls `act` and waits until the page has changed its rate with one command for all symbols.
 * Returns a function that returns the live quotes of AAPL since the hub's answer.
 */
async function rateChange({ sent, received }, isExpected, act) {
  const from = received.length;
  const commands = sent.length;
  await act();
  const command = await until(() => sent.slice(commands).find((each) => isExpected(each.max_rate)));
  const { action, trades, quotes, delivery, max_rate: rate } = command;
  const names = ["AAPL", "MSFT"];
  assert.deepEqual(
    { action, trades, quotes, delivery },
    { action: "subscribe", trades: names, quotes: names, delivery: "latest" },
  );
  const ack = await until(() =>
    received.slice(from).find(({ T, max_rate }) => T === "subscription" && max_rate === rate),
  );
  assert.deepEqual([ack.trades.toSorted(), ack.quotes.toSorted()], [names, names]);
  const after = () => received.slice(received.indexOf(ack));
  await until(() => after().some((element) => element.T === "live"));
  return () => liveTicks(after()).filter(([kind, symbol]) => kind === "q" && symbol === "AAPL");
}

/** Returns the live ticks, which are those outside snapshots. */
function liveTicks(elements) {
  let inSnapshot = false;
  return elements.filter((element) => {
    if (element.T === "snapshot") inSnapshot = true;
    if (element.T === "live") inSnapshot = false;
    return Array.isArray(element) && !inSnapshot;
  });
}

/** Converts nanoseconds to milliseconds. */
function toMillis(nanos) {
  return Number(BigInt(nanos) / 1_000_000n);
}

/** Asserts that no sequence number of a topic repeats, however often the rate changed. */
function assertSeqsRise(elements) {
  const last = new Map();
  for (const [kind, symbol, seq] of liveTicks(elements)) {
    const topic = `${kind} ${symbol}`;
    assert.ok(seq > (last.get(topic) ?? 0), `${topic}: ${seq} after ${last.get(topic)}`);
    last.set(topic, seq);
  }
}

/** Waits until the table counts all trades of the market, including conflated ones. */
async function waitForTradeCount(page, { received }) {
  const isTrade = (element) => element[0] === "t" && element[1] === "AAPL";
  const trades = () => received.filter(isTrade).map(([, , seq]) => seq);
  const [first] = trades();
  // Each change of the rate sends the last trade again.
  const distinct = new Set(trades()).size;
  assert.ok(trades().at(-1) - first + 1 > distinct, "some trades were conflated");
  const cell = page.locator('tr[data-symbol="AAPL"] td.trades');
  await until(async () => {
    const shown = Number((await cell.textContent()).replaceAll(",", ""));
    return shown === trades().at(-1) - first;
  });
}

async function type(text, key) {
  await page.getByRole("combobox").fill(text);
  await page.keyboard.press(key);
}

function watched() {
  return page
    .locator("tbody tr")
    .evaluateAll((rows) => rows.map((row) => row.dataset.symbol));
}

/** Evaluates `condition` once per frame until it is true, and returns its value. */
async function until(condition) {
  const deadline = Date.now() + TIMEOUT_MS;
  for (;;) {
    const value = await condition();
    if (value) return value;
    assert.ok(Date.now() < deadline, `not true within ${TIMEOUT_MS} ms: ${condition}`);
    await page.evaluate(() => new Promise(requestAnimationFrame));
  }
}
