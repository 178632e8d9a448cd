// Figures over the last seconds: how many, how late. Both keep a ring of one-second slots,
// so their cost per tick is constant and their memory fixed. `now` is always an argument.

const WINDOW_S = 5;

/** A ring of slots, one per second; a slot is cleared when its second comes round again. */
class Seconds<Slot> {
  readonly #slots: { second: number; readonly value: Slot }[];
  readonly #clear: (slot: Slot) => void;

  constructor(make: () => Slot, clear: (slot: Slot) => void) {
    // One more than the window: the running second is not complete.
    this.#slots = Array.from({ length: WINDOW_S + 1 }, () => ({ second: -1, value: make() }));
    this.#clear = clear;
  }

  at(nowMs: number): Slot {
    const second = Math.floor(nowMs / 1000);
    const slot = this.#slots[second % this.#slots.length]!;
    if (slot.second !== second) {
      slot.second = second;
      this.#clear(slot.value);
    }
    return slot.value;
  }

  /** The slots of the `count` seconds before the running one. */
  *complete(nowMs: number, count: number): Iterable<Slot> {
    const running = Math.floor(nowMs / 1000);
    for (const slot of this.#slots) {
      if (slot.second < running && slot.second >= running - count) yield slot.value;
    }
  }

  /** The slots of the last seconds, the running one included. */
  *recent(nowMs: number): Iterable<Slot> {
    const running = Math.floor(nowMs / 1000);
    for (const slot of this.#slots) {
      if (slot.second <= running && slot.second > running - WINDOW_S) yield slot.value;
    }
  }
}

/** How many per second, over the last complete seconds. */
export class Rate {
  static readonly #SECONDS = 2;
  readonly #seconds = new Seconds(
    () => ({ count: 0 }),
    (slot) => {
      slot.count = 0;
    },
  );

  add(nowMs: number, count: number): void {
    this.#seconds.at(nowMs).count += count;
  }

  perSecond(nowMs: number): number {
    let count = 0;
    for (const slot of this.#seconds.complete(nowMs, Rate.#SECONDS)) count += slot.count;
    return count / Rate.#SECONDS;
  }
}

/** Event times further from now than this belong to the past (a replay), not to a delay. */
export const NEAR_NOW_MS = 60_000;

// Exact to a millisecond below 64 ms, then 16 buckets per doubling (within 4.5 %).
const EXACT_MS = 64;
const PER_DOUBLING = 16;
const BUCKETS = bucketOf(NEAR_NOW_MS) + 1;

export interface Percentiles {
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** From event to arrival, over the last seconds. */
export class Latency {
  readonly #seconds = new Seconds(
    () => new Uint32Array(BUCKETS),
    (slot) => slot.fill(0),
  );

  /** Counts one tick, unless its event time is not near now. */
  add(nowMs: number, eventMs: number): void {
    const delayMs = nowMs - eventMs;
    if (Math.abs(delayMs) > NEAR_NOW_MS) return;
    const slot = this.#seconds.at(nowMs);
    // Clocks differ a little: an event from the near future counts as no delay.
    const bucket = bucketOf(Math.max(0, delayMs));
    slot[bucket] = slot[bucket]! + 1;
  }

  /** Undefined when no tick with an event time near now arrived lately. */
  percentiles(nowMs: number): Percentiles | undefined {
    const counts = new Uint32Array(BUCKETS);
    let total = 0;
    for (const slot of this.#seconds.recent(nowMs)) {
      slot.forEach((count, bucket) => {
        counts[bucket] = counts[bucket]! + count;
        total += count;
      });
    }
    if (total === 0) return undefined;
    return { p50Ms: quantile(counts, total * 0.5), p99Ms: quantile(counts, total * 0.99) };
  }
}

function bucketOf(delayMs: number): number {
  if (delayMs < EXACT_MS) return Math.floor(delayMs);
  return EXACT_MS + Math.floor(PER_DOUBLING * Math.log2(delayMs / EXACT_MS));
}

/** The lower edge of the bucket that holds the sample of this rank. */
function quantile(counts: Uint32Array, rank: number): number {
  let seen = 0;
  let bucket = 0;
  for (; bucket < counts.length - 1; bucket += 1) {
    seen += counts[bucket]!;
    if (seen >= rank) break;
  }
  return bucket < EXACT_MS ? bucket : EXACT_MS * 2 ** ((bucket - EXACT_MS) / PER_DOUBLING);
}
