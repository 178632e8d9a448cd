// Figures as people read them.

const DECIMALS = [2, 3, 4, 6, 9] as const;
const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const prices = new Map(
  DECIMALS.map((decimals) => [
    decimals as number,
    new Intl.NumberFormat("en-US", {
      minimumFractionDigits: decimals,
      maximumFractionDigits: decimals,
    }),
  ]),
);

/** The fewest decimals, not below `atLeast`, that show the price exactly. */
export function decimalsOf(price: number, atLeast: number = DECIMALS[0]): number {
  const enough = DECIMALS.find(
    (decimals) => decimals >= atLeast && Number(price.toFixed(decimals)) === price,
  );
  return enough ?? DECIMALS[DECIMALS.length - 1]!;
}

/** `decimals` as `decimalsOf` gives them. */
export function formatPrice(price: number, decimals: number): string {
  return prices.get(decimals)!.format(price);
}

/** With its sign, so that colour is not needed to read it. */
export function formatChange(change: number, decimals: number): string {
  return sign(change, formatPrice(Math.abs(change), decimals));
}

/** `part` of `base` in percent. */
export function formatPercent(part: number, base: number): string {
  if (base === 0) return "";
  const percent = Math.abs((part / base) * 100).toFixed(2);
  return sign(percent === "0.00" ? 0 : part, `${percent} %`);
}

export function formatWhole(value: number): string {
  return whole.format(value);
}

/** Four digits at most: 9,999, 12.3K, 4.56M. */
export function formatCompact(value: number): string {
  if (value < 9_999.5) return formatWhole(value);
  let scaled = value;
  for (const unit of ["K", "M", "B"]) {
    scaled /= 1000;
    if (scaled < 999.5) return `${scaled.toPrecision(3)}${unit}`;
  }
  return `${formatWhole(scaled)}B`;
}

/** The largest unit only: now, 12s, 3m, 2h, 5d, 8y. */
export function formatAge(ageMs: number): string {
  const seconds = Math.floor(ageMs / 1000);
  if (seconds < 1) return "now";
  if (seconds < 60) return `${seconds}s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)}h`;
  const days = Math.floor(seconds / 86_400);
  return days < 365 ? `${days}d` : `${Math.floor(days / 365)}y`;
}

export function formatDelay(ms: number): string {
  if (ms < 1) return "<1 ms";
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

/** Local time of day of an RFC 3339 time; as given if it is none. */
export function formatTimeOfDay(time: string): string {
  const date = new Date(time);
  return Number.isNaN(date.getTime()) ? time : date.toLocaleTimeString("en-GB");
}

function sign(value: number, magnitude: string): string {
  if (value > 0) return `+${magnitude}`;
  return value < 0 ? `\u2212${magnitude}` : magnitude;
}
