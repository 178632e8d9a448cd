// Runtime checks for decoded values of unknown type: elements of the stream and JSON answers.

/** Input from the hub that violates the protocol. The message names the field and its value. */
export class WireError extends Error {
  override readonly name = "WireError";
}

export function asArray(value: unknown, field: string): readonly unknown[] {
  if (Array.isArray(value)) return value;
  throw unexpected(value, field, "an array");
}

export function asMap(value: unknown, field: string): Readonly<Record<string, unknown>> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    return value as Record<string, unknown>;
  }
  throw unexpected(value, field, "a map");
}

export function asString(value: unknown, field: string): string {
  if (typeof value === "string") return value;
  throw unexpected(value, field, "a string");
}

export function asBoolean(value: unknown, field: string): boolean {
  if (typeof value === "boolean") return value;
  throw unexpected(value, field, "true or false");
}

/** Accepts a bigint only if a number holds it exactly, so that no sequence number is rounded. */
export function asNumber(value: unknown, field: string): number {
  if (typeof value === "number") return value;
  if (typeof value === "bigint" && value <= BigInt(Number.MAX_SAFE_INTEGER)) return Number(value);
  throw unexpected(value, field, "a number up to 2^53 - 1");
}

export function asBigInt(value: unknown, field: string): bigint {
  if (typeof value === "bigint") return value;
  if (Number.isSafeInteger(value)) return BigInt(value as number);
  throw unexpected(value, field, "an integer");
}

/** Applies `check` to a field that may be absent or null. */
export function optional<V>(
  check: (value: unknown, field: string) => V,
  value: unknown,
  field: string,
): V | undefined {
  return value == null ? undefined : check(value, field);
}

/** Checks that a value is one of a fixed set of words, such as the states of a feed. */
export function asOneOf<W extends string>(
  words: readonly W[],
  value: unknown,
  field: string,
): W {
  const found = words.find((word) => word === value);
  if (found !== undefined) return found;
  throw unexpected(value, field, `${words.slice(0, -1).join(", ")} or ${words.at(-1)}`);
}

export function unexpected(value: unknown, field: string, allowed: string): WireError {
  return new WireError(`${field} is ${String(value)}, not ${allowed}`);
}
