import assert from "node:assert/strict";
import { test } from "node:test";

import { Access, type Store } from "../src/access.ts";

const KEY = { id: "TWREADER", secret: "s3cret" };

class FakeStore implements Store {
  readonly kept = new Map<string, string>();

  getItem(key: string): string | null {
    return this.kept.get(key) ?? null;
  }

  setItem(key: string, value: string): void {
    this.kept.set(key, value);
  }

  removeItem(key: string): void {
    this.kept.delete(key);
  }
}

const forbidden: Store = {
  getItem: () => {
    throw new Error("forbidden");
  },
  setItem: () => {
    throw new Error("forbidden");
  },
  removeItem: () => {
    throw new Error("forbidden");
  },
};

test("a key is kept where its owner wants it, and only there", () => {
  const [tab, device] = [new FakeStore(), new FakeStore()];
  const access = new Access({ tab, device });
  assert.equal(access.key, undefined);
  access.use(KEY, "tab");
  assert.deepEqual([tab.kept.size, device.kept.size], [1, 0]);
  assert.deepEqual(new Access({ tab, device }).key, KEY);
  access.use(KEY, "device");
  assert.deepEqual([tab.kept.size, device.kept.size], [0, 1]);
  assert.deepEqual(new Access({ tab: new FakeStore(), device }).key, KEY);
  access.forget();
  assert.equal(access.key, undefined);
  assert.equal(new Access({ tab, device }).key, undefined);
});

test("requests show the key in a header", () => {
  const access = new Access({ tab: undefined, device: undefined });
  assert.deepEqual(access.headers(), {});
  access.use(KEY, "tab");
  assert.deepEqual(access.headers(), { authorization: "Bearer TWREADER:s3cret" });
});

test("a key works for this visit where nothing can be stored", () => {
  const access = new Access({ tab: forbidden, device: forbidden });
  access.use(KEY, "device");
  assert.deepEqual(access.key, KEY);
  access.forget();
  assert.equal(access.key, undefined);
});

test("what is no key in the store is none", () => {
  for (const kept of ["", "{", "null", "7", '{"id":"a"}', '{"id":1,"secret":"b"}']) {
    const tab = new FakeStore();
    tab.setItem("tickwire.key", kept);
    assert.equal(new Access({ tab, device: undefined }).key, undefined, kept);
  }
});
