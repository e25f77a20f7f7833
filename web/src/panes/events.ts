// All events as a list, and the filter.
import { clear, h, VirtualList } from "../dom";
import { seconds } from "../format";
import type { View } from "../store";
import type { Entry } from "../types";
import type { Context, Pane } from "./pane";

const ROW = 20;
/** How many matches are fetched at a time, and how many are kept. */
const STEP = 2000;
const MOST = 200000;

export class EventsPane implements Pane {
  readonly name = "events";
  readonly title = "Events";
  readonly element: HTMLElement;
  readonly filter: HTMLInputElement;
  private readonly list: VirtualList;
  private readonly count: HTMLElement;
  private matches: number[] | null = null;
  private position = -1;
  private ticket = 0;
  private drawing = 0;

  constructor(private readonly context: Context) {
    this.list = new VirtualList(ROW, (first, last, into) => void this.draw(first, last, into), "events");
    this.filter = h("input", {
      id: "filter", type: "search", spellcheck: "false", autocomplete: "off",
      placeholder: "words, or event.kind == \"retransmit\"",
      "aria-label": "filter", title: "Words that the line must contain, or an expression over event, tcb, state, frame, time (as for breakpoints)",
    }) as HTMLInputElement;
    this.count = h("span", { class: "count", id: "filter-count" });
    const form = h("form", { class: "bar", onsubmit: (event: Event) => this.apply(event) }, this.filter, h("button", {}, "Filter"), this.count);
    this.filter.addEventListener("search", () => void this.apply());
    this.element = h("div", { class: "pane-body column" }, form, this.list.element);
    this.setMatches(null);
  }

  private async apply(event?: Event): Promise<void> {
    event?.preventDefault();
    const ticket = ++this.ticket;
    const text = this.filter.value.trim();
    this.filter.classList.remove("bad");
    if (!text) {
      this.setMatches(null);
      return;
    }
    try {
      const found: number[] = [];
      for (let next = 0; next >= 0 && found.length < MOST; ) {
        const part = await this.context.store.source.filter(text, next, STEP);
        if (ticket !== this.ticket) return;
        for (const match of part.matches) found.push(match);
        next = part.next;
        this.setMatches(found, next >= 0);
      }
    } catch (error) {
      this.filter.classList.add("bad");
      this.context.say((error as Error).message, true);
    }
  }

  private setMatches(matches: number[] | null, more = false): void {
    this.matches = matches;
    const total = this.context.store.overview.events;
    this.list.setCount(matches ? matches.length : total);
    this.count.textContent = matches ? `${matches.length}${more ? "…" : ""} of ${total}` : `${total}`;
    this.reveal();
  }

  private reveal(): void {
    let row = this.position;
    if (this.matches) {
      row = this.matches.findIndex((index) => index >= this.position);
      if (row < 0) row = this.matches.length - 1;
    }
    this.list.show(Math.max(0, row));
  }

  show(view: View): void {
    this.position = view.index;
    this.reveal();
  }

  private async draw(first: number, last: number, into: HTMLElement): Promise<void> {
    const ticket = ++this.drawing;
    const rows: Entry[] = [];
    for (let row = first; row < last; row++) {
      rows.push(await this.context.store.event(this.matches ? this.matches[row] : row));
      if (ticket !== this.drawing) return;
    }
    const start = this.context.store.overview.start;
    clear(into, ...rows.map((entry) => this.row(entry, start)));
  }

  private row(entry: Entry, start: number): HTMLElement {
    return h(
      "div",
      {
        class: `event-row${entry.index === this.position ? " current" : ""}`,
        "data-event": entry.index,
        title: `${entry.kind}: ${entry.text}${entry.rfc ? ` [${entry.rfc}]` : ""}`,
        onclick: () => void this.context.store.goto(entry.index),
      },
      h("span", { class: "row-time" }, seconds(entry.time - start)),
      h("span", { class: "host" }, entry.host),
      h("span", { class: `kind layer-${entry.layer}` }, entry.kind),
      h("span", { class: "text" }, entry.text),
    );
  }
}
