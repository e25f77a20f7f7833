// Small helpers. All text is inserted as text, never as markup, because names and reasons come from files that anyone
// may have made.

type Child = Node | string | number | null | undefined | false;
type Attributes = Record<string, string | number | boolean | ((event: any) => void) | undefined>;

function fill(node: Element, attributes: Attributes, children: Child[]): void {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === false) continue;
    if (typeof value === "function") node.addEventListener(name.slice(2), value as EventListener);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    node.append(child instanceof Node ? child : String(child));
  }
}

export function h(tag: string, attributes: Attributes = {}, ...children: Child[]): HTMLElement {
  const node = document.createElement(tag);
  fill(node, attributes, children);
  return node;
}

export function svg(tag: string, attributes: Attributes = {}, ...children: Child[]): SVGElement {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  fill(node, attributes, children);
  return node;
}

export function clear(node: Element, ...children: Child[]): void {
  node.replaceChildren(...(children.filter((child) => child || child === 0 || child === "") as (Node | string)[]));
}

/** Return a text whose `code` is between backticks, as stories and hints have it. */
export function withCode(text: string): Node[] {
  return text.split("`").map((part, index) => (index % 2 ? h("code", {}, part) : document.createTextNode(part)));
}

/** The sites of the rules (pystack/stepper/links.py). A link in the page may lead to no other site. */
const RULES = ["www.rfc-editor.org", "datatracker.ietf.org", "man7.org", "man.freebsd.org", "docs.kernel.org"].map((host) => `https://${host}/`);

/** Return a link to an RFC's section, a draft or a manual page. Any other address becomes text. */
export function rfcLink(rfc: string, address: string | undefined): Node {
  if (!rfc) return document.createTextNode("");
  if (!address || !RULES.some((start) => address.startsWith(start))) return document.createTextNode(rfc);
  return h("a", { href: address, target: "_blank", rel: "noopener noreferrer", class: "rfc" }, rfc);
}

export function cssColour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** A list of many rows, of which only the visible ones exist. `draw(first, last)` returns them. */
export class VirtualList {
  readonly element: HTMLElement;
  private readonly space: HTMLElement;
  private readonly rows: HTMLElement;
  private count = 0;
  private pending = 0;
  /** The places of the rows and the end, if they differ in height. */
  private tops: Float64Array | null = null;

  constructor(
    private readonly height: number,
    private readonly draw: (first: number, last: number, into: HTMLElement) => void,
    className = "",
  ) {
    this.rows = h("div", { class: "virtual-rows" });
    this.space = h("div", { class: "virtual-space" }, this.rows);
    this.element = h("div", { class: `virtual ${className}`, tabindex: 0 }, this.space);
    this.element.addEventListener("scroll", () => this.refresh());
    new ResizeObserver(() => this.refresh()).observe(this.element);
  }

  setCount(count: number): void {
    this.count = count;
    this.tops = null;
    this.space.style.height = `${count * this.height}px`;
  }

  /** Give each row a place of its own. The last number is the end of the list. */
  setTops(tops: Float64Array): void {
    this.count = tops.length;
    this.tops = tops;
    this.space.style.height = `${tops[tops.length - 1]}px`;
  }

  /** Return the place of a row, in pixels from the top. */
  top(row: number): number {
    return this.tops ? this.tops[Math.min(row, this.tops.length - 1)] : row * this.height;
  }

  /** Return the last row that begins at a place or above it. */
  private rowAt(place: number): number {
    if (!this.tops) return Math.floor(place / this.height);
    let low = 0;
    let high = this.tops.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.tops[middle] <= place) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  refresh(): void {
    if (this.pending) return;
    this.pending = requestAnimationFrame(() => {
      this.pending = 0;
      const shown = this.element.clientHeight;
      if (!shown) return;
      const margin = 4 * this.height;
      const first = Math.max(0, this.rowAt(this.element.scrollTop - margin));
      const last = Math.min(this.count, this.rowAt(this.element.scrollTop + shown + margin) + 2);
      this.rows.style.transform = `translateY(${this.top(first)}px)`;
      this.draw(first, last, this.rows);
    });
  }

  /** Scroll a row into view, with some rows around it. */
  show(row: number): void {
    const top = this.top(row);
    const shown = this.element.clientHeight;
    const margin = Math.min(shown / 4, 6 * this.height);
    if (top < this.element.scrollTop + margin) this.element.scrollTop = Math.max(0, top - shown / 3);
    else if (top + this.height > this.element.scrollTop + shown - margin) this.element.scrollTop = top - (2 * shown) / 3;
    this.refresh();
  }

  /** Scroll a row to the middle, because the places have changed. */
  centre(row: number): void {
    this.element.scrollTop = Math.max(0, this.top(row) - this.element.clientHeight / 2);
    this.refresh();
  }
}
