import assert from "node:assert/strict";
import { test } from "node:test";

import { parseCloseReason } from "../../src/protocol/closeReason.ts";

test("a close reason is a label and tokens in any order", () => {
  assert.deepEqual(parseCloseReason("replaced"), { label: "replaced", retryMs: undefined });
  const shutdown = { label: "shutdown", retryMs: 2500 };
  assert.deepEqual(parseCloseReason("shutdown retry_ms=2500"), shutdown);
  assert.equal(parseCloseReason("shutdown node=7 retry_ms=40 x").retryMs, 40);
});

test("malformed retry times are ignored", () => {
  const reasons = ["", "shutdown", "retry_ms=9", "shutdown retry_ms=", "shutdown retry_ms=-1"];
  for (const reason of reasons) {
    assert.equal(parseCloseReason(reason).retryMs, undefined, reason);
  }
});
