// The numbers of one topic: contiguous from 1, so a jump is a loss and a step back a repetition.

export class Sequence {
  /** The last number seen; 0 before the first. */
  #last = 0;
  #missed = 0;

  /** Ticks that never arrived while the topic was live. */
  get missed(): number {
    return this.#missed;
  }

  /** A snapshot tells where the topic stands; what came before it was never promised. */
  startFrom(seq: number): void {
    this.#last = seq;
  }

  /** The numbering begins anew (another epoch); the loss counted so far stays. */
  restart(): void {
    this.#last = 0;
  }

  /** Whether a live tick is new. Repeated or overtaken ticks are not. */
  accept(seq: number): boolean {
    if (this.#last === 0) {
      this.#last = seq;
      return true;
    }
    if (seq <= this.#last) return false;
    this.#missed += seq - this.#last - 1;
    this.#last = seq;
    return true;
  }
}
