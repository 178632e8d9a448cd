// Subscribes to the watched symbols. The hub refuses a subscribe command as a whole if the key may
// not have one of its symbols, or not as many. The subscriber then splits the command in halves
// until only the symbols in question remain refused. Pure: the caller sends the commands and
// reports the answers.

/** A watched symbol, as the subscriber sees it. */
export interface WatchedSymbol {
  readonly symbol: string;
  /** The hub's reason for not delivering the symbol; undefined if it does. */
  readonly refusal: string | undefined;
  setRefusal(reason: string | undefined): void;
}

/** The watched symbols, in the order in which they were added. */
export interface WatchedSymbols<S extends WatchedSymbol> {
  readonly rows: Iterable<S>;
  row(symbol: string): S | undefined;
}

export interface SubscriberEvents<S extends WatchedSymbol> {
  /** Send a subscribe command whose answer will carry `id`. */
  send(symbols: readonly string[], id: number): void;
  /** The hub now refuses a symbol that it delivered before, or the other way round. */
  availabilityChanged(row: S): void;
}

export class Subscriber<S extends WatchedSymbol> {
  readonly #watched: WatchedSymbols<S>;
  readonly #events: SubscriberEvents<S>;
  /** Symbols of the commands that wait for an answer, by the id of the command. */
  readonly #pending = new Map<number, readonly string[]>();
  #lastId = 0;

  constructor(watched: WatchedSymbols<S>, events: SubscriberEvents<S>) {
    this.#watched = watched;
    this.#events = events;
  }

  /** Subscribes to all watched symbols on a new connection, those refused earlier included. */
  connected(): void {
    this.#pending.clear();
    this.subscribe(this.#symbols(() => true));
  }

  /** Repeats the subscriptions that the hub granted, to change their rate. */
  renew(): void {
    this.subscribe(this.#symbols(({ refusal }) => refusal === undefined));
  }

  /** Tries the refused symbols again, for example after another symbol was removed. */
  retryRefused(): void {
    this.subscribe(this.#symbols(({ refusal }) => refusal !== undefined));
  }

  subscribe(symbols: readonly string[]): void {
    if (symbols.length === 0) return;
    this.#lastId += 1;
    this.#pending.set(this.#lastId, symbols);
    this.#events.send(symbols, this.#lastId);
  }

  /** Handles the hub's acknowledgement of a command. */
  accepted(id: number | undefined): void {
    for (const symbol of this.#takePending(id) ?? []) this.#setRefusal(symbol, undefined);
  }

  /**
   * Handles the hub's refusal of a command. Returns false if `id` is not that of a pending
   * subscribe command.
   */
  refused(id: number | undefined, reason: string): boolean {
    const symbols = this.#takePending(id);
    if (symbols === undefined) return false;
    const [only, ...others] = symbols;
    if (only !== undefined && others.length === 0) {
      this.#setRefusal(only, reason);
      return true;
    }
    const watched = symbols.filter((symbol) => this.#watched.row(symbol) !== undefined);
    const half = Math.ceil(watched.length / 2);
    this.subscribe(watched.slice(0, half));
    this.subscribe(watched.slice(half));
    return true;
  }

  #symbols(isWanted: (row: S) => boolean): string[] {
    return [...this.#watched.rows].filter(isWanted).map(({ symbol }) => symbol);
  }

  #takePending(id: number | undefined): readonly string[] | undefined {
    if (id === undefined) return undefined;
    const symbols = this.#pending.get(id);
    this.#pending.delete(id);
    return symbols;
  }

  #setRefusal(symbol: string, reason: string | undefined): void {
    const row = this.#watched.row(symbol);
    if (row === undefined || row.refusal === reason) return;
    const isChange = (row.refusal === undefined) !== (reason === undefined);
    row.setRefusal(reason);
    if (isChange) this.#events.availabilityChanged(row);
  }
}
