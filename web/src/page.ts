// The page as a whole: what somebody does goes to the board and to the hub, what the hub sends
// goes to the board, and once per frame the board goes to the views.

import { Board, type Row } from "./board.ts";
import { Connection, type ConnectionState, type Socket } from "./connection.ts";
import { Detail } from "./detail.ts";
import { suggestSymbols } from "./directory.ts";
import { byId, create } from "./dom.ts";
import { formatTimeOfDay } from "./format.ts";
import { Frame } from "./frame.ts";
import { announce, NoticeView, type Notice } from "./notice.ts";
import { Pace, RATE_HIDDEN, type Display } from "./pace.ts";
import { Search } from "./search.ts";
import { Session, type Feed } from "./session.ts";
import { Status } from "./status.ts";
import { Table } from "./table.ts";
import { Trail } from "./trail.ts";
import { parseHash, recall, remember, WATCHED_MAX } from "./watchlist.ts";
import {
  decodeMessage,
  encodeSubscribe,
  encodeUnsubscribe,
  SUBPROTOCOL,
  WireError,
} from "./wire.ts";

/** Ages, rates and countdowns move on even while nothing arrives. */
const REFRESH_EVERY_MS = 500;

export class Page {
  readonly #board = new Board();
  readonly #session = new Session(this.#board);
  readonly #connection = new Connection(openSocket, {
    opened: () => this.#opened(),
    closed: () => this.#session.disconnected(Date.now()),
    received: (message) => this.#received(message),
    changed: (state) => this.#connectionChanged(state),
  });
  readonly #status = new Status();
  readonly #notice = new NoticeView();
  readonly #detail = new Detail();
  readonly #table = new Table({
    picked: (symbol) => this.#select(symbol),
    removed: (symbol) => this.#remove(symbol),
    uncovered: () => this.#frame.request(),
  });
  readonly #search = new Search({
    chosen: (symbol) => this.#choose(symbol),
    isWatched: (symbol) => this.#board.row(symbol) !== undefined,
  });
  readonly #frame = new Frame(() => this.#draw());
  readonly #pace = new Pace(browserDisplay, () => this.#paceChanged());
  /** Of the selected symbol; a connection of its own, since the board wants only the newest. */
  #trail: Connection | undefined;
  /** Nothing is remembered: the page picks the first symbols as soon as there are some. */
  #firstVisit = false;
  /** From a failure to connect until the next success. */
  #lost = false;
  /** What went wrong on this side, in plain words, until dismissed. */
  #fault: string | undefined;
  #feedAnnounced: string | undefined;

  start(): void {
    const symbols = recall();
    this.#firstVisit = symbols === undefined;
    if (symbols !== undefined) this.#watch(symbols);
    this.#offerSuggestions();
    addEventListener("hashchange", () => this.#watchOnly(parseHash(location.hash)));
    document.addEventListener("visibilitychange", () => this.#pace.visibilityChanged());
    addEventListener("online", () => this.#retryNow());
    setInterval(() => this.#frame.request(), REFRESH_EVERY_MS);
    this.#connection.start();
  }

  #opened(): void {
    this.#subscribe(this.#board.symbols);
  }

  /** One command for all names: those already subscribed to go on at the new rate. */
  #paceChanged(): void {
    this.#subscribe(this.#board.symbols);
    // Every trade is too much for a page that nobody sees; its chart is filled when it is shown.
    if (this.#session.inBackground) this.#follow(undefined);
    else if (this.#trail === undefined) this.#follow(this.#detail.row);
  }

  #subscribe(symbols: readonly string[]): void {
    const { rate } = this.#pace;
    this.#session.inBackground = rate === RATE_HIDDEN;
    if (symbols.length > 0) this.#connection.send(encodeSubscribe(symbols, rate));
  }

  /** Only decodes and updates plain state: drawing waits for the next frame. */
  #received(message: ArrayBuffer): void {
    this.#readable(() => this.#session.receive(decodeMessage(message), Date.now()));
    this.#feedChanged(this.#session.feed);
    this.#frame.request();
  }

  #retryNow(): void {
    this.#connection.retryNow();
    this.#trail?.retryNow();
  }

  #readable(receive: () => void): void {
    try {
      receive();
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      this.#fault = `A message of the hub could not be read: ${error.message}.`;
    }
  }

  #connectionChanged(state: ConnectionState): void {
    if (state.kind === "live") {
      this.#lost = false;
      announce("Connected to the hub.");
    } else if (state.kind === "reconnecting" && !this.#lost) {
      this.#lost = true;
      this.#feedAnnounced = undefined;
      announce("The connection to the hub is lost. Reconnecting.");
    }
    this.#frame.request();
  }

  #feedChanged(feed: Feed | undefined): void {
    if (feed === undefined || feed.state === this.#feedAnnounced) return;
    this.#feedAnnounced = feed.state;
    announce(`The feed ${feed.name} is ${feed.state}.`);
    // A hub that has just started knows no symbols until its feed has sent some.
    if (feed.state === "live") this.#offerSuggestions();
  }

  #choose(symbol: string): void {
    if (this.#board.row(symbol) === undefined) {
      if (this.#board.size >= WATCHED_MAX) {
        this.#fault = `This page watches ${WATCHED_MAX} symbols at most; remove one to add ${symbol}.`;
        this.#frame.request();
        return;
      }
      this.#watch([symbol]);
      announce(`Watching ${symbol}.`);
    }
    this.#select(symbol);
    this.#table.reveal(symbol);
  }

  /** Adds symbols that are not yet watched. */
  #watch(symbols: readonly string[]): void {
    this.#firstVisit = false;
    const added = symbols.filter((symbol) => this.#board.row(symbol) === undefined);
    for (const symbol of added) this.#table.add(this.#board.add(symbol));
    this.#subscribe(added);
    const [first] = added;
    if (this.#detail.row === undefined && first !== undefined) this.#select(first);
    this.#listChanged();
  }

  #remove(symbol: string): void {
    const { symbols } = this.#board;
    const at = symbols.indexOf(symbol);
    this.#board.remove(symbol);
    this.#table.remove(symbol);
    this.#connection.send(encodeUnsubscribe([symbol]));
    announce(`No longer watching ${symbol}.`);
    if (this.#detail.row?.symbol === symbol) this.#select(symbols[at + 1] ?? symbols[at - 1]);
    if (this.#board.size === 0) this.#search.focus();
    this.#listChanged();
  }

  /** Another address was opened in this tab. */
  #watchOnly(symbols: readonly string[] | undefined): void {
    if (symbols === undefined) return;
    for (const symbol of this.#board.symbols) {
      if (!symbols.includes(symbol)) this.#remove(symbol);
    }
    this.#watch(symbols);
  }

  #select(symbol: string | undefined): void {
    const row = symbol === undefined ? undefined : this.#board.row(symbol);
    const isOther = row !== this.#detail.row;
    this.#detail.show(row);
    if (isOther && !this.#session.inBackground) this.#follow(row);
    this.#table.select(symbol);
    this.#frame.request();
  }

  /** Fills the chart with what the hub still knows, and goes on with every trade. */
  #follow(row: Row | undefined): void {
    this.#trail?.stop();
    this.#trail = undefined;
    if (row === undefined) return;
    const trail = new Trail(row.symbol, row.history, (command) => connection.send(command));
    const connection = new Connection(openSocket, {
      opened: () => undefined,
      closed: () => undefined,
      received: (message) => {
        this.#readable(() => trail.receive(decodeMessage(message), Date.now()));
        this.#frame.request();
      },
      changed: () => undefined,
    });
    this.#trail = connection;
    connection.start();
  }

  #listChanged(): void {
    remember(this.#board.symbols);
    byId("empty").hidden = this.#board.size > 0;
    this.#frame.request();
  }

  /** On the first visit the page begins with them by itself. */
  #offerSuggestions(): void {
    suggestSymbols().then(
      (symbols) => {
        if (this.#firstVisit && symbols.length > 0) this.#watch(symbols);
        byId("suggestions").replaceChildren(...symbols.map((symbol) => this.#suggestion(symbol)));
        byId("suggestions-group").hidden = symbols.length === 0;
        byId("empty").hidden = this.#board.size > 0;
      },
      // Without a hub there is nothing to suggest; the notice already says what is wrong.
      () => undefined,
    );
  }

  #suggestion(symbol: string): HTMLButtonElement {
    const button = create("button", { type: "button", textContent: symbol });
    button.addEventListener("click", () => this.#choose(symbol));
    return button;
  }

  #draw(): void {
    const nowMs = Date.now();
    const connected = this.#connection.state.kind === "live";
    this.#status.draw(this.#connection.state, this.#session, nowMs);
    this.#notice.show(this.#currentNotice());
    document.body.dataset["connected"] = String(connected);
    this.#detail.draw(nowMs, connected);
    if (this.#table.draw(nowMs)) this.#frame.request();
  }

  /** The most important thing that is wrong, if any. */
  #currentNotice(): Notice | undefined {
    if (this.#lost) return this.#lostNotice();
    return this.#faultNotice() ?? feedNotice(this.#session.feed);
  }

  #lostNotice(): Notice {
    return {
      text: `The hub at ${location.host} cannot be reached. Any prices shown are the last known.`,
      action: { label: "Try now", run: () => this.#retryNow() },
    };
  }

  #faultNotice(): Notice | undefined {
    const refusal = this.#session.error;
    const text = refusal === undefined ? this.#fault : `The hub says: ${refusal}`;
    if (text === undefined) return undefined;
    return { text, action: { label: "Dismiss", run: () => this.#dismiss() } };
  }

  #dismiss(): void {
    this.#fault = undefined;
    this.#session.dismissError();
    this.#frame.request();
  }
}

function feedNotice(feed: Feed | undefined): Notice | undefined {
  if (feed === undefined || feed.state === "live") return undefined;
  const since = formatTimeOfDay(feed.since);
  if (feed.state === "stale") {
    return { text: `The feed ${feed.name} has sent nothing since ${since}. It may be over for today.` };
  }
  return {
    text: `No feed is sending prices to this hub (since ${since}). Start one, for example a simulated market:`,
    command: `tickwire feed sim --hub ${webSocketOrigin()}`,
  };
}

function webSocketOrigin(): string {
  return `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}`;
}

const browserDisplay: Display = {
  get hidden() {
    return document.hidden;
  },
  onFrame: (callback) => void requestAnimationFrame(callback),
};

function openSocket(): Socket {
  const socket = new WebSocket(`${webSocketOrigin()}/ws`, SUBPROTOCOL);
  socket.binaryType = "arraybuffer";
  return socket as Socket;
}
