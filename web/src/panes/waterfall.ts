// The spans of one request as a waterfall: a row for each span, with its bar, its cause in words and its exact time.
import { clear, h, VirtualList } from "../dom";
import type { RequestTime, TimeSpan } from "../types";

const ROW = 22;
let made = 0;

/** Format a time in ms with all its digits, as pystack/stepper/timing/text.py does: the sums must be exact. */
export function exact(ns: number): string {
  const size = Math.abs(ns);
  const digits = String(size % 1_000_000).padStart(6, "0").replace(/0+$/, "").padEnd(3, "0");
  return `${ns < 0 ? "−" : ""}${Math.floor(size / 1_000_000)}.${digits} ms`;
}

export function what(cause: string, why: string): string {
  return why ? `${cause} (${why})` : cause;
}

export class Waterfall {
  readonly element: HTMLElement;
  private readonly list: VirtualList;
  private readonly prefix = `span-${++made}`;
  private data: RequestTime | null = null;
  private longest = 1;
  private marks = new Map<string, number>();
  /** The chosen span, and the time of the cursor (ns from the start of the trace; -1: not on the path). */
  chosen = -1;
  private cursor = -1;

  constructor(
    label: string,
    private readonly choose: (index: number) => void,
  ) {
    this.list = new VirtualList(ROW, (first, last, into) => this.draw(first, last, into), "waterfall");
    this.element = this.list.element;
    this.element.setAttribute("role", "listbox");
    this.element.setAttribute("aria-label", label);
    for (const box of this.element.querySelectorAll("div")) box.setAttribute("role", "presentation");
    this.element.addEventListener("keydown", (event) => this.press(event));
  }

  /** Show a request. `longest` is the time that the full width stands for, and `marks` says by how much causes grew (ns). */
  fill(data: RequestTime | null, longest = 0, marks = new Map<string, number>()): void {
    this.data = data;
    this.longest = Math.max(longest, data ? data.end - data.begin : 0, 1);
    this.marks = marks;
    this.chosen = -1;
    this.cursor = -1;
    this.list.setCount(data?.spans.length ?? 0);
    this.list.refresh();
  }

  /** Mark the place of the cursor. */
  mark(time: number, span: number): void {
    this.cursor = time;
    this.select(span);
  }

  select(span: number): void {
    this.chosen = span;
    if (span >= 0) {
      this.element.setAttribute("aria-activedescendant", `${this.prefix}-${span}`);
      this.list.show(span);
    } else {
      this.element.removeAttribute("aria-activedescendant");
      this.list.refresh();
    }
  }

  private press(event: KeyboardEvent): void {
    const count = this.data?.spans.length ?? 0;
    const steps: Record<string, number> = { ArrowDown: this.chosen + 1, ArrowUp: this.chosen - 1, Home: 0, End: count - 1, Enter: this.chosen, " ": this.chosen };
    if (!count || !Object.hasOwn(steps, event.key) || event.ctrlKey || event.altKey || event.metaKey) return;
    // these keys move the cursor by frames elsewhere on the page
    event.preventDefault();
    event.stopPropagation();
    this.choose(Math.max(0, Math.min(steps[event.key], count - 1)));
  }

  private draw(first: number, last: number, into: HTMLElement): void {
    const spans = this.data?.spans.slice(first, last) ?? [];
    into.setAttribute("role", "presentation");
    clear(into, ...spans.map((span, i) => this.row(span, first + i)));
  }

  private row(span: TimeSpan, index: number): HTMLElement {
    const { begin, causes } = this.data!;
    const percent = (time: number) => (100 * time) / this.longest;
    const left = percent(span.start - begin);
    const width = percent(span.end - span.start);
    const here = this.cursor >= begin && this.cursor <= this.data!.end ? percent(this.cursor - begin) : -1;
    const words = what(span.cause, span.why);
    const place = span.frame ? `frame ${span.frame}` : span.host;
    const grown = this.marks.get(words) ?? 0;
    const sign = grown > 0 ? "▲ " : grown < 0 ? "▼ " : "";
    return h(
      "div",
      {
        class: `span-row${index === this.chosen ? " current" : ""}`, role: "option", id: `${this.prefix}-${index}`, "data-span": index,
        "aria-selected": String(index === this.chosen), title: span.text, onclick: () => this.choose(index),
      },
      h("span", { class: "span-at" }, exact(span.start - begin)),
      h("span", { class: "span-time" }, exact(span.end - span.start)),
      h(
        "span",
        { class: "track" },
        h("i", { class: `span-bar group-${causes[span.cause][0]}`, style: `left:${left}%;width:max(2px,${width}%)` }),
        here >= 0 && h("i", { class: "span-here", style: `left:${here}%` }),
      ),
      h("span", { class: "span-words" }, `${sign}${words}`, h("span", { class: "span-place" }, ` ${place}${span.inferred ? " ~" : ""}`)),
    );
  }
}
