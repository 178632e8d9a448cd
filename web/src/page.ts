// Connects the layers: user actions go to the watchlist and to the hub, the hub's messages go to
// the watchlist, and once per frame the views draw the changes.

import { ChartStream } from "./client/chartStream.ts";
import { Connection, type ConnectionState } from "./client/connection.ts";
import { HubAddress } from "./client/hubAddress.ts";
import { HubApi } from "./client/hubApi.ts";
import { KeyStore, type Key, type KeyScope } from "./client/keyStore.ts";
import { openSocket } from "./client/socket.ts";
import { Subscriber } from "./client/subscriber.ts";
import { defaultView } from "./model/feeds.ts";
import { NoticeModel } from "./model/notice.ts";
import { RATE_HIDDEN, RefreshRate, type Display } from "./model/refreshRate.ts";
import { Session, type Feed, type KeyProblem } from "./model/session.ts";
import { CANDIDATES_MAX, suggestSymbols } from "./model/suggestions.ts";
import { WatchlistModel, type WatchlistRow } from "./model/watchlist.ts";
import { loadWatchlist, parseHash, saveWatchlist, WATCHED_MAX } from "./model/watchlistStore.ts";
import { REPLACED } from "./protocol/closeReason.ts";
import {
  encodeAuth,
  encodeList,
  encodeSubscribe,
  encodeUnsubscribe,
} from "./protocol/commands.ts";
import { decodeMessage } from "./protocol/decode.ts";
import { WireError } from "./protocol/fields.ts";
import { announce } from "./view/announcer.ts";
import { DetailView } from "./view/detailView.ts";
import { EmptyState } from "./view/emptyState.ts";
import { commaList, delayText } from "./view/format.ts";
import { HubPanel } from "./view/hubPanel.ts";
import { KeyForm } from "./view/keyForm.ts";
import type { NoticeAction } from "./view/noticeText.ts";
import { NoticeView } from "./view/noticeView.ts";
import { RenderLoop } from "./view/renderLoop.ts";
import { Search } from "./view/search.ts";
import { StatusBar } from "./view/statusBar.ts";
import { WatchlistTable } from "./view/watchlistTable.ts";

/** Ages, rates and countdowns advance at least this often, even if nothing arrives. */
const REFRESH_INTERVAL_MS = 500;

export class Page {
  readonly #address = new HubAddress(location);
  readonly #keyStore = new KeyStore();
  readonly #api = new HubApi(this.#address, this.#keyStore);
  readonly #watchlist = new WatchlistModel();
  readonly #subscriber = new Subscriber<WatchlistRow>(this.#watchlist, {
    send: (symbols, id) =>
      this.#connection.send(encodeSubscribe(symbols, this.#refreshRate.rate, id)),
    availabilityChanged: (row) => {
      if (row === this.#detail.row) this.#restartChart();
    },
  });
  readonly #session = new Session(this.#watchlist, this.#subscriber);
  readonly #connection = new Connection(() => openSocket(this.#address.socketUrl()), {
    opened: () => this.#opened(),
    closed: (label) => this.#closed(label),
    received: (message) => this.#received(message),
    stateChanged: (state) => this.#connectionChanged(state),
  });
  readonly #chartStream = new ChartStream(() => openSocket(this.#address.socketUrl()), {
    opened: (connection) => this.#authenticate(connection),
    received: (process) => {
      this.#catchUnreadable(process);
      this.#renderLoop.request();
    },
    connectionLimitReached: () => this.#giveUpChartStream(),
  });
  readonly #notices = new NoticeModel(this.#api, () => this.#renderLoop.request());
  readonly #statusBar = new StatusBar();
  readonly #noticeView = new NoticeView(this.#address, (action) => this.#noticeClicked(action));
  readonly #keyForm = new KeyForm((key, scope) => this.#keySubmitted(key, scope));
  readonly #hubPanel = new HubPanel(this.#api, this.#address, this.#keyStore, {
    keyForgotten: () => this.#keyForgotten(),
    canRequest: () => this.#connection.state.kind !== "paused" || this.#mayReadOtherFeeds,
  });
  readonly #detail = new DetailView();
  readonly #table = new WatchlistTable({
    selected: (symbol) => this.#select(symbol),
    removed: (symbol) => this.#remove(symbol),
    rowsAppeared: () => this.#renderLoop.request(),
  });
  readonly #emptyState = new EmptyState((symbol) => this.#choose(symbol));
  readonly #search = new Search(this.#api, {
    chosen: (symbol) => this.#choose(symbol),
    isWatched: (symbol) => this.#watchlist.row(symbol) !== undefined,
  });
  readonly #renderLoop = new RenderLoop(() => this.#draw());
  readonly #refreshRate = new RefreshRate(browserDisplay, () => this.#refreshRateChanged());
  /** Set when the key allows one session only; the chart then starts when the page is opened. */
  #hasNoChartStream = false;
  /** Set when the key is valid, but not for the feed in the page's address. */
  #mayReadOtherFeeds = false;
  /** Set while no watchlist was ever saved: the page then adds the first suggestions itself. */
  #isFirstVisit = false;
  /** The feed state that was last announced on this connection. */
  #announcedState: string | undefined;

  start(): void {
    const symbols = loadWatchlist();
    this.#isFirstVisit = symbols === undefined;
    if (symbols !== undefined) this.#watch(symbols);
    addEventListener("hashchange", () => this.#watchOnly(parseHash(location.hash)));
    document.addEventListener("visibilitychange", () => this.#refreshRate.visibilityChanged());
    addEventListener("online", () => this.#retryNow());
    setInterval(() => this.#renderLoop.request(), REFRESH_INTERVAL_MS);
    this.#connection.start();
  }

  #opened(): void {
    this.#authenticate(this.#connection);
    // Without a subscription this command makes the hub report that it requires a key.
    if (this.#watchlist.size === 0) this.#connection.send(encodeList());
    this.#updateBackground();
    this.#subscriber.connected();
  }

  #authenticate(connection: Connection): void {
    const { key } = this.#keyStore;
    if (key !== undefined) connection.send(encodeAuth(key.id, key.secret));
  }

  #closed(label: string): void {
    this.#session.disconnected(Date.now());
    if (label !== REPLACED) return;
    if (this.#chartStream.isActive) {
      this.#giveUpChartStream(); // the two connections of this page may have replaced each other
    } else {
      this.#connection.pause();
      this.#notices.sessionReplaced = true;
    }
  }

  #giveUpChartStream(): void {
    this.#hasNoChartStream = true;
    this.#chartStream.stop();
  }

  /** Pauses until the user enters a key, because the hub counts failed attempts per address. */
  #askForKey(problem: KeyProblem): void {
    this.#connection.pause();
    this.#session.disconnected(Date.now());
    this.#chartStream.stop();
    if (problem === "wrong") this.#keyStore.forget();
    if (problem === "insufficient") void this.#chooseFeed();
    else this.#keyForm.show(problem);
  }

  /** Shows a feed that the key may read, unless the page's address asks for a certain one. */
  async #chooseFeed(): Promise<void> {
    const status = await this.#api.status().catch(() => undefined);
    const view = status === undefined ? undefined : defaultView(status);
    const { feed, requestedFeed } = this.#address;
    if (view !== undefined && view !== feed && requestedFeed === undefined) {
      this.#address.selectFeed(view);
      this.#connection.start();
      return;
    }
    this.#mayReadOtherFeeds = view !== undefined;
    this.#keyForm.show("insufficient", this.#mayReadOtherFeeds);
    if (this.#mayReadOtherFeeds) this.#hubPanel.open();
  }

  #keySubmitted(key: Key, scope: KeyScope): void {
    this.#keyStore.set(key, scope);
    this.#hasNoChartStream = false;
    this.#mayReadOtherFeeds = false;
    this.#address.selectFeed(this.#address.requestedFeed);
    this.#keyForm.hide();
    this.#connection.start();
    void this.#hubPanel.refresh();
  }

  #keyForgotten(): void {
    this.#keyStore.forget();
    location.reload();
  }

  /** Renews all subscriptions with one command, which keeps them and changes their rate. */
  #refreshRateChanged(): void {
    this.#updateBackground();
    this.#subscriber.renew();
    // A hidden page does not need every trade; the chart is filled when the page is visible again.
    if (this.#session.inBackground) this.#chartStream.stop();
    else if (!this.#chartStream.isActive) this.#restartChart();
  }

  #updateBackground(): void {
    this.#session.inBackground = this.#refreshRate.rate === RATE_HIDDEN;
  }

  /** Decodes the message and updates the models; drawing waits for the next frame. */
  #received(message: ArrayBuffer): void {
    this.#catchUnreadable(() => this.#session.receive(decodeMessage(message), Date.now()));
    const { keyProblem } = this.#session;
    if (keyProblem !== undefined) this.#askForKey(keyProblem);
    this.#feedChanged(this.#session.feed);
    this.#renderLoop.request();
  }

  #retryNow(): void {
    this.#connection.retryNow();
    this.#chartStream.retryNow();
  }

  /** Runs `process` and turns a WireError that it throws into a notice. */
  #catchUnreadable(process: () => void): void {
    try {
      process();
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      this.#notices.fault = { kind: "unreadable-message", detail: error.message };
    }
  }

  #connectionChanged(state: ConnectionState): void {
    if (state.kind === "live") {
      this.#notices.connected();
      announce("Connected to the hub.");
    } else if (state.kind === "reconnecting" && !this.#notices.isUnreachable) {
      this.#notices.disconnected(this.#address.feed);
      this.#announcedState = undefined;
      announce("Lost the connection to the hub. Reconnecting.");
    }
    this.#renderLoop.request();
  }

  #feedChanged(feed: Feed | undefined): void {
    if (feed === undefined || feed.state === this.#announcedState) return;
    const isFirst = this.#announcedState === undefined;
    this.#announcedState = feed.state;
    announce(`The feed ${commaList(`${feed.view} is ${feed.state}`, delayText(feed.delayMs))}.`);
    if (feed.state === "down") this.#notices.feedDown(feed.name);
    // A hub that was just started knows no symbols until its feed has sent some.
    if (isFirst || feed.state === "live") void this.#loadSuggestions();
    if (isFirst && !this.#chartStream.isActive) this.#restartChart();
  }

  #noticeClicked(action: NoticeAction): void {
    switch (action) {
      case "retry":
        this.#retryNow();
        break;
      case "reconnect":
        this.#connection.start();
        break;
      case "show-hub":
        this.#hubPanel.open();
        break;
      case "dismiss":
        this.#notices.dismiss(this.#session);
        this.#renderLoop.request();
        break;
      case "remove-refused":
        for (const { symbol } of this.#watchlist.refusedRows) this.#remove(symbol);
        break;
    }
  }

  /** Adds a symbol, unless it is already watched, and selects it. */
  #choose(symbol: string): void {
    if (this.#watchlist.row(symbol) === undefined) {
      if (this.#watchlist.size >= WATCHED_MAX) {
        this.#notices.fault = { kind: "watchlist-full", symbol };
        this.#renderLoop.request();
        return;
      }
      this.#watch([symbol]);
      announce(`Watching ${symbol}.`);
    }
    this.#select(symbol);
    this.#table.scrollTo(symbol);
  }

  /** Adds those of the symbols that are not watched yet. */
  #watch(symbols: readonly string[]): void {
    this.#isFirstVisit = false;
    const added = symbols.filter((symbol) => this.#watchlist.row(symbol) === undefined);
    for (const symbol of added) this.#table.add(this.#watchlist.add(symbol));
    this.#subscriber.subscribe(added);
    const [first] = added;
    if (this.#detail.row === undefined && first !== undefined) this.#select(first);
    this.#watchlistChanged();
  }

  #remove(symbol: string): void {
    const { symbols } = this.#watchlist;
    const at = symbols.indexOf(symbol);
    const wasDelivered = this.#watchlist.row(symbol)?.refusal === undefined;
    this.#watchlist.remove(symbol);
    this.#table.remove(symbol);
    this.#connection.send(encodeUnsubscribe([symbol]));
    if (wasDelivered) this.#subscriber.retryRefused();
    announce(`No longer watching ${symbol}.`);
    if (this.#detail.row?.symbol === symbol) this.#select(symbols[at + 1] ?? symbols[at - 1]);
    if (this.#watchlist.size === 0) this.#search.focus();
    this.#watchlistChanged();
  }

  /** Shows the list of another address that was opened in this tab. */
  #watchOnly(symbols: readonly string[] | undefined): void {
    if (symbols === undefined) return;
    for (const symbol of this.#watchlist.symbols) {
      if (!symbols.includes(symbol)) this.#remove(symbol);
    }
    this.#watch(symbols);
  }

  #select(symbol: string | undefined): void {
    const row = symbol === undefined ? undefined : this.#watchlist.row(symbol);
    const isOther = row !== this.#detail.row;
    this.#detail.show(row);
    if (isOther) this.#restartChart();
    this.#table.select(symbol);
    this.#renderLoop.request();
  }

  /** Streams the bars of the selected symbol into the chart, once the hub accepts this page. */
  #restartChart(): void {
    const { row } = this.#detail;
    this.#chartStream.stop();
    const isAccepted = this.#session.feed !== undefined;
    if (!isAccepted || this.#hasNoChartStream || this.#session.inBackground) return;
    if (row !== undefined && row.refusal === undefined) {
      this.#chartStream.start(row.symbol, row.history);
    }
  }

  #watchlistChanged(): void {
    saveWatchlist(this.#watchlist.symbols);
    this.#emptyState.setVisible(this.#watchlist.size === 0);
    this.#renderLoop.request();
  }

  /** Offers symbols of the feed; on the first visit it adds them to the watchlist. */
  async #loadSuggestions(): Promise<void> {
    const list = await this.#api.findSymbols("", CANDIDATES_MAX).catch(() => undefined);
    // Without an answer there is nothing to suggest, and the notice already shows the problem.
    if (list === undefined) return;
    const symbols = suggestSymbols(list.symbols);
    if (this.#isFirstVisit && symbols.length > 0) this.#watch(symbols);
    this.#emptyState.suggest(symbols);
    this.#emptyState.setVisible(this.#watchlist.size === 0);
  }

  #draw(): void {
    const nowMs = Date.now();
    const isConnected = this.#connection.state.kind === "live";
    this.#statusBar.draw(this.#connection.state, this.#session, nowMs);
    this.#noticeView.show(this.#notices.current(this.#session, this.#watchlist.refusedRows));
    document.body.dataset["connected"] = String(isConnected);
    const detailIsDrawn = this.#detail.draw(nowMs, this.#session.delayMs, isConnected);
    if (this.#table.draw(nowMs, detailIsDrawn)) this.#renderLoop.request();
  }
}

const browserDisplay: Display = {
  get hidden() {
    return document.hidden;
  },
  onFrame: (callback) => void requestAnimationFrame(callback),
};
