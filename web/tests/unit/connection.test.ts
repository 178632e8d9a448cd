import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";

import { Backoff, FIRST_DELAY_MS, REQUESTED_SPREAD_MS } from "../../src/client/backoff.ts";
import {
  CONNECT_TIMEOUT_MS,
  Connection,
  HEALTHY_AFTER_MS,
  IDLE_TIMEOUT_MS,
} from "../../src/client/connection.ts";
import type { Socket } from "../../src/client/socket.ts";

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
/** The event of a connection that was cut, without a close frame. */
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
      closed: (label) => events.push(label === "" ? "closed" : `closed ${label}`),
      received: () => events.push("received"),
      stateChanged: (state) => events.push(state.kind),
    },
    new Backoff(() => 1),
  );
  connection.start();
});

/** Advances in small steps, so that a timer set meanwhile starts at its own time. */
function advance(ms: number): void {
  for (let left = ms; left > 0; left -= 100) mock.timers.tick(Math.min(100, left));
}

test("opening, messages and the loss of a connection are reported", () => {
  sockets[0]!.onopen!();
  sockets[0]!.onmessage!(MESSAGE);
  sockets[0]!.onclose!(CUT);
  assert.deepEqual(events, ["connecting", "live", "opened", "received", "reconnecting", "closed"]);
});

test("commands are sent only while live", () => {
  connection.send(COMMAND);
  sockets[0]!.onopen!();
  connection.send(COMMAND);
  sockets[0]!.onclose!(CUT);
  connection.send(COMMAND);
  assert.equal(sockets[0]!.sent.length, 1);
});

test("a lost connection reconnects after the delay, and the state has the time", () => {
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

test("failed attempts lengthen the delays, and only a healthy connection resets them", () => {
  sockets[0]!.onclose!(CUT);
  advance(FIRST_DELAY_MS);
  sockets[1]!.onopen!();
  sockets[1]!.onclose!(CUT);
  assert.deepEqual(connection.state, { kind: "reconnecting", retryAtMs: 3 * FIRST_DELAY_MS });
  advance(2 * FIRST_DELAY_MS);
  sockets[2]!.onopen!();
  advance(HEALTHY_AFTER_MS / 2);
  sockets[2]!.onmessage!(MESSAGE);
  advance(HEALTHY_AFTER_MS / 2);
  sockets[2]!.onclose!(CUT);
  assert.deepEqual(connection.state, {
    kind: "reconnecting",
    retryAtMs: 3 * FIRST_DELAY_MS + HEALTHY_AFTER_MS + FIRST_DELAY_MS,
  });
});

test("a hub that closes can set the delay", () => {
  sockets[0]!.onopen!();
  sockets[0]!.onclose!({ reason: "shutdown retry_ms=2500" });
  assert.deepEqual(connection.state, { kind: "reconnecting", retryAtMs: 2500 + REQUESTED_SPREAD_MS });
});

test("a stopped connection reports nothing and does not reconnect", () => {
  sockets[0]!.onopen!();
  const before = events.length;
  connection.stop();
  assert.equal(sockets[0]!.closed, true);
  assert.equal(sockets[0]!.onclose, null);
  advance(IDLE_TIMEOUT_MS * 2);
  assert.deepEqual([sockets.length, events.length], [1, before]);
});

test("stop also cancels a pending reconnect", () => {
  sockets[0]!.onclose!(CUT);
  connection.stop();
  advance(IDLE_TIMEOUT_MS);
  assert.equal(sockets.length, 1);
});

test("retryNow skips the delay but never opens two sockets", () => {
  sockets[0]!.onclose!(CUT);
  connection.retryNow();
  assert.equal(sockets.length, 2);
  connection.retryNow();
  advance(FIRST_DELAY_MS);
  assert.equal(sockets.length, 2, "one attempt at a time");
});

test("a silent connection is closed after the idle timeout", () => {
  sockets[0]!.onopen!();
  advance(IDLE_TIMEOUT_MS - 500);
  sockets[0]!.onmessage!(MESSAGE);
  advance(IDLE_TIMEOUT_MS - 1_500);
  assert.equal(sockets[0]!.closed, false);
  advance(2_000);
  assert.equal(sockets[0]!.closed, true);
  assert.deepEqual(events, ["connecting", "live", "opened", "received", "reconnecting", "closed"]);
});

test("a socket that does not open is closed after the connect timeout", () => {
  advance(CONNECT_TIMEOUT_MS - 1_000);
  assert.equal(sockets[0]!.closed, false);
  advance(1_000);
  assert.equal(sockets[0]!.closed, true);
  advance(FIRST_DELAY_MS);
  assert.equal(sockets.length, 2);
  assert.equal(events.includes("closed"), false);
});

test("events of a socket that timed out are ignored", () => {
  sockets[0]!.onopen!();
  advance(IDLE_TIMEOUT_MS + 1_000);
  const { onopen, onmessage, onclose } = sockets[0]!;
  assert.deepEqual([onopen, onmessage, onclose], [null, null, null]);
});

test("a paused connection reconnects only when it is started", () => {
  sockets[0]!.onopen!();
  connection.pause();
  assert.equal(sockets[0]!.closed, true);
  assert.equal(connection.state.kind, "paused");
  connection.retryNow();
  advance(10 * IDLE_TIMEOUT_MS);
  assert.equal(sockets.length, 1);
  connection.start();
  sockets[1]!.onopen!();
  connection.send(COMMAND);
  assert.deepEqual(sockets[1]!.sent, [COMMAND]);
});

test("the closed event has the label of the close reason", () => {
  sockets[0]!.onopen!();
  sockets[0]!.onclose!({ reason: "replaced" });
  assert.equal(events.at(-1), "closed replaced");
});
