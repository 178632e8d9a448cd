// Announces changes of state to screen readers.

import { byId } from "./dom.ts";

/** Lets a screen reader read one line aloud. */
export function announce(text: string): void {
  byId("announcer").textContent = text;
}
