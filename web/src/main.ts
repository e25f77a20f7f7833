// The web stepper: buttons, keys and panes, and the store that they share.
import "uplot/dist/uPlot.min.css";
import "./style.css";
import { clear, h } from "./dom";
import { EmbeddedSource, embeddedData } from "./embedded";
import { seconds } from "./format";
import { Layout } from "./layout";
import { BreaksPane } from "./panes/breaks";
import { EventsPane } from "./panes/events";
import { FramePane } from "./panes/frame";
import { LadderPane } from "./panes/ladder";
import type { Context } from "./panes/pane";
import { SequencePane, WindowsPane } from "./panes/plots";
import { StatesPane } from "./panes/states";
import { TcbPane } from "./panes/tcb";
import { TimePane } from "./panes/time";
import { TimersPane } from "./panes/timers";
import { WhatIfPane } from "./panes/whatif";
import { Why } from "./panes/why";
import { ServedSource, type Source } from "./source";
import { Store, type View } from "./store";
import type { Unit } from "./types";

const HELP: [string, string][] = [
  ["n p → ←", "next, previous event"],
  ["f F ↓ ↑", "next, previous frame"],
  ["l L ] [", "next, previous layer or host"],
  ["t T } {", "one round trip forwards, backwards"],
  ["Home End", "go before the first event, to the last event"],
  ["a", "go to the event that answers the scenario's question"],
  ["r R", "run to the next, previous breakpoint"],
  ["b w", "break or watch: type an expression"],
  ["/", "filter the events"],
  ["g", "go to: 12 (frame), e40 (event), 0.25s (time)"],
  ["c", "the next connection"],
  ["s", "spans: where the time of a request went"],
  ["z", "show one pane alone, and back"],
  ["d", "dark or light colours"],
  ["1 … 9", "the panes, one after another"],
  ["?", "this help"],
];

class App implements Context {
  readonly store: Store;
  private readonly layout: Layout;
  private readonly why: Why;
  private readonly status = h("span", { class: "status", id: "status", role: "status" });
  private readonly slider: HTMLInputElement;
  private readonly where = h("span", { class: "where", id: "where" });
  private readonly events: EventsPane;
  private readonly breaks: BreaksPane;
  private readonly tcb: TcbPane;
  private readonly plots: (SequencePane | WindowsPane)[];
  private readonly help: HTMLElement;
  private key = "";
  private ready = false;

  constructor(source: Source, overview: Store["overview"], root: HTMLElement) {
    this.store = new Store(source, overview);
    this.store.breakpoints = (overview.breakpoints ?? []).map((one) => ({ ...one }));
    this.why = new Why(this);
    this.slider = h("input", {
      type: "range", min: -1, max: overview.events - 1, value: -1, class: "slider", "aria-label": "position",
      oninput: () => void this.store.goto(Number(this.slider.value)),
    }) as HTMLInputElement;
    this.help = this.makeHelp();
    const grid = h("div", { class: "grid" });
    clear(root, this.bar(), this.why.element, grid, this.help);
    this.layout = new Layout(grid, () => this.remember());
    this.events = new EventsPane(this);
    this.breaks = new BreaksPane(this);
    this.tcb = new TcbPane(this);
    this.plots = [new SequencePane(this), new WindowsPane(this)];
    this.layout.add("left", [new LadderPane(this), this.events]);
    this.layout.add("upper", [...this.plots, new StatesPane(this), new TimePane(this)]);
    this.layout.add("lower", [new FramePane(this), new WhatIfPane(this)]);
    this.layout.add("right", [this.tcb]);
    this.layout.add("corner", [this.breaks, new TimersPane(this)]);
    this.store.listen((view) => this.show(view));
    document.addEventListener("keydown", (event) => void this.press(event));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.plots.forEach((plot) => plot.redraw()));
  }

  // -- state that the panes share

  connection(): string {
    return this.key;
  }
  setConnection(key: string): void {
    if (this.key === key) return;
    this.key = key;
    // the other panes that show a connection follow
    queueMicrotask(() => this.layout.show(this.store.view));
  }
  say(text: string, bad = false): void {
    this.status.textContent = text;
    this.status.title = text;
    this.status.classList.toggle("bad", bad);
  }

  // -- the bar

  private button(text: string, title: string, action: () => unknown, id = ""): HTMLElement {
    const run = async () => {
      try {
        await action();
      } catch (error) {
        this.say((error as Error).message, true);
      }
    };
    return h("button", { title, "aria-label": title, onclick: () => void run(), id: id || undefined }, text);
  }

  private bar(): HTMLElement {
    const { overview, source } = this.store;
    const step = (unit: Unit, count: number) => () => this.store.step(unit, count);
    const save = source.served
      ? h("a", { class: "button", id: "export", href: `api/${encodeURIComponent((source as ServedSource).trace)}/export`, download: "", title: "one page that opens offline" }, "Export")
      : null;
    const back = overview.parent !== null && h("a", { class: "button", href: "?", title: overview.note }, "← the run as it was");
    return h(
      "header",
      { class: "top" },
      h("b", { class: "brand", title: `pystack ${overview.version}` }, "pystack"),
      h("span", { class: "name", title: overview.story || overview.title }, overview.note ? `${overview.name}: ${overview.note}` : overview.name),
      h(
        "span",
        { class: "group" },
        this.button("|‹", "before the first event (Home)", () => this.store.goto(-1), "first"),
        this.button("« rtt", "previous round trip (T)", step("rtt", -1)),
        this.button("« frame", "previous frame (↑)", step("frame", -1), "back-frame"),
        this.button("‹", "previous event (←)", step("event", -1), "back"),
        this.button("›", "next event (→)", step("event", 1), "next"),
        this.button("frame »", "next frame (↓)", step("frame", 1), "next-frame"),
        this.button("rtt »", "next round trip (t)", step("rtt", 1)),
        this.button("›|", "the last event (End)", () => this.store.goto(overview.events - 1), "last"),
      ),
      h(
        "span",
        { class: "group" },
        this.button("◂ run", "run backwards to a breakpoint (R)", () => this.store.run(-1), "run-back"),
        this.button("run ▸", "run to a breakpoint (r)", () => this.store.run(1), "run"),
      ),
      this.slider,
      this.where,
      this.status,
      back,
      save,
      this.button("◐", "light or dark (d)", () => this.theme(), "theme"),
      this.button("?", "keys (?)", () => this.toggleHelp(), "help"),
    );
  }

  private makeHelp(): HTMLElement {
    const rows = HELP.map(([keys, text]) => h("tr", {}, h("th", {}, ...keys.split(" ").filter((key) => key !== "…").flatMap((key) => [h("kbd", {}, key), " "])), h("td", {}, text)));
    const licences = this.store.source.served
      ? h("a", { href: "THIRD-PARTY.txt" }, "licences of the packages in this page")
      : "The licences of the packages in this page are at the head of its script.";
    const { title, question, story } = this.store.overview;
    return h("div", { class: "help", hidden: true, onclick: () => this.toggleHelp() },
      h("div", {}, title && h("h2", {}, title), question && h("p", {}, h("b", {}, question)), story && h("p", {}, story), h("table", {}, ...rows), h("p", { class: "hint" }, licences)));
  }

  private toggleHelp(): void {
    this.help.hidden = !this.help.hidden;
  }

  private theme(): void {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    this.plots.forEach((plot) => plot.redraw());
  }

  // -- moving

  private show(view: View): void {
    this.slider.value = String(view.index);
    this.where.textContent = `${seconds(view.time)} s`;
    this.say("");
    this.why.show(view);
    this.layout.show(view);
    this.remember();
  }

  /** Put position and panes into the address, so that a reload, or a copy of the address, shows the same. */
  private remember(): void {
    if (!this.ready) return;
    const panes = this.layout.places.map((place) => place.current.name).join(",");
    const zoomed = this.layout.zoomed();
    history.replaceState(null, "", `#event=${this.store.position}&panes=${panes}${zoomed ? `&zoom=${zoomed}` : ""}`);
  }

  async start(): Promise<void> {
    const wanted = new URLSearchParams(location.hash.slice(1));
    const event = wanted.has("event") ? Number(wanted.get("event")) : (this.store.overview.begin ?? -1);
    for (const name of (wanted.get("panes") ?? "").split(",")) if (name) this.layout.open(name);
    const zoomed = this.layout.places.find((place) => place.name === wanted.get("zoom"));
    if (zoomed) this.layout.zoom(zoomed);
    await this.store.goto(Number.isInteger(event) ? event : -1);
    this.ready = true;
    this.remember();
    addEventListener("hashchange", () => void this.follow());
  }

  private async follow(): Promise<void> {
    const event = Number(new URLSearchParams(location.hash.slice(1)).get("event") ?? NaN);
    if (Number.isInteger(event) && event !== this.store.position) await this.store.goto(event);
  }

  /** Go to "12": frame 12; "e40": event 40; "0.25s": that time. */
  private async askWhere(): Promise<void> {
    const text = prompt("Go to: 12 (frame), e40 (event), 0.25s (time)")?.trim();
    if (!text) return;
    const { overview } = this.store;
    if (/^e\d+$/.test(text)) await this.store.goto(Number(text.slice(1)));
    else if (/^[\d.]+ *s$/.test(text)) await this.store.goto(await this.store.eventAt(Math.round(parseFloat(text) * 1e9)));
    else if (/^\d+$/.test(text) && Number(text) >= 1 && Number(text) <= overview.frames) await this.store.goto((await this.store.frame(Number(text) - 1)).event);
    else this.say(`${text}: write 12 (a frame, up to ${overview.frames}), e40 (an event) or 0.25s (a time)`, true);
  }

  private async press(event: KeyboardEvent): Promise<void> {
    const target = event.target as HTMLElement;
    if (event.key === "Escape") {
      this.help.hidden = true;
      target.blur();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || ["INPUT", "SELECT", "TEXTAREA"].includes(target.tagName) && target !== this.slider) return;
    const action = this.action(event.key);
    if (!action) return;
    event.preventDefault();
    try {
      await action();
    } catch (error) {
      this.say((error as Error).message, true);
    }
  }

  private action(key: string): (() => unknown) | undefined {
    const steps: Record<string, [Unit, number]> = {
      ArrowRight: ["event", 1], ArrowLeft: ["event", -1], ArrowDown: ["frame", 1], ArrowUp: ["frame", -1],
      n: ["event", 1], p: ["event", -1], f: ["frame", 1], F: ["frame", -1],
      l: ["layer", 1], L: ["layer", -1], t: ["rtt", 1], T: ["rtt", -1],
      "]": ["layer", 1], "[": ["layer", -1], "}": ["rtt", 1], "{": ["rtt", -1],
    };
    if (Object.hasOwn(steps, key)) return () => this.store.step(...steps[key]);
    if (/^[1-9]$/.test(key)) {
      const pane = this.layout.places.flatMap((place) => place.panes)[Number(key) - 1];
      return pane && (() => this.layout.open(pane.name));
    }
    const others: Record<string, () => unknown> = {
      Home: () => this.store.goto(-1),
      End: () => this.store.goto(this.store.overview.events - 1),
      a: () => this.why.showAnswer(),
      r: () => this.store.run(1),
      R: () => this.store.run(-1),
      b: () => (this.layout.open("breaks"), this.breaks.begin(false)),
      w: () => (this.layout.open("breaks"), this.breaks.begin(true)),
      "/": () => (this.layout.open("events"), this.events.filter.focus()),
      g: () => this.askWhere(),
      s: () => this.layout.open("time"),
      z: () => this.layout.zoom(),
      c: () => this.tcb.next(),
      d: () => this.theme(),
      "?": () => this.toggleHelp(),
    };
    return Object.hasOwn(others, key) ? others[key] : undefined;
  }
}

async function main(): Promise<void> {
  const root = document.getElementById("app")!;
  try {
    const data = document.getElementById("data");
    const trace = new URLSearchParams(location.search).get("trace") ?? "0";
    const source: Source = data ? new EmbeddedSource(await embeddedData(data)) : new ServedSource(trace);
    const overview = await source.overview();
    document.title = `${overview.name} - pystack stepper`;
    const app = new App(source, overview, root);
    // for tests and for the browser's console
    (window as any).stepper = { store: app.store, source };
    await app.start();
  } catch (error) {
    clear(root, h("p", { class: "failed" }, `The stepper could not start: ${(error as Error).message}`));
    throw error;
  }
}

// in the exported page the script precedes the body
if (document.readyState === "loading") addEventListener("DOMContentLoaded", () => void main());
else void main();
