// Which view of the hub's feeds this page shows: `?feed=delayed_sip`. Without it, the hub's first feed,
// or another one where the key may not read that.

/** What the address says. */
export const givenFeed: string | undefined =
  new URLSearchParams(globalThis.location?.search ?? "").get("feed") ?? undefined;

/** Undefined: the hub's first feed. */
export let feedName: string | undefined = givenFeed;

/** From the next connection and request on. */
export function useFeed(name: string | undefined): void {
  feedName = name;
}

/** The path with the feed and other parameters; the hub's default feed needs none. */
export function withFeed(path: string, parameters: Record<string, string> = {}): string {
  const all = new URLSearchParams(parameters);
  if (feedName !== undefined) all.set("feed", feedName);
  const query = all.toString();
  return query === "" ? path : `${path}?${query}`;
}
