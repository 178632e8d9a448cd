// Tracks the sequence numbers of one topic, which the hub counts from 1 without holes. The page
// subscribes to the newest ticks only, so a jump in the numbers is no loss: it tells how many ticks
// the hub conflated.

export class SequenceTracker {
  /** The last sequence number seen; 0 before the first. */
  #last = 0;
  #total = 0;

  /** The last sequence number seen; undefined before the first. */
  get last(): number | undefined {
    return this.#last === 0 ? undefined : this.#last;
  }

  /** Ticks of the topic since tracking began, including those that were conflated. */
  get total(): number {
    return this.#total;
  }

  /**
   * Takes the sequence number of a snapshot. Returns the number of ticks since the last number
   * seen; 0 for the first snapshot, because earlier ticks are not counted.
   */
  applySnapshot(seq: number): number {
    return this.#advanceTo(seq, this.#last === 0 ? 0 : Math.max(0, seq - this.#last));
  }

  /**
   * Takes the sequence number of a live tick. Returns the number of ticks since the last number
   * seen, this tick included; 0 if the tick is a repetition or older. Without a preceding snapshot
   * the first tick counts as one.
   */
  applyLive(seq: number): number {
    if (this.#last !== 0 && seq <= this.#last) return 0;
    return this.#advanceTo(seq, this.#last === 0 ? 1 : seq - this.#last);
  }

  /** Forgets the last number, because a new epoch counts from 1 again. Keeps the total. */
  startEpoch(): void {
    this.#last = 0;
  }

  #advanceTo(seq: number, ticks: number): number {
    this.#last = seq;
    this.#total += ticks;
    return ticks;
  }
}
