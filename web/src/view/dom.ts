// Helpers for the document that all views share.

/** Returns an element of index.html; throws if there is none with this id. */
export function byId<E extends HTMLElement = HTMLElement>(id: string): E {
  const element = document.getElementById(id);
  if (element === null) throw new Error(`index.html has no element #${id}`);
  return element as E;
}

export function create<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  properties: Partial<HTMLElementTagNameMap[K]> = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/** Creates a button with an outline. */
export function createButton(label: string, clicked: () => void): HTMLButtonElement {
  const button = create("button", { type: "button", className: "outlined", textContent: label });
  button.addEventListener("click", clicked);
  return button;
}

/** A text that is set on every frame; changes the document only when the text changes. */
export class LiveText {
  readonly node: Text;

  constructor(parent: Element) {
    this.node = document.createTextNode("");
    parent.replaceChildren(this.node);
  }

  set(text: string): void {
    if (this.node.data !== text) this.node.data = text;
  }
}
