// The figures in the header.

import type { ConnectionState } from "./connection.ts";
import { byId, LiveText } from "./dom.ts";
import { formatDelay, formatWhole } from "./format.ts";
import type { Percentiles } from "./meter.ts";
import type { Missed, Session } from "./session.ts";

/** Figures over seconds need not be worked out more often. */
const FIGURES_EVERY_MS = 500;

export class Status {
  readonly #connectionElement = byId("status-connection");
  readonly #feedElement = byId("status-feed");
  readonly #latencyGroup = byId("status-latency-group");
  readonly #missedGroup = byId("status-missed-group");
  readonly #connection = new LiveText(this.#connectionElement);
  readonly #feed = new LiveText(this.#feedElement);
  readonly #market = new LiveText(byId("status-market"));
  readonly #received = new LiveText(byId("status-received"));
  readonly #latency = new LiveText(byId("status-latency"));
  readonly #missed = new LiveText(byId("status-missed"));
  #figuresDrawnMs = -Infinity;

  draw(connection: ConnectionState, session: Session, nowMs: number): void {
    this.#connectionElement.dataset["state"] = connection.kind;
    this.#connection.set(connectionText(connection, nowMs));
    this.#feedElement.dataset["state"] = session.feed?.state ?? "unknown";
    this.#feed.set(session.feed === undefined ? "–" : feedText(session.feed));
    if (nowMs - this.#figuresDrawnMs < FIGURES_EVERY_MS) return;
    this.#figuresDrawnMs = nowMs;
    this.#drawFigures(session, nowMs);
  }

  #drawFigures(session: Session, nowMs: number): void {
    this.#market.set(formatWhole(session.market.perSecond(nowMs)));
    this.#received.set(formatWhole(session.received.perSecond(nowMs)));
    const latency = session.latency.percentiles(nowMs);
    // Once there, it keeps its place, so that the others do not move when nothing comes for a while.
    if (latency !== undefined) this.#latencyGroup.hidden = false;
    this.#latency.set(latencyText(latency));
    this.#missedGroup.hidden = session.missed.ticks === 0;
    this.#missed.set(missedText(session.missed));
  }
}

function connectionText(connection: ConnectionState, nowMs: number): string {
  switch (connection.kind) {
    case "connecting":
      return "Connecting…";
    case "live":
      return "Live";
    case "held":
      return "Not connected";
    case "reconnecting": {
      const seconds = Math.max(1, Math.ceil((connection.retryAtMs - nowMs) / 1000));
      return `Reconnecting in ${seconds} s`;
    }
  }
}

function latencyText(latency: Percentiles | undefined): string {
  if (latency === undefined) return "–";
  return `${formatDelay(latency.p50Ms)} / ${formatDelay(latency.p99Ms)}`;
}

function missedText({ ticks, orMore }: Missed): string {
  return `${formatWhole(ticks)}${orMore ? "+" : ""}`;
}

function feedText(feed: NonNullable<Session["feed"]>): string {
  return `${feed.name} ${feed.state}`;
}
