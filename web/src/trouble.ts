// What is wrong just now, in words; the most important thing first.

import type { Access } from "./access.ts";
import type { Row } from "./board.ts";
import { feedName, withFeed } from "./feedName.ts";
import { formatTimeOfDay } from "./format.ts";
import { hasPublisher, problemOfFeed } from "./hubStatus.ts";
import type { Notice } from "./notice.ts";
import type { Feed, Session } from "./session.ts";

/** Symbols that a notice names. */
const NAMED_MAX = 8;

export interface TroubleEvents {
  retried(): void;
  changed(): void;
  /** Somebody wants to know how the sources of the feed are. */
  asked(): void;
  /** Somebody does not want to see the rows that the hub refuses. */
  gaveUp(): void;
  /** Somebody wants to be connected again in place of another. */
  tookBack(): void;
}

export class Trouble {
  /** The key may have only so many sessions, and newer ones have the places. */
  takenOver = false;
  #lost = false;
  /** The hub is there, and the address of this page names a feed that it does not have. */
  #feedProblem: string | undefined;
  /** The feed is down although somebody is there to publish to it. */
  #hasPublisher = false;
  /** What went wrong on this side, in plain words, until dismissed. */
  fault: string | undefined;
  readonly #events: TroubleEvents;

  constructor(events: TroubleEvents) {
    this.#events = events;
  }

  /** From a failure to connect until the next success. */
  get lost(): boolean {
    return this.#lost;
  }

  connected(): void {
    this.#lost = false;
    this.takenOver = false;
    this.#feedProblem = undefined;
  }

  /** A browser does not tell why a socket was refused; a wrong name is a reason to look for. */
  disconnected(access: Access): void {
    this.#lost = true;
    if (feedName === undefined) return;
    problemOfFeed(feedName, access).then(
      (problem) => {
        if (this.#lost) this.#feedProblem = problem;
        this.#events.changed();
      },
      () => undefined,
    );
  }

  /** A feed is down: because nobody publishes, or because whoever does has lost its own source? */
  feedDown(feed: string, access: Access): void {
    this.#hasPublisher = false;
    hasPublisher(feed, access).then(
      (is) => {
        this.#hasPublisher = is;
        this.#events.changed();
      },
      () => undefined,
    );
  }

  /** `refused`: the rows that the hub does not give. */
  notice(session: Session, refused: readonly Row[]): Notice | undefined {
    if (this.takenOver) return this.#takenOverNotice();
    if (this.#feedProblem !== undefined) return { text: this.#feedProblem };
    if (this.#lost) return this.#lostNotice();
    return this.#faultNotice(session) ?? this.#feedNotice(session.feed) ?? this.#refusedNotice(refused);
  }

  #takenOverNotice(): Notice {
    return {
      text: "This key is used by another program or tab now, and may not be by so many at a time.",
      action: { label: "Take it back", run: () => this.#events.tookBack() },
    };
  }

  #lostNotice(): Notice {
    return {
      text: `The hub at ${location.host} cannot be reached. Any prices shown are the last known.`,
      action: { label: "Try now", run: () => this.#events.retried() },
    };
  }

  #faultNotice(session: Session): Notice | undefined {
    const refusal = session.error;
    const text = refusal === undefined ? this.fault : `The hub says: ${refusal}`;
    if (text === undefined) return undefined;
    return { text, action: { label: "Dismiss", run: () => this.#dismiss(session) } };
  }

  #dismiss(session: Session): void {
    this.fault = undefined;
    session.dismissError();
    this.#events.changed();
  }

  #refusedNotice(rows: readonly Row[]): Notice | undefined {
    const [first] = rows;
    if (first?.refused === undefined) return undefined;
    const action = { label: "Remove from the list", run: () => this.#events.gaveUp() };
    return { text: `Not for you: ${listed(rows)}. The hub says: ${first.refused}`, action };
  }

  #feedNotice(feed: Feed | undefined): Notice | undefined {
    if (feed === undefined || feed.state === "live") return undefined;
    const since = formatTimeOfDay(feed.since);
    if (feed.state === "stale") {
      return { text: `The feed ${feed.name} has sent nothing since ${since}. It may be over for today.` };
    }
    if (this.#hasPublisher) {
      return {
        text: `The feed ${feed.name} has lost the place its prices come from (since ${since}).`,
        action: { label: "Show why", run: () => this.#events.asked() },
      };
    }
    return {
      text: `No feed is sending prices to this hub (since ${since}). Start one, for example a simulated market:`,
      command: `tickwire feed sim --hub ${webSocketOrigin()}`,
    };
  }
}

/** `AAPL, MSFT and 3 more` */
function listed(rows: readonly Row[]): string {
  const symbols = rows.slice(0, NAMED_MAX).map(({ symbol }) => symbol);
  const more = rows.length - symbols.length;
  return symbols.join(", ") + (more > 0 ? ` and ${more} more` : "");
}

/** Where this page's sockets go. */
export function socketAddress(): string {
  return webSocketOrigin() + withFeed("/ws");
}

function webSocketOrigin(): string {
  return `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}`;
}
