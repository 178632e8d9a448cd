// The key this page shows to a hub that has a keys file. It goes into a command of the socket or into
// a header, never into an address, and is kept only where its owner wants it.

export interface Key {
  readonly id: string;
  readonly secret: string;
}

/** Where a key is kept: for this tab, or for the next visits too. */
export type Keeping = "tab" | "device";

const STORAGE_KEY = "tickwire.key";

/** The part of the browser's storage that is used here. */
export type Store = Pick<Storage, "getItem" | "setItem" | "removeItem">;

export class Access {
  readonly #stores: Readonly<Record<Keeping, Store | undefined>>;
  #key: Key | undefined;

  constructor(stores: Readonly<Record<Keeping, Store | undefined>> = browserStores()) {
    this.#stores = stores;
    this.#key = recalled(stores.tab) ?? recalled(stores.device);
  }

  get key(): Key | undefined {
    return this.#key;
  }

  use(key: Key, keeping: Keeping): void {
    this.forget();
    this.#key = key;
    const store = this.#stores[keeping];
    quietly(() => store?.setItem(STORAGE_KEY, JSON.stringify(key)));
  }

  forget(): void {
    this.#key = undefined;
    for (const store of [this.#stores.tab, this.#stores.device]) {
      quietly(() => store?.removeItem(STORAGE_KEY));
    }
  }

  /** For requests; empty without a key. */
  headers(): Record<string, string> {
    if (this.#key === undefined) return {};
    return { authorization: `Bearer ${this.#key.id}:${this.#key.secret}` };
  }
}

function browserStores(): Record<Keeping, Store | undefined> {
  // Storage may be forbidden: then even to look at it throws.
  return { tab: quietly(() => sessionStorage), device: quietly(() => localStorage) };
}

function recalled(store: Store | undefined): Key | undefined {
  return quietly(() => {
    const kept: unknown = JSON.parse(store?.getItem(STORAGE_KEY) ?? "null");
    return isKey(kept) ? { id: kept.id, secret: kept.secret } : undefined;
  });
}

function isKey(value: unknown): value is Key {
  if (typeof value !== "object" || value === null) return false;
  const { id, secret } = value as Partial<Key>;
  return typeof id === "string" && typeof secret === "string";
}

function quietly<V>(act: () => V): V | undefined {
  try {
    return act();
  } catch {
    return undefined;
  }
}
