// Drawing happens once per animation frame, however often something changes in between, and not
// at all while nobody can see it.

export class Frame {
  readonly #draw: () => void;
  #requested = false;

  constructor(draw: () => void) {
    this.#draw = draw;
    document.addEventListener("visibilitychange", () => this.request());
  }

  request(): void {
    if (this.#requested || document.hidden) return;
    this.#requested = true;
    requestAnimationFrame(() => {
      this.#requested = false;
      if (!document.hidden) this.#draw();
    });
  }
}
