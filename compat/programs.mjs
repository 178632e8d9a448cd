// The programs of the tests: hubs, feeds and bots. All of them end with the test, however it ends.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const tickwire = process.env["TICKWIRE_BIN"] ?? here("../target/debug/tickwire");
const python = process.env["COMPAT_PYTHON"] ?? here("../target/compat/python/bin/python");
const running = new Set();

process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => process.exit(1));

/** How long anything may take; the machine may be busy with other things. */
export const PATIENCE_MS = 60_000;

/** Starts a program; what it says is kept, and `heard` is called for each line of its standard output. */
function start(program, args, env = {}, heard = () => {}) {
  const child = spawn(program, args, { env: { ...process.env, ...env }, stdio: "pipe" });
  running.add(child);
  const log = [];
  child.once("exit", () => running.delete(child));
  child.once("error", (error) => log.push(`${program} does not start: ${error.message}`));
  child.stdin.on("error", () => {}); // it has ended, which is noticed elsewhere
  createInterface({ input: child.stdout }).on("line", heard);
  createInterface({ input: child.stderr }).on("line", (line) => log.push(line));
  return { child, log };
}

/** Runs a program to its end and gives its standard output; throws with what it said if it fails. */
async function run(program, args, env) {
  const lines = [];
  const { child, log } = start(program, args, env, (line) => lines.push(line));
  const [code] = await once(child, "close");
  if (code !== 0) throw new Error(`${program} ${args.join(" ")} ended with ${code}: ${log.join("\n")}`);
  return lines.join("\n");
}

export const runTickwire = (args, env) => run(tickwire, args, env);
export const runPython = (file, args, env) => run(python, [here(file), ...args], env);

/** Starts a hub and waits until it listens; port 0 takes a free one. */
export async function startHub(port, flags) {
  let listening;
  const address = new Promise((resolve) => (listening = resolve));
  const args = ["hub", "--listen", `127.0.0.1:${port}`, ...flags];
  const hub = start(tickwire, args, {}, (line) => {
    const found = /listening on \w+:\/\/[\d.]+:(\d+)/.exec(line)?.[1];
    if (found !== undefined) listening(Number(found));
  });
  const ended = once(hub.child, "exit").then(([code]) => {
    throw new Error(`the hub ended with ${code}: ${hub.log.join("\n")}`);
  });
  ended.catch(() => {}); // later it is meant to end
  return { ...hub, port: await Promise.race([address, ended]) };
}

/** Starts what does not end by itself, such as a relay. */
export const startTickwire = (args, env) => start(tickwire, args, env);

/** Ends a program at once. */
export async function kill(child) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  child.kill("SIGKILL");
  await ended;
}

/** A program on an SDK, the events its handlers were given, and what it is subscribed to. */
export function startBot(kind, subscribe, env) {
  const bot = { events: [], subscribed: {} };
  const heard = (line) => {
    const said = JSON.parse(line);
    if (said.subscribed) bot.subscribed = said.subscribed;
    else bot.events.push(said);
  };
  const [program, file] = kind === "python" ? [python, "bot.py"] : [process.execPath, "bot.js"];
  const { child, log } = start(program, [here(`${kind}/${file}`), JSON.stringify(subscribe)], env, heard);
  return Object.assign(bot, {
    log,
    child,
    unsubscribe: (symbols) => child.stdin.write(`${JSON.stringify(symbols)}\n`),
  });
}

/** Waits until something holds; if that takes too long, throws what `problem` says. */
export async function until(holds, problem) {
  const deadline = Date.now() + PATIENCE_MS;
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(problem());
    await pause(20);
  }
}

/** A load balancer that lets connections wait while there is no hub behind it. Gives its port. */
export async function startBalancer(target) {
  const forward = (near) => {
    const far = connect(target, "127.0.0.1");
    let connected = false;
    far.once("connect", () => {
      connected = true;
      near.pipe(far).pipe(near);
    });
    far.on("error", () => {}); // it is closed after that
    far.once("close", () => {
      if (connected) near.destroy();
      else if (!near.destroyed) setTimeout(forward, 100, near);
    });
    near.once("close", () => far.destroy());
  };
  const server = createServer({ pauseOnConnect: true }, (near) => {
    near.on("error", () => {}); // likewise
    forward(near);
  });
  server.listen(0, "127.0.0.1").unref();
  await once(server, "listening");
  return server.address().port;
}
