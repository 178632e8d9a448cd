import assert from "node:assert/strict";
import { test } from "node:test";

import { Board } from "../src/board.ts";
import { Subscriber } from "../src/subscriber.ts";

/** A hub that gives what `gives` says of all that would be had, and the commands it was sent. */
class Hub {
  readonly board = new Board();
  readonly had = new Set<string>();
  readonly changed: string[] = [];
  readonly commands: (readonly string[])[] = [];
  readonly subscriber: Subscriber;
  readonly #unanswered: { symbols: readonly string[]; id: number }[] = [];
  gives: (after: ReadonlySet<string>) => boolean;

  constructor(symbols: readonly string[], gives: (after: ReadonlySet<string>) => boolean) {
    this.gives = gives;
    for (const symbol of symbols) this.board.add(symbol);
    this.subscriber = new Subscriber(this.board, {
      send: (asked, id) => {
        this.commands.push(asked);
        this.#unanswered.push({ symbols: asked, id });
      },
      changed: ({ symbol }) => this.changed.push(symbol),
    });
    this.subscriber.connected();
  }

  get refused(): string[] {
    return this.subscriber.refusedRows.map(({ symbol }) => symbol);
  }

  answerNext(): void {
    const { symbols, id } = this.#unanswered.shift()!;
    const after = new Set([...this.had, ...symbols]);
    if (!this.gives(after)) {
      assert.equal(this.subscriber.refused(id, `not ${symbols.join()}`), true);
      return;
    }
    for (const symbol of symbols) this.had.add(symbol);
    this.subscriber.accepted(id);
  }

  answerAll(): void {
    while (this.#unanswered.length > 0) this.answerNext();
  }
}

const many = Array.from({ length: 200 }, (_, at) => `S${at}`);

test("all that may be had is asked for in one command", () => {
  const hub = new Hub(many, () => true);
  hub.answerAll();
  assert.deepEqual(hub.commands, [many]);
  assert.deepEqual([hub.refused, hub.changed], [[], []]);
});

test("a symbol that is not to be had costs the others nothing", () => {
  const hub = new Hub(["A", "B", "X", "C", "D"], (after) => !after.has("X"));
  hub.answerAll();
  assert.deepEqual([...hub.had].toSorted(), ["A", "B", "C", "D"]);
  assert.deepEqual([hub.refused, hub.changed], [["X"], ["X"]]);
  assert.equal(hub.board.row("X")!.refused, "not X");
});

test("where so many may be had, so many are", () => {
  for (const most of [0, 1, 7, 199]) {
    const hub = new Hub(many, (after) => after.size <= most);
    hub.answerAll();
    assert.equal(hub.had.size, most);
    assert.equal(hub.refused.length, many.length - most);
    assert.ok(hub.commands.length < 2 * many.length, `${hub.commands.length} commands`);
  }
});

test("what is refused is not asked for again with the rest, but when there is room", () => {
  const hub = new Hub(["A", "B", "C"], (after) => after.size <= 2);
  hub.answerAll();
  hub.subscriber.renew();
  assert.deepEqual(hub.commands.at(-1), ["A", "B"]);
  hub.answerAll();
  hub.board.remove("A");
  hub.had.delete("A");
  hub.subscriber.retry();
  hub.answerAll();
  assert.deepEqual([hub.refused, hub.changed], [[], ["C", "C"]]);
});

test("a symbol that was removed meanwhile is not asked for again", () => {
  const hub = new Hub(["A", "B"], (after) => !after.has("B"));
  hub.board.remove("B");
  hub.answerAll();
  assert.deepEqual(hub.commands, [["A", "B"], ["A"]]);
});

test("a new connection is asked for everything, and answers of the old one are none of it", () => {
  const hub = new Hub(["A", "X"], (after) => !after.has("X"));
  hub.answerAll();
  hub.gives = () => true;
  hub.subscriber.connected();
  assert.equal(hub.subscriber.refused(1, "late"), false);
  assert.deepEqual(hub.commands.at(-1), ["A", "X"]);
  hub.answerAll();
  assert.deepEqual(hub.refused, []);
});

test("other commands are none of its", () => {
  const { subscriber } = new Hub(["A"], () => true);
  assert.equal(subscriber.refused(undefined, "no"), false);
  assert.equal(subscriber.refused(99, "no"), false);
});
