// The numbers of one topic, contiguous from 1. Only its newest ticks come here, so a jump is no
// loss: it tells how many ticks there were.

export class Sequence {
  /** The last number seen; 0 while none is. */
  #last = 0;
  #passed = 0;

  /** The last number seen; undefined while none is. */
  get last(): number | undefined {
    return this.#last === 0 ? undefined : this.#last;
  }

  /** Ticks that happened since the topic is followed, whether they came here or not. */
  get passed(): number {
    return this.#passed;
  }

  /**
   * A snapshot tells where the topic stands. Returns how many ticks happened since the last number
   * seen; none if there is no such number, for what was before was not followed.
   */
  startFrom(seq: number): number {
    return this.#pass(this.#last === 0 ? 0 : Math.max(0, seq - this.#last), seq);
  }

  /** The numbering begins anew (another epoch); what was counted so far stays. */
  restart(): void {
    this.#last = 0;
  }

  /**
   * A live tick. Returns how many ticks happened up to it, itself included; 0 if it is not new,
   * that is repeated or overtaken. Without a snapshot before it, it counts as one.
   */
  advance(seq: number): number {
    if (this.#last !== 0 && seq <= this.#last) return 0;
    return this.#pass(this.#last === 0 ? 1 : seq - this.#last, seq);
  }

  #pass(ticks: number, seq: number): number {
    this.#last = seq;
    this.#passed += ticks;
    return ticks;
  }
}
