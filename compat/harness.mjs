// What the tests share: a hub with keys and TLS, the replay, and the comparison of what a bot
// received with the expected events.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { FILES, isBar, lastOfEachBar, normalized, subscribedEvents } from "./expected.mjs";
import { kill, runTickwire, startHub, until } from "./processes.mjs";

const certificates = fileURLToPath(new URL("../crates/hub/tests/tls/", import.meta.url));

/** The certificate authority of the hubs' certificates. */
export const AUTHORITY = join(certificates, "ca.pem");

/** The key that bots present. */
export const BOT_KEY = { API_KEY: "BOT", API_SECRET: "what-only-bots-know" };
const PUBLISHER_KEY = { API_KEY: "FEED", API_SECRET: "what-only-feeds-know" };
export const PUBLISHER_TOKEN = `${PUBLISHER_KEY.API_KEY}:${PUBLISHER_KEY.API_SECRET}`;

/** Creates a folder that is removed at the end of the tests. */
function temporaryFolder() {
  const folder = mkdtempSync(join(tmpdir(), "tickwire-compat-"));
  process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

async function createKeysFile() {
  const file = join(temporaryFolder(), "keys.toml");
  for (const [name, role, key] of [
    ["bots", "read", BOT_KEY],
    ["feeds", "publish", PUBLISHER_KEY],
  ]) {
    const options = ["--role", role, "--id", key.API_KEY, "--secret", key.API_SECRET];
    await runTickwire(["keys", "add", "--file", file, name, ...options]);
  }
  return file;
}

/** Starts a hub that requires keys and accepts TLS. `startAgain` uses the same port. */
export async function startGuardedHub() {
  const [cert, key] = ["first.pem", "first.key"].map((name) => join(certificates, name));
  const flags = ["--keys", await createKeysFile(), "--tls-cert", cert, "--tls-key", key];
  let running = await startHub(0, flags);
  const { port } = running;
  return {
    port,
    streamUrl: (view) => `ws://127.0.0.1:${port}/v2/${view}`,
    status: () => fetchJson(`http://127.0.0.1:${port}/api/status`),
    kill: () => kill(running.child),
    startAgain: async () => {
      running = await startHub(port, flags);
    },
  };
}

async function fetchJson(url) {
  const headers = { Authorization: `Bearer ${BOT_KEY.API_KEY}:${BOT_KEY.API_SECRET}` };
  const answer = await fetch(url, { headers });
  if (!answer.ok) throw new Error(`${url} answers ${answer.status}: ${await answer.text()}`);
  return answer.json();
}

/** Replays all files to a hub, as fast as it accepts them. */
export function replay(port) {
  const hub = ["--hub", `ws://127.0.0.1:${port}`];
  return runTickwire(["feed", "replay", ...FILES, "--speed", "max", ...hub], {
    TICKWIRE_TOKEN: PUBLISHER_TOKEN,
  });
}

/** Waits until a bot's subscription in these channels consists of exactly these symbols. */
export function untilSubscribed(bot, expected) {
  const isComplete = (channel) => {
    const symbols = bot.subscribed[channel] ?? [];
    const wanted = expected[channel];
    return symbols.length === wanted.length && wanted.every((symbol) => symbols.includes(symbol));
  };
  return until(
    () => Object.keys(expected).every(isComplete),
    () =>
      `expected the subscription ${JSON.stringify(expected)}, ` +
      `found ${JSON.stringify(bot.subscribed)}: ${bot.log.join("\n")}`,
  );
}

/**
 * Waits until a bot has received all events that it subscribed to, then compares every field. All
 * events but bars must come in the order of the files; of each bar the final state is compared.
 * `precision` is the time precision of the bot's SDK. Without `bars` the bars are not compared.
 */
export async function assertReceivedAll(bot, { events, bars, subscribed, precision }) {
  const normalize = (event) => normalized(event, precision);
  const expected = subscribedEvents(events, subscribed).map(normalize);
  const ticks = () => bot.events.filter((event) => !isBar(event));
  await until(
    () => ticks().length >= expected.length,
    () => `received ${ticks().length} of ${expected.length} events: ${bot.log.join("\n")}`,
  );
  const received = ticks().map(normalize);
  const wrong = received.findIndex((event, index) => !isEqual(event, expected[index]));
  if (wrong >= 0) assert.deepEqual(received[wrong], expected[wrong], `event ${wrong} differs`);
  if (bars !== undefined) await assertReceivedBars(bot, bars, normalize);
}

async function assertReceivedBars(bot, bars, normalize) {
  const normalizeAll = (all) => new Map([...all].map(([key, bar]) => [key, normalize(bar)]));
  const expected = normalizeAll(bars);
  const received = () => normalizeAll(lastOfEachBar(bot.events.filter(isBar)));
  const differing = () => {
    const current = received();
    return [...expected].filter(([key, bar]) => !isEqual(current.get(key), bar));
  };
  const problem = () => {
    const all = differing();
    const [key, bar] = all[0];
    const found = JSON.stringify(received().get(key));
    return `${all.length} bars differ, such as ${key}: ${found} is not ${JSON.stringify(bar)}`;
  };
  await until(() => differing().length === 0, problem);
  assert.equal(received().size, expected.size, "no bars of minutes without trades");
}

const isEqual = (one, other) => JSON.stringify(one) === JSON.stringify(other);
