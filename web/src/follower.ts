// Fills the chart with the trades of one symbol at a time: a connection of its own, since the board
// wants only the newest.

import type { Row } from "./board.ts";
import { Connection, type Socket } from "./connection.ts";
import { Trail } from "./trail.ts";
import { decodeMessage } from "./wire.ts";

export interface FollowerEvents {
  /** Nothing has been asked for yet. */
  opened(connection: Connection): void;
  /** `take` takes the message; it throws a WireError if it cannot be read. */
  received(take: () => void): void;
  /** There is no place for one connection more. */
  refused(): void;
}

export class Follower {
  readonly #open: () => Socket;
  readonly #events: FollowerEvents;
  #connection: Connection | undefined;

  constructor(open: () => Socket, events: FollowerEvents) {
    this.#open = open;
    this.#events = events;
  }

  get isFollowing(): boolean {
    return this.#connection !== undefined;
  }

  /** What the hub still knows of it, and then every trade. */
  follow({ symbol, history }: Row): void {
    this.stop();
    const send = (command: Uint8Array<ArrayBuffer>): void => connection.send(command);
    const trail = new Trail(symbol, history, send, () => this.#events.refused());
    const connection = new Connection(this.#open, {
      opened: () => this.#events.opened(connection),
      closed: () => undefined,
      received: (message) =>
        this.#events.received(() => trail.receive(decodeMessage(message), Date.now())),
      changed: () => undefined,
    });
    this.#connection = connection;
    connection.start();
  }

  stop(): void {
    this.#connection?.stop();
    this.#connection = undefined;
  }

  retryNow(): void {
    this.#connection?.retryNow();
  }
}
