// The connection that fills the chart with the minute bars of one symbol. It is separate from the
// connection of the watchlist, which receives only the newest values and must not wait for history.

import { decodeMessage } from "../protocol/decode.ts";
import { BarHistoryFeed } from "./barHistoryFeed.ts";
import { Connection } from "./connection.ts";
import type { PriceHistory } from "./priceHistory.ts";
import type { Socket } from "./socket.ts";

export interface ChartStreamEvents {
  /** The connection is open; no command has been sent on it yet. */
  opened(connection: Connection): void;
  /** Call `process` to handle a message; it throws a WireError if the message is invalid. */
  received(process: () => void): void;
  /** The key has no session left for this connection. */
  connectionLimitReached(): void;
}

export class ChartStream {
  readonly #open: () => Socket;
  readonly #events: ChartStreamEvents;
  #connection: Connection | undefined;

  constructor(open: () => Socket, events: ChartStreamEvents) {
    this.#open = open;
    this.#events = events;
  }

  get isActive(): boolean {
    return this.#connection !== undefined;
  }

  /** Streams the bars of a symbol into `history`; ends the stream of the symbol before. */
  start(symbol: string, history: PriceHistory): void {
    this.stop();
    const feed = new BarHistoryFeed(symbol, history, {
      send: (command) => connection.send(command),
      connectionLimitReached: () => this.#events.connectionLimitReached(),
    });
    const connection = new Connection(this.#open, {
      opened: () => this.#events.opened(connection),
      closed: () => undefined,
      received: (message) =>
        this.#events.received(() => feed.receive(decodeMessage(message), Date.now())),
      stateChanged: () => undefined,
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
