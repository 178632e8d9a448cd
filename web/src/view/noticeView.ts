// The line below the header that shows a problem.

import type { HubAddress } from "../client/hubAddress.ts";
import type { Notice } from "../model/notice.ts";
import { byId, create, createButton } from "./dom.ts";
import { noticeText, type NoticeAction, type NoticeText } from "./noticeText.ts";

export class NoticeView {
  readonly #element = byId("notice");
  readonly #address: HubAddress;
  readonly #run: (action: NoticeAction) => void;
  #shownText: string | undefined;

  /** `run` is called when the user clicks the button of a notice. */
  constructor(address: HubAddress, run: (action: NoticeAction) => void) {
    this.#address = address;
    this.#run = run;
  }

  /** Leaves the document alone if the notice is already shown. */
  show(notice: Notice | undefined): void {
    const words = notice === undefined ? undefined : noticeText(notice, this.#address);
    if (words?.text === this.#shownText) return;
    this.#shownText = words?.text;
    this.#element.hidden = words === undefined;
    this.#element.replaceChildren(...(words === undefined ? [] : this.#content(words)));
  }

  #content({ text, command, action }: NoticeText): Node[] {
    const line = create("p", {}, text);
    if (command !== undefined) line.append(" ", create("code", {}, command));
    if (action === undefined) return [line];
    return [line, createButton(action.label, () => this.#run(action.kind))];
  }
}
