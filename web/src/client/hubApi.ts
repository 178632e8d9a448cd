// The hub's HTTP API. Every method rejects if the hub is unreachable, refuses the request, or sends
// an answer that violates the protocol.

import {
  decodeHubStatus,
  decodeKeys,
  decodeSymbolList,
  type HubStatus,
  type KeyStatus,
  type SymbolList,
} from "../protocol/hubStatus.ts";
import type { HubAddress } from "./hubAddress.ts";
import type { KeyStore } from "./keyStore.ts";

export interface HubReport {
  readonly status: HubStatus;
  /** Empty if the hub has no keys or this page may not see them. */
  readonly keys: readonly KeyStatus[];
}

export class HubApi {
  readonly #address: HubAddress;
  readonly #keyStore: KeyStore;

  constructor(address: HubAddress, keyStore: KeyStore) {
    this.#address = address;
    this.#keyStore = keyStore;
  }

  async status(): Promise<HubStatus> {
    return decodeHubStatus(await this.#get("/api/status"));
  }

  /**
   * Returns why the hub refuses connections of this page, in one line; undefined if it accepts
   * them. Browsers do not show why a WebSocket was refused.
   */
  async refusal(): Promise<string | undefined> {
    const response = await fetch("/ws", { method: "OPTIONS" });
    return response.status === 403 ? (await response.text()).trim() : undefined;
  }

  /** Returns the status of the hub and of its keys. */
  async report(): Promise<HubReport> {
    const status = await this.status();
    if (!status.maySeeKeys) return { status, keys: [] };
    const keys = decodeKeys(await this.#get("/api/keys"));
    return { status, keys: keys.some(({ id }) => id !== "") ? keys : [] };
  }

  /** Returns at most `limit` symbols of the current feed that contain `query`. */
  async findSymbols(query: string, limit: number, signal?: AbortSignal): Promise<SymbolList> {
    const path = this.#address.path("/api/symbols", { q: query, limit: String(limit) });
    return decodeSymbolList(await this.#get(path, signal));
  }

  async #get(path: string, signal?: AbortSignal): Promise<unknown> {
    const response = await fetch(path, {
      headers: this.#keyStore.headers(),
      signal: signal ?? null,
    });
    if (!response.ok) throw new Error(`the hub answered ${response.status}`);
    return response.json();
  }
}
