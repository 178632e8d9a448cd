// Measures the delay from event to arrival over the last five seconds, in a histogram per second.

import { SecondRing } from "./secondRing.ts";

/** An event time further from now is that of a replay and says nothing about latency. */
export const NEAR_NOW_MS = 60_000;

// Buckets of one millisecond below 64 ms, then 16 buckets per doubling (within 4.5 %).
const EXACT_MS = 64;
const BUCKETS_PER_DOUBLING = 16;
const BUCKETS = bucketOf(NEAR_NOW_MS) + 1;

export interface Percentiles {
  readonly p50Ms: number;
  readonly p99Ms: number;
}

export class LatencyMeter {
  readonly #seconds = new SecondRing(
    () => new Uint32Array(BUCKETS),
    (slot) => slot.fill(0),
  );

  /** Adds one tick; ignores it if its event time is not near now. */
  add(nowMs: number, eventMs: number): void {
    const delayMs = nowMs - eventMs;
    if (Math.abs(delayMs) > NEAR_NOW_MS) return;
    const slot = this.#seconds.at(nowMs);
    // Clocks differ a little: an event from the near future counts as no delay.
    const bucket = bucketOf(Math.max(0, delayMs));
    slot[bucket] = slot[bucket]! + 1;
  }

  /** Returns undefined if no tick was added in the last five seconds. */
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
  return EXACT_MS + Math.floor(BUCKETS_PER_DOUBLING * Math.log2(delayMs / EXACT_MS));
}

/** Returns the lower edge of the bucket that holds the sample of this rank. */
function quantile(counts: Uint32Array, rank: number): number {
  let seen = 0;
  let bucket = 0;
  for (; bucket < counts.length - 1; bucket += 1) {
    seen += counts[bucket]!;
    if (seen >= rank) break;
  }
  return bucket < EXACT_MS ? bucket : EXACT_MS * 2 ** ((bucket - EXACT_MS) / BUCKETS_PER_DOUBLING);
}
