import assert from "node:assert/strict";
import { test } from "node:test";

import { Subscriber } from "../../src/client/subscriber.ts";
import { WatchlistModel, type WatchlistRow } from "../../src/model/watchlist.ts";

/** Decides whether a session may have these symbols subscribed. */
type Policy = (symbols: ReadonlySet<string>) => boolean;

/** A hub that accepts or refuses subscribe commands by its policy, and records them. */
class FakeHub {
  readonly watchlist = new WatchlistModel();
  readonly subscribed = new Set<string>();
  readonly changed: string[] = [];
  readonly commands: (readonly string[])[] = [];
  readonly subscriber: Subscriber<WatchlistRow>;
  readonly #unanswered: { symbols: readonly string[]; id: number }[] = [];
  policy: Policy;

  constructor(symbols: readonly string[], policy: Policy) {
    this.policy = policy;
    for (const symbol of symbols) this.watchlist.add(symbol);
    this.subscriber = new Subscriber(this.watchlist, {
      send: (symbols, id) => {
        this.commands.push(symbols);
        this.#unanswered.push({ symbols, id });
      },
      availabilityChanged: ({ symbol }) => this.changed.push(symbol),
    });
    this.subscriber.connected();
  }

  get refused(): string[] {
    return this.watchlist.refusedRows.map(({ symbol }) => symbol);
  }

  answerNext(): void {
    const { symbols, id } = this.#unanswered.shift()!;
    if (!this.policy(new Set([...this.subscribed, ...symbols]))) {
      assert.equal(this.subscriber.refused(id, `not ${symbols.join()}`), true);
      return;
    }
    for (const symbol of symbols) this.subscribed.add(symbol);
    this.subscriber.accepted(id);
  }

  answerAll(): void {
    while (this.#unanswered.length > 0) this.answerNext();
  }
}

const many = Array.from({ length: 200 }, (_, at) => `S${at}`);

test("all symbols are subscribed with one command if the hub accepts it", () => {
  const hub = new FakeHub(many, () => true);
  hub.answerAll();
  assert.deepEqual(hub.commands, [many]);
  assert.deepEqual([hub.refused, hub.changed], [[], []]);
});

test("one refused symbol does not affect the others", () => {
  const hub = new FakeHub(["A", "B", "X", "C", "D"], (symbols) => !symbols.has("X"));
  hub.answerAll();
  assert.deepEqual([...hub.subscribed].toSorted(), ["A", "B", "C", "D"]);
  assert.deepEqual([hub.refused, hub.changed], [["X"], ["X"]]);
  assert.equal(hub.watchlist.row("X")!.refusal, "not X");
});

test("a symbol limit is used up completely", () => {
  for (const limit of [0, 1, 7, 199]) {
    const hub = new FakeHub(many, (symbols) => symbols.size <= limit);
    hub.answerAll();
    assert.equal(hub.subscribed.size, limit);
    assert.equal(hub.refused.length, many.length - limit);
    assert.ok(hub.commands.length < 2 * many.length, `${hub.commands.length} commands`);
  }
});

test("renewals leave out refused symbols, which are retried when another is removed", () => {
  const hub = new FakeHub(["A", "B", "C"], (symbols) => symbols.size <= 2);
  hub.answerAll();
  hub.subscriber.renew();
  assert.deepEqual(hub.commands.at(-1), ["A", "B"]);
  hub.answerAll();
  hub.watchlist.remove("A");
  hub.subscribed.delete("A");
  hub.subscriber.retryRefused();
  hub.answerAll();
  assert.deepEqual([hub.refused, hub.changed], [[], ["C", "C"]]);
});

test("a symbol removed before the answer is not subscribed again", () => {
  const hub = new FakeHub(["A", "B"], (symbols) => !symbols.has("B"));
  hub.watchlist.remove("B");
  hub.answerAll();
  assert.deepEqual(hub.commands, [["A", "B"], ["A"]]);
});

test("a new connection subscribes to everything and ignores answers of the old one", () => {
  const hub = new FakeHub(["A", "X"], (symbols) => !symbols.has("X"));
  hub.answerAll();
  hub.policy = () => true;
  hub.subscriber.connected();
  assert.equal(hub.subscriber.refused(1, "late"), false);
  assert.deepEqual(hub.commands.at(-1), ["A", "X"]);
  hub.answerAll();
  assert.deepEqual(hub.refused, []);
});

test("errors of other commands are not handled", () => {
  const { subscriber } = new FakeHub(["A"], () => true);
  assert.equal(subscriber.refused(undefined, "no"), false);
  assert.equal(subscriber.refused(99, "no"), false);
});
