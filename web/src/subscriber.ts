// Asks the hub for the watched symbols. A key may have only some of them, or only so many, and the hub
// refuses a command as a whole: it is then asked for in halves, so that no symbol costs another its
// prices. Pure: what is sent and what came back are the caller's.

import type { Board, Row } from "./board.ts";

export interface SubscriberEvents {
  /** `id` comes back in the answer. */
  send(symbols: readonly string[], id: number): void;
  /** A row that could be had is refused now, or the other way round. */
  changed(row: Row): void;
}

export class Subscriber {
  readonly #board: Board;
  readonly #events: SubscriberEvents;
  /** Not answered yet. */
  readonly #asked = new Map<number, readonly string[]>();
  #lastId = 0;

  constructor(board: Board, events: SubscriberEvents) {
    this.#board = board;
    this.#events = events;
  }

  /** The rows that the hub does not give. */
  get refusedRows(): Row[] {
    return [...this.#board.rows].filter((row) => row.refused !== undefined);
  }

  /** A new connection has nothing yet, and perhaps other rights. */
  connected(): void {
    this.#asked.clear();
    this.ask(this.#board.symbols);
  }

  /** Asks again for what is had, since something about it is to change. */
  renew(): void {
    this.ask(this.#board.symbols.filter((symbol) => this.#board.row(symbol)?.refused === undefined));
  }

  /** Asks again for what was refused: there may be room now. */
  retry(): void {
    this.ask(this.refusedRows.map(({ symbol }) => symbol));
  }

  ask(symbols: readonly string[]): void {
    if (symbols.length === 0) return;
    this.#lastId += 1;
    this.#asked.set(this.#lastId, symbols);
    this.#events.send(symbols, this.#lastId);
  }

  accepted(id: number | undefined): void {
    for (const symbol of this.#take(id) ?? []) this.#mark(symbol, undefined);
  }

  /** Returns whether it was a command of this page that was refused. */
  refused(id: number | undefined, reason: string): boolean {
    const symbols = this.#take(id);
    if (symbols === undefined) return false;
    if (symbols.length === 1) {
      for (const symbol of symbols) this.#mark(symbol, reason);
      return true;
    }
    const watched = symbols.filter((symbol) => this.#board.row(symbol) !== undefined);
    const half = Math.ceil(watched.length / 2);
    this.ask(watched.slice(0, half));
    this.ask(watched.slice(half));
    return true;
  }

  #take(id: number | undefined): readonly string[] | undefined {
    if (id === undefined) return undefined;
    const symbols = this.#asked.get(id);
    this.#asked.delete(id);
    return symbols;
  }

  #mark(symbol: string, reason: string | undefined): void {
    const row = this.#board.row(symbol);
    if (row === undefined || row.refused === reason) return;
    const isChange = (row.refused === undefined) !== (reason === undefined);
    row.setRefused(reason);
    if (isChange) this.#events.changed(row);
  }
}
