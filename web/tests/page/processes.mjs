// Starts and stops the programs that the page tests need. All of them end with the test process,
// however it ends.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const running = new Set();
const binary =
  process.env["TICKWIRE_BIN"] ??
  fileURLToPath(new URL("../../../target/debug/tickwire", import.meta.url));

process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => process.exit(1));

/** Starts a hub and waits until it listens; port 0 stands for any free port. */
export async function startHub(port = 0, ...flags) {
  const child = startTickwire("hub", "--listen", `127.0.0.1:${port}`, ...flags);
  const url = await new Promise((resolve, reject) => {
    createInterface({ input: child.stdout }).on("line", (line) => {
      const address = /listening on (http:\/\/\S+)/.exec(line)?.[1];
      if (address !== undefined) resolve(address);
    });
    child.once("exit", (code) => {
      reject(new Error(`the hub exited with ${code} before it listened`));
    });
  });
  return { child, url, port: Number(new URL(url).port) };
}

/** Starts a simulated market, which reconnects by itself when its hub restarts. */
export function startFeed(hubPort, ...flags) {
  const hub = `ws://127.0.0.1:${hubPort}`;
  const market = ["--symbols", "50", "--rate", "500", "--seed", "7", "--duration", "600s"];
  const child = startTickwire("feed", "sim", "--hub", hub, ...market, ...flags);
  child.stdout.resume();
  return child;
}

/** Adds a key to a keys file. */
export async function addKey(file, { id, secret, role, flags = [] }) {
  const options = ["--file", file, "--id", id, "--secret", secret, "--role", role];
  const child = startTickwire("keys", "add", `key ${id}`, ...options, ...flags);
  child.stdout.resume();
  const [code] = await once(child, "exit");
  if (code !== 0) throw new Error(`keys add exited with ${code}`);
}

/** Stops a program and waits for its end. */
export async function stop(child, signal = "SIGTERM") {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  child.kill(signal);
  await exited;
}

export async function stopAll() {
  await Promise.all([...running].map((child) => stop(child)));
}

/** Returns the path of a Chromium; if there is none, throws an error that lists the places. */
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
