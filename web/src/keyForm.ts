// Asks for a key when the hub wants one.

import type { Key, Keeping } from "./access.ts";
import { byId } from "./dom.ts";

/** Why a key is asked for. */
export type KeyProblem = "missing" | "wrong" | "insufficient";

const TEXTS: Readonly<Record<KeyProblem, string>> = {
  missing: "This hub shows its prices to those who have a key.",
  wrong: "The hub does not know this key, or the secret is another one.",
  insufficient: "This key may not see this feed. Another one may, and this one may see others.",
};

export class KeyForm {
  readonly #section = byId("key");
  readonly #problem = byId("key-problem");
  readonly #id = byId<HTMLInputElement>("key-id");
  readonly #secret = byId<HTMLInputElement>("key-secret");
  readonly #keep = byId<HTMLInputElement>("key-keep");

  constructor(given: (key: Key, keeping: Keeping) => void) {
    byId("key-form").addEventListener("submit", (event) => {
      event.preventDefault();
      const key = { id: this.#id.value.trim(), secret: this.#secret.value.trim() };
      given(key, this.#keep.checked ? "device" : "tab");
    });
  }

  ask(problem: KeyProblem): void {
    this.#problem.textContent = TEXTS[problem];
    this.#section.hidden = false;
    this.#secret.value = "";
    (this.#id.value === "" ? this.#id : this.#secret).focus();
  }

  close(): void {
    this.#section.hidden = true;
    this.#secret.value = "";
  }
}
