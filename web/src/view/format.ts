// Formats prices, counts, delays and times for display.

import { DECIMALS } from "../model/decimals.ts";

const wholeFormat = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const priceFormats = new Map(
  DECIMALS.map((decimals) => [
    decimals as number,
    new Intl.NumberFormat("en-US", {
      minimumFractionDigits: decimals,
      maximumFractionDigits: decimals,
    }),
  ]),
);

/** `decimals` must be a result of `decimalsOf`. */
export function formatPrice(price: number, decimals: number): string {
  return priceFormats.get(decimals)!.format(price);
}

/** Always shows a sign, so that the direction does not depend on colour alone. */
export function formatChange(change: number, decimals: number): string {
  return withSign(change, formatPrice(Math.abs(change), decimals));
}

/** Formats `part` as a percentage of `base`; empty if `base` is 0. */
export function formatPercent(part: number, base: number): string {
  if (base === 0) return "";
  const percent = Math.abs((part / base) * 100).toFixed(2);
  return withSign(percent === "0.00" ? 0 : part, `${percent} %`);
}

/** Rounds to an integer: 12,345. */
export function formatWhole(value: number): string {
  return wholeFormat.format(value);
}

/** Uses at most four digits: 9,999, 12.3K, 4.56M. */
export function formatCompact(value: number): string {
  if (value < 9_999.5) return formatWhole(value);
  let scaled = value;
  for (const unit of ["K", "M", "B"]) {
    scaled /= 1000;
    if (scaled < 999.5) return `${scaled.toPrecision(3)}${unit}`;
  }
  return `${formatWhole(scaled)}B`;
}

/** Shows the largest unit only: now, 12s, 3m, 2h, 5d, 8y. */
export function formatAge(ageMs: number): string {
  const seconds = Math.floor(ageMs / 1000);
  if (seconds < 1) return "now";
  if (seconds < 60) return `${seconds}s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)}h`;
  const days = Math.floor(seconds / 86_400);
  return days < 365 ? `${days}d` : `${Math.floor(days / 365)}y`;
}

/** Describes the delay of a view: `delayed by 15m`; empty for a live view. */
export function delayText(delayMs: number): string {
  return delayMs === 0 ? "" : `delayed by ${formatAge(delayMs)}`;
}

/** Joins the texts that are not empty with commas. */
export function commaList(...texts: readonly string[]): string {
  return texts.filter((text) => text !== "").join(", ");
}

/** Formats a latency: <1 ms, 12 ms, 2.5 s. */
export function formatDelay(ms: number): string {
  if (ms < 1) return "<1 ms";
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

/** Formats an RFC 3339 time as local time of day; returns any other text unchanged. */
export function formatTimeOfDay(time: string): string {
  const date = new Date(time);
  return Number.isNaN(date.getTime()) ? time : date.toLocaleTimeString("en-GB");
}

/** Formats a count with its noun: 1 session, 2 sessions. */
export function formatCount(count: number, noun: string): string {
  return `${formatWhole(count)} ${noun}${count === 1 ? "" : "s"}`;
}

function withSign(value: number, magnitude: string): string {
  if (value > 0) return `+${magnitude}`;
  return value < 0 ? `\u2212${magnitude}` : magnitude;
}
