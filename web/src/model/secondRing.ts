// A ring of one-second slots for figures over the last seconds: the cost per tick is constant and
// the memory fixed.

/** Seconds that a ring keeps. */
const WINDOW_S = 5;

export class SecondRing<Slot> {
  readonly #slots: { second: number; readonly value: Slot }[];
  readonly #clear: (slot: Slot) => void;

  /** `clear` empties a slot before it is used for another second. */
  constructor(create: () => Slot, clear: (slot: Slot) => void) {
    // One more slot than the window, because the current second is not complete.
    this.#slots = Array.from({ length: WINDOW_S + 1 }, () => ({ second: -1, value: create() }));
    this.#clear = clear;
  }

  /** Returns the slot of the second that `nowMs` is in. */
  at(nowMs: number): Slot {
    const second = Math.floor(nowMs / 1000);
    const slot = this.#slots[second % this.#slots.length]!;
    if (slot.second !== second) {
      slot.second = second;
      this.#clear(slot.value);
    }
    return slot.value;
  }

  /** Yields the slots of the `count` complete seconds before the current one. */
  *complete(nowMs: number, count: number): Iterable<Slot> {
    const current = Math.floor(nowMs / 1000);
    for (const slot of this.#slots) {
      if (slot.second < current && slot.second >= current - count) yield slot.value;
    }
  }

  /** Yields the slots of the whole window, the current second included. */
  *recent(nowMs: number): Iterable<Slot> {
    const current = Math.floor(nowMs / 1000);
    for (const slot of this.#slots) {
      if (slot.second <= current && slot.second > current - WINDOW_S) yield slot.value;
    }
  }
}
