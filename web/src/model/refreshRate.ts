// Decides how often the hub sends new values to this page: as often as the display refreshes, and
// once a second while the page is hidden.

/** Limits of the rate, in values of a symbol per second. */
export const RATE_MAX = 60;
export const RATE_MIN = 10;
/** The rate while the page is hidden. */
export const RATE_HIDDEN = 1;
/**
 * Measured rates are rounded to multiples of this, because two measurements of a display are never
 * equal and a session of the hub may use only a few different rates.
 */
const RATE_STEP = 10;
/** Frame intervals per measurement: half a second at 60 Hz. The median ignores late frames. */
const INTERVALS_MEASURED = 30;

/** The part of the browser that is used here. */
export interface Display {
  readonly hidden: boolean;
  /** Calls back with the time of the next frame; while hidden there are no frames. */
  onFrame(callback: (timeMs: number) => void): void;
}

export class RefreshRate {
  readonly #display: Display;
  readonly #changed: () => void;
  /** Starts with the rate of most displays, so that most pages never have to change it. */
  #visibleRate = RATE_MAX;
  #rate: number;
  /** Number of the current measurement; frames requested by earlier ones are ignored. */
  #measurement = 0;

  /** Calls `changed` whenever `rate` changes. */
  constructor(display: Display, changed: () => void) {
    this.#display = display;
    this.#changed = changed;
    this.#rate = this.#currentRate();
    this.#measure();
  }

  /** The rate to request, in values of a symbol per second. */
  get rate(): number {
    return this.#rate;
  }

  /** Call this when `hidden` of the display has changed. */
  visibilityChanged(): void {
    this.#update();
    this.#measure();
  }

  /**
   * Measures the display. Repeated whenever the page becomes visible, because it may have moved to
   * another display and the machine may be busier.
   */
  #measure(): void {
    this.#measurement += 1;
    if (this.#display.hidden) return;
    const measurement = this.#measurement;
    const times: number[] = [];
    const onFrame = (timeMs: number): void => {
      if (measurement !== this.#measurement) return;
      times.push(timeMs);
      if (times.length <= INTERVALS_MEASURED) {
        this.#display.onFrame(onFrame);
      } else {
        this.#visibleRate = rateOf(times);
        this.#update();
      }
    };
    this.#display.onFrame(onFrame);
  }

  #update(): void {
    const rate = this.#currentRate();
    if (rate === this.#rate) return;
    this.#rate = rate;
    this.#changed();
  }

  #currentRate(): number {
    return this.#display.hidden ? RATE_HIDDEN : this.#visibleRate;
  }
}

/** Returns the rate of a display with frames at these times, rounded and within the limits. */
function rateOf(frameTimesMs: readonly number[]): number {
  const intervals = frameTimesMs.slice(1).map((time, index) => time - frameTimesMs[index]!);
  const median = intervals.sort((a, b) => a - b)[Math.floor(intervals.length / 2)]!;
  const rate = Math.round(1000 / median / RATE_STEP) * RATE_STEP;
  return Math.min(RATE_MAX, Math.max(RATE_MIN, rate));
}
