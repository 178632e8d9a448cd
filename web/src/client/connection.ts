// A WebSocket that reconnects by itself: after a loss it waits for the delay of a `Backoff`, or as
// long as the hub asked, and it closes a socket on which nothing arrives any more.

import { parseCloseReason } from "../protocol/closeReason.ts";
import type { Command } from "../protocol/commands.ts";
import { Backoff } from "./backoff.ts";
import type { Socket } from "./socket.ts";

/** The hub sends something at least every 15 s; after two and a half times that it is gone. */
export const IDLE_TIMEOUT_MS = 37_500;
/** Time for a socket to open. */
export const CONNECT_TIMEOUT_MS = 10_000;
/** A connection that lasted this long was healthy: the next delay is short again. */
export const HEALTHY_AFTER_MS = 60_000;
const TIMEOUT_CHECK_INTERVAL_MS = 1_000;

export type ConnectionState =
  | { readonly kind: "connecting" }
  | { readonly kind: "live" }
  /** Disconnected until `start` is called. */
  | { readonly kind: "paused" }
  /** `retryAtMs` is the time of the next attempt on the clock of `Date.now()`. */
  | { readonly kind: "reconnecting"; readonly retryAtMs: number };

export interface ConnectionEvents {
  opened(): void;
  /** An open connection ended; `label` is the label of the hub's close reason and may be empty. */
  closed(label: string): void;
  received(message: ArrayBuffer): void;
  stateChanged(state: ConnectionState): void;
}

export class Connection {
  readonly #open: () => Socket;
  readonly #events: ConnectionEvents;
  readonly #backoff: Backoff;
  #socket: Socket | undefined;
  #state: ConnectionState = { kind: "connecting" };
  /** When the socket last started to open, opened, or received a message. */
  #lastActivityMs = 0;
  #openedMs = 0;
  #retryTimer: ReturnType<typeof setTimeout> | undefined;
  #timeoutCheck: ReturnType<typeof setInterval> | undefined;

  constructor(open: () => Socket, events: ConnectionEvents, backoff = new Backoff()) {
    this.#open = open;
    this.#events = events;
    this.#backoff = backoff;
  }

  get state(): ConnectionState {
    return this.#state;
  }

  /** Connects, and reconnects after every loss until `stop` or `pause` is called. */
  start(): void {
    this.#timeoutCheck = setInterval(() => this.#checkTimeouts(), TIMEOUT_CHECK_INTERVAL_MS);
    this.#connect();
  }

  /** Closes the connection without calling any event. */
  stop(): void {
    clearInterval(this.#timeoutCheck);
    clearTimeout(this.#retryTimer);
    this.#detachSocket()?.close();
  }

  /** Closes the connection until `start` is called again. */
  pause(): void {
    this.stop();
    this.#setState({ kind: "paused" });
  }

  /** Skips the rest of the delay before the next attempt; does nothing in other states. */
  retryNow(): void {
    if (this.#state.kind === "reconnecting") this.#connect();
  }

  /** Drops the command unless live: subscriptions are sent again when `opened` is called. */
  send(command: Command): void {
    if (this.#state.kind === "live") this.#socket?.send(command);
  }

  #connect(): void {
    clearTimeout(this.#retryTimer);
    const socket = this.#open();
    this.#socket = socket;
    this.#lastActivityMs = Date.now();
    socket.onopen = () => {
      this.#lastActivityMs = this.#openedMs = Date.now();
      this.#setState({ kind: "live" });
      this.#events.opened();
    };
    socket.onmessage = (event) => {
      this.#lastActivityMs = Date.now();
      this.#events.received(event.data);
    };
    socket.onclose = ({ reason }) => this.#lost(reason);
    this.#setState({ kind: "connecting" });
  }

  #checkTimeouts(): void {
    if (this.#socket === undefined) return;
    const timeoutMs = this.#state.kind === "live" ? IDLE_TIMEOUT_MS : CONNECT_TIMEOUT_MS;
    if (Date.now() - this.#lastActivityMs < timeoutMs) return;
    const silent = this.#socket;
    this.#lost("");
    silent.close();
  }

  /** Forgets the socket, so that its later events are ignored, and returns it. */
  #detachSocket(): Socket | undefined {
    const socket = this.#socket;
    if (socket !== undefined) socket.onopen = socket.onmessage = socket.onclose = null;
    this.#socket = undefined;
    return socket;
  }

  #lost(reasonText: string): void {
    this.#detachSocket();
    const reason = parseCloseReason(reasonText);
    const wasLive = this.#state.kind === "live";
    if (wasLive && Date.now() - this.#openedMs >= HEALTHY_AFTER_MS) this.#backoff.reset();
    const delayMs = this.#backoff.nextDelayMs(reason.retryMs);
    this.#retryTimer = setTimeout(() => this.#connect(), delayMs);
    this.#setState({ kind: "reconnecting", retryAtMs: Date.now() + delayMs });
    if (wasLive) this.#events.closed(reason.label);
  }

  #setState(state: ConnectionState): void {
    this.#state = state;
    this.#events.stateChanged(state);
  }
}
