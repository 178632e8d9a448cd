// Alpaca's SDKs, unmodified, against a hub: each test goes on where the one before it ended.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { allEvents, lastBars, told } from "./excerpt.mjs";
import { AUTHORITY, BOT, play, receivedAll, startGuardedHub, untilSubscribed } from "./kit.mjs";
import { kill, runPython, startBalancer, startBot, until } from "./programs.mjs";

const NAMES = ["XXX", "YYY"];
/** What all bots subscribe to that their SDK knows. */
const EVERYTHING = {
  trades: [...NAMES, "BRK.B", "END"],
  quotes: ["*"],
  bars: NAMES,
  updatedBars: NAMES,
  dailyBars: NAMES,
  statuses: ["*"],
  lulds: ["BRK.B"],
  imbalances: ["BRK.B"],
};

const without = (...gone) =>
  Object.fromEntries(Object.entries(EVERYTHING).filter(([channel]) => !gone.includes(channel)));

const SDKS = {
  python: { precision: "microseconds", subscribed: without("lulds", "imbalances") },
  js4: { precision: "nanoseconds", subscribed: EVERYTHING },
  js3: { precision: "milliseconds", subscribed: without("imbalances") },
};
const KINDS = Object.keys(SDKS);

const events = allEvents();
const bots = {};
let bars;
let hub;

before(async () => {
  bars = await lastBars();
  hub = await startGuardedHub();
  const balancer = await startBalancer(hub.port);
  const environment = {
    python: { STREAM_URL: hub.stream("sip") },
    js4: { STREAM_URL: hub.stream("sip") },
    js3: { STREAM_URL: `https://127.0.0.1:${balancer}`, NODE_EXTRA_CA_CERTS: AUTHORITY },
  };
  for (const kind of KINDS) {
    bots[kind] = startBot(kind, SDKS[kind].subscribed, { ...BOT, ...environment[kind] });
  }
  await Promise.all(KINDS.map((kind) => untilSubscribed(bots[kind], SDKS[kind].subscribed)));
  await play(hub.port);
});

after(() => Promise.all(Object.values(bots).map((bot) => kill(bot.child)).concat(hub?.kill())));

const RECEIVES = {
  python: "R31: alpaca-py receives all that was recorded, and logs no error",
  js4: "R32: alpaca-trade-api 4 receives all that was recorded, and logs no error",
  js3: "R33: alpaca-trade-api 3 receives all that was recorded over TLS, and logs no error",
};
for (const kind of KINDS) {
  test(RECEIVES[kind], async () => {
    await receivedAll(bots[kind], { events, bars, ...SDKS[kind] });
    assert.deepEqual(bots[kind].log, []);
  });
}

test("alpaca-py's REST data client gets the last trades, quotes, bars and snapshots", async () => {
  const environment = { ...BOT, REST_URL: `http://127.0.0.1:${hub.port}` };
  const answer = JSON.parse(await runPython("python/rest.py", NAMES, environment));
  for (const symbol of NAMES) {
    const last = (T) => events.findLast((event) => event.T === T && event.S === symbol);
    const bar = (kind) => [...bars].findLast(([key]) => key.startsWith(`${kind} ${symbol} `))[1];
    const given = (values) => told({ S: symbol, ...values }, "microseconds");
    const known = (values) => told({ ...values, T: undefined }, "microseconds");
    assert.deepEqual(given(answer.trades[symbol]), known(last("t")));
    assert.deepEqual(given(answer.quotes[symbol]), known(last("q")));
    assert.deepEqual(given(answer.bars[symbol]), known(bar("b")));
    const snapshot = answer.snapshots[symbol];
    assert.deepEqual(given(snapshot.latestTrade), known(last("t")));
    assert.deepEqual(given(snapshot.latestQuote), known(last("q")));
    assert.deepEqual(given(snapshot.minuteBar), known(bar("b")));
    assert.deepEqual(given(snapshot.dailyBar), known(bar("d")));
  }
});

test("R31, R32, R33: what a running bot unsubscribes from comes no more, the rest goes on", async () => {
  for (const kind of KINDS) {
    const { subscribed } = SDKS[kind];
    SDKS[kind].subscribed = { ...subscribed, trades: subscribed.trades.filter((name) => name !== "XXX") };
    bots[kind].unsubscribe({ trades: ["XXX"] });
  }
  await Promise.all(KINDS.map((kind) => untilSubscribed(bots[kind], SDKS[kind].subscribed)));
  for (const kind of KINDS) bots[kind].events = [];
  await play(hub.port);
  for (const kind of KINDS) {
    // The same trades twice make other bars.
    await receivedAll(bots[kind], { events, ...SDKS[kind] });
    assert.deepEqual(bots[kind].log, []);
  }
});

test("R36: each SDK goes on by itself after the hub was killed and started again", async () => {
  for (const kind of KINDS) Object.assign(bots[kind], { events: [], subscribed: {} });
  await hub.kill();
  await hub.startAgain();
  await Promise.all(KINDS.map((kind) => untilSubscribed(bots[kind], SDKS[kind].subscribed)));
  await play(hub.port);
  for (const kind of KINDS) await receivedAll(bots[kind], { events, bars, ...SDKS[kind] });
});

test("the test feed ticks by itself", async () => {
  const names = { trades: ["FAKEPACA"], quotes: ["FAKEPACA"] };
  const bot = startBot("python", names, { ...BOT, STREAM_URL: hub.stream("test") });
  bots.test = bot;
  const has = (T) => bot.events.some((event) => event.T === T && event.S === "FAKEPACA");
  await until(() => has("t") && has("q"), () => `no FAKEPACA: ${bot.log.join("\n")}`);
});
