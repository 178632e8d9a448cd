import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import {
  RATE_HIDDEN,
  RATE_MAX,
  RATE_MIN,
  RefreshRate,
  type Display,
} from "../../src/model/refreshRate.ts";

/** Behaves like a browser: requested frames wait while the page is hidden. */
class FakeDisplay implements Display {
  hidden = false;
  #requested: ((timeMs: number) => void)[] = [];
  #timeMs = 0;

  onFrame(callback: (timeMs: number) => void): void {
    this.#requested.push(callback);
  }

  /** Shows frames with these intervals. */
  show(...intervalsMs: number[]): void {
    for (const intervalMs of intervalsMs) {
      this.#timeMs += intervalMs;
      const due = this.#requested;
      this.#requested = [];
      for (const callback of due) callback(this.#timeMs);
    }
  }

  /** Shows more frames than a measurement needs. */
  showMany(hertz: number): void {
    this.show(...Array.from({ length: 100 }, () => 1000 / hertz));
  }

  get isIdle(): boolean {
    return this.#requested.length === 0;
  }
}

let display: FakeDisplay;
let changes: number[];
let refreshRate: RefreshRate;

function open(hidden = false): void {
  display = new FakeDisplay();
  display.hidden = hidden;
  changes = [];
  refreshRate = new RefreshRate(display, () => changes.push(refreshRate.rate));
}

function setHidden(hidden: boolean): void {
  display.hidden = hidden;
  refreshRate.visibilityChanged();
}

beforeEach(() => open());

test("the rate before the first measurement is that of most displays", () => {
  assert.equal(refreshRate.rate, RATE_MAX);
});

test("the rate is that of the display, rounded to tens and within the limits", () => {
  for (const [hertz, rate] of [
    [5, RATE_MIN],
    [24, 20],
    [29.97, 30],
    [50, 50],
    [59.94, 60],
    [144, RATE_MAX],
  ] as const) {
    open();
    display.showMany(hertz);
    assert.equal(refreshRate.rate, rate, `${hertz} Hz`);
  }
});

test("a measurement that confirms the rate changes nothing", () => {
  display.showMany(60);
  assert.deepEqual(changes, []);
});

test("late frames do not lower the rate", () => {
  display.show(0, ...Array.from({ length: 60 }, (_, frame) => (frame % 3 === 0 ? 200 : 20)));
  assert.equal(refreshRate.rate, 50);
});

test("the display is measured again only when the page becomes visible", () => {
  display.showMany(30);
  assert.equal(display.isIdle, true);
  setHidden(true);
  setHidden(false);
  assert.equal(display.isIdle, false);
  display.showMany(50);
  assert.deepEqual(changes, [30, RATE_HIDDEN, 30, 50]);
});

test("the rate is one per second while hidden and returns to the old rate afterwards", () => {
  display.showMany(40);
  setHidden(true);
  assert.equal(refreshRate.rate, RATE_HIDDEN);
  setHidden(false);
  assert.equal(refreshRate.rate, 40);
  display.showMany(40);
  assert.deepEqual(changes, [40, RATE_HIDDEN, 40]);
});

test("a page opened in the background measures when it becomes visible", () => {
  open(true);
  assert.equal(refreshRate.rate, RATE_HIDDEN);
  assert.equal(display.isIdle, true);
  setHidden(false);
  display.showMany(30);
  assert.deepEqual(changes, [RATE_MAX, 30]);
});

test("frames from before the page was hidden do not enter a later measurement", () => {
  display.show(0, ...Array.from({ length: 25 }, () => 20));
  setHidden(true);
  setHidden(false);
  display.show(60_000);
  display.showMany(30);
  assert.deepEqual(changes, [RATE_HIDDEN, RATE_MAX, 30]);
});
