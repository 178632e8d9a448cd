// Draws at most once per animation frame, however often a draw is requested in between, and never
// while the page is hidden.

export class RenderLoop {
  readonly #draw: () => void;
  #isRequested = false;

  constructor(draw: () => void) {
    this.#draw = draw;
    document.addEventListener("visibilitychange", () => this.request());
  }

  /** Requests a draw in the next animation frame. */
  request(): void {
    if (this.#isRequested || document.hidden) return;
    this.#isRequested = true;
    requestAnimationFrame(() => {
      this.#isRequested = false;
      if (!document.hidden) this.#draw();
    });
  }
}
