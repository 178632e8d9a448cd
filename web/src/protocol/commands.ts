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

/** Subscribes to every trade of a symbol, from `seconds` ago or from the start of the history. */
export function encodeReplay(symbol: string, seconds: number): Command {
  return encode({ action: "subscribe", trades: [symbol], from: `-${seconds}s` });
}

/** Subscribes to every trade of a symbol after sequence number `seq` of `epoch`. */
export function encodeResume(symbol: string, epoch: string, seq: number): Command {
  const resume = { epoch, after: { trades: { [symbol]: seq } } };
  return encode({ action: "subscribe", trades: [symbol], resume });
}

/** Asks which subscriptions the session has. */
export function encodeList(): Command {
  return encode({ action: "list" });
}
