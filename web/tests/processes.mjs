// The programs the page test needs. All of them end with the test, however it ends.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const running = new Set();
const binary =
  process.env["TICKWIRE_BIN"] ??
  fileURLToPath(new URL("../../target/debug/tickwire", import.meta.url));

process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => process.exit(1));

/** Starts a hub and waits until it listens; port 0 takes a free one. */
export async function startHub(port = 0, ...flags) {
  const child = startTickwire("hub", "--listen", `127.0.0.1:${port}`, ...flags);
  const url = await new Promise((resolve, reject) => {
    createInterface({ input: child.stdout }).on("line", (line) => {
      const address = /listening on (http:\/\/\S+)/.exec(line)?.[1];
      if (address !== undefined) resolve(address);
    });
    child.once("exit", (code) => reject(new Error(`the hub ended with ${code} before it listened`)));
  });
  return { child, url, port: Number(new URL(url).port) };
}

/** A simulated market; it reconnects by itself. */
export function startFeed(hubPort, ...flags) {
  const hub = `ws://127.0.0.1:${hubPort}`;
  const market = ["--symbols", "50", "--rate", "500", "--seed", "7", "--duration", "120s"];
  const child = startTickwire("feed", "sim", "--hub", hub, ...market, ...flags);
  child.stdout.resume();
  return child;
}

/** Makes a key in a keys file. */
export async function addKey(file, { id, secret, role, flags = [] }) {
  const own = ["--file", file, "--id", id, "--secret", secret, "--role", role];
  const child = startTickwire("keys", "add", `key ${id}`, ...own, ...flags);
  child.stdout.resume();
  const [code] = await once(child, "exit");
  if (code !== 0) throw new Error(`keys add ended with ${code}`);
}

/** Ends a program in its own time, or with SIGKILL in none. */
export async function stop(child, signal = "SIGTERM") {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  child.kill(signal);
  await ended;
}

export async function stopAll() {
  await Promise.all([...running].map((child) => stop(child)));
}

/** The Chromium to test in; throws with all places where none was found. */
export function findChromium() {
  const given = process.env["CHROMIUM"];
  const folders = (process.env["PATH"] ?? "").split(delimiter);
  const names = ["chromium", "chromium-browser", "google-chrome"];
  const candidates = given
    ? [given]
    : ["/usr/bin", ...folders].flatMap((folder) => names.map((name) => join(folder, name)));
  const found = candidates.find(isExecutable);
  if (found !== undefined) return found;
  throw new Error(`no Chromium at ${candidates.join(", ")}; set CHROMIUM to its path`);
}

function startTickwire(...args) {
  const child = spawn(binary, args, { stdio: ["ignore", "pipe", "inherit"] });
  running.add(child);
  child.once("exit", () => running.delete(child));
  child.once("error", (error) => {
    throw new Error(`${binary} does not start; build it or set TICKWIRE_BIN`, { cause: error });
  });
  return child;
}

function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
