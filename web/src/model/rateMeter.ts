// Counts events per second, averaged over the last two complete seconds.

import { SecondRing } from "./secondRing.ts";

const AVERAGED_S = 2;

export class RateMeter {
  readonly #seconds = new SecondRing(
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
    for (const slot of this.#seconds.complete(nowMs, AVERAGED_S)) count += slot.count;
    return count / AVERAGED_S;
  }
}
