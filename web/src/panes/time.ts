// Where the time of a request went: its spans as a waterfall, linked with the cursor, and beside those of another run.
import { clear, h } from "../dom";
import type { View } from "../store";
import type { RequestTime } from "../types";
import type { Context, Pane } from "./pane";
import { exact, Waterfall, what } from "./waterfall";

export class TimePane implements Pane {
  readonly name = "time";
  readonly title = "Time";
  readonly element: HTMLElement;
  private readonly conn = h("select", { id: "time-conn", "aria-label": "request of the connection" }) as HTMLSelectElement;
  private readonly from = this.end("time-from", "from", "the start");
  private readonly to = this.end("time-to", "to", "last data");
  private readonly against = h("select", { id: "time-against", "aria-label": "compare with" }) as HTMLSelectElement;
  private readonly total = h("div", { class: "time-total", id: "time-total" });
  private readonly detail = h("div", { class: "time-detail", id: "time-detail", "aria-live": "polite", tabindex: 0, role: "region", "aria-label": "the chosen span" });
  private readonly grown = h("div", { class: "time-grown", id: "time-grown", hidden: true, tabindex: 0, role: "region", "aria-label": "what grew and what shrank" });
  private readonly waterfall = new Waterfall("spans of the request", (index) => void this.go(index));
  private readonly second = new Waterfall("spans of the other run", (index) => this.goOther(index));
  private readonly both = h("div", { class: "waterfalls" }, this.waterfall.element);
  private data: RequestTime | null = null;
  private other: RequestTime | null = null;
  private loaded = false;
  private ticket = 0;
  /** The place to which a click on a span led: the span stays chosen there. */
  private clicked = { position: NaN, span: -1 };

  constructor(private readonly context: Context) {
    const keys = context.store.overview.connections;
    clear(this.conn, h("option", { value: "" }, "first request"), ...keys.map((key) => h("option", { value: key }, key)));
    const served = context.store.source.served;
    const here = (input: HTMLInputElement, name: string) =>
      h("button", { type: "button", class: "small", title: `${name} the event at the cursor`, "aria-label": `here: ${name} the event at the cursor`, onclick: () => this.useCursor(input) }, "here");
    const form = h(
      "form",
      { class: "bar time-bar", onsubmit: (event: Event) => { event.preventDefault(); void this.load(); } },
      this.conn,
      ...(served ? [this.from, here(this.from, "from"), this.to, here(this.to, "to"), h("button", { id: "time-show" }, "Show")] : []),
      h("button", { type: "button", id: "time-largest", title: "go to the largest span", onclick: () => this.goLargest() }, "Largest"),
      this.against,
    );
    this.conn.addEventListener("change", () => void this.load());
    this.against.addEventListener("change", () => void this.load());
    this.against.hidden = true;
    document.addEventListener("runs", () => this.loaded && void this.load());
    this.element = h("div", { class: "pane-body column time-pane" }, form, this.total, this.both, this.grown, this.detail);
  }

  private end(id: string, name: string, meaning: string): HTMLInputElement {
    return h("input", { id, "aria-label": `${name}: frame=N, event=N or time=SECONDS`, title: "frame=N, event=N or time=SECONDS", placeholder: `${name} ${meaning}`, spellcheck: "false", autocomplete: "off" }) as HTMLInputElement;
  }

  private useCursor(input: HTMLInputElement): void {
    input.value = `event=${Math.max(0, this.context.store.position)}`;
    void this.load();
  }

  private async load(): Promise<void> {
    const ticket = ++this.ticket;
    const { source } = this.context.store;
    const ends: [string, string, string] = [this.conn.value, this.from.value.trim(), this.to.value.trim()];
    this.loaded = true;
    try {
      const data = await source.time(...ends);
      // two runs may name the connection differently, for example by another port
      const other = this.against.value ? await source.time(...ends, this.against.value).catch(() => source.time("", "", "", this.against.value)) : null;
      if (ticket !== this.ticket) return;
      this.data = data;
      this.other = other;
    } catch (error) {
      if (ticket !== this.ticket) return;
      this.data = this.other = null;
      clear(this.total, h("span", { class: "empty" }, (error as Error).message));
    }
    this.clicked.position = NaN;
    this.fill();
    this.show(this.context.store.view);
  }

  private fill(): void {
    const { data, other } = this;
    const length = (one: RequestTime) => one.end - one.begin;
    const longest = Math.max(data ? length(data) : 0, other ? length(other) : 0);
    const changes = data && other ? compare(data, other) : [];
    this.waterfall.fill(data, longest);
    this.second.fill(other, longest, new Map(changes.map((row) => [what(row[0], row[1]), row[3] - row[2]])));
    clear(this.both, this.waterfall.element, other && this.second.element);
    this.both.classList.toggle("two", other !== null);
    this.drawGrown(changes);
    clear(this.detail);
    if (!data) return;
    this.fillRuns(data);
    clear(
      this.total,
      h("b", {}, exact(length(data))),
      other && h("b", { class: "changed" }, ` → ${exact(length(other))}`),
      h("span", { class: "time-legend" }, ...Object.entries(sums(data)).map(([group, time]) =>
        h("span", { class: "legend-entry" }, h("i", { class: `swatch group-${group}` }), `${data.groups[group]} ${((100 * time) / length(data)).toFixed(1)} %`))),
    );
  }

  private fillRuns(data: RequestTime): void {
    const runs = data.runs ?? [];
    this.against.hidden = !runs.length;
    const chosen = this.against.value;
    clear(this.against, h("option", { value: "" }, "compare with …"), ...runs.map(([ident, label]) => h("option", { value: ident }, label)));
    this.against.value = runs.some(([ident]) => ident === chosen) ? chosen : "";
  }

  private drawGrown(changes: Change[]): void {
    this.grown.hidden = !this.other;
    if (!this.other) return;
    const sign = (change: number) => (change > 0 ? `▲ +${exact(change)}` : change < 0 ? `▼ ${exact(change)}` : "=");
    clear(
      this.grown,
      h(
        "table",
        { class: "list" },
        h("thead", {}, h("tr", {}, ...["cause", "this run", "the other", "change"].map((name) => h("th", { scope: "col" }, name)))),
        h("tbody", {}, ...changes.map(([cause, why, before, after]) =>
          h("tr", { class: after > before ? "grew" : after < before ? "shrank" : "" }, h("td", {}, what(cause, why)),
            ...[exact(before), exact(after), sign(after - before)].map((text) => h("td", { class: "number" }, text))))),
      ),
    );
  }

  /** Move the cursor to the frame of a span, or to the event that ended it, and explain the span. */
  private async go(index: number): Promise<void> {
    const span = this.data?.spans[index];
    if (!span) return;
    this.clicked = { position: span.go, span: index };
    await this.context.store.goto(span.go);
    this.show(this.context.store.view);
  }

  private goLargest(): void {
    const lengths = this.data?.spans.map((span) => span.end - span.start) ?? [];
    if (lengths.length) void this.go(lengths.indexOf(Math.max(...lengths)));
  }

  private goOther(index: number): void {
    this.second.select(index);
    this.explain(this.other, index, this.against.value);
  }

  private explain(data: RequestTime | null, index: number, trace = ""): void {
    const span = data?.spans[index];
    if (!data || !span) {
      clear(this.detail, data && h("span", { class: "empty" }, "The cursor is not on the path of this request. Choose a span with a click, or with Tab and the arrow keys."));
      return;
    }
    clear(
      this.detail,
      h("b", {}, exact(span.end - span.start)),
      ` ${what(span.cause, span.why)}, from ${exact(span.start - data.begin)} to ${exact(span.end - data.begin)}${span.frame ? `, frame ${span.frame}` : ""}${span.host ? `, ${span.host}` : ""}. `,
      `${span.cause}: ${data.causes[span.cause][1]}. `,
      span.why && `${span.why}: ${data.whys[span.why]}. `,
      h("span", { class: "span-text" }, `${span.text}.`),
      span.inferred && " This was concluded, because the other side was not recorded.",
      trace && h("a", { href: `?trace=${encodeURIComponent(trace)}#event=${span.go}` }, " step through that run here"),
    );
  }

  show(view: View): void {
    if (!this.loaded) {
      void this.load();
      return;
    }
    if (!this.data) return;
    const clicked = this.clicked.position === view.index;
    const index = clicked ? this.clicked.span : spanAt(this.data, view);
    this.waterfall.mark(view.index < 0 ? -1 : view.time, index);
    this.explain(this.data, index);
  }
}

type Change = [cause: string, why: string, before: number, after: number];

/** The time of each cause in both runs, the largest change first (changes in pystack/stepper/timing/text.py). */
function compare(one: RequestTime, two: RequestTime): Change[] {
  const found = new Map<string, Change>();
  for (const [cause, why, time] of one.totals) found.set(what(cause, why), [cause, why, time, 0]);
  for (const [cause, why, time] of two.totals) found.set(what(cause, why), [cause, why, found.get(what(cause, why))?.[2] ?? 0, time]);
  return [...found.values()].sort((a, b) => Math.abs(b[3] - b[2]) - Math.abs(a[3] - a[2]));
}

/** The time of each group, in the order of the largest. */
function sums(data: RequestTime): Record<string, number> {
  const found: Record<string, number> = {};
  for (const [cause, , time] of data.totals) found[data.causes[cause][0]] = (found[data.causes[cause][0]] ?? 0) + time;
  return Object.fromEntries(Object.entries(found).sort((a, b) => b[1] - a[1]));
}

/** Return the span in which the cursor is, or -1 (span_at in pystack/stepper/timing/requests.py has the same rule). */
function spanAt(data: RequestTime, view: View): number {
  const { spans } = data;
  if (view.index < 0 || !spans.length) return -1;
  const number = view.frame ? view.frame.number : 0;
  if (number) {
    const mine = spans.map((span, index) => ({ span, index })).filter(({ span }) => span.frame === number);
    const exactly = mine.find(({ span }) => span.start <= view.time && (view.time < span.end || (view.time === span.end && view.entry?.kind === "frame.in")));
    if (exactly) return exactly.index;
    if (mine.length && mine[0].span.start <= view.time && view.time <= mine[mine.length - 1].span.end) return mine[0].index;
  }
  if (view.time < spans[0].start || view.time > spans[spans.length - 1].end) return -1;
  const found = spans.findIndex((span) => span.start <= view.time && view.time < span.end);
  return found < 0 ? spans.length - 1 : found;
}
