// The events that a replay of the files in data/ must deliver. They are computed from the files, by
// the rules of the protocol documents and of TAQ's correction codes, without code of the hub.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";

import { runPython } from "./processes.mjs";

const path = (name) => fileURLToPath(new URL(`data/${name}`, import.meta.url));

/** The files in the order in which they are replayed. */
export const FILES = ["trades.csv.gz", "quotes.csv.gz", "made-up.csv", "made-up.ndjson"].map(path);
const TRADES = FILES[0];

/** The channel that delivers each type of event. Corrections and cancels come with the trades. */
const CHANNELS = {
  t: "trades",
  c: "trades",
  x: "trades",
  q: "quotes",
  b: "bars",
  u: "updatedBars",
  d: "dailyBars",
  s: "statuses",
  l: "lulds",
  i: "imbalances",
};

/** Returns all events by time. Events of the same time keep the order of files and lines. */
export function allEvents() {
  const events = FILES.flatMap((file) => {
    const bytes = readFileSync(file);
    const text = (file.endsWith(".gz") ? gunzipSync(bytes) : bytes).toString();
    const lines = text.trim().split("\n");
    if (file.includes(".ndjson")) return lines.map((line) => withFullTime(JSON.parse(line)));
    const rows = parseTable(lines);
    return "bid" in rows[0] ? rows.map(quote) : trades(rows);
  });
  return events.sort((a, b) => (a.t < b.t ? -1 : a.t > b.t ? 1 : 0));
}

/** Parses a CSV table into one object per row, with the header line as keys. */
function parseTable([header, ...lines]) {
  const columns = header.split(",");
  return lines.map((line) => {
    const cells = line.split(",");
    return Object.fromEntries(columns.map((column, index) => [column, cells[index]]));
  });
}

/** Extends the time of an event to nine decimals, so that times compare as text. */
function withFullTime(event) {
  const [seconds, fraction = ""] = event.t.slice(0, -1).split(".");
  return { ...event, t: `${seconds}.${fraction.padEnd(9, "0")}Z` };
}

function quote(row) {
  return withFullTime({
    T: "q",
    S: row.symbol,
    t: row.time,
    bx: row.exchange,
    bp: Number(row.bid),
    bs: Number(row.bid_size),
    ax: row.exchange,
    ap: Number(row.ask),
    as: Number(row.ask_size),
    c: [],
    z: "",
  });
}

/**
 * Returns the events of a table of trades. A trade with correction code 10, 11 or 12 cancels or
 * corrects an earlier trade; the event for that follows it.
 */
function trades(rows) {
  const all = rows.map((row, index) => {
    const conditions = [...row.conditions].filter((code) => code.trim() !== "");
    return withFullTime({
      T: "t",
      S: row.symbol,
      t: row.time,
      i: index + 1,
      x: row.exchange,
      p: Number(row.price),
      s: Number(row.size),
      c: conditions,
      z: "",
    });
  });
  const earlier = (index, code) => {
    const { S, x } = all[index];
    return all.find(
      (trade, at) =>
        at < index && rows[at].correction === code && trade.S === S && trade.x === x,
    );
  };
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
        const original = { oi: trade.i, op: p, os: s, oc: trade.c };
        return [trade, { T: "c", S, t, x, ...original, ...corrected, z }];
      }
      default:
        return [trade];
    }
  });
}

/**
 * Returns the final state of each bar, with keys such as `b XXX 2018-01-03T14:30`. bars.py computes
 * them; it shares no code with the hub.
 */
export async function finalBars() {
  const script = "../crates/hub/tests/bars/bars.py";
  const lines = (await runPython(script, ["expected", TRADES])).split("\n");
  const isText = (column) => ["T", "S", "t"].includes(column);
  const bars = parseTable(lines).map((row) => {
    const entries = Object.entries(row);
    return withFullTime(
      Object.fromEntries(entries.map(([key, cell]) => [key, isText(key) ? cell : Number(cell)])),
    );
  });
  return lastOfEachBar(bars);
}

/** Returns the last event of each bar by its key; an updated bar replaces the bar of its minute. */
export function lastOfEachBar(events) {
  const last = new Map();
  for (const event of events) {
    const { T, ...fields } = event;
    last.set(`${T === "d" ? "d" : "b"} ${event.S} ${event.t.slice(0, 16)}`, fields);
  }
  return last;
}

export const isBar = (event) => "bud".includes(event.T);

/** Reduces a time in nanoseconds to the precision that an SDK keeps. */
const TIME_PRECISIONS = {
  nanoseconds: (time) => time,
  microseconds: (time) => `${time.slice(0, 26)}Z`,
  milliseconds: (time) => {
    const rounded = Math.round(Number(time.slice(20, 29)) / 1e6);
    return new Date(Date.parse(`${time.slice(0, 19)}Z`) + rounded).toISOString();
  },
};

/** Returns the events that a subscription of these symbols, by channel, must receive. */
export function subscribedEvents(events, subscribed) {
  return events.filter((event) => {
    const symbols = subscribed[CHANNELS[event.T]] ?? [];
    return symbols.includes(event.S) || symbols.includes("*");
  });
}

/** Brings an event into comparable form: sorted keys, and its time in the precision of an SDK. */
export function normalized(event, precision) {
  const { T, S, t, ...rest } = event;
  const keys = Object.keys(rest).sort();
  const time = TIME_PRECISIONS[precision](withFullTime(event).t);
  return { T, S, t: time, ...Object.fromEntries(keys.map((key) => [key, rest[key]])) };
}
