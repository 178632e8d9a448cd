// The browser of the page tests, and what they see and do in it.

import { Decoder } from "@msgpack/msgpack";
import { chromium } from "playwright-core";

import { findChromium } from "./processes.mjs";

export const TIMEOUT_MS = 20_000;
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

export function launch() {
  return chromium.launch({ executablePath: findChromium(), args: FLAGS });
}

/** Opens the page; `failed` is told of every error in it. */
export async function openPage(context, url, { hash = "", record = () => {}, failed }) {
  const opened = await context.newPage();
  opened.on("websocket", record);
  opened.setDefaultTimeout(TIMEOUT_MS);
  opened.on("console", (message) => {
    if (message.type() === "error") failed(message.text());
  });
  opened.on("pageerror", (error) => failed(String(error)));
  await opened.goto(`${url}/${hash}`);
  return opened;
}

/**
 * `record` listens to a socket: commands go to `sent`, elements to `received`, in order. Those of the
 * connections that fill the chart go to `trail`: their first command begins in the past.
 */
export function recorder() {
  const board = { sent: [], received: [] };
  const trail = { sent: [], received: [] };
  const record = (socket) => {
    const greeting = [];
    let traffic;
    socket.on("framesent", ({ payload }) => {
      const command = decoder.decode(payload);
      traffic ??= command.from === undefined && command.resume === undefined ? board : trail;
      traffic.sent.push(command);
      traffic.received.push(...greeting.splice(0));
    });
    socket.on("framereceived", ({ payload }) => {
      (traffic?.received ?? greeting).push(...decoder.decode(payload));
    });
  };
  return { ...board, trail, record };
}

/** Waits for a price, and then for another one. */
export async function priceChanges(where, symbol) {
  const selector = `tr[data-symbol="${symbol}"] td.last`;
  const shows = ([cell, old]) => {
    const text = document.querySelector(cell)?.textContent ?? "";
    return text !== "" && text !== old ? text : false;
  };
  const first = await where.waitForFunction(shows, [selector, ""]);
  await where.waitForFunction(shows, [selector, await first.jsonValue()]);
}
