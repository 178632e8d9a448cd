// The elements of a subscriber's stream, as far as this page uses them.

/**
 * Nanoseconds since the Unix epoch. A bigint, because a number holds integers exactly only up to
 * 2^53 and would round the last digits.
 */
export type UnixNanos = bigint;

export interface Trade {
  readonly kind: "trade";
  readonly symbol: string;
  /** Sequence number within the topic; the hub counts from 1 without holes. */
  readonly seq: number;
  readonly time: UnixNanos;
  readonly price: number;
  readonly size: number;
}

export interface Quote {
  readonly kind: "quote";
  readonly symbol: string;
  /** Sequence number within the topic; the hub counts from 1 without holes. */
  readonly seq: number;
  readonly time: UnixNanos;
  /** 0 if the side has no offer. */
  readonly bid: number;
  readonly bidSize: number;
  /** 0 if the side has no offer. */
  readonly ask: number;
  readonly askSize: number;
}

/** A summary of the trades of a minute. */
export interface Bar {
  readonly kind: "bar";
  readonly symbol: string;
  /** Start of the minute. */
  readonly time: UnixNanos;
  readonly open: number;
  readonly close: number;
}

export type Tick = Trade | Quote;

export const FEED_STATES = ["live", "stale", "down"] as const;

export type FeedState = (typeof FEED_STATES)[number];

/** Ticks of one topic, from `from` to `to` inclusive, that this session will not receive. */
export interface Gap {
  readonly kind: "gap";
  readonly channel: string;
  readonly symbol: string;
  /** Undefined if the gap starts after the last tick received. */
  readonly from: number | undefined;
  /** Undefined if the hub does not know how many ticks are missing. */
  readonly to: number | undefined;
}

/** An error that the hub reports, with the code of `errorCodes.ts`. */
export interface ErrorElement {
  readonly kind: "error";
  readonly code: number;
  readonly text: string;
  /** Id of the command that failed, if the command had one. */
  readonly id?: number | undefined;
}

export type ControlElement =
  | { readonly kind: "connected"; readonly epoch: string }
  | { readonly kind: "authenticated" }
  /** The answer to a subscribe or unsubscribe command, with the id of that command. */
  | { readonly kind: "subscribed"; readonly id?: number | undefined }
  | {
      readonly kind: "feed";
      readonly feed: string;
      readonly state: FeedState;
      /** RFC 3339. */
      readonly since: string;
      /** Name of the view that this session reads the feed under. */
      readonly view: string;
      /** Delay of the view; 0 if it is live. */
      readonly delayMs: number;
    }
  /** Start of the last values that precede live ticks. */
  | { readonly kind: "snapshot" }
  /** End of a snapshot. */
  | { readonly kind: "live" }
  | Gap
  | ErrorElement;

export type StreamElement = Tick | Bar | ControlElement;

/** Converts to milliseconds since the Unix epoch, exact to a microsecond. */
export function toMillis(time: UnixNanos): number {
  return Number(time / 1_000n) / 1_000;
}
