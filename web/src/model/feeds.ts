// Questions about the feeds of a hub, answered from its status.

import type { FeedView, HubStatus } from "../protocol/hubStatus.ts";

/**
 * Returns the view to show by default: of those that this page may read, the least delayed view of
 * the hub's first feed. Feeds that it may only read with a delay come last. Undefined if this page
 * may read none.
 */
export function defaultView({ feeds, views }: HubStatus): string | undefined {
  const names = feeds.map(({ feed }) => feed);
  const rank = ({ feed }: FeedView): number =>
    names.includes(feed) ? names.indexOf(feed) : names.length;
  const [first] = views.toSorted((a, b) => rank(a) - rank(b) || a.delayMs - b.delayMs);
  return first?.view;
}

export function hasView({ views }: HubStatus, name: string): boolean {
  return views.some(({ view }) => view === name);
}

/** Whether a publisher of the feed is connected, whatever the state of its source. */
export function hasPublisher({ feeds }: HubStatus, name: string): boolean {
  return feeds.some(({ feed, publishers }) => feed === name && publishers > 0);
}
