// One WebSocket that is there whenever it can be: it reconnects after a loss, with growing and
// jittered delays or when the hub said, and gives up a socket on which nothing arrives any more.

import { Backoff } from "./backoff.ts";

/** The hub sends something at least every 15 s; two and a half of those are a dead connection. */
export const SILENCE_MS_MAX = 37_500;
export const CONNECT_MS_MAX = 10_000;
/** A connection that lived this long was a good one: the next delay starts small again. */
const GOOD_AFTER_MS = 5_000;
const CHECK_EVERY_MS = 1_000;

export type ConnectionState =
  | { readonly kind: "connecting" }
  | { readonly kind: "live" }
  /** Until it is started again. */
  | { readonly kind: "held" }
  /** `retryAtMs` by the clock of `Date.now()`. */
  | { readonly kind: "reconnecting"; readonly retryAtMs: number };

/** The part of a WebSocket that is used here. */
export interface Socket {
  onopen: (() => void) | null;
  onclose: ((event: { reason: string }) => void) | null;
  onmessage: ((event: { data: ArrayBuffer }) => void) | null;
  send(data: Uint8Array<ArrayBuffer>): void;
  close(): void;
}

export interface ConnectionEvents {
  opened(): void;
  /** With the reason the hub gave, which may be empty. */
  closed(reason: string): void;
  received(message: ArrayBuffer): void;
  changed(state: ConnectionState): void;
}

export class Connection {
  readonly #open: () => Socket;
  readonly #events: ConnectionEvents;
  readonly #backoff: Backoff;
  #socket: Socket | undefined;
  #state: ConnectionState = { kind: "connecting" };
  /** When the state of the socket was last known to be good: opening, opened, a message. */
  #heardMs = 0;
  #openedMs = 0;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #checking: ReturnType<typeof setInterval> | undefined;

  constructor(open: () => Socket, events: ConnectionEvents, backoff = new Backoff()) {
    this.#open = open;
    this.#events = events;
    this.#backoff = backoff;
  }

  get state(): ConnectionState {
    return this.#state;
  }

  /** The connection then looks after itself until it is stopped or held. */
  start(): void {
    this.#checking = setInterval(() => this.#check(), CHECK_EVERY_MS);
    this.#connect();
  }

  /** For good, and without a word to the events. */
  stop(): void {
    clearInterval(this.#checking);
    clearTimeout(this.#retry);
    this.#release()?.close();
  }

  /** Leaves the hub until it is started again. */
  hold(): void {
    this.stop();
    this.#become({ kind: "held" });
  }

  /** Ends the wait for the next attempt, if there is one. */
  retryNow(): void {
    if (this.#state.kind === "reconnecting") this.#connect();
  }

  /** Does nothing while not live: whoever subscribes does so again when `opened` is called. */
  send(command: Uint8Array<ArrayBuffer>): void {
    if (this.#state.kind === "live") this.#socket?.send(command);
  }

  #connect(): void {
    clearTimeout(this.#retry);
    const socket = this.#open();
    this.#socket = socket;
    this.#heardMs = Date.now();
    socket.onopen = () => {
      this.#heardMs = this.#openedMs = Date.now();
      this.#become({ kind: "live" });
      this.#events.opened();
    };
    socket.onmessage = (event) => {
      this.#heardMs = Date.now();
      this.#events.received(event.data);
    };
    socket.onclose = ({ reason }) => this.#lost(reason);
    this.#become({ kind: "connecting" });
  }

  #check(): void {
    if (this.#socket === undefined) return;
    const limit = this.#state.kind === "live" ? SILENCE_MS_MAX : CONNECT_MS_MAX;
    if (Date.now() - this.#heardMs < limit) return;
    const silent = this.#socket;
    this.#lost("");
    silent.close();
  }

  /** Nobody listens to the socket any more. */
  #release(): Socket | undefined {
    const socket = this.#socket;
    if (socket !== undefined) socket.onopen = socket.onmessage = socket.onclose = null;
    this.#socket = undefined;
    return socket;
  }

  #lost(reason: string): void {
    this.#release();
    const wasLive = this.#state.kind === "live";
    if (wasLive && Date.now() - this.#openedMs >= GOOD_AFTER_MS) this.#backoff.reset();
    const delayMs = this.#backoff.nextDelayMs(reason);
    this.#retry = setTimeout(() => this.#connect(), delayMs);
    this.#become({ kind: "reconnecting", retryAtMs: Date.now() + delayMs });
    if (wasLive) this.#events.closed(reason);
  }

  #become(state: ConnectionState): void {
    this.#state = state;
    this.#events.changed(state);
  }
}
