// A hub's answer to `/api/status`, for tests.

import type { FeedStatus, HubStatus } from "../../src/protocol/hubStatus.ts";

/** The JSON of a hub without feeds, with some fields replaced. */
export function statusJson(fields: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    version: "0.1.0",
    uptime_s: 60,
    may_see_keys: false,
    feeds: [],
    views: [],
    sessions: 1,
    subscriptions: 2,
    ticks_delivered: 3,
    ...fields,
  };
}

/** The decoded status of a hub with these feeds and views. */
export function hubStatus({ feeds = [], views = [] }: Partial<HubStatus>): HubStatus {
  return {
    version: "0.1.0",
    uptimeS: 60,
    maySeeKeys: false,
    feeds,
    views,
    sessions: 1,
    subscriptions: 2,
    ticksDelivered: 3,
  };
}

export function feedStatus(feed: string, publishers = 0): FeedStatus {
  return { feed, state: "live", since: "s", publishers, ticksIn: 0, lost: 0, sources: [] };
}
