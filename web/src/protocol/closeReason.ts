// The reason of a WebSocket close frame: a label, optionally followed by `key=value` tokens, such
// as `shutdown retry_ms=2500`.

/** Label of the close that ends a session in favour of a newer session of the same key. */
export const REPLACED = "replaced";

export interface CloseReason {
  /** Empty if the connection ended without a reason. */
  readonly label: string;
  /** How long the hub asks the client to wait before it reconnects. */
  readonly retryMs: number | undefined;
}

/** Splits a close reason; ignores unknown and malformed tokens. */
export function parseCloseReason(reason: string): CloseReason {
  const [label = "", ...tokens] = reason.trim().split(/\s+/);
  const digits = tokens.map((token) => /^retry_ms=(\d+)$/.exec(token)?.[1]);
  const found = digits.find((value) => value !== undefined);
  return { label, retryMs: found === undefined ? undefined : Number(found) };
}
