// The page as a whole: what somebody does goes to the board and to the hub, what the hub sends
// goes to the board, and once per frame the board goes to the views.

import { Access, type Key, type Keeping } from "./access.ts";
import { Board } from "./board.ts";
import { Connection, type ConnectionState, type Socket } from "./connection.ts";
import { Detail } from "./detail.ts";
import { suggestSymbols } from "./directory.ts";
import { byId, create } from "./dom.ts";
import { feedName, givenFeed, useFeed } from "./feedName.ts";
import { Follower } from "./follower.ts";
import { Frame } from "./frame.ts";
import { HubPanel } from "./hubPanel.ts";
import { firstView } from "./hubStatus.ts";
import { KeyForm, type KeyProblem } from "./keyForm.ts";
import { announce, NoticeView } from "./notice.ts";
import { Pace, RATE_HIDDEN, type Display } from "./pace.ts";
import { Search } from "./search.ts";
import { Session, type Feed } from "./session.ts";
import { Status } from "./status.ts";
import { Subscriber } from "./subscriber.ts";
import { Table } from "./table.ts";
import { socketAddress, Trouble } from "./trouble.ts";
import { parseHash, recall, remember, WATCHED_MAX } from "./watchlist.ts";
import {
  decodeMessage,
  encodeAuth,
  encodeList,
  encodeSubscribe,
  encodeUnsubscribe,
  SUBPROTOCOL,
  WireError,
} from "./wire.ts";

/** Ages, rates and countdowns move on even while nothing arrives. */
const REFRESH_EVERY_MS = 500;

export class Page {
  readonly #access = new Access();
  readonly #board = new Board();
  readonly #subscriber = new Subscriber(this.#board, {
    send: (symbols, id) => this.#connection.send(encodeSubscribe(symbols, this.#pace.rate, id)),
    changed: (row) => {
      if (row === this.#detail.row) this.#follow();
    },
  });
  readonly #session = new Session(this.#board, this.#subscriber);
  readonly #connection = new Connection(openSocket, {
    opened: () => this.#opened(),
    closed: (reason) => this.#closed(reason),
    received: (message) => this.#received(message),
    changed: (state) => this.#connectionChanged(state),
  });
  readonly #status = new Status();
  readonly #notice = new NoticeView();
  readonly #trouble = new Trouble({
    retried: () => this.#retryNow(),
    changed: () => this.#frame.request(),
    asked: () => this.#hubPanel.open(),
    gaveUp: () => this.#removeRefused(),
    tookBack: () => this.#connection.start(),
  });
  readonly #keyForm = new KeyForm((key, keeping) => this.#keyGiven(key, keeping));
  readonly #hubPanel = new HubPanel(this.#access, {
    keyForgotten: () => this.#keyForgotten(),
    mayAsk: () => this.#connection.state.kind !== "held" || this.#maySeeOthers,
  });
  readonly #detail = new Detail();
  readonly #table = new Table({
    picked: (symbol) => this.#select(symbol),
    removed: (symbol) => this.#remove(symbol),
    uncovered: () => this.#frame.request(),
  });
  readonly #search = new Search(this.#access, {
    chosen: (symbol) => this.#choose(symbol),
    isWatched: (symbol) => this.#board.row(symbol) !== undefined,
  });
  readonly #frame = new Frame(() => this.#draw());
  readonly #pace = new Pace(browserDisplay, () => this.#paceChanged());
  readonly #follower = new Follower(openSocket, {
    opened: (connection) => this.#showKey(connection),
    received: (take) => {
      this.#readable(take);
      this.#frame.request();
    },
    refused: () => this.#makeDoWithBoard(),
  });
  /** The key is for one connection only: the chart begins with this page then. */
  #onlyBoard = false;
  /** The key is right, and not for the feed that the address names. */
  #maySeeOthers = false;
  /** Nothing is remembered: the page picks the first symbols as soon as there are some. */
  #firstVisit = false;
  #feedAnnounced: string | undefined;

  start(): void {
    const symbols = recall();
    this.#firstVisit = symbols === undefined;
    if (symbols !== undefined) this.#watch(symbols);
    addEventListener("hashchange", () => this.#watchOnly(parseHash(location.hash)));
    document.addEventListener("visibilitychange", () => this.#pace.visibilityChanged());
    addEventListener("online", () => this.#retryNow());
    setInterval(() => this.#frame.request(), REFRESH_EVERY_MS);
    this.#connection.start();
  }

  #opened(): void {
    this.#showKey(this.#connection);
    // Who asks for nothing would not be told that a key is needed.
    if (this.#board.size === 0) this.#connection.send(encodeList());
    this.#paced();
    this.#subscriber.connected();
  }

  #showKey(connection: Connection): void {
    const { key } = this.#access;
    if (key !== undefined) connection.send(encodeAuth(key.id, key.secret));
  }

  #closed(reason: string): void {
    this.#session.disconnected(Date.now());
    if (reason !== "replaced") return;
    if (this.#follower.isFollowing) {
      this.#makeDoWithBoard(); // the chart's connection may have been the one too many
    } else {
      this.#connection.hold();
      this.#trouble.takenOver = true;
    }
  }

  #makeDoWithBoard(): void {
    this.#onlyBoard = true;
    this.#follower.stop();
  }

  /** Without a key there is nothing to be had, and to ask again would be held against this address. */
  #askForKey(problem: KeyProblem): void {
    this.#connection.hold();
    this.#session.disconnected(Date.now());
    this.#follower.stop();
    if (problem === "wrong") this.#access.forget();
    if (problem === "insufficient") void this.#chooseFeed();
    else this.#keyForm.ask(problem);
  }

  /** The hub's first feed is not for this key: shows what is, unless the address wants another one. */
  async #chooseFeed(): Promise<void> {
    const view = await firstView(this.#access).catch(() => undefined);
    if (view !== undefined && view !== feedName && givenFeed === undefined) {
      useFeed(view);
      this.#connection.start();
      return;
    }
    this.#keyForm.ask("insufficient");
    this.#maySeeOthers = view !== undefined;
    if (this.#maySeeOthers) this.#hubPanel.open();
  }

  #keyGiven(key: Key, keeping: Keeping): void {
    this.#access.use(key, keeping);
    this.#onlyBoard = this.#maySeeOthers = false;
    useFeed(givenFeed);
    this.#keyForm.close();
    this.#connection.start();
    void this.#hubPanel.refresh();
  }

  #keyForgotten(): void {
    this.#access.forget();
    location.reload();
  }

  /** One command for all names: those already subscribed to go on at the new rate. */
  #paceChanged(): void {
    this.#paced();
    this.#subscriber.renew();
    // Every trade is too much for a page that nobody sees; its chart is filled when it is shown.
    if (this.#session.inBackground) this.#follower.stop();
    else if (!this.#follower.isFollowing) this.#follow();
  }

  #paced(): void {
    this.#session.inBackground = this.#pace.rate === RATE_HIDDEN;
  }

  /** Only decodes and updates plain state: drawing waits for the next frame. */
  #received(message: ArrayBuffer): void {
    this.#readable(() => this.#session.receive(decodeMessage(message), Date.now()));
    const { keyProblem } = this.#session;
    if (keyProblem !== undefined) this.#askForKey(keyProblem);
    this.#feedChanged(this.#session.feed);
    this.#frame.request();
  }

  #retryNow(): void {
    this.#connection.retryNow();
    this.#follower.retryNow();
  }

  #readable(receive: () => void): void {
    try {
      receive();
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      this.#trouble.fault = `A message of the hub could not be read: ${error.message}.`;
    }
  }

  #connectionChanged(state: ConnectionState): void {
    if (state.kind === "live") {
      this.#trouble.connected();
      announce("Connected to the hub.");
    } else if (state.kind === "reconnecting" && !this.#trouble.lost) {
      this.#trouble.disconnected(this.#access);
      this.#feedAnnounced = undefined;
      announce("The connection to the hub is lost. Reconnecting.");
    }
    this.#frame.request();
  }

  #feedChanged(feed: Feed | undefined): void {
    if (feed === undefined || feed.state === this.#feedAnnounced) return;
    const isFirst = this.#feedAnnounced === undefined;
    this.#feedAnnounced = feed.state;
    announce(`The feed ${feed.name} is ${feed.state}.`);
    if (feed.state === "down") this.#trouble.feedDown(feed.name, this.#access);
    // A hub that has just started knows no symbols until its feed has sent some.
    if (isFirst || feed.state === "live") this.#offerSuggestions();
    if (isFirst && !this.#follower.isFollowing) this.#follow();
  }

  #choose(symbol: string): void {
    if (this.#board.row(symbol) === undefined) {
      if (this.#board.size >= WATCHED_MAX) {
        this.#trouble.fault = `This page watches ${WATCHED_MAX} symbols at most; remove one to add ${symbol}.`;
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
    this.#subscriber.ask(added);
    const [first] = added;
    if (this.#detail.row === undefined && first !== undefined) this.#select(first);
    this.#listChanged();
  }

  #remove(symbol: string): void {
    const { symbols } = this.#board;
    const at = symbols.indexOf(symbol);
    const makesRoom = this.#board.row(symbol)?.refused === undefined;
    this.#board.remove(symbol);
    this.#table.remove(symbol);
    this.#connection.send(encodeUnsubscribe([symbol]));
    if (makesRoom) this.#subscriber.retry();
    announce(`No longer watching ${symbol}.`);
    if (this.#detail.row?.symbol === symbol) this.#select(symbols[at + 1] ?? symbols[at - 1]);
    if (this.#board.size === 0) this.#search.focus();
    this.#listChanged();
  }

  #removeRefused(): void {
    for (const { symbol } of this.#subscriber.refusedRows) this.#remove(symbol);
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
    if (isOther) this.#follow();
    this.#table.select(symbol);
    this.#frame.request();
  }

  /** Fills the chart of the selected symbol, once the hub lets this page in. */
  #follow(): void {
    const { row } = this.#detail;
    this.#follower.stop();
    const isLetIn = this.#session.feed !== undefined;
    if (!isLetIn || this.#onlyBoard || this.#session.inBackground) return;
    if (row !== undefined && row.refused === undefined) this.#follower.follow(row);
  }

  #listChanged(): void {
    remember(this.#board.symbols);
    byId("empty").hidden = this.#board.size > 0;
    this.#frame.request();
  }

  /** On the first visit the page begins with them by itself. */
  #offerSuggestions(): void {
    suggestSymbols(this.#access).then(
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
    this.#notice.show(this.#trouble.notice(this.#session, this.#subscriber.refusedRows));
    document.body.dataset["connected"] = String(connected);
    this.#detail.draw(nowMs, connected);
    if (this.#table.draw(nowMs)) this.#frame.request();
  }
}

const browserDisplay: Display = {
  get hidden() {
    return document.hidden;
  },
  onFrame: (callback) => void requestAnimationFrame(callback),
};

function openSocket(): Socket {
  const socket = new WebSocket(socketAddress(), SUBPROTOCOL);
  socket.binaryType = "arraybuffer";
  return socket as Socket;
}
