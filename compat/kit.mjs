// A hub with keys and TLS, what is played to it, and what bots must make of that.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { FILES, isBar, keyed, told, wanted } from "./excerpt.mjs";
import { kill, runTickwire, startHub, until } from "./programs.mjs";

const certificates = fileURLToPath(new URL("../crates/hub/tests/tls/", import.meta.url));

/** The authority that vouches for the hubs of these tests. */
export const AUTHORITY = join(certificates, "ca.pem");

/** What the bots show, and the publishers. */
export const BOT = { API_KEY: "BOT", API_SECRET: "what-only-bots-know" };
const PUBLISHER = { API_KEY: "FEED", API_SECRET: "what-only-feeds-know" };
export const PUBLISHER_TOKEN = `${PUBLISHER.API_KEY}:${PUBLISHER.API_SECRET}`;

/** A folder that is gone after the test. */
function temporaryFolder() {
  const folder = mkdtempSync(join(tmpdir(), "tickwire-compat-"));
  process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

async function keysFile() {
  const file = join(temporaryFolder(), "keys.toml");
  for (const [name, role, key] of [["bots", "read", BOT], ["feeds", "publish", PUBLISHER]]) {
    const given = ["--role", role, "--id", key.API_KEY, "--secret", key.API_SECRET];
    await runTickwire(["keys", "add", "--file", file, name, ...given]);
  }
  return file;
}

/** A hub that asks for keys and speaks TLS too. `restart` kills it and starts it on the same port. */
export async function startGuardedHub() {
  const [cert, key] = ["first.pem", "first.key"].map((name) => join(certificates, name));
  const flags = ["--keys", await keysFile(), "--tls-cert", cert, "--tls-key", key];
  let running = await startHub(0, flags);
  const { port } = running;
  return {
    port,
    stream: (view) => `ws://127.0.0.1:${port}/v2/${view}`,
    status: () => fetchJson(`http://127.0.0.1:${port}/api/status`),
    kill: () => kill(running.child),
    startAgain: async () => {
      running = await startHub(port, flags);
    },
  };
}

async function fetchJson(url) {
  const headers = { Authorization: `Bearer ${BOT.API_KEY}:${BOT.API_SECRET}` };
  const answer = await fetch(url, { headers });
  if (!answer.ok) throw new Error(`${url} answers ${answer.status}: ${await answer.text()}`);
  return answer.json();
}

/** Plays the files to a hub, from the beginning and as fast as it takes them. */
export function play(port) {
  const hub = ["--hub", `ws://127.0.0.1:${port}`];
  return runTickwire(["feed", "replay", ...FILES, "--speed", "max", ...hub], {
    TICKWIRE_TOKEN: PUBLISHER_TOKEN,
  });
}

/** Waits until a bot has been told that it is subscribed to these names, and to no others of these channels. */
export function untilSubscribed(bot, channels) {
  const same = (channel) => {
    const names = bot.subscribed[channel] ?? [];
    return names.length === channels[channel].length && channels[channel].every((name) => names.includes(name));
  };
  return until(
    () => Object.keys(channels).every(same),
    () => `wanted ${JSON.stringify(channels)}, subscribed ${JSON.stringify(bot.subscribed)}: ${bot.log.join("\n")}`,
  );
}

/**
 * Waits until a bot was given all it has subscribed to, then compares: everything but bars in the order of the files, value
 * by value, and of bars the last state of each. `precision` is what its SDK leaves of times.
 */
export async function receivedAll(bot, { events, bars, subscribed, precision }) {
  const spell = (event) => told(event, precision);
  const expected = wanted(events, subscribed).map(spell);
  const ticks = () => bot.events.filter((event) => !isBar(event));
  const problem = () => `${ticks().length} of ${expected.length} events: ${bot.log.join("\n")}`;
  await until(() => ticks().length >= expected.length, problem);
  const received = ticks().map(spell);
  const wrong = received.findIndex((event, index) => !same(event, expected[index]));
  if (wrong >= 0) assert.deepEqual(received[wrong], expected[wrong], `event ${wrong} is another one`);
  if (bars !== undefined) await receivedBars(bot, bars, spell);
}

async function receivedBars(bot, bars, spell) {
  const spellAll = (all) => new Map([...all].map(([key, bar]) => [key, spell(bar)]));
  const expected = spellAll(bars);
  const received = () => spellAll(keyed(bot.events.filter(isBar)));
  const missing = () => {
    const given = received();
    return [...expected].filter(([key, bar]) => !same(given.get(key), bar));
  };
  const problem = () => {
    const [[key, bar]] = missing();
    return `${missing().length} bars are others, such as ${key}: ${JSON.stringify(received().get(key))} is not ${JSON.stringify(bar)}`;
  };
  await until(() => missing().length === 0, problem);
  assert.equal(received().size, expected.size, "there are bars of minutes without trades");
}

const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);
