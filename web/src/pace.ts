// How often the page asks for new values: as often as the display shows them, and once a second
// while nobody sees them. The hub sends the newest value of each symbol at that rate.

/** Slots per second. */
export const RATE_MAX = 60;
export const RATE_MIN = 10;
export const RATE_HIDDEN = 1;
/**
 * Rates are rounded to multiples of this: a display is never measured twice the same, and a
 * session of the hub may have only a few rates.
 */
const RATE_STEP = 10;
/** Half a second of a usual display; its median is not disturbed by a frame that came late. */
const INTERVALS = 30;

/** The part of the browser that is used here. */
export interface Display {
  readonly hidden: boolean;
  /** Calls back before the next frame is shown, with its time; not while hidden. */
  onFrame(callback: (timeMs: number) => void): void;
}

export class Pace {
  readonly #display: Display;
  readonly #changed: () => void;
  /** Most displays are this fast, so that most pages need not ask again when it is measured. */
  #shownRate = RATE_MAX;
  #rate: number;
  /** Counts measurements: a frame that an earlier one had asked for is passed over. */
  #measurement = 0;

  /** `changed` is called when `rate` has become another. */
  constructor(display: Display, changed: () => void) {
    this.#display = display;
    this.#changed = changed;
    this.#rate = this.#rateNow();
    this.#measure();
  }

  /** Slots per second to ask for. */
  get rate(): number {
    return this.#rate;
  }

  /** Call when `hidden` of the display has changed. */
  visibilityChanged(): void {
    this.#settle();
    this.#measure();
  }

  /** Anew whenever the page is shown: it may be on another display, or the machine busier. */
  #measure(): void {
    this.#measurement += 1;
    if (this.#display.hidden) return;
    const measurement = this.#measurement;
    const times: number[] = [];
    const onFrame = (timeMs: number): void => {
      if (measurement !== this.#measurement) return;
      times.push(timeMs);
      if (times.length <= INTERVALS) {
        this.#display.onFrame(onFrame);
      } else {
        this.#shownRate = displayRate(times);
        this.#settle();
      }
    };
    this.#display.onFrame(onFrame);
  }

  #settle(): void {
    const rate = this.#rateNow();
    if (rate === this.#rate) return;
    this.#rate = rate;
    this.#changed();
  }

  #rateNow(): number {
    return this.#display.hidden ? RATE_HIDDEN : this.#shownRate;
  }
}

/** Of a display with frames at these times: rounded, within the bounds. */
function displayRate(frameTimesMs: readonly number[]): number {
  const intervals = frameTimesMs.slice(1).map((time, index) => time - frameTimesMs[index]!);
  const median = intervals.sort((a, b) => a - b)[Math.floor(intervals.length / 2)]!;
  const rate = Math.round(1000 / median / RATE_STEP) * RATE_STEP;
  return Math.min(RATE_MAX, Math.max(RATE_MIN, rate));
}
