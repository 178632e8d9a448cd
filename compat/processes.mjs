// Starts and stops the programs of the tests: hubs, feeds and bots. All of them end with the test
// process, however it ends.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const absolute = (path) => fileURLToPath(new URL(path, import.meta.url));
const tickwire = process.env["TICKWIRE_BIN"] ?? absolute("../target/debug/tickwire");
const python = process.env["COMPAT_PYTHON"] ?? absolute("../target/compat/python/bin/python");
const running = new Set();

process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => process.exit(1));

/** How long a condition may take. Generous, because other processes may keep the machine busy. */
const TIMEOUT_MS = 180_000;
const POLL_INTERVAL_MS = 20;
/** Delay of the balancer before it tries its target again. */
const BALANCER_RETRY_MS = 100;

/** Starts a program. Collects its standard error in `log`; calls `onLine` for standard output. */
function start(program, args, env = {}, onLine = () => {}) {
  const child = spawn(program, args, { env: { ...process.env, ...env }, stdio: "pipe" });
  running.add(child);
  const log = [];
  child.once("exit", () => running.delete(child));
  child.once("error", (error) => log.push(`${program} does not start: ${error.message}`));
  child.stdin.on("error", () => {}); // the program has exited, which others notice
  createInterface({ input: child.stdout }).on("line", onLine);
  createInterface({ input: child.stderr }).on("line", (line) => log.push(line));
  return { child, log };
}

/** Runs a program to its end and returns its standard output; throws its log if it fails. */
async function run(program, args, env) {
  const lines = [];
  const { child, log } = start(program, args, env, (line) => lines.push(line));
  const [code] = await once(child, "close");
  if (code !== 0) {
    throw new Error(`${program} ${args.join(" ")} exited with ${code}: ${log.join("\n")}`);
  }
  return lines.join("\n");
}

export const runTickwire = (args, env) => run(tickwire, args, env);
export const runPython = (file, args, env) => run(python, [absolute(file), ...args], env);

/** Starts a hub and waits until it listens; port 0 stands for any free port. */
export async function startHub(port, flags) {
  let listening;
  const address = new Promise((resolve) => (listening = resolve));
  const args = ["hub", "--listen", `127.0.0.1:${port}`, ...flags];
  const hub = start(tickwire, args, {}, (line) => {
    const found = /listening on \w+:\/\/[\d.]+:(\d+)/.exec(line)?.[1];
    if (found !== undefined) listening(Number(found));
  });
  const exited = once(hub.child, "exit").then(([code]) => {
    throw new Error(`the hub exited with ${code}: ${hub.log.join("\n")}`);
  });
  exited.catch(() => {}); // once it listens, its end is intended
  return { ...hub, port: await Promise.race([address, exited]) };
}

/** Starts a command that runs until it is killed, such as a relay. */
export const startTickwire = (args, env) => start(tickwire, args, env);

/** Kills a program and waits for its end. */
export async function kill(child) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  child.kill("SIGKILL");
  await exited;
}

/**
 * Starts a bot, which is a program on one of the SDKs. Collects the events that its handlers
 * received in `events`, and keeps the last acknowledged subscription in `subscribed`.
 */
export function startBot(kind, subscribe, env) {
  const bot = { events: [], subscribed: {} };
  const onLine = (text) => {
    const line = JSON.parse(text);
    if (line.subscribed) bot.subscribed = line.subscribed;
    else bot.events.push(line);
  };
  const [program, file] = kind === "python" ? [python, "bot.py"] : [process.execPath, "bot.js"];
  const args = [absolute(`${kind}/${file}`), JSON.stringify(subscribe)];
  const { child, log } = start(program, args, env, onLine);
  return Object.assign(bot, {
    log,
    child,
    unsubscribe: (symbols) => child.stdin.write(`${JSON.stringify(symbols)}\n`),
  });
}

/** Waits until a condition is true; after a timeout throws the text that `problem` returns. */
export async function until(condition, problem) {
  const deadline = Date.now() + TIMEOUT_MS;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(problem());
    await sleep(POLL_INTERVAL_MS);
  }
}

/**
 * Starts a load balancer that keeps connections waiting while its target is down. A target that is
 * killed may still accept a connection, so one without an answer is repeated too. Returns its port.
 */
export async function startBalancer(targetPort) {
  const forward = (client, sent) => {
    const target = connect(targetPort, "127.0.0.1");
    let hasAnswered = false;
    const send = (data) => {
      if (!hasAnswered) sent.push(data);
      target.write(data);
    };
    const stop = () => target.destroy();
    target.once("connect", () => {
      for (const data of sent) target.write(data);
      client.on("data", send).resume();
    });
    target.once("data", () => {
      hasAnswered = true;
    });
    target.pipe(client, { end: false });
    target.on("error", () => {}); // a close event follows
    target.once("close", () => {
      client.off("data", send).off("close", stop).pause();
      if (hasAnswered) client.destroySoon();
      else if (!client.destroyed) setTimeout(forward, BALANCER_RETRY_MS, client, sent);
    });
    client.once("close", stop);
  };
  const server = createServer({ pauseOnConnect: true }, (client) => {
    client.on("error", () => {}); // a close event follows
    forward(client, []);
  });
  server.listen(0, "127.0.0.1").unref();
  await once(server, "listening");
  return server.address().port;
}
