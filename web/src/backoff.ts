// How long to wait before the next attempt: as long as a hub that closes says, and otherwise
// exponential, anywhere up to a limit that doubles, so that the pages of a restarted hub do not all
// come back in the same moment.

export const FIRST_DELAY_MS = 500;
export const DELAY_MS_MAX = 15_000;
/** Pages that were told to wait equally long come back within this time. */
export const TOLD_SPREAD_MS = 1_000;
const TOLD_DELAY_MS_MAX = 300_000;

export class Backoff {
  #attempts = 0;
  readonly #random: () => number;

  /** `random` gives numbers in [0, 1). */
  constructor(random: () => number = Math.random) {
    this.#random = random;
  }

  /** The delay after the end of a connection, or of an attempt, with this reason. */
  nextDelayMs(closeReason = ""): number {
    const told = toldDelayMs(closeReason);
    if (told !== undefined) return told + TOLD_SPREAD_MS * this.#random();
    const limit = Math.min(DELAY_MS_MAX, FIRST_DELAY_MS * 2 ** this.#attempts);
    this.#attempts += 1;
    return limit * this.#random();
  }

  reset(): void {
    this.#attempts = 0;
  }
}

/** The reason is a label and tokens behind it, such as `shutdown retry_ms=2500`. */
function toldDelayMs(closeReason: string): number | undefined {
  const tokens = closeReason.split(/\s+/).slice(1);
  const digits = tokens.map((token) => /^retry_ms=(\d+)$/.exec(token)?.[1]).find((found) => found);
  return digits === undefined ? undefined : Math.min(TOLD_DELAY_MS_MAX, Number(digits));
}
