// The places of the panes. Each place has tabs, one of which is visible, and a place can fill the whole page.
import { h, svg } from "./dom";
import type { Pane } from "./panes/pane";
import type { View } from "./store";

export class Place {
  readonly element: HTMLElement;
  private readonly tabs: HTMLElement[];
  private readonly body = h("div", { class: "place-body" });
  current: Pane;

  constructor(
    readonly name: string,
    readonly panes: Pane[],
    private readonly layout: Layout,
  ) {
    this.current = panes[0];
    this.tabs = panes.map((pane) =>
      h("button", { class: "tab", role: "tab", "data-pane": pane.name, onclick: () => this.select(pane.name) }, pane.title),
    );
    const zoom = h("button", { class: "zoom", title: "fill the page with this (z)", "aria-label": "enlarge", onclick: () => layout.zoom(this) }, icon());
    this.element = h("section", { class: `place place-${name}` }, h("div", { class: "tabs" }, h("div", { class: "tab-list", role: "tablist", "aria-label": `panes ${name}` }, ...this.tabs), zoom), this.body);
    this.element.addEventListener("pointerdown", () => (layout.active = this));
    this.select(this.current.name);
  }

  select(name: string): void {
    const pane = this.panes.find((one) => one.name === name);
    if (!pane) return;
    this.current = pane;
    this.body.replaceChildren(pane.element);
    this.tabs.forEach((tab, i) => tab.setAttribute("aria-selected", String(this.panes[i] === pane)));
    this.layout.selected(this);
  }
}

export class Layout {
  readonly places: Place[] = [];
  active: Place | null = null;
  private view: View | null = null;

  constructor(
    private readonly root: HTMLElement,
    private readonly remember: () => void,
  ) {}

  /** Add a place with these panes. Without panes there is no place, and its neighbour has the room. */
  add(name: string, panes: Pane[]): void {
    if (!panes.length) {
      this.root.classList.add(`no-${name}`);
      return;
    }
    const place = new Place(name, panes, this);
    this.places.push(place);
    this.root.append(place.element);
    this.active ??= place;
  }

  selected(place: Place): void {
    this.active = place;
    if (this.view) place.current.show(this.view);
    this.remember();
  }

  show(view: View): void {
    this.view = view;
    for (const place of this.places) place.current.show(view);
  }

  /** Show a pane, wherever it is. */
  open(name: string): void {
    this.places.find((place) => place.panes.some((pane) => pane.name === name))?.select(name);
  }

  zoom(place: Place | null = this.active): void {
    if (!place) return;
    const on = !place.element.classList.contains("zoomed");
    for (const one of this.places) one.element.classList.toggle("zoomed", on && one === place);
    this.root.classList.toggle("has-zoomed", on);
    if (this.view) place.current.show(this.view);
    this.remember();
  }

  zoomed(): string {
    return this.places.find((place) => place.element.classList.contains("zoomed"))?.name ?? "";
  }
}

function icon(): SVGElement {
  return svg("svg", { width: 12, height: 12, viewBox: "0 0 12 12" }, svg("path", { d: "M1 4V1h3M8 1h3v3M11 8v3H8M4 11H1V8", class: "icon" }));
}
