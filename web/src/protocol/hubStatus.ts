// The JSON answers of the hub's HTTP API that this page reads: `/api/status`, `/api/keys` and
// `/api/symbols`. Each decoder throws a WireError if a field is missing or has the wrong type.

import { FEED_STATES, type FeedState } from "./elements.ts";
import { asArray, asBoolean, asMap, asNumber, asOneOf, asString, optional } from "./fields.ts";

/** A publisher of a feed and its report about its source. */
export interface SourceStatus {
  readonly publisher: string;
  /** Undefined if the publisher does not report the state of its source. */
  readonly state: FeedState | undefined;
  readonly since: string;
  readonly detail: string | undefined;
  /** Address that the publisher takes its ticks from. */
  readonly upstream: string | undefined;
  /** How often the publisher has connected to its upstream. */
  readonly connects: number | undefined;
  readonly errors: number | undefined;
  readonly ticks: number | undefined;
}

export interface FeedStatus {
  readonly feed: string;
  readonly state: FeedState;
  readonly since: string;
  /** Publishers that are connected, whatever the state of their sources. */
  readonly publishers: number;
  /** Undefined if this page may not read every symbol. */
  readonly ticksIn: number | undefined;
  /** Ticks that publishers dropped before they reached the hub. */
  readonly lost: number;
  readonly sources: readonly SourceStatus[];
}

/** A name to subscribe to: a feed, live or delayed. */
export interface FeedView {
  readonly view: string;
  readonly feed: string;
  /** 0 for a live view. */
  readonly delayMs: number;
}

/** The figures of the whole hub are undefined if this page may not see them. */
export interface HubStatus {
  readonly version: string;
  readonly uptimeS: number;
  /** Whether `/api/keys` answers this page. */
  readonly maySeeKeys: boolean;
  /** Only the feeds that this page may read without delay. */
  readonly feeds: readonly FeedStatus[];
  /** Only the views that this page may read. */
  readonly views: readonly FeedView[];
  readonly sessions: number | undefined;
  readonly subscriptions: number | undefined;
  readonly ticksDelivered: number | undefined;
}

const ROLES = ["read", "publish", "admin"] as const;

export type Role = (typeof ROLES)[number];

export interface KeyStatus {
  /** Empty for the entry that counts connections without a key. */
  readonly id: string;
  readonly name: string;
  readonly role: Role;
  /** Subscriber sessions. */
  readonly sessions: number;
  readonly publishers: number;
  /** Undefined if the key has no session limit. */
  readonly sessionsMax: number | undefined;
  /** Sessions refused because the key had reached its limit. */
  readonly refused: number;
}

/** The result of a symbol search. */
export interface SymbolList {
  /** All symbols of the feed, whether they match or not. */
  readonly total: number;
  readonly symbols: readonly string[];
}

export function decodeHubStatus(json: unknown): HubStatus {
  const map = asMap(json, "status");
  return {
    version: asString(map["version"], "status.version"),
    uptimeS: asNumber(map["uptime_s"], "status.uptime_s"),
    maySeeKeys: asBoolean(map["may_see_keys"], "status.may_see_keys"),
    feeds: asArray(map["feeds"], "status.feeds").map(decodeFeed),
    views: asArray(map["views"], "status.views").map(decodeView),
    sessions: optional(asNumber, map["sessions"], "status.sessions"),
    subscriptions: optional(asNumber, map["subscriptions"], "status.subscriptions"),
    ticksDelivered: optional(asNumber, map["ticks_delivered"], "status.ticks_delivered"),
  };
}

export function decodeKeys(json: unknown): KeyStatus[] {
  return asArray(asMap(json, "keys")["keys"], "keys.keys").map(decodeKey);
}

export function decodeSymbolList(json: unknown): SymbolList {
  const map = asMap(json, "symbols");
  const entries = asArray(map["symbols"], "symbols.symbols");
  return {
    total: asNumber(map["total"], "symbols.total"),
    symbols: entries.map((entry) => asString(asMap(entry, "symbol")["symbol"], "symbol.symbol")),
  };
}

function decodeFeed(json: unknown): FeedStatus {
  const map = asMap(json, "feed");
  return {
    feed: asString(map["feed"], "feed.feed"),
    state: asOneOf(FEED_STATES, map["state"], "feed.state"),
    since: asString(map["since"], "feed.since"),
    publishers: asNumber(map["publishers"], "feed.publishers"),
    ticksIn: optional(asNumber, map["ticks_in"], "feed.ticks_in"),
    lost: asNumber(map["lost"], "feed.lost"),
    sources: asArray(map["sources"], "feed.sources").map(decodeSource),
  };
}

function decodeSource(json: unknown): SourceStatus {
  const map = asMap(json, "source");
  const asState = (value: unknown, field: string): FeedState => asOneOf(FEED_STATES, value, field);
  return {
    publisher: asString(map["publisher"], "source.publisher"),
    state: optional(asState, map["state"], "source.state"),
    since: asString(map["since"], "source.since"),
    detail: optional(asString, map["detail"], "source.detail"),
    upstream: optional(asString, map["upstream"], "source.upstream"),
    connects: optional(asNumber, map["connects"], "source.connects"),
    errors: optional(asNumber, map["errors"], "source.errors"),
    ticks: optional(asNumber, map["ticks"], "source.ticks"),
  };
}

function decodeView(json: unknown): FeedView {
  const map = asMap(json, "view");
  return {
    view: asString(map["view"], "view.view"),
    feed: asString(map["feed"], "view.feed"),
    delayMs: asNumber(map["delay_ms"], "view.delay_ms"),
  };
}

function decodeKey(json: unknown): KeyStatus {
  const map = asMap(json, "key");
  return {
    id: asString(map["id"], "key.id"),
    name: asString(map["name"], "key.name"),
    role: asOneOf(ROLES, map["role"], "key.role"),
    sessions: asNumber(map["sessions"], "key.sessions"),
    publishers: asNumber(map["publishers"], "key.publishers"),
    sessionsMax: optional(asNumber, map["sessions_max"], "key.sessions_max"),
    refused: asNumber(map["refused"], "key.refused"),
  };
}
