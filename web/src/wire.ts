// The wire contract as this page speaks it: MessagePack in, typed elements out, commands back.
// Pure: no sockets, no clock.

import { Decoder, encode } from "@msgpack/msgpack";

export const SUBPROTOCOL = "tickwire.v1.msgpack";

/** Nanoseconds since the Unix epoch. A bigint, since the number would lose its last digits. */
export type UnixNanos = bigint;

export interface Trade {
  readonly kind: "trade";
  readonly symbol: string;
  readonly seq: number;
  readonly time: UnixNanos;
  readonly price: number;
  readonly size: number;
}

export interface Quote {
  readonly kind: "quote";
  readonly symbol: string;
  readonly seq: number;
  readonly time: UnixNanos;
  readonly bid: number;
  readonly bidSize: number;
  readonly ask: number;
  readonly askSize: number;
}

export type Tick = Trade | Quote;

export type FeedState = "live" | "stale" | "down";

/** Ticks of one topic, both ends included, that this session does not get. */
export interface Gap {
  readonly kind: "gap";
  readonly channel: string;
  readonly symbol: string;
  /** Undefined: the one behind the last that came. */
  readonly from: number | undefined;
  /** Undefined: not known how many. */
  readonly to: number | undefined;
}

export type Control =
  | { readonly kind: "connected"; readonly epoch: string }
  | { readonly kind: "authenticated" }
  /** A command was carried out. */
  | { readonly kind: "subscribed"; readonly id?: number | undefined }
  | { readonly kind: "feed"; readonly feed: string; readonly state: FeedState; readonly since: string }
  | { readonly kind: "snapshot" }
  | { readonly kind: "live" }
  | Gap
  | {
      readonly kind: "error";
      readonly code: number;
      readonly text: string;
      /** Of the command, if it had one. */
      readonly id?: number | undefined;
    };

export type Element = Tick | Control;

/** A message that does not follow the contract; says which field of which element is wrong. */
export class WireError extends Error {
  override readonly name = "WireError";
}

// 64-bit integers arrive as bigint, all others as number.
const decoder = new Decoder({ useBigInt64: true });

/**
 * The elements of one message that this page has a use for; other kinds are skipped.
 * Throws a WireError if the message is not what the contract says.
 */
export function decodeMessage(message: ArrayBuffer): Element[] {
  const elements: Element[] = [];
  for (const raw of asArray(decodeBytes(message), "message")) {
    const element = Array.isArray(raw) ? decodeTick(raw) : decodeControl(raw);
    if (element !== undefined) elements.push(element);
  }
  return elements;
}

/**
 * The newest values of the symbols, `maxRate` times a second; of those already subscribed to too.
 * The answer has the `id`.
 */
export function encodeSubscribe(
  symbols: readonly string[],
  maxRate: number,
  id: number,
): Uint8Array<ArrayBuffer> {
  const mode = { delivery: "latest", max_rate: maxRate };
  return encode({ action: "subscribe", id, trades: symbols, quotes: symbols, ...mode });
}

/** Every trade of the symbol from so many seconds ago on, as far back as the hub's history goes. */
export function encodeReplay(symbol: string, seconds: number): Uint8Array<ArrayBuffer> {
  return encode({ action: "subscribe", trades: [symbol], from: `-${seconds}s` });
}

/** Every trade of the symbol behind the one with this number. */
export function encodeResume(symbol: string, epoch: string, seq: number): Uint8Array<ArrayBuffer> {
  const resume = { epoch, after: { trades: { [symbol]: seq } } };
  return encode({ action: "subscribe", trades: [symbol], resume });
}

/** Shows a key. */
export function encodeAuth(key: string, secret: string): Uint8Array<ArrayBuffer> {
  return encode({ action: "auth", key, secret });
}

/** Asks what is subscribed to. */
export function encodeList(): Uint8Array<ArrayBuffer> {
  return encode({ action: "list" });
}

export function encodeUnsubscribe(symbols: readonly string[]): Uint8Array<ArrayBuffer> {
  return encode({ action: "unsubscribe", trades: symbols, quotes: symbols });
}

/** Milliseconds since the Unix epoch, exact to a microsecond. */
export function toMillis(time: UnixNanos): number {
  return Number(time / 1_000n) / 1_000;
}

function decodeBytes(message: ArrayBuffer): unknown {
  try {
    return decoder.decode(message);
  } catch (cause) {
    throw new WireError("message is not MessagePack", { cause });
  }
}

function decodeTick(fields: readonly unknown[]): Tick | undefined {
  switch (fields[0]) {
    case "t":
      return {
        kind: "trade",
        symbol: asString(fields[1], "trade.S"),
        seq: asNumber(fields[2], "trade.seq"),
        time: asBigInt(fields[3], "trade.t"),
        price: asNumber(fields[6], "trade.p"),
        size: asNumber(fields[7], "trade.s"),
      };
    case "q":
      return {
        kind: "quote",
        symbol: asString(fields[1], "quote.S"),
        seq: asNumber(fields[2], "quote.seq"),
        time: asBigInt(fields[3], "quote.t"),
        bid: asNumber(fields[5], "quote.bp"),
        bidSize: asNumber(fields[6], "quote.bs"),
        ask: asNumber(fields[8], "quote.ap"),
        askSize: asNumber(fields[9], "quote.as"),
      };
    default:
      return undefined;
  }
}

function decodeControl(raw: unknown): Control | undefined {
  if (typeof raw !== "object" || raw === null) throw unexpected(raw, "element", "an array or a map");
  const map = raw as Record<string, unknown>;
  switch (map["T"]) {
    case "success":
      if (map["msg"] === "authenticated") return { kind: "authenticated" };
      return { kind: "connected", epoch: asString(map["epoch"], "success.epoch") };
    case "feed":
      return {
        kind: "feed",
        feed: asString(map["feed"], "feed.feed"),
        state: asFeedState(map["state"]),
        since: asString(map["since"], "feed.since"),
      };
    case "snapshot":
      return { kind: "snapshot" };
    case "live":
      return { kind: "live" };
    case "gap":
      return {
        kind: "gap",
        channel: asString(map["channel"], "gap.channel"),
        symbol: asString(map["S"], "gap.S"),
        from: asOptionalNumber(map["from"], "gap.from"),
        to: asOptionalNumber(map["to"], "gap.to"),
      };
    case "error":
      return {
        kind: "error",
        code: asNumber(map["code"], "error.code"),
        text: errorText(map),
        id: asOptionalNumber(map["id"], "error.id"),
      };
    case "subscription":
      return { kind: "subscribed", id: asOptionalNumber(map["id"], "subscription.id") };
    default:
      return undefined;
  }
}

function errorText(map: Record<string, unknown>): string {
  const msg = asString(map["msg"], "error.msg");
  return typeof map["detail"] === "string" ? `${msg}: ${map["detail"]}` : msg;
}

function asArray(value: unknown, what: string): readonly unknown[] {
  if (Array.isArray(value)) return value;
  throw unexpected(value, what, "an array");
}

function asString(value: unknown, what: string): string {
  if (typeof value === "string") return value;
  throw unexpected(value, what, "a string");
}

function asNumber(value: unknown, what: string): number {
  if (typeof value === "number") return value;
  if (typeof value === "bigint" && value <= BigInt(Number.MAX_SAFE_INTEGER)) return Number(value);
  throw unexpected(value, what, "a number up to 2^53 - 1");
}

function asOptionalNumber(value: unknown, what: string): number | undefined {
  return value == null ? undefined : asNumber(value, what);
}

function asBigInt(value: unknown, what: string): bigint {
  if (typeof value === "bigint") return value;
  if (Number.isSafeInteger(value)) return BigInt(value as number);
  throw unexpected(value, what, "an integer");
}

function asFeedState(value: unknown): FeedState {
  if (value === "live" || value === "stale" || value === "down") return value;
  throw unexpected(value, "feed.state", "live, stale or down");
}

function unexpected(value: unknown, what: string, allowed: string): WireError {
  return new WireError(`${what} is ${String(value)}, not ${allowed}`);
}
