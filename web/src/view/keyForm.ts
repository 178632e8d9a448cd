// The form that asks for a key when the hub requires one.

import type { Key, KeyScope } from "../client/keyStore.ts";
import type { KeyProblem } from "../model/session.ts";
import { byId } from "./dom.ts";

export class KeyForm {
  readonly #section = byId("key");
  readonly #problem = byId("key-problem");
  readonly #id = byId<HTMLInputElement>("key-id");
  readonly #secret = byId<HTMLInputElement>("key-secret");
  readonly #remember = byId<HTMLInputElement>("key-remember");

  constructor(submitted: (key: Key, scope: KeyScope) => void) {
    byId("key-form").addEventListener("submit", (event) => {
      event.preventDefault();
      const key = { id: this.#id.value.trim(), secret: this.#secret.value.trim() };
      submitted(key, this.#remember.checked ? "device" : "tab");
    });
  }

  /** `hasOtherFeeds` says whether the key may read feeds other than the one that was refused. */
  show(problem: KeyProblem, hasOtherFeeds = false): void {
    this.#problem.textContent = problemText(problem, hasOtherFeeds);
    this.#section.hidden = false;
    this.#secret.value = "";
    (this.#id.value === "" ? this.#id : this.#secret).focus();
  }

  hide(): void {
    this.#section.hidden = true;
    this.#secret.value = "";
  }
}

function problemText(problem: KeyProblem, hasOtherFeeds: boolean): string {
  switch (problem) {
    case "missing":
      return "Enter a key to see prices. The operator of this hub can give you one.";
    case "wrong":
      return "The key id or the secret is wrong. Check both and try again.";
    case "insufficient":
      return hasOtherFeeds
        ? "This key may not read this feed. Choose one of the feeds below, or enter another key."
        : "This key may not read this feed. Enter another key.";
  }
}
