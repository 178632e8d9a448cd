// The key that this page presents to a hub that requires one. It travels in a command or a request
// header, never in a URL, and is stored only where the user chose.

export interface Key {
  readonly id: string;
  readonly secret: string;
}

/** Where a key is kept: until the tab closes, or on the device for later visits. */
export type KeyScope = "tab" | "device";

const STORAGE_KEY = "tickwire.key";

/** The part of the browser's storage that is used here. */
export type WebStorage = Pick<Storage, "getItem" | "setItem" | "removeItem">;

/** A storage is undefined where the browser forbids its use. */
export type KeyStorages = Readonly<Record<KeyScope, WebStorage | undefined>>;

export class KeyStore {
  readonly #storages: KeyStorages;
  #key: Key | undefined;

  constructor(storages: KeyStorages = browserStorages()) {
    this.#storages = storages;
    this.#key = load(storages.tab) ?? load(storages.device);
  }

  get key(): Key | undefined {
    return this.#key;
  }

  /** Replaces the key; if nothing can be stored, the key is lost when the page is closed. */
  set(key: Key, scope: KeyScope): void {
    this.forget();
    this.#key = key;
    const storage = this.#storages[scope];
    undefinedOnError(() => storage?.setItem(STORAGE_KEY, JSON.stringify(key)));
  }

  /** Removes the key from this page and from all storages. */
  forget(): void {
    this.#key = undefined;
    for (const storage of [this.#storages.tab, this.#storages.device]) {
      undefinedOnError(() => storage?.removeItem(STORAGE_KEY));
    }
  }

  /** Returns the headers that authenticate a request; none without a key. */
  headers(): Record<string, string> {
    if (this.#key === undefined) return {};
    return { authorization: `Bearer ${this.#key.id}:${this.#key.secret}` };
  }
}

function browserStorages(): KeyStorages {
  // Where the browser forbids storage, even reading the property throws.
  return {
    tab: undefinedOnError(() => sessionStorage),
    device: undefinedOnError(() => localStorage),
  };
}

function load(storage: WebStorage | undefined): Key | undefined {
  return undefinedOnError(() => {
    const stored: unknown = JSON.parse(storage?.getItem(STORAGE_KEY) ?? "null");
    return isKey(stored) ? { id: stored.id, secret: stored.secret } : undefined;
  });
}

function isKey(value: unknown): value is Key {
  if (typeof value !== "object" || value === null) return false;
  const { id, secret } = value as Partial<Key>;
  return typeof id === "string" && typeof secret === "string";
}

function undefinedOnError<V>(run: () => V): V | undefined {
  try {
    return run();
  } catch {
    return undefined;
  }
}
