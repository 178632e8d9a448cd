// Decodes the messages of a subscriber's stream: MessagePack in, typed elements out.

import { Decoder } from "@msgpack/msgpack";

import {
  FEED_STATES,
  type Bar,
  type ControlElement,
  type StreamElement,
  type Tick,
} from "./elements.ts";
import {
  asArray,
  asBigInt,
  asMap,
  asNumber,
  asOneOf,
  asString,
  optional,
  WireError,
} from "./fields.ts";

/** The WebSocket subprotocol of this encoding. */
export const SUBPROTOCOL = "tickwire.v1.msgpack";

// 64-bit integers arrive as bigint, all others as number.
const decoder = new Decoder({ useBigInt64: true });

/**
 * Returns the elements of one message that this page uses; skips elements of other kinds.
 * Throws a WireError if the message violates the protocol.
 */
export function decodeMessage(message: ArrayBuffer): StreamElement[] {
  const elements: StreamElement[] = [];
  for (const raw of asArray(decodeBytes(message), "message")) {
    const element = Array.isArray(raw) ? decodeTick(raw) : decodeControl(raw);
    if (element !== undefined) elements.push(element);
  }
  return elements;
}

function decodeBytes(message: ArrayBuffer): unknown {
  try {
    return decoder.decode(message);
  } catch (cause) {
    throw new WireError("message is not MessagePack", { cause });
  }
}

function decodeTick(fields: readonly unknown[]): Tick | Bar | undefined {
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
    case "b":
      return {
        kind: "bar",
        symbol: asString(fields[1], "bar.S"),
        time: asBigInt(fields[3], "bar.t"),
        open: asNumber(fields[4], "bar.o"),
        close: asNumber(fields[7], "bar.c"),
      };
    default:
      return undefined;
  }
}

function decodeControl(raw: unknown): ControlElement | undefined {
  const map = asMap(raw, "element");
  switch (map["T"]) {
    case "success":
      if (map["msg"] === "authenticated") return { kind: "authenticated" };
      return { kind: "connected", epoch: asString(map["epoch"], "success.epoch") };
    case "feed":
      return {
        kind: "feed",
        feed: asString(map["feed"], "feed.feed"),
        state: asOneOf(FEED_STATES, map["state"], "feed.state"),
        since: asString(map["since"], "feed.since"),
        view: optional(asString, map["view"], "feed.view") ?? asString(map["feed"], "feed.feed"),
        delayMs: optional(asNumber, map["delay_ms"], "feed.delay_ms") ?? 0,
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
        from: optional(asNumber, map["from"], "gap.from"),
        to: optional(asNumber, map["to"], "gap.to"),
      };
    case "error":
      return {
        kind: "error",
        code: asNumber(map["code"], "error.code"),
        text: errorText(map),
        id: optional(asNumber, map["id"], "error.id"),
      };
    case "subscription":
      return { kind: "subscribed", id: optional(asNumber, map["id"], "subscription.id") };
    default:
      return undefined;
  }
}

function errorText(map: Readonly<Record<string, unknown>>): string {
  const msg = asString(map["msg"], "error.msg");
  return typeof map["detail"] === "string" ? `${msg}: ${map["detail"]}` : msg;
}
