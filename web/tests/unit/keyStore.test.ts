import assert from "node:assert/strict";
import { test } from "node:test";

import { KeyStore, type WebStorage } from "../../src/client/keyStore.ts";

const KEY = { id: "TWREADER", secret: "s3cret" };

class FakeStorage implements WebStorage {
  readonly items = new Map<string, string>();

  getItem(key: string): string | null {
    return this.items.get(key) ?? null;
  }

  setItem(key: string, value: string): void {
    this.items.set(key, value);
  }

  removeItem(key: string): void {
    this.items.delete(key);
  }
}

const forbidden: WebStorage = {
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

test("a key is stored only in the scope that the user chose", () => {
  const tab = new FakeStorage();
  const device = new FakeStorage();
  const keyStore = new KeyStore({ tab, device });
  assert.equal(keyStore.key, undefined);
  keyStore.set(KEY, "tab");
  assert.deepEqual([tab.items.size, device.items.size], [1, 0]);
  assert.deepEqual(new KeyStore({ tab, device }).key, KEY);
  keyStore.set(KEY, "device");
  assert.deepEqual([tab.items.size, device.items.size], [0, 1]);
  assert.deepEqual(new KeyStore({ tab: new FakeStorage(), device }).key, KEY);
  keyStore.forget();
  assert.equal(keyStore.key, undefined);
  assert.equal(new KeyStore({ tab, device }).key, undefined);
});

test("requests carry the key in a header", () => {
  const keyStore = new KeyStore({ tab: undefined, device: undefined });
  assert.deepEqual(keyStore.headers(), {});
  keyStore.set(KEY, "tab");
  assert.deepEqual(keyStore.headers(), { authorization: "Bearer TWREADER:s3cret" });
});

test("a key works for this visit if storage is forbidden", () => {
  const keyStore = new KeyStore({ tab: forbidden, device: forbidden });
  keyStore.set(KEY, "device");
  assert.deepEqual(keyStore.key, KEY);
  keyStore.forget();
  assert.equal(keyStore.key, undefined);
});

test("malformed stored keys are ignored", () => {
  for (const stored of ["", "{", "null", "7", '{"id":"a"}', '{"id":1,"secret":"b"}']) {
    const tab = new FakeStorage();
    tab.setItem("tickwire.key", stored);
    assert.equal(new KeyStore({ tab, device: undefined }).key, undefined, stored);
  }
});
