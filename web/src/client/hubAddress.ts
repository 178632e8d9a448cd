// The addresses of the hub that served this page, and the feed that the page shows. The feed comes
// from the page's address (`?feed=delayed_sip`); without it, it is the hub's first feed, or another
// one if the key may not read that.

export class HubAddress {
  /** The feed that the page's address names. */
  readonly requestedFeed: string | undefined;
  readonly host: string;
  /** `ws://` or `wss://` and the host. */
  readonly webSocketOrigin: string;
  #feed: string | undefined;

  constructor({ protocol, host, search }: Pick<Location, "protocol" | "host" | "search">) {
    this.host = host;
    this.webSocketOrigin = `${protocol === "https:" ? "wss" : "ws"}://${host}`;
    this.requestedFeed = new URLSearchParams(search).get("feed") ?? undefined;
    this.#feed = this.requestedFeed;
  }

  /** The feed that the page shows; undefined for the hub's first feed. */
  get feed(): string | undefined {
    return this.#feed;
  }

  /** Shows another feed, starting with the next connection and request. */
  selectFeed(feed: string | undefined): void {
    this.#feed = feed;
  }

  /** Returns `path` with query parameters, the feed included. */
  path(path: string, parameters: Record<string, string> = {}): string {
    const query = new URLSearchParams(parameters);
    if (this.#feed !== undefined) query.set("feed", this.#feed);
    const text = query.toString();
    return text === "" ? path : `${path}?${text}`;
  }

  /** The URL of a subscriber session. */
  socketUrl(): string {
    return this.webSocketOrigin + this.path("/ws");
  }
}
