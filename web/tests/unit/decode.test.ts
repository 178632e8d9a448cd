import assert from "node:assert/strict";
import { test } from "node:test";

import { encode } from "@msgpack/msgpack";

import { decodeMessage } from "../../src/protocol/decode.ts";
import { toMillis } from "../../src/protocol/elements.ts";

const TIME = 1_767_364_200_123_456_789n; // 2026-01-02T14:30:00.123456789Z

// These bytes are also in the golden files of the protocol crate.
const TRADE_BYTES = `
  dc 00 01                        an array of one element
  9a                              which is an array of ten fields
  a1 74                           "t"
  a4 41 41 50 4c                  S: "AAPL"
  cd 04 12                        seq: 1042
  cf 18 86 f0 60 49 19 dd 15      t: nanoseconds since the Unix epoch
  ce 00 01 7a 99                  i: 96921
  a1 44                           x: "D"
  cb 40 5f a3 33 33 33 33 33      p: 126.55
  64                              s: 100
  92 a1 40 a1 49                  c: ["@", "I"]
  a1 43                           z: "C"
`;

const QUOTE_BYTES = `
  dc 00 01                        an array of one element
  9c                              which is an array of twelve fields
  a1 71                           "q"
  a4 4d 53 46 54                  S: "MSFT"
  4d                              seq: 77
  cf 18 86 f0 60 49 19 dd 15      t: nanoseconds since the Unix epoch
  a1 51                           bx: "Q"
  cb 40 79 20 28 f5 c2 8f 5c      bp: 402.01
  cd 01 2c                        bs: 300
  a1 56                           ax: "V"
  cb 40 79 20 5c 28 f5 c2 8f      ap: 402.0225
  ce 00 01 11 70                  as: 70000
  91 a1 52                        c: ["R"]
  a1 43                           z: "C"
`;

const GAP_BYTES = `
  91 85                           an array of one map of five keys
  a1 54 a3 67 61 70               "T": "gap"
  a1 53 a4 41 41 50 4c            "S": "AAPL"
  a7 63 68 61 6e 6e 65 6c         "channel":
  a6 74 72 61 64 65 73            "trades"
  a4 66 72 6f 6d cd 04 13         "from": 1043
  a2 74 6f cd 07 d1               "to": 2001
`;

const GAP_UNKNOWN_BYTES = `
  91 83                           an array of one map of three keys
  a1 54 a3 67 61 70               "T": "gap"
  a1 53 a4 41 41 50 4c            "S": "AAPL"
  a7 63 68 61 6e 6e 65 6c         "channel":
  a6 74 72 61 64 65 73            "trades"
`;

test("golden bytes of a trade are decoded", () => {
  assert.deepEqual(decodeMessage(bytes(TRADE_BYTES)), [
    { kind: "trade", symbol: "AAPL", seq: 1042, time: TIME, price: 126.55, size: 100 },
  ]);
});

test("golden bytes of a quote are decoded", () => {
  assert.deepEqual(decodeMessage(bytes(QUOTE_BYTES)), [
    {
      kind: "quote",
      symbol: "MSFT",
      seq: 77,
      time: TIME,
      bid: 402.01,
      bidSize: 300,
      ask: 402.0225,
      askSize: 70_000,
    },
  ]);
});

test("of a bar, the minute, the first and the last price are used", () => {
  const bar = ["b", "AAPL", 1, 5_000_000, 1, 2, 0.5, 1.5, 10, 3, 1.1];
  assert.deepEqual(decodeMessage(message([bar])), [
    { kind: "bar", symbol: "AAPL", time: 5_000_000n, open: 1, close: 1.5 },
  ]);
});

test("times keep their nanoseconds, and milliseconds are exact to a microsecond", () => {
  const [trade] = decodeMessage(bytes(TRADE_BYTES));
  assert.equal(trade?.kind === "trade" && trade.time, TIME);
  assert.equal(toMillis(TIME), 1_767_364_200_123.456);
});

test("a time encoded as a small integer is decoded", () => {
  const [trade] = decodeMessage(message([["t", "A", 1, 5_000_000, 0, "", 1, 1, [], ""]]));
  assert.equal(trade?.kind === "trade" && trade.time, 5_000_000n);
});

test("unknown trailing fields and unknown kinds are ignored", () => {
  const elements = decodeMessage(
    message([
      ["u", "AAPL", 1, 0, 1, 2, 0.5, 1, 10, 3, 1.1],
      ["t", "AAPL", 1, 0, 0, "", 2, 3, [], "", "new", 9],
      ["p", 77],
    ]),
  );
  assert.deepEqual(
    elements.map((element) => element.kind),
    ["trade"],
  );
});

test("control elements are decoded", () => {
  const since = "2026-01-02T14:30:00Z";
  const decoded = (map: Record<string, unknown>) => decodeMessage(message([map]))[0];
  assert.deepEqual(decoded({ T: "success", msg: "connected", epoch: "0123" }), {
    kind: "connected",
    epoch: "0123",
  });
  assert.deepEqual(decoded({ T: "feed", feed: "main", state: "stale", since }), {
    kind: "feed",
    feed: "main",
    state: "stale",
    since,
    view: "main",
    delayMs: 0,
  });
  const late = { T: "feed", feed: "main", state: "live", since, view: "late", delay_ms: 900_000 };
  assert.deepEqual(decoded(late), {
    kind: "feed",
    feed: "main",
    state: "live",
    since,
    view: "late",
    delayMs: 900_000,
  });
  assert.deepEqual(decoded({ T: "snapshot", ticks: 2 }), { kind: "snapshot" });
  assert.deepEqual(decoded({ T: "live" }), { kind: "live" });
  assert.deepEqual(decoded({ T: "success", msg: "authenticated" }), { kind: "authenticated" });
  assert.deepEqual(decoded({ T: "error", code: 400, msg: "invalid syntax", detail: "no action" }), {
    kind: "error",
    code: 400,
    text: "invalid syntax: no action",
    id: undefined,
  });
  assert.deepEqual(decoded({ T: "error", id: 4, code: 405, msg: "symbol limit exceeded" }), {
    kind: "error",
    code: 405,
    text: "symbol limit exceeded",
    id: 4,
  });
  assert.equal(decoded({ T: "heartbeat", t: since }), undefined);
});

test("the error names the invalid field", () => {
  const trade = ["t", "AAPL", 1, 0, 0, "", "12.5", 3, [], ""];
  assert.throws(() => decodeMessage(message([trade])), {
    name: "WireError",
    message: "trade.p is 12.5, not a number up to 2^53 - 1",
  });
  assert.throws(() => decodeMessage(message([["q", "AAPL", 1]])), {
    message: "quote.t is undefined, not an integer",
  });
  assert.throws(() => decodeMessage(message([{ T: "gap", S: "A", channel: "trades", to: "9" }])), {
    message: "gap.to is 9, not a number up to 2^53 - 1",
  });
  assert.throws(() => decodeMessage(message([{ T: "feed", feed: "main", state: "odd" }])), {
    message: "feed.state is odd, not live, stale or down",
  });
});

test("malformed messages are rejected", () => {
  assert.throws(() => decodeMessage(message({ T: "live" })), { name: "WireError" });
  assert.throws(() => decodeMessage(message([null])), { name: "WireError" });
  assert.throws(() => decodeMessage(bytes("91 9a")), { name: "WireError" });
});

test("a sequence number beyond 2^53 is rejected instead of rounded", () => {
  const trade = "91 98 a1 74 a1 41 cf 00 20 00 00 00 00 00 01 00 00 a0 01 01";
  assert.throws(() => decodeMessage(bytes(trade)), { message: /^trade\.seq is 9007199254740993/ });
});

test("golden bytes of gaps with and without ends are decoded", () => {
  const gap = { kind: "gap", channel: "trades", symbol: "AAPL" };
  assert.deepEqual(decodeMessage(bytes(GAP_BYTES)), [{ ...gap, from: 1043, to: 2001 }]);
  assert.deepEqual(decodeMessage(bytes(GAP_UNKNOWN_BYTES)), [
    { ...gap, from: undefined, to: undefined },
  ]);
});

test("only the id of an acknowledgement is used, and new elements are ignored", () => {
  const mode = { delivery: "latest", max_rate: 60, on_lag: "latest" };
  const ack = { T: "subscription", trades: ["AAPL"], total: { trades: 1 }, ...mode };
  assert.deepEqual(decodeMessage(message([ack])), [{ kind: "subscribed", id: undefined }]);
  assert.deepEqual(decodeMessage(message([{ ...ack, id: 7 }])), [{ kind: "subscribed", id: 7 }]);
  assert.deepEqual(decodeMessage(message([{ T: "new", S: 1 }])), []);
});

function message(value: unknown): ArrayBuffer {
  return encode(value).slice().buffer;
}

/** Parses a hex dump; the text after three blanks in a line is a comment. */
function bytes(dump: string): ArrayBuffer {
  const digits = dump
    .split("\n")
    .map((line) => line.trim().split(/ {3,}/)[0]!)
    .join("")
    .replaceAll(" ", "");
  return Uint8Array.from(Buffer.from(digits, "hex")).buffer;
}
