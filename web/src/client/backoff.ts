// Delays between connection attempts: exponential backoff with full jitter, unless the hub asked
// for a delay when it closed. The jitter keeps the pages of a restarted hub from all reconnecting
// at the same moment.

/** Upper bound of the first random delay. */
export const FIRST_DELAY_MS = 500;
/** Upper bound of all random delays. */
export const DELAY_MS_MAX = 30_000;
/** The longest delay a hub can ask for with `retry_ms`. */
export const REQUESTED_DELAY_MS_MAX = 300_000;
/** Random extra delay for pages that the hub asked to wait equally long. */
export const REQUESTED_SPREAD_MS = 1_000;

export class Backoff {
  #attempts = 0;
  readonly #random: () => number;

  /** `random` returns numbers in [0, 1). */
  constructor(random: () => number = Math.random) {
    this.#random = random;
  }

  /**
   * Returns the delay before the next attempt: a random part of a bound that doubles with each
   * call, or about `retryMs` if the hub asked for that delay.
   */
  nextDelayMs(retryMs?: number): number {
    if (retryMs !== undefined) {
      return Math.min(REQUESTED_DELAY_MS_MAX, retryMs) + REQUESTED_SPREAD_MS * this.#random();
    }
    const bound = Math.min(DELAY_MS_MAX, FIRST_DELAY_MS * 2 ** this.#attempts);
    this.#attempts += 1;
    return bound * this.#random();
  }

  /** Starts again with the first, short delay. */
  reset(): void {
    this.#attempts = 0;
  }
}
