// How long to wait before the next attempt: exponential, with jitter so that the pages of a
// restarted hub do not all come back in the same moment.

export const FIRST_DELAY_MS = 400;
export const DELAY_MS_MAX = 15_000;

export class Backoff {
  #attempts = 0;
  readonly #random: () => number;

  /** `random` gives numbers in [0, 1). */
  constructor(random: () => number = Math.random) {
    this.#random = random;
  }

  /** The next delay: between half of and the whole exponential step. */
  nextDelayMs(): number {
    const step = Math.min(DELAY_MS_MAX, FIRST_DELAY_MS * 2 ** this.#attempts);
    this.#attempts += 1;
    return step * (0.5 + 0.5 * this.#random());
  }

  reset(): void {
    this.#attempts = 0;
  }
}
