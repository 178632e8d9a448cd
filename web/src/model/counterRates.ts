// Rates of counters that the hub reports: each is the increase per second between two reports.

export class CounterRates {
  readonly #previous = new Map<string, { readonly count: number; readonly atMs: number }>();

  /**
   * Records a counter and returns its rate since the previous record. Returns undefined for the
   * first record and if the counter went back, because the hub was restarted.
   */
  perSecond(counter: string, count: number, nowMs: number): number | undefined {
    const previous = this.#previous.get(counter);
    this.#previous.set(counter, { count, atMs: nowMs });
    if (previous === undefined || count < previous.count || nowMs <= previous.atMs) {
      return undefined;
    }
    return ((count - previous.count) / (nowMs - previous.atMs)) * 1000;
  }
}
