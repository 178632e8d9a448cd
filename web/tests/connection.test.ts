import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";

import { Backoff, FIRST_DELAY_MS, TOLD_SPREAD_MS } from "../src/backoff.ts";
import { CONNECT_MS_MAX, Connection, SILENCE_MS_MAX, type Socket } from "../src/connection.ts";

class FakeSocket implements Socket {
  onopen: (() => void) | null = null;
  onclose: ((event: { reason: string }) => void) | null = null;
  onmessage: ((event: { data: ArrayBuffer }) => void) | null = null;
  readonly sent: Uint8Array[] = [];
  closed = false;

  send(data: Uint8Array<ArrayBuffer>): void {
    this.sent.push(data);
  }

  close(): void {
    this.closed = true;
  }
}

const COMMAND = new Uint8Array([1]);
const MESSAGE = { data: new ArrayBuffer(1) };
const CUT = { reason: "" };

let sockets: FakeSocket[];
let events: string[];
let connection: Connection;

beforeEach(() => {
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"] });
  sockets = [];
  events = [];
  const open = (): Socket => {
    const socket = new FakeSocket();
    sockets.push(socket);
    return socket;
  };
  connection = new Connection(
    open,
    {
      opened: () => events.push("opened"),
      closed: (reason) => events.push(`closed${reason}`),
      received: () => events.push("received"),
      changed: (state) => events.push(state.kind),
    },
    new Backoff(() => 1),
  );
  connection.start();
});

/** In small steps: a timer that is set on the way starts at its own time. */
function advance(ms: number): void {
  for (let left = ms; left > 0; left -= 100) mock.timers.tick(Math.min(100, left));
}

test("opening, messages and the end are reported", () => {
  sockets[0]!.onopen!();
  sockets[0]!.onmessage!(MESSAGE);
  sockets[0]!.onclose!(CUT);
  assert.deepEqual(events, ["connecting", "live", "opened", "received", "reconnecting", "closed"]);
});

test("commands go out only while live", () => {
  connection.send(COMMAND);
  sockets[0]!.onopen!();
  connection.send(COMMAND);
  sockets[0]!.onclose!(CUT);
  connection.send(COMMAND);
  assert.equal(sockets[0]!.sent.length, 1);
});

test("a lost connection is tried again after the delay, with the time of it known", () => {
  sockets[0]!.onopen!();
  sockets[0]!.onclose!(CUT);
  assert.deepEqual(connection.state, { kind: "reconnecting", retryAtMs: FIRST_DELAY_MS });
  advance(FIRST_DELAY_MS - 1);
  assert.equal(sockets.length, 1);
  advance(1);
  assert.equal(sockets.length, 2);
  sockets[1]!.onopen!();
  assert.equal(connection.state.kind, "live");
});

test("refusals make the delays grow, and only a good connection resets them", () => {
  sockets[0]!.onclose!(CUT);
  advance(FIRST_DELAY_MS);
  sockets[1]!.onopen!();
  sockets[1]!.onclose!(CUT);
  assert.deepEqual(connection.state, { kind: "reconnecting", retryAtMs: 3 * FIRST_DELAY_MS });
  advance(2 * FIRST_DELAY_MS);
  sockets[2]!.onopen!();
  advance(6_000);
  sockets[2]!.onclose!(CUT);
  assert.deepEqual(connection.state, {
    kind: "reconnecting",
    retryAtMs: 3 * FIRST_DELAY_MS + 6_000 + FIRST_DELAY_MS,
  });
});

test("a hub that closes says when to come back", () => {
  sockets[0]!.onopen!();
  sockets[0]!.onclose!({ reason: "shutdown retry_ms=2500" });
  assert.deepEqual(connection.state, { kind: "reconnecting", retryAtMs: 2500 + TOLD_SPREAD_MS });
});

test("a connection that is stopped says nothing and does not come back", () => {
  sockets[0]!.onopen!();
  const before = events.length;
  connection.stop();
  assert.equal(sockets[0]!.closed, true);
  assert.equal(sockets[0]!.onclose, null);
  advance(SILENCE_MS_MAX * 2);
  assert.deepEqual([sockets.length, events.length], [1, before]);
});

test("a wait for the next attempt is stopped too", () => {
  sockets[0]!.onclose!(CUT);
  connection.stop();
  advance(SILENCE_MS_MAX);
  assert.equal(sockets.length, 1);
});

test("an attempt may be made at once", () => {
  sockets[0]!.onclose!(CUT);
  connection.retryNow();
  assert.equal(sockets.length, 2);
  connection.retryNow();
  advance(FIRST_DELAY_MS);
  assert.equal(sockets.length, 2, "one attempt at a time");
});

test("a connection that falls silent is given up", () => {
  sockets[0]!.onopen!();
  advance(SILENCE_MS_MAX - 500);
  sockets[0]!.onmessage!(MESSAGE);
  advance(SILENCE_MS_MAX - 1_500);
  assert.equal(sockets[0]!.closed, false);
  advance(2_000);
  assert.equal(sockets[0]!.closed, true);
  assert.deepEqual(events, ["connecting", "live", "opened", "received", "reconnecting", "closed"]);
});

test("an attempt that leads nowhere is given up", () => {
  advance(CONNECT_MS_MAX - 1_000);
  assert.equal(sockets[0]!.closed, false);
  advance(1_000);
  assert.equal(sockets[0]!.closed, true);
  advance(FIRST_DELAY_MS);
  assert.equal(sockets.length, 2);
  assert.equal(events.includes("closed"), false);
});

test("a socket that was given up is not listened to any more", () => {
  sockets[0]!.onopen!();
  advance(SILENCE_MS_MAX + 1_000);
  assert.deepEqual([sockets[0]!.onopen, sockets[0]!.onmessage, sockets[0]!.onclose], [null, null, null]);
});

test("a connection that is held comes back only when it is started", () => {
  sockets[0]!.onopen!();
  connection.hold();
  assert.equal(sockets[0]!.closed, true);
  assert.equal(connection.state.kind, "held");
  connection.retryNow();
  advance(10 * SILENCE_MS_MAX);
  assert.equal(sockets.length, 1);
  connection.start();
  sockets[1]!.onopen!();
  connection.send(COMMAND);
  assert.deepEqual(sockets[1]!.sent, [COMMAND]);
});

test("who has lost a connection hears why", () => {
  sockets[0]!.onopen!();
  sockets[0]!.onclose!({ reason: ": replaced" });
  assert.equal(events.at(-1), "closed: replaced");
});
