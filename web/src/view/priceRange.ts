// The range of a price axis.

/** Margin above and below, as a part of the range. */
const MARGIN = 0.12;
/** The least margin, as a part of the price. */
const MARGIN_MIN = 0.0002;
/** The margin around a price that is always 0. */
const MARGIN_OF_ZERO = 1;

/**
 * Adds a margin to the lowest and the highest price, which may be negative. A price that never
 * changed is drawn in the middle.
 */
export function priceRange(min: number | null, max: number | null): [number, number] {
  if (min === null || max === null) return [0, 1];
  const magnitude = Math.max(Math.abs(min), Math.abs(max));
  const least = magnitude === 0 ? MARGIN_OF_ZERO : magnitude * MARGIN_MIN;
  const margin = Math.max((max - min) * MARGIN, least);
  return [min - margin, max + margin];
}
