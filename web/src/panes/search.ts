// Search over everything: events, reasons, the fields of frames, and values that changed.
import { clear, h, VirtualList } from "../dom";
import type { View } from "../store";
import type { SearchHit } from "../types";
import type { Context, Pane } from "./pane";

const ROW = 20;
/** The most matches that are kept. */
const MOST = 5000;

export class SearchPane implements Pane {
  readonly name = "search";
  readonly title = "Search";
  readonly element: HTMLElement;
  readonly input: HTMLInputElement;
  private readonly list: VirtualList;
  private readonly count = h("span", { class: "count", id: "search-count", role: "status" });
  private hits: SearchHit[] = [];
  private ticket = 0;
  private position = -1;

  constructor(private readonly context: Context) {
    this.list = new VirtualList(ROW, (first, last, into) => this.draw(first, last, into), "search");
    this.input = h("input", {
      id: "search", type: "search", spellcheck: "false", autocomplete: "off", maxlength: 200, "aria-label": "search everything",
      placeholder: "words, such as: fast retransmit, cwnd=14480, ttl 64",
    }) as HTMLInputElement;
    const form = h("form", { class: "bar", onsubmit: (event: Event) => { event.preventDefault(); void this.run(); } }, this.input, h("button", {}, "Search"), this.count);
    this.element = h("div", { class: "pane-body column" }, form, this.list.element);
  }

  private async run(): Promise<void> {
    const ticket = ++this.ticket;
    const text = this.input.value.trim();
    this.hits = [];
    this.list.setCount(0);
    this.list.refresh();
    this.count.textContent = "";
    if (!text) return;
    try {
      for (let next = 0; next >= 0 && this.hits.length < MOST; ) {
        const part = await this.context.store.source.search(text, next);
        if (ticket !== this.ticket) return;
        this.hits.push(...part.hits);
        next = part.next;
        this.count.textContent = `${this.hits.length}${next >= 0 ? "…" : ""} found`;
        this.list.setCount(this.hits.length);
        this.list.refresh();
      }
    } catch (error) {
      this.context.say((error as Error).message, true);
    }
  }

  show(view: View): void {
    this.position = view.index;
    this.list.refresh();
  }

  private draw(first: number, last: number, into: HTMLElement): void {
    const { firstEvent } = this.context.store.overview;
    clear(
      into,
      ...this.hits.slice(first, last).map(([event, where, text]) =>
        h(
          "div",
          { class: `event-row${event === this.position ? " current" : ""}`, "data-event": event, title: text, onclick: () => void this.context.store.goto(event) },
          h("span", { class: "row-time" }, String(event + firstEvent)),
          h("span", { class: "kind" }, where),
          h("span", { class: "text" }, text),
        ),
      ),
    );
  }
}
