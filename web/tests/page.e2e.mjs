// The page in a real browser, served by a real hub that a simulated market publishes to.

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { launch, openPage, priceChanges, recorder, TIMEOUT_MS } from "./browser.mjs";
import { startFeed, startHub, stop, stopAll } from "./processes.mjs";

/** What the page asks for at least while it is shown: the slowest display it reckons with. */
const SHOWN_RATE_MIN = 10;

let hub;
let browser;
let page;
/** What went over the page's socket. */
const { sent, received, record } = recorder();
/** Errors in the browser's console; `restarting` tells those of the restart apart. */
const errors = [];
let restarting = false;

before(async () => {
  hub = await startHub();
  startFeed(hub.port);
  browser = await launch();
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
  page.on("websocket", record);
  await page.reload();
  await page.getByText("You are not watching any symbol yet.").waitFor();

  await type("aapl", "Enter");
  await type("MSFT", "Enter");
  await priceChanges(page, "AAPL");
  await priceChanges(page, "MSFT");
  assert.deepEqual(await watched(), ["AAPL", "MSFT"]);
  assert.equal(new URL(page.url()).hash, "#AAPL,MSFT");
  // Who watches nothing asks for that.
  const subscribes = sent.filter(({ action }) => action !== "list");
  assert.ok(subscribes.length > 0 && subscribes.length < sent.length);
  for (const { action, delivery, max_rate: rate } of subscribes) {
    assert.deepEqual({ action, delivery }, { action: "subscribe", delivery: "latest" });
    assert.ok(rate >= SHOWN_RATE_MIN && rate <= 60, `max_rate ${rate}`);
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

test("the chart begins before the page, with what the hub knows from then", async () => {
  const context = await browser.newContext();
  const traffic = recorder();
  const openedMs = Date.now();
  const visitor = await open(context, { hash: "#AAPL", record: traffic.record });
  const { sent, received } = traffic.trail;
  await until(() => news(received).some(([kind, , , time]) => kind === "t" && isBefore(time, openedMs)));
  assert.deepEqual(sent, [{ action: "subscribe", trades: ["AAPL"], from: "-900s" }]);

  const { x, y, height } = await visitor.locator("#plot .u-over").boundingBox();
  await until(async () => {
    await visitor.mouse.move(x, y + height / 2);
    await visitor.mouse.move(x + 1, y + height / 2);
    const shown = await visitor.locator("#legend-time").textContent();
    return shown !== "" && shown < new Date(openedMs).toLocaleTimeString("en-GB");
  });
  await context.close();
});

test("another symbol has another trail, and the board's subscriptions stay as they are", async () => {
  const context = await browser.newContext();
  const traffic = recorder();
  const visitor = await open(context, { hash: "#AAPL,MSFT", record: traffic.record });
  await until(() => traffic.trail.sent.length === 1);
  await visitor.getByRole("button", { name: "MSFT", exact: true }).click();
  await until(() => traffic.trail.sent.length === 2);
  assert.deepEqual(traffic.trail.sent[1].trades, ["MSFT"]);
  await priceChanges(visitor, "AAPL");
  for (const { delivery } of traffic.sent) assert.equal(delivery, "latest");
  await context.close();
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

test("a hidden page gets one value a second, and goes on as before when it is shown", async () => {
  const context = await browser.newContext();
  await context.addInitScript(emulateVisibility);
  const traffic = recorder();
  const visitor = await open(context, { hash: "#AAPL,MSFT", record: traffic.record });
  await priceChanges(visitor, "AAPL");

  const hidden = await modeChange(traffic, (rate) => rate === 1, () =>
    visitor.evaluate(() => setHidden(true)),
  );
  await until(() => hidden().length >= 1);
  const startMs = performance.now();
  await until(() => hidden().length >= 3);
  const tookMs = performance.now() - startMs;
  assert.ok(tookMs > 1_500, `two more values within ${tookMs} ms`);
  const trades = traffic.trail.received.length;

  const shown = await modeChange(traffic, (rate) => rate >= SHOWN_RATE_MIN, () =>
    visitor.evaluate(() => setHidden(false)),
  );
  const againMs = performance.now();
  await until(() => shown().length >= 10);
  const shownMs = performance.now() - againMs;
  assert.ok(shownMs < 5_000, `ten values within ${shownMs} ms`);
  // The chart is filled anew; while hidden it was not followed.
  await until(() => traffic.trail.received.length > trades);
  assert.equal(traffic.trail.sent.length, 2);
  assert.equal(traffic.trail.received[trades].T, "success");

  await priceChanges(visitor, "AAPL");
  await countsTrades(visitor, traffic);
  assertSeqsRise(traffic.received);
  assert.equal(await visitor.locator("#status-missed").textContent(), "0");
  assert.equal(await visitor.locator("#notice").isHidden(), true);
  await context.close();
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

test("a hub that is killed and comes back leaves no gap", async () => {
  const keep = ["--data-dir", await mkdtemp(join(tmpdir(), "tickwire-page-"))];
  const killed = await startHub(0, ...keep);
  const feed = startFeed(killed.port);
  const context = await browser.newContext();
  const traffic = recorder();
  const visitor = await open(context, { hash: "#AAPL", record: traffic.record, url: killed.url });
  const { sent, received } = traffic.trail;
  const seqs = () => received.filter((element) => element[0] === "t").map(([, , seq]) => seq);
  await until(() => seqs().length >= 20);

  restarting = true;
  await stop(killed.child, "SIGKILL");
  await visitor.locator('#status-connection[data-state="reconnecting"]').waitFor();
  const last = seqs().at(-1);
  const again = await startHub(killed.port, ...keep);
  await visitor.locator('#status-connection[data-state="live"]').waitFor();
  restarting = false;
  await until(() => seqs().at(-1) >= last + 20);
  assert.equal(sent.at(-1).resume.after.trades.AAPL, last);
  seqs().forEach((seq, at, all) => assert.ok(at === 0 || seq === all[at - 1] + 1, `${seq}`));
  await priceChanges(visitor, "AAPL");
  assert.equal(await visitor.locator("#status-missed").textContent(), "0");
  await visitor.locator("#notice").waitFor({ state: "hidden" });
  await context.close();
  await Promise.all([feed, again.child].map((child) => stop(child, "SIGKILL")));
  await rm(keep[1], { recursive: true });
});

test("the console has no errors but the refused connections of the restart", () => {
  const refused = /ERR_CONNECTION_(REFUSED|RESET)|WebSocket connection to .* failed/;
  const unexpected = errors.filter((error) => !error.restarting || !refused.test(error.text));
  assert.deepEqual(unexpected, []);
});

/** A tab of the page; its errors are kept for the end. */
function open(context, { url = hub.url, ...options } = {}) {
  const failed = (text) => errors.push({ text, restarting });
  return openPage(context, url, { ...options, failed });
}

/** Runs in the page, before it: a headless browser hides no page, so this says that it did. */
function emulateVisibility() {
  let hidden = false;
  Object.defineProperty(document, "hidden", { get: () => hidden });
  window.setHidden = (value) => {
    hidden = value;
    document.dispatchEvent(new Event("visibilitychange"));
  };
}

/**
 * Does what makes the page ask for another rate, in one command for all names. Returns what gives
 * the quotes of AAPL since the hub's answer, without the last values that it answers with.
 */
async function modeChange({ sent, received }, isWanted, act) {
  const from = received.length;
  const commands = sent.length;
  await act();
  const command = await until(() => sent.slice(commands).find((each) => isWanted(each.max_rate)));
  const { action, trades, quotes, delivery, max_rate: rate } = command;
  const names = ["AAPL", "MSFT"];
  assert.deepEqual(
    { action, trades, quotes, delivery },
    { action: "subscribe", trades: names, quotes: names, delivery: "latest" },
  );
  const ack = await until(() =>
    received.slice(from).find((element) => element.T === "subscription" && element.max_rate === rate),
  );
  assert.deepEqual([ack.trades.toSorted(), ack.quotes.toSorted()], [names, names]);
  const after = () => received.slice(received.indexOf(ack));
  await until(() => after().some((element) => element.T === "live"));
  return () => news(after()).filter(([kind, symbol]) => kind === "q" && symbol === "AAPL");
}

/** The ticks that are no last values of a snapshot. */
function news(elements) {
  let inSnapshot = false;
  return elements.filter((element) => {
    if (element.T === "snapshot") inSnapshot = true;
    if (element.T === "live") inSnapshot = false;
    return Array.isArray(element) && !inSnapshot;
  });
}

/** Whether something happened well before a moment. */
function isBefore(time, momentMs) {
  return Number(BigInt(time) / 1_000_000n) < momentMs - 1_000;
}

/** Of each topic no number comes twice, however often its mode has changed. */
function assertSeqsRise(elements) {
  const last = new Map();
  for (const [kind, symbol, seq] of news(elements)) {
    const topic = `${kind} ${symbol}`;
    assert.ok(seq > (last.get(topic) ?? 0), `${topic}: ${seq} after ${last.get(topic)}`);
    last.set(topic, seq);
  }
}

/** The trades in the table are those of the market, not only those that came here. */
async function countsTrades(where, { received }) {
  const isTrade = (element) => element[0] === "t" && element[1] === "AAPL";
  const trades = () => received.filter(isTrade).map(([, , seq]) => seq);
  const [first] = trades();
  // Each change of mode sends the last one once more.
  const came = new Set(trades()).size;
  assert.ok(trades().at(-1) - first + 1 > came, "some trades were overtaken");
  const cell = where.locator('tr[data-symbol="AAPL"] td.trades');
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

/** The first value of `condition` that is true, asked whenever something may have changed. */
async function until(condition) {
  const deadline = Date.now() + TIMEOUT_MS;
  for (;;) {
    const value = await condition();
    if (value) return value;
    assert.ok(Date.now() < deadline, `not true within ${TIMEOUT_MS} ms: ${condition}`);
    await page.evaluate(() => new Promise(requestAnimationFrame));
  }
}
