import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { Pace, RATE_HIDDEN, RATE_MAX, RATE_MIN, type Display } from "../src/pace.ts";

/** Like a browser's: frames that were asked for wait while it is hidden. */
class FakeDisplay implements Display {
  hidden = false;
  #waiting: ((timeMs: number) => void)[] = [];
  #timeMs = 0;

  onFrame(callback: (timeMs: number) => void): void {
    this.#waiting.push(callback);
  }

  /** Shows frames with these intervals. */
  show(...intervalsMs: number[]): void {
    for (const intervalMs of intervalsMs) {
      this.#timeMs += intervalMs;
      const due = this.#waiting;
      this.#waiting = [];
      for (const callback of due) callback(this.#timeMs);
    }
  }

  /** As many frames as are ever measured, and some more. */
  showMany(hertz: number): void {
    this.show(...Array.from({ length: 100 }, () => 1000 / hertz));
  }

  get idle(): boolean {
    return this.#waiting.length === 0;
  }
}

let display: FakeDisplay;
let asked: number[];
let pace: Pace;

function begin(hidden = false): void {
  display = new FakeDisplay();
  display.hidden = hidden;
  asked = [];
  pace = new Pace(display, () => asked.push(pace.rate));
}

function setHidden(hidden: boolean): void {
  display.hidden = hidden;
  pace.visibilityChanged();
}

beforeEach(() => begin());

test("until the display is measured the rate is that of most displays", () => {
  assert.equal(pace.rate, RATE_MAX);
});

test("the rate is the display's, in tens and within the bounds", () => {
  for (const [hertz, rate] of [
    [5, RATE_MIN],
    [24, 20],
    [29.97, 30],
    [50, 50],
    [59.94, 60],
    [144, RATE_MAX],
  ] as const) {
    begin();
    display.showMany(hertz);
    assert.equal(pace.rate, rate, `${hertz} Hz`);
  }
});

test("nothing is asked again when the measured rate is the one asked for", () => {
  display.showMany(60);
  assert.deepEqual(asked, []);
});

test("late frames do not lower the rate", () => {
  display.show(0, ...Array.from({ length: 60 }, (_, frame) => (frame % 3 === 0 ? 200 : 20)));
  assert.equal(pace.rate, 50);
});

test("a measured display is left alone until the page is shown anew", () => {
  display.showMany(30);
  assert.equal(display.idle, true);
  setHidden(true);
  setHidden(false);
  assert.equal(display.idle, false);
  display.showMany(50);
  assert.deepEqual(asked, [30, RATE_HIDDEN, 30, 50]);
});

test("a hidden page asks for one value a second, and for the old rate when it is shown", () => {
  display.showMany(40);
  setHidden(true);
  assert.equal(pace.rate, RATE_HIDDEN);
  setHidden(false);
  assert.equal(pace.rate, 40);
  display.showMany(40);
  assert.deepEqual(asked, [40, RATE_HIDDEN, 40]);
});

test("a page opened in the background measures when it is first shown", () => {
  begin(true);
  assert.equal(pace.rate, RATE_HIDDEN);
  assert.equal(display.idle, true);
  setHidden(false);
  display.showMany(30);
  assert.deepEqual(asked, [RATE_MAX, 30]);
});

test("frames from before the page was hidden say nothing about the display it is shown on", () => {
  display.show(0, ...Array.from({ length: 25 }, () => 20));
  setHidden(true);
  setHidden(false);
  display.show(60_000);
  display.showMany(30);
  assert.deepEqual(asked, [RATE_HIDDEN, RATE_MAX, 30]);
});
