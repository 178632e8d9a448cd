// The page in a real browser, served by a real hub that a simulated market publishes to.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Decoder } from "@msgpack/msgpack";
import { chromium } from "playwright-core";

import { findChromium, startFeed, startHub, stop, stopAll } from "./processes.mjs";

const TIMEOUT_MS = 20_000;
const BROWSER_FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

const decoder = new Decoder({ useBigInt64: true });

let hub;
let browser;
let page;
/** Elements the page received, in order. */
const received = [];
/** Errors in the browser's console; `restarting` tells those of the restart apart. */
const errors = [];
let restarting = false;

before(async () => {
  hub = await startHub();
  startFeed(hub.port);
  browser = await chromium.launch({ executablePath: findChromium(), args: BROWSER_FLAGS });
});

after(async () => {
  await browser?.close();
  await stopAll();
});

test("a first visit is alive by itself", async () => {
  const visitor = await open(await browser.newContext());
  await visitor.locator("tbody tr[data-symbol]").first().waitFor();
  const symbol = await visitor.locator("tbody tr").first().getAttribute("data-symbol");
  await priceChanges(visitor, symbol);
  await visitor.context().close();
});

test("two symbols that are typed show changing prices", async () => {
  const context = await browser.newContext();
  // As if the last symbol had been removed on an earlier visit.
  await context.addInitScript(() => {
    if (localStorage.getItem("tickwire.watchlist") === null) {
      localStorage.setItem("tickwire.watchlist", "");
    }
  });
  page = await open(context);
  page.on("websocket", recordElements);
  await page.reload();
  await page.getByText("You are not watching any symbol yet.").waitFor();

  await type("aapl", "Enter");
  await type("MSFT", "Enter");
  await priceChanges(page, "AAPL");
  await priceChanges(page, "MSFT");
  assert.deepEqual(await watched(), ["AAPL", "MSFT"]);
  assert.equal(new URL(page.url()).hash, "#AAPL,MSFT");
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

test("arrows and Enter choose from the list", async () => {
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

test("a name that no symbol can have is refused in words", async () => {
  await type("a b", "Enter");
  await page.getByText("A symbol has 1 to 24 characters").waitFor();
  await page.keyboard.press("Escape");
  await page.keyboard.press("Escape");
  assert.equal(await page.getByRole("combobox").inputValue(), "");
});

test("a reload keeps the list", async () => {
  const before = await watched();
  await page.reload();
  await priceChanges(page, "AAPL");
  assert.deepEqual(await watched(), before);
});

test("an unsubscribed symbol leaves the table and no longer arrives", async () => {
  const from = received.length;
  await page.getByRole("button", { name: "Stop watching MSFT" }).click();
  await page.locator('tr[data-symbol="MSFT"]').waitFor({ state: "detached" });
  const acked = await until(() => {
    const at = received.findIndex(
      (element, index) => index >= from && element.T === "subscription" && element.trades?.includes("MSFT"),
    );
    return at === -1 ? undefined : at;
  });
  const since = () => received.slice(acked);
  await until(() => since().filter((element) => element[1] === "AAPL").length >= 30 || undefined);
  assert.equal(since().filter((element) => element[1] === "MSFT").length, 0);
  assert.equal(await page.locator('tr[data-symbol="MSFT"]').count(), 0);
});

test("the page survives a restart of the hub", async () => {
  restarting = true;
  await stop(hub.child);
  await page.locator('#status-connection[data-state="reconnecting"]').waitFor();
  await page.getByRole("button", { name: "Try now" }).waitFor();
  hub = await startHub(hub.port);
  await page.locator('#status-connection[data-state="live"]').waitFor();
  restarting = false;
  await page.locator('#status-feed[data-state="live"]').waitFor();
  await priceChanges(page, "AAPL");
  await page.locator("#notice").waitFor({ state: "hidden" });
  assert.equal(await page.locator("#status-missed").textContent(), "0");
});

test("the console has no errors but the refused connections of the restart", () => {
  const refused = /ERR_CONNECTION_(REFUSED|RESET)|WebSocket connection to .* failed/;
  const unexpected = errors.filter((error) => !error.restarting || !refused.test(error.text));
  assert.deepEqual(unexpected, []);
});

async function open(context) {
  const opened = await context.newPage();
  opened.setDefaultTimeout(TIMEOUT_MS);
  opened.on("console", (message) => {
    if (message.type() === "error") errors.push({ text: message.text(), restarting });
  });
  opened.on("pageerror", (error) => errors.push({ text: String(error), restarting }));
  await opened.goto(hub.url);
  return opened;
}

function recordElements(socket) {
  socket.on("framereceived", ({ payload }) => received.push(...decoder.decode(payload)));
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

/** Waits for a price, and then for another one. */
async function priceChanges(where, symbol) {
  const selector = `tr[data-symbol="${symbol}"] td.last`;
  const shows = ([cell, old]) => {
    const text = document.querySelector(cell)?.textContent ?? "";
    return text !== "" && text !== old ? text : false;
  };
  const first = await where.waitForFunction(shows, [selector, ""]);
  await where.waitForFunction(shows, [selector, await first.jsonValue()]);
}

/** The first value of `condition` that is not undefined, asked whenever something may have changed. */
async function until(condition) {
  const deadline = Date.now() + TIMEOUT_MS;
  for (;;) {
    const value = condition();
    if (value !== undefined) return value;
    assert.ok(Date.now() < deadline, `not true within ${TIMEOUT_MS} ms: ${condition}`);
    await page.evaluate(() => new Promise(requestAnimationFrame));
  }
}
