// The few things every view does with the document.

/** An element that index.html has. */
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

/** A text that is written again and again: the document is touched only when it changes. */
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
