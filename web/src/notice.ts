// What needs saying in words: a line under the header while something is wrong, and a spoken
// one for every change of state.

import { byId, create } from "./dom.ts";

export interface Notice {
  readonly text: string;
  /** A command the reader may type into a terminal. */
  readonly command?: string;
  readonly action?: { readonly label: string; readonly run: () => void };
}

export class NoticeView {
  readonly #element = byId("notice");
  #shown: string | undefined;

  /** Nothing happens while the same notice is shown again. */
  show(notice: Notice | undefined): void {
    if (notice?.text === this.#shown) return;
    this.#shown = notice?.text;
    this.#element.hidden = notice === undefined;
    this.#element.replaceChildren(...(notice === undefined ? [] : content(notice)));
  }
}

/** Reads one line aloud to whoever cannot see the page. */
export function announce(text: string): void {
  byId("announcer").textContent = text;
}

function content({ text, command, action }: Notice): Node[] {
  const line = create("p", {}, text);
  if (command !== undefined) line.append(" ", create("code", {}, command));
  if (action === undefined) return [line];
  const button = create("button", { type: "button", textContent: action.label });
  button.addEventListener("click", action.run);
  return [line, button];
}
