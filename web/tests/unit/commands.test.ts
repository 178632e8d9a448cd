import assert from "node:assert/strict";
import { test } from "node:test";

import { decode } from "@msgpack/msgpack";

import {
  encodeAuth,
  encodeList,
  encodeSubscribe,
  encodeUnsubscribe,
} from "../../src/protocol/commands.ts";

test("subscriptions name trades and quotes of each symbol and the rate", () => {
  assert.deepEqual(decode(encodeSubscribe(["AAPL", "MSFT"], 30, 7)), {
    action: "subscribe",
    id: 7,
    trades: ["AAPL", "MSFT"],
    quotes: ["AAPL", "MSFT"],
    delivery: "latest",
    max_rate: 30,
  });
  assert.deepEqual(decode(encodeUnsubscribe(["MSFT"])), {
    action: "unsubscribe",
    trades: ["MSFT"],
    quotes: ["MSFT"],
  });
});

test("auth carries the key, and list has no fields", () => {
  assert.deepEqual(decode(encodeAuth("TWREADER", "s3cret")), {
    action: "auth",
    key: "TWREADER",
    secret: "s3cret",
  });
  assert.deepEqual(decode(encodeList()), { action: "list" });
});
