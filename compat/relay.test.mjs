// Hub, relay, hub, SDK: a chain of what users run, with the upstream killed in the middle.

import { after, before, test } from "node:test";

import { allEvents, lastBars } from "./excerpt.mjs";
import { BOT, PUBLISHER_TOKEN, play, receivedAll, startGuardedHub, untilSubscribed } from "./kit.mjs";
import { kill, startBot, startTickwire, until } from "./programs.mjs";

const NAMES = ["XXX", "YYY", "BRK.B"];
const SUBSCRIBED = {
  trades: [...NAMES, "END"],
  quotes: NAMES,
  bars: ["XXX", "YYY"],
  updatedBars: ["XXX", "YYY"],
  dailyBars: ["XXX", "YYY"],
  statuses: NAMES,
};
const CHANNELS = Object.keys(SUBSCRIBED);

const events = allEvents();
let bars;
let upstream;
let downstream;
let relay;
let bot;

before(async () => {
  [bars, upstream, downstream] = await Promise.all([lastBars(), startGuardedHub(), startGuardedHub()]);
  const from = ["--url", upstream.stream("sip"), "--key", BOT.API_KEY, "--channels", CHANNELS.join(",")];
  const to = ["--hub", `ws://127.0.0.1:${downstream.port}`];
  relay = startTickwire(["feed", "alpaca", ...from, "--symbols", "*", "--market-hours", "always", ...to], {
    TICKWIRE_ALPACA_SECRET: BOT.API_SECRET,
    TICKWIRE_TOKEN: PUBLISHER_TOKEN,
  });
  bot = startBot("python", SUBSCRIBED, { ...BOT, STREAM_URL: downstream.stream("sip") });
  await untilSubscribed(bot, SUBSCRIBED);
});

after(() =>
  Promise.all([kill(bot.child), kill(relay.child), upstream.kill(), downstream.kill()]),
);

/** Waits until the relay has subscribed to all channels; plays the files to the hub before it. */
async function playThroughRelay() {
  const subscriptions = async () => (await upstream.status()).subscriptions;
  await until(
    async () => (await subscriptions()) >= CHANNELS.length,
    () => `the relay has not subscribed: ${relay.log.join("\n")}`,
  );
  await play(upstream.port);
}

test("hub, relay, hub, alpaca-py: all that was recorded arrives, in order", async () => {
  await playThroughRelay();
  await receivedAll(bot, { events, bars, subscribed: SUBSCRIBED, precision: "microseconds" });
});

test("hub, relay, hub, alpaca-py: a killed upstream is found again", async () => {
  bot.events = [];
  await upstream.kill();
  await upstream.startAgain();
  await playThroughRelay();
  // Other bars of the same minutes: those behind the relay are the upstream's, those before the kill remain.
  await receivedAll(bot, { events, subscribed: SUBSCRIBED, precision: "microseconds" });
});
