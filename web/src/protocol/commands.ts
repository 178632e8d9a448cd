// The commands this page sends, encoded as MessagePack.

import { encode } from "@msgpack/msgpack";

export type Command = Uint8Array<ArrayBuffer>;

/** Presents a key, on a hub that requires one. */
export function encodeAuth(key: string, secret: string): Command {
  return encode({ action: "auth", key, secret });
}

/**
 * Subscribes to the newest trade and quote of each symbol, at most `maxRate` times a second.
 * Symbols that are already subscribed to change to that rate. The hub's answer carries `id`.
 */
export function encodeSubscribe(symbols: readonly string[], maxRate: number, id: number): Command {
  const mode = { delivery: "latest", max_rate: maxRate };
  return encode({ action: "subscribe", id, trades: symbols, quotes: symbols, ...mode });
}

export function encodeUnsubscribe(symbols: readonly string[]): Command {
  return encode({ action: "unsubscribe", trades: symbols, quotes: symbols });
}

/** Subscribes to the minute bars of a symbol, from `seconds` ago or from the start of history. */
export function encodeBars(symbol: string, seconds: number): Command {
  return encode({ action: "subscribe", bars: [symbol], from: `-${seconds}s` });
}

/** Asks which subscriptions the session has. */
export function encodeList(): Command {
  return encode({ action: "list" });
}
