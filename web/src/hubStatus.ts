// What the hub says of itself over HTTP: its feeds, where their ticks come from, who uses its keys.
// Pure but for the two requests.

import type { Access } from "./access.ts";
import type { FeedState } from "./wire.ts";

export interface Source {
  readonly publisher: string;
  /** Absent: it publishes, and does not say how its own source is. */
  readonly state?: FeedState;
  readonly since: string;
  readonly detail?: string;
  readonly upstream?: string;
  readonly connects?: number;
  readonly errors?: number;
  readonly ticks?: number;
}

export interface FeedStatus {
  readonly feed: string;
  readonly state: FeedState;
  readonly since: string;
  readonly publishers: number;
  readonly ticks_in: number;
  readonly lost: number;
  readonly sources: readonly Source[];
}

export interface View {
  readonly view: string;
  readonly feed: string;
  readonly delay_ms: number;
}

export type Role = "read" | "publish" | "admin";

export interface HubStatus {
  readonly version: string;
  readonly uptime_s: number;
  /** Whether this page may ask for the keys. */
  readonly may_see_keys: boolean;
  readonly feeds: readonly FeedStatus[];
  readonly views: readonly View[];
  readonly sessions: number;
  readonly subscriptions: number;
  readonly ticks_in: number;
  readonly ticks_delivered: number;
}

export interface KeyStatus {
  /** Empty for all who came without a key. */
  readonly id: string;
  readonly name: string;
  readonly role: Role;
  /** Of subscribers. */
  readonly sessions: number;
  readonly publishers: number;
  /** Absent: no limit. */
  readonly sessions_max?: number;
  readonly refused: number;
}

export interface HubReport {
  readonly status: HubStatus;
  /** Empty if this page may not see them, and if the hub has none. */
  readonly keys: readonly KeyStatus[];
}

/** Rejects if the hub cannot be reached or does not let this page ask. */
export async function askHub(access: Access): Promise<HubReport> {
  const status = await ask<HubStatus>("/api/status", access);
  if (!status.may_see_keys) return { status, keys: [] };
  const { keys } = await ask<{ keys: KeyStatus[] }>("/api/keys", access);
  return { status, keys: keys.some(({ id }) => id !== "") ? keys : [] };
}

/** Why the hub has no prices under this name, if it says so. Rejects as `askHub` does. */
export async function problemOfFeed(feed: string, access: Access): Promise<string | undefined> {
  const { views } = await ask<HubStatus>("/api/status", access);
  const names = views.map(({ view }) => view);
  if (names.includes(feed)) return undefined;
  return `This hub has no feed ${feed} for you; there are ${names.join(", ")}.`;
}

/**
 * The view to begin with, of those that this page may read: of the hub's first feed, as early as can
 * be had. Undefined if there is none. Rejects as `askHub` does.
 */
export async function firstView(access: Access): Promise<string | undefined> {
  const { feeds, views } = await ask<HubStatus>("/api/status", access);
  const rank = ({ feed }: View): number => feeds.findIndex((each) => each.feed === feed);
  const [first] = views.toSorted((a, b) => rank(a) - rank(b) || a.delay_ms - b.delay_ms);
  return first?.view;
}

/** Whether somebody is there to publish to a feed, however it is. Rejects as `askHub` does. */
export async function hasPublisher(feed: string, access: Access): Promise<boolean> {
  const { feeds } = await ask<HubStatus>("/api/status", access);
  return feeds.some((each) => each.feed === feed && each.publishers > 0);
}

/** The JSON answer of the hub; rejects if it cannot be reached or answers something else. */
export async function ask<A>(path: string, access: Access, signal?: AbortSignal): Promise<A> {
  const response = await fetch(path, { headers: access.headers(), signal: signal ?? null });
  if (!response.ok) throw new Error(`the hub answered ${response.status}`);
  return (await response.json()) as A;
}

/** How fast counters grow: of each the increase per second between the last two times it was added. */
export class Rates {
  readonly #before = new Map<string, { readonly count: number; readonly atMs: number }>();

  /** Undefined the first time, and when the counter has begun anew. */
  perSecond(counter: string, count: number, nowMs: number): number | undefined {
    const before = this.#before.get(counter);
    this.#before.set(counter, { count, atMs: nowMs });
    if (before === undefined || count < before.count || nowMs <= before.atMs) return undefined;
    return ((count - before.count) / (nowMs - before.atMs)) * 1000;
  }
}
