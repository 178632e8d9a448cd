// Alpaca's SDKs, unmodified, against a hub. The tests build on each other in this order.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { allEvents, finalBars, normalized } from "./expected.mjs";
import {
  assertReceivedAll,
  AUTHORITY,
  BOT_KEY,
  replay,
  startGuardedHub,
  untilSubscribed,
} from "./harness.mjs";
import { kill, runPython, startBalancer, startBot, until } from "./processes.mjs";

const SYMBOLS = ["XXX", "YYY"];
/** The subscription of all bots, less the channels that their SDK does not know. */
const EVERYTHING = {
  trades: [...SYMBOLS, "BRK.B", "END"],
  quotes: ["*"],
  bars: SYMBOLS,
  updatedBars: SYMBOLS,
  dailyBars: SYMBOLS,
  statuses: ["*"],
  lulds: ["BRK.B"],
  imbalances: ["BRK.B"],
};

const everythingExcept = (...unknown) =>
  Object.fromEntries(Object.entries(EVERYTHING).filter(([channel]) => !unknown.includes(channel)));

const SDKS = {
  python: {
    precision: "microseconds",
    subscribed: everythingExcept("lulds", "imbalances"),
    title: "R31: alpaca-py receives the whole recording and logs no error",
  },
  js4: {
    precision: "nanoseconds",
    subscribed: EVERYTHING,
    title: "R32: alpaca-trade-api 4 receives the whole recording and logs no error",
  },
  js3: {
    precision: "milliseconds",
    subscribed: everythingExcept("imbalances"),
    title: "R33: alpaca-trade-api 3 receives the whole recording over TLS and logs no error",
  },
};
const KINDS = Object.keys(SDKS);

const events = allEvents();
const bots = {};
let bars;
let hub;

before(async () => {
  bars = await finalBars();
  hub = await startGuardedHub();
  const balancer = await startBalancer(hub.port);
  const environments = {
    python: { STREAM_URL: hub.streamUrl("sip") },
    js4: { STREAM_URL: hub.streamUrl("sip") },
    js3: { STREAM_URL: `https://127.0.0.1:${balancer}`, NODE_EXTRA_CA_CERTS: AUTHORITY },
  };
  for (const kind of KINDS) {
    bots[kind] = startBot(kind, SDKS[kind].subscribed, { ...BOT_KEY, ...environments[kind] });
  }
  await untilAllSubscribed();
  await replay(hub.port);
});

after(() => Promise.all(Object.values(bots).map((bot) => kill(bot.child)).concat(hub?.kill())));

function untilAllSubscribed() {
  return Promise.all(KINDS.map((kind) => untilSubscribed(bots[kind], SDKS[kind].subscribed)));
}

for (const kind of KINDS) {
  test(SDKS[kind].title, async () => {
    await assertReceivedAll(bots[kind], { events, bars, ...SDKS[kind] });
    assert.deepEqual(bots[kind].log, []);
  });
}

test("alpaca-py's REST client returns the last trades, quotes, bars and snapshots", async () => {
  const environment = { ...BOT_KEY, REST_URL: `http://127.0.0.1:${hub.port}` };
  const answer = JSON.parse(await runPython("python/rest.py", SYMBOLS, environment));
  for (const symbol of SYMBOLS) {
    const last = (T) => events.findLast((event) => event.T === T && event.S === symbol);
    const bar = (kind) => [...bars].findLast(([key]) => key.startsWith(`${kind} ${symbol} `))[1];
    const received = (fields) => normalized({ S: symbol, ...fields }, "microseconds");
    const expected = (fields) => normalized({ ...fields, T: undefined }, "microseconds");
    assert.deepEqual(received(answer.trades[symbol]), expected(last("t")));
    assert.deepEqual(received(answer.quotes[symbol]), expected(last("q")));
    assert.deepEqual(received(answer.bars[symbol]), expected(bar("b")));
    const snapshot = answer.snapshots[symbol];
    assert.deepEqual(received(snapshot.latestTrade), expected(last("t")));
    assert.deepEqual(received(snapshot.latestQuote), expected(last("q")));
    assert.deepEqual(received(snapshot.minuteBar), expected(bar("b")));
    assert.deepEqual(received(snapshot.dailyBar), expected(bar("d")));
  }
});

test("R31, R32, R33: after an unsubscribe only the other symbols are received", async () => {
  for (const kind of KINDS) {
    const { subscribed } = SDKS[kind];
    const trades = subscribed.trades.filter((symbol) => symbol !== "XXX");
    SDKS[kind].subscribed = { ...subscribed, trades };
    bots[kind].unsubscribe({ trades: ["XXX"] });
  }
  await untilAllSubscribed();
  for (const kind of KINDS) bots[kind].events = [];
  await replay(hub.port);
  for (const kind of KINDS) {
    // Without bars: replaying the same trades twice makes other bars.
    await assertReceivedAll(bots[kind], { events, ...SDKS[kind] });
    assert.deepEqual(bots[kind].log, []);
  }
});

test("R36: each SDK reconnects and resubscribes after the hub was killed", async () => {
  for (const kind of KINDS) Object.assign(bots[kind], { events: [], subscribed: {} });
  await hub.kill();
  await hub.startAgain();
  await untilAllSubscribed();
  await replay(hub.port);
  for (const kind of KINDS) await assertReceivedAll(bots[kind], { events, bars, ...SDKS[kind] });
});

test("the test feed sends trades and quotes without a publisher", async () => {
  const symbols = { trades: ["FAKEPACA"], quotes: ["FAKEPACA"] };
  const bot = startBot("python", symbols, { ...BOT_KEY, STREAM_URL: hub.streamUrl("test") });
  bots.test = bot;
  const has = (T) => bot.events.some((event) => event.T === T && event.S === "FAKEPACA");
  await until(
    () => has("t") && has("q"),
    () => `no FAKEPACA: ${bot.log.join("\n")}`,
  );
});
