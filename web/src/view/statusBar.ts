// The state of the connection and the figures in the header.

import type { ConnectionState } from "../client/connection.ts";
import type { Percentiles } from "../model/latencyMeter.ts";
import type { Feed, MissedTicks, Session } from "../model/session.ts";
import { byId, LiveText } from "./dom.ts";
import { commaList, delayText, formatDelay, formatWhole } from "./format.ts";

/** The figures cover seconds, so they are not computed for every frame. */
const FIGURES_INTERVAL_MS = 500;

export class StatusBar {
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
    this.#feedElement.dataset["delayed"] = String(session.delayMs > 0);
    this.#feed.set(session.feed === undefined ? "–" : feedText(session.feed));
    if (nowMs - this.#figuresDrawnMs < FIGURES_INTERVAL_MS) return;
    this.#figuresDrawnMs = nowMs;
    this.#drawFigures(session, nowMs);
  }

  #drawFigures(session: Session, nowMs: number): void {
    this.#market.set(formatWhole(session.marketRate.perSecond(nowMs)));
    this.#received.set(formatWhole(session.receivedRate.perSecond(nowMs)));
    const latency = session.latency.percentiles(nowMs);
    // Stays visible once shown, so that the other figures do not move when ticks pause.
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
    case "paused":
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

function missedText({ ticks, isLowerBound }: MissedTicks): string {
  return `${formatWhole(ticks)}${isLowerBound ? "+" : ""}`;
}

function feedText(feed: Feed): string {
  return commaList(`${feed.view} ${feed.state}`, delayText(feed.delayMs));
}
