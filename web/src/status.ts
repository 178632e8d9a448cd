// The figures in the header.

import type { ConnectionState } from "./connection.ts";
import { byId, LiveText } from "./dom.ts";
import { formatDelay, formatWhole } from "./format.ts";
import type { Session } from "./session.ts";

/** Figures over seconds need not be worked out more often. */
const FIGURES_EVERY_MS = 500;

export class Status {
  readonly #connectionElement = byId("status-connection");
  readonly #feedElement = byId("status-feed");
  readonly #latencyGroup = byId("status-latency-group");
  readonly #missedGroup = byId("status-missed-group");
  readonly #connection = new LiveText(this.#connectionElement);
  readonly #feed = new LiveText(this.#feedElement);
  readonly #rate = new LiveText(byId("status-rate"));
  readonly #latency = new LiveText(byId("status-latency"));
  readonly #missed = new LiveText(byId("status-missed"));
  #figuresDrawnMs = -Infinity;

  draw(connection: ConnectionState, session: Session, missed: number, nowMs: number): void {
    this.#connectionElement.dataset["state"] = connection.kind;
    this.#connection.set(connectionText(connection, nowMs));
    this.#feedElement.dataset["state"] = session.feed?.state ?? "unknown";
    this.#feed.set(session.feed === undefined ? "–" : feedText(session.feed));
    if (nowMs - this.#figuresDrawnMs < FIGURES_EVERY_MS) return;
    this.#figuresDrawnMs = nowMs;
    this.#drawFigures(session, missed, nowMs);
  }

  #drawFigures(session: Session, missed: number, nowMs: number): void {
    this.#rate.set(formatWhole(session.rate.perSecond(nowMs)));
    const latency = session.latency.percentiles(nowMs);
    this.#latencyGroup.hidden = latency === undefined;
    if (latency !== undefined) {
      this.#latency.set(`${formatDelay(latency.p50Ms)} / ${formatDelay(latency.p99Ms)}`);
    }
    this.#missedGroup.hidden = missed === 0;
    this.#missed.set(formatWhole(missed));
  }
}

function connectionText(connection: ConnectionState, nowMs: number): string {
  switch (connection.kind) {
    case "connecting":
      return "Connecting…";
    case "live":
      return "Live";
    case "reconnecting": {
      const seconds = Math.max(1, Math.ceil((connection.retryAtMs - nowMs) / 1000));
      return `Reconnecting in ${seconds} s`;
    }
  }
}

function feedText(feed: NonNullable<Session["feed"]>): string {
  return `${feed.name} ${feed.state}`;
}
