import assert from "node:assert/strict";
import { test } from "node:test";

import { defaultView, hasPublisher, hasView } from "../../src/model/feeds.ts";
import { feedStatus, hubStatus } from "./status.ts";

test("the default view is the least delayed view of the first feed", () => {
  const late = { view: "a", feed: "main", delayMs: 9 };
  const early = { view: "z", feed: "main", delayMs: 0 };
  const other = { view: "b", feed: "test", delayMs: 0 };
  const delayedOnly = { view: "c", feed: "unlisted", delayMs: 9 };
  const feeds = [feedStatus("main"), feedStatus("test")];
  for (const [views, expected] of [
    [[late, other, early], "z"],
    [[other, late], "a"],
    [[other], "b"],
    [[delayedOnly, other], "b"],
    [[delayedOnly], "c"],
    [[], undefined],
  ] as const) {
    assert.equal(defaultView(hubStatus({ feeds, views })), expected);
  }
});

test("a hub has the views that its status lists", () => {
  const status = hubStatus({ views: [{ view: "sip", feed: "main", delayMs: 0 }] });
  assert.deepEqual([hasView(status, "sip"), hasView(status, "spi")], [true, false]);
});

test("a feed has a publisher or not, whatever its state", () => {
  const status = hubStatus({ feeds: [feedStatus("main", 1), feedStatus("other")] });
  const found = ["main", "other", "none"].map((feed) => hasPublisher(status, feed));
  assert.deepEqual(found, [true, false, false]);
});
