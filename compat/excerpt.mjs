// What a replay of the files in data/ has to bring: read from the files, by the rules of docs/protocol and of TAQ's
// correction codes, with nothing of the hub's.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";

import { runPython } from "./programs.mjs";

const path = (name) => fileURLToPath(new URL(`data/${name}`, import.meta.url));

/** The files in the order in which they are played. */
export const FILES = ["trades.csv.gz", "quotes.csv.gz", "made-up.csv", "made-up.ndjson"].map(path);
const TRADES = FILES[0];

/** The channel of each type of event. Corrections and cancels come with the trades. */
const CHANNELS = {
  t: "trades", c: "trades", x: "trades", q: "quotes", b: "bars", u: "updatedBars", d: "dailyBars",
  s: "statuses", l: "lulds", i: "imbalances",
};

/** All events, in order. Events of the same time are in the order of the files, then of the lines. */
export function allEvents() {
  const events = FILES.flatMap((file) => {
    const bytes = readFileSync(file);
    const text = (file.endsWith(".gz") ? gunzipSync(bytes) : bytes).toString();
    const lines = text.trim().split("\n");
    if (file.includes(".ndjson")) return lines.map((line) => spell(JSON.parse(line)));
    const columns = lines[0].split(",");
    const rows = lines.slice(1).map((line) => {
      const cells = line.split(",");
      return Object.fromEntries(columns.map((column, index) => [column, cells[index]]));
    });
    return "bid" in rows[0] ? rows.map(quote) : trades(rows);
  });
  return events.sort((a, b) => (a.t < b.t ? -1 : a.t > b.t ? 1 : 0));
}

/** Times in one spelling, which can be compared as text. */
function spell(event) {
  const [seconds, fraction = ""] = event.t.slice(0, -1).split(".");
  return { ...event, t: `${seconds}.${fraction.padEnd(9, "0")}Z` };
}

function quote(row) {
  return spell({
    T: "q", S: row.symbol, t: row.time, bx: row.exchange, bp: Number(row.bid), bs: Number(row.bid_size),
    ax: row.exchange, ap: Number(row.ask), as: Number(row.ask_size), c: [], z: "",
  });
}

/** The trades of a table; one with code 10, 11 or 12 is followed by what it does to an earlier one. */
function trades(rows) {
  const all = rows.map((row, index) => {
    const conditions = [...row.conditions].filter((code) => code.trim() !== "");
    return spell({
      T: "t", S: row.symbol, t: row.time, i: index + 1, x: row.exchange, p: Number(row.price), s: Number(row.size),
      c: conditions, z: "",
    });
  });
  const earlier = (index, code) =>
    all.find((trade, at) => at < index && rows[at].correction === code && trade.S === all[index].S && trade.x === all[index].x);
  return all.flatMap((trade, index) => {
    const { S, t, x, p, s, z } = trade;
    switch (rows[index].correction) {
      case "10":
        return [trade, { T: "x", S, t, i: earlier(index, "8").i, x, p, s, a: "C", z }];
      case "11":
        return [trade, { T: "x", S, t, i: earlier(index, "7").i, x, p, s, a: "E", z }];
      case "12": {
        const good = earlier(index, "1");
        const corrected = { ci: good.i, cp: good.p, cs: good.s, cc: good.c };
        return [trade, { T: "c", S, t, x, oi: trade.i, op: p, os: s, oc: trade.c, ...corrected, z }];
      }
      default:
        return [trade];
    }
  });
}

/** The last state of each bar, as "b XXX 2018-01-03T14:30": computed by bars.py, which shares nothing with the hub. */
export async function lastBars() {
  const lines = (await runPython("../crates/hub/tests/bars/bars.py", ["expected", TRADES])).split("\n");
  const columns = lines[0].split(",");
  return keyed(
    lines.slice(1).map((line) => {
      const cells = line.split(",").map((cell, index) => (index < 3 ? cell : Number(cell)));
      return spell(Object.fromEntries(columns.map((column, index) => [column, cells[index]])));
    }),
  );
}

/** The last of each bar among events; an updated one counts as the minute's. */
export function keyed(bars) {
  const last = new Map();
  for (const bar of bars) {
    const { T, ...fields } = bar;
    last.set(`${T === "d" ? "d" : "b"} ${bar.S} ${bar.t.slice(0, 16)}`, fields);
  }
  return last;
}

export const isBar = (event) => "bud".includes(event.T);

/** What SDKs leave of a time in nanoseconds. */
export const TIMES = {
  nanoseconds: (time) => time,
  microseconds: (time) => `${time.slice(0, 26)}Z`,
  milliseconds: (time) => {
    const rounded = Math.round(Number(time.slice(20, 29)) / 1e6);
    return new Date(Date.parse(`${time.slice(0, 19)}Z`) + rounded).toISOString();
  },
};

/** Those events that somebody is to get who has subscribed to these names. */
export function wanted(events, subscribed) {
  const matches = (event) => {
    const names = subscribed[CHANNELS[event.T]] ?? [];
    return names.includes(event.S) || names.includes("*");
  };
  return events.filter(matches);
}

/** An event as an SDK tells it, with its keys in order. */
export function told(event, precision) {
  const { T, S, t, ...rest } = event;
  const keys = Object.keys(rest).sort();
  return { T, S, t: TIMES[precision](spell(event).t), ...Object.fromEntries(keys.map((key) => [key, rest[key]])) };
}
