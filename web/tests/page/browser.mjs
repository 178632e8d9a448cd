// The browser of the page tests: opens pages, records their sockets, waits for prices.

import { Decoder } from "@msgpack/msgpack";
import { chromium } from "playwright-core";

import { findChromium } from "./processes.mjs";

/** Generous, because other processes may keep the machine busy. */
export const TIMEOUT_MS = 180_000;
const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

const decoder = new Decoder({ useBigInt64: true });

/** Starts a browser; `flags` are added to those of all tests. */
export function launch(...flags) {
  return chromium.launch({ executablePath: findChromium(), args: [...FLAGS, ...flags] });
}

/** Opens the page; calls `failed` for every error in the page or its console. */
export async function openPage(context, url, { hash = "", record = () => {}, failed }) {
  const page = await context.newPage();
  page.on("websocket", record);
  page.setDefaultTimeout(TIMEOUT_MS);
  page.on("console", (message) => {
    if (message.type() === "error") failed(message.text());
  });
  page.on("pageerror", (error) => failed(String(error)));
  await page.goto(`${url}/${hash}`);
  return page;
}

/**
 * Returns a `record` function for sockets. It collects commands in `sent` and elements in
 * `received`, both in order. The traffic of the connections that fill the chart goes to `chart`;
 * they are recognized by their first command, which replays or resumes.
 */
export function recorder() {
  const watchlist = { sent: [], received: [] };
  const chart = { sent: [], received: [] };
  const record = (socket) => {
    const greeting = [];
    let traffic;
    socket.on("framesent", ({ payload }) => {
      const command = decoder.decode(payload);
      traffic ??= command.from === undefined && command.resume === undefined ? watchlist : chart;
      traffic.sent.push(command);
      traffic.received.push(...greeting.splice(0));
    });
    socket.on("framereceived", ({ payload }) => {
      (traffic?.received ?? greeting).push(...decoder.decode(payload));
    });
  };
  return { ...watchlist, chart, record };
}

/** Waits until the symbol has a price and then until the price changes. */
export async function waitForPriceChange(page, symbol) {
  const selector = `tr[data-symbol="${symbol}"] td.last`;
  const showsOther = ([cell, old]) => {
    const text = document.querySelector(cell)?.textContent ?? "";
    return text !== "" && text !== old ? text : false;
  };
  const first = await page.waitForFunction(showsOther, [selector, ""]);
  await page.waitForFunction(showsOther, [selector, await first.jsonValue()]);
}
