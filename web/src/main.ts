// The web stepper: buttons, keys and panes, and the store that they share.
import "./language";
import "uplot/dist/uPlot.min.css";
import "./style.css";
import { clear, h, withCode } from "./dom";
import { EmbeddedSource, embeddedData } from "./embedded";
import { seconds } from "./format";
import { Layout } from "./layout";
import { apply as applyLook, remember as rememberLook, remembered, type LayoutName, type Look } from "./look";
import { BreaksPane } from "./panes/breaks";
import { EventsPane } from "./panes/events";
import { FramePane } from "./panes/frame";
import { LadderPane } from "./panes/ladder";
import { Lesson } from "./panes/lesson";
import type { Context } from "./panes/pane";
import { SequencePane, WindowsPane } from "./panes/plots";
import { SearchPane } from "./panes/search";
import { StatesPane } from "./panes/states";
import { StreamsPane } from "./panes/streams";
import { TcbPane } from "./panes/tcb";
import { TimePane } from "./panes/time";
import { TimersPane } from "./panes/timers";
import { WhatIfPane } from "./panes/whatif";
import { Why } from "./panes/why";
import { hasAddress, isScenarioPage, place, progress, setPlace, startPage, type Progress } from "./places";
import { ServedSource, type Source } from "./source";
import { showStart } from "./start";
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
  ["S", "search everything: events, frames, values"],
  ["g", "go to: frame 12, event 40, time 0.25 (in seconds)"],
  ["c", "the next connection"],
  ["s", "spans: where the time of a request went"],
  ["z", "show one pane alone, and back"],
  ["m", "the ladder to scale, or one row for each event"],
  ["d", "dark or light colours"],
  ["Space", "the next row, in the beginner's layout"],
  ["1 … 9", "the panes, one after another"],
  ["?", "this help"],
];

/** How an app is replaced: with another look, or because more of the file is read. */
type Again = (change?: () => void) => void;

class App implements Context {
  readonly store: Store;
  private readonly layout: Layout;
  private readonly beginner: boolean;
  private readonly lesson: Lesson | null;
  private readonly closing = new AbortController();
  private readonly reading = h("span", { class: "reading", id: "reading" });
  private readonly why: Why;
  private readonly status = h("span", { class: "status", id: "status", role: "status" });
  private readonly slider: HTMLInputElement;
  private readonly where = h("span", { class: "where", id: "where" });
  private readonly events: EventsPane;
  private readonly breaks: BreaksPane;
  private readonly search: SearchPane;
  private readonly tcb: TcbPane;
  private readonly ladder: LadderPane;
  private readonly plots: (SequencePane | WindowsPane)[];
  private readonly help: HTMLElement;
  private key = "";
  private ready = false;

  constructor(source: Source, overview: Store["overview"], private readonly root: HTMLElement, private readonly look: Look, private readonly again: Again, before: App | null) {
    this.store = new Store(source, overview);
    this.store.breakpoints = before?.store.breakpoints ?? (overview.breakpoints ?? []).map((one) => ({ ...one }));
    this.beginner = look.layout === "beginner";
    this.why = new Why(this);
    this.lesson = this.beginner ? new Lesson(this, () => this.why.showAnswer()) : null;
    this.slider = h("input", {
      type: "range", min: -1, max: overview.events - 1, value: -1, class: "slider", "aria-label": "position",
      oninput: () => void this.store.goto(Number(this.slider.value)),
    }) as HTMLInputElement;
    this.help = this.makeHelp();
    const grid = h("div", { class: "grid" });
    root.classList.toggle("beginner", this.beginner);
    if (this.lesson) {
      const words = h("div", { class: "words-column" }, this.lesson.buttons, h("div", { class: "words-body", tabindex: 0 }, this.why.element, this.lesson.element));
      clear(root, this.bar(), h("div", { class: "learn" }, grid, words), this.help);
    } else {
      clear(root, this.bar(), this.why.element, grid, this.help);
    }
    this.layout = new Layout(grid, () => this.remember());
    this.events = new EventsPane(this);
    this.breaks = new BreaksPane(this);
    this.search = new SearchPane(this);
    this.tcb = new TcbPane(this);
    this.ladder = new LadderPane(this);
    this.plots = [new SequencePane(this), new WindowsPane(this)];
    const { signal } = this.closing;
    // a pane that has nothing to show in this run is left out
    const opened = overview.stateChanges.some(([, , , to]) => to !== "LISTEN" && to !== "CLOSED");
    const states = opened ? [new StatesPane(this)] : [];
    const plots = opened || (overview.inferred && overview.connections.length) ? this.plots : [];
    // the time of a request: without TCP only if the user says where it begins and ends, which an exported page cannot answer
    const time = !overview.part && (opened || source.served) ? [new TimePane(this)] : [];
    if (this.beginner) {
      this.layout.add("left", [this.ladder, ...states, ...plots, ...(opened ? time : []), new FramePane(this), new StreamsPane(this), this.search]);
    } else {
      this.layout.add("left", [this.ladder, this.events, new StreamsPane(this), this.search]);
      this.layout.add("upper", [...plots, ...states, ...(opened ? time : [])]);
      this.layout.add("lower", [new FramePane(this), new WhatIfPane(this), ...(opened ? [] : time)]);
      this.layout.add("right", plots.length ? [this.tcb] : []);
      this.layout.add("corner", [this.breaks, new TimersPane(this)]);
      if (overview.pane) this.layout.open(overview.pane);
    }
    this.store.listen((view) => this.show(view));
    document.addEventListener("keydown", (event) => void this.press(event), { signal });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.redraw(), { signal });
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

  toScale(): boolean {
    return this.look.ladder === "scale";
  }
  switchScale(): void {
    this.look.ladder = this.toScale() ? "rows" : "scale";
    rememberLook(this.look);
    this.layout.open("ladder");
    this.ladder.place();
    this.remember();
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
    // a sign needs words, and words are their own label
    return h("button", { title, "aria-label": /\w/.test(text) ? undefined : title, onclick: () => void run(), id: id || undefined }, text);
  }

  /** Show how much of the file is read, while the page shows its beginning. */
  showReading(done: number, size: number): void {
    this.reading.textContent = `reading: ${Math.min(99, Math.floor((done / size) * 100))} %`;
  }

  /** Leave the page to another app. */
  close(): void {
    this.closing.abort();
    delete document.documentElement.dataset.ready;
  }

  private redraw(): void {
    this.plots.forEach((plot) => plot.redraw());
    this.lesson?.compared.redraw();
  }

  private nameText(): string {
    const { name, note, title } = this.store.overview;
    if (this.beginner && title) return note ? `${title}: ${note}` : title;
    return note ? `${name}: ${note}` : name;
  }

  /** The visible switch between the two layouts. */
  private layouts(): HTMLElement {
    const one = (name: LayoutName, text: string) => {
      const here = this.beginner === (name === "beginner");
      return h("button", { id: `layout-${name}`, "aria-pressed": String(here), onclick: () => !here && this.again(() => (this.look.layout = name)) }, text);
    };
    return h("span", { class: "group layouts", role: "group", "aria-label": "layout" }, one("beginner", "Beginner"), one("expert", "Expert"));
  }

  private bar(): HTMLElement {
    const { overview, source } = this.store;
    const step = (unit: Unit, count: number) => () => this.store.step(unit, count);
    const save = source.served
      ? h("a", { class: "button", id: "export", href: `api/${encodeURIComponent((source as ServedSource).trace)}/export`, download: "", title: "one page that opens offline" }, "Export")
      : null;
    const start = source.served && h("a", { class: "button", id: "start-page", href: startPage(), title: "all scenarios, and the recordings of the directory" }, "Start page");
    const back = overview.parent !== null && h("a", { class: "button", href: "?", title: overview.note }, "← the run as it was");
    return h(
      "header",
      { class: "top" },
      h("b", { class: "brand", title: `pystack ${overview.version}` }, "pystack"),
      h("h1", { class: "name", title: overview.story || overview.title }, this.nameText()),
      h(
        "span",
        { class: "group steps" },
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
        { class: "group runs" },
        this.button("◂ run", "run backwards to a breakpoint (R)", () => this.store.run(-1), "run-back"),
        this.button("run ▸", "run to a breakpoint (r)", () => this.store.run(1), "run"),
      ),
      this.slider,
      this.where,
      this.status,
      this.reading,
      back,
      start,
      this.layouts(),
      save,
      this.button("Link", "a link to this place", () => this.showLink(), "link"),
      this.button("Projector", "large type and high contrast", () => this.again(() => (this.look.projector = !this.look.projector)), "projector"),
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
      h("div", {}, title && h("h2", {}, title), question && h("p", {}, h("b", {}, question)), story && h("p", {}, ...withCode(story)), h("table", {}, ...rows), h("p", { class: "hint" }, licences)));
  }

  private toggleHelp(): void {
    this.help.hidden = !this.help.hidden;
  }

  private theme(): void {
    const dark = this.look.theme ? this.look.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    this.look.theme = dark ? "light" : "dark";
    applyLook(this.look);
    rememberLook(this.look);
    this.redraw();
  }

  /** Show a link to this place, and the command that leads here when this server has ended. */
  private showLink(): void {
    const { overview, position, view } = this.store;
    const what = overview.scenario || overview.name;
    const at = position < 0 ? "" : view.frame ? ` --at frame=${view.frame.number}` : ` --at event=${position + overview.firstEvent}`;
    const rows: [string, string][] = hasAddress() ? [["In this browser, while the server runs:", location.href]] : [];
    if (overview.parent === null) rows.push(["From a terminal:", `pystack step ${/^[\w./-]+$/.test(what) ? what : `'${what}'`} --web${at} --layout ${this.beginner ? "beginner" : "expert"}`]);
    const box = h("div", { class: "help", id: "link-box", role: "dialog", "aria-label": "a link to this place", onclick: (event: Event) => { if (event.target === box) box.remove(); } },
      h("div", {}, ...rows.map(([text, value]) => h("label", { class: "link-row" }, text, h("input", { readonly: true, value, onfocus: (event: Event) => (event.target as HTMLInputElement).select() }))),
        h("button", { onclick: () => box.remove() }, "Close")));
    this.root.append(box);
    box.querySelector("input")!.focus();
  }

  // -- moving

  private show(view: View): void {
    this.slider.value = String(view.index);
    this.where.textContent = `${seconds(view.time)} s`;
    this.say("");
    this.why.show(view);
    this.lesson?.show(view);
    this.key = this.tcb.follow(view);
    this.layout.show(view);
    this.remember();
  }

  /** Put position and panes into the address, so that a reload, or a copy of the address, shows the same. */
  private remember(): void {
    if (!this.ready) return;
    const panes = this.layout.places.map((place) => place.current.name).join(",");
    const zoomed = this.layout.zoomed();
    const layout = this.look.layout ? `&layout=${this.look.layout}` : "";
    const ladder = this.look.ladder ? `&ladder=${this.look.ladder}` : "";
    setPlace(`#event=${this.store.position}&panes=${panes}${zoomed ? `&zoom=${zoomed}` : ""}${layout}${ladder}`);
  }

  async start(): Promise<void> {
    const wanted = place();
    const event = (await this.placeIn(wanted)) ?? this.store.overview.begin ?? -1;
    this.openPanes(wanted);
    await this.store.goto(Number.isInteger(event) ? event : -1);
    this.ready = true;
    document.documentElement.dataset.ready = this.beginner ? "beginner" : "expert";
    this.remember();
    addEventListener("hashchange", () => void this.follow(), { signal: this.closing.signal });
  }

  private openPanes(wanted: URLSearchParams): void {
    for (const name of (wanted.get("panes") ?? "").split(",")) if (name) this.layout.open(name);
    const zoomed = this.layout.places.find((place) => place.name === wanted.get("zoom"));
    if (zoomed && zoomed.name !== this.layout.zoomed()) this.layout.zoom(zoomed);
  }

  /** Go where another address of this page leads, which the user pasted into the address bar. */
  private async follow(): Promise<void> {
    const wanted = place();
    const layout = wanted.get("layout");
    if ((layout === "beginner" || layout === "expert") && (layout === "beginner") !== this.beginner) return location.reload();
    this.openPanes(wanted);
    if (wanted.has("ladder") && (wanted.get("ladder") === "scale") !== this.toScale()) this.switchScale();
    const event = await this.placeIn(wanted);
    if (event !== null && event !== this.store.position) await this.store.goto(event);
  }

  /** Return the event that an address names: event=N, or frame=N. */
  private async placeIn(wanted: URLSearchParams): Promise<number | null> {
    const event = Number(wanted.get("event") ?? NaN);
    if (Number.isInteger(event)) return event;
    const frame = Number(wanted.get("frame") ?? NaN);
    return Number.isInteger(frame) && this.hasFrame(frame) ? (await this.store.frame(frame - 1 - this.store.overview.firstFrame)).event : null;
  }

  /** Go to a place, in the words of the terminal and of --at: "frame 12", "event=40", "time 0.25", and short "12", "e40", "250ms". */
  private async askWhere(): Promise<void> {
    const text = prompt("Go to: frame 12, event 40, time 0.25 (in seconds)")?.trim();
    if (!text) return;
    const { overview } = this.store;
    const [, kind, number, unit] = /^(?:(f|frame|e|event|t|time) *=? *)?(\d+(?:\.\d*)?|\.\d+) *(ns|us|ms|s)?$/.exec(text) ?? [];
    const what = kind?.[0] ?? (unit ? "t" : "f");
    const value = Number(number ?? NaN);
    const whole = Number.isInteger(value) && !unit;
    if (what === "e" && whole) await this.store.goto(value - overview.firstEvent);
    else if (what === "t") await this.store.goto(await this.store.eventAt(Math.round(value * { ns: 1, us: 1e3, ms: 1e6, s: 1e9 }[unit ?? "s"]!)));
    else if (what === "f" && whole && this.hasFrame(value)) await this.store.goto((await this.store.frame(value - 1 - overview.firstFrame)).event);
    else this.say(`${text}: write frame 12 (${overview.firstFrame + 1}-${overview.firstFrame + overview.frames}), event 40 or time 0.25 (in seconds)`, true);
  }

  private hasFrame(number: number): boolean {
    const { firstFrame, frames } = this.store.overview;
    return number > firstFrame && number <= firstFrame + frames;
  }

  private async press(event: KeyboardEvent): Promise<void> {
    const target = event.target as HTMLElement;
    if (event.key === "Escape") {
      this.help.hidden = true;
      document.getElementById("link-box")?.remove();
      target.blur();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || ["INPUT", "SELECT", "TEXTAREA"].includes(target.tagName) && target !== this.slider) return;
    if (event.key === " " && ["BUTTON", "A", "SUMMARY"].includes(target.tagName)) return;  // the browser presses it
    const action = this.action(event.key);
    if (!action) return;
    event.preventDefault();
    try {
      await action();
    } catch (error) {
      this.say((error as Error).message, true);
    }
  }

  /** Let the user type a breakpoint. The beginner's layout has no pane for them, so a key leads nowhere there. */
  private beginBreak(watch: boolean): void {
    if (this.beginner) this.say("breakpoints are in the expert's layout");
    else this.layout.open("breaks"), this.breaks.begin(watch);
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
      b: () => this.beginBreak(false),
      w: () => this.beginBreak(true),
      "/": () => (this.beginner ? (this.layout.open("search"), this.search.input.focus()) : (this.layout.open("events"), this.events.filter.focus())),
      g: () => this.askWhere(),
      s: () => this.layout.open("time"),
      S: () => (this.layout.open("search"), this.search.input.focus()),
      z: () => this.layout.zoom(),
      c: () => this.tcb.next(),
      m: () => this.switchScale(),
      d: () => this.theme(),
      "?": () => this.toggleHelp(),
    };
    if (this.lesson) others[" "] = () => this.lesson!.forward();
    return Object.hasOwn(others, key) ? others[key] : undefined;
  }
}

/** Wait until the server has something to show. Meanwhile show how much it has read. */
async function waitFor(root: HTMLElement): Promise<Progress> {
  const bar = h("progress", { "aria-label": "reading the file" }) as HTMLProgressElement;
  const text = h("span", {});
  for (let first = true; ; first = false) {
    const found = await progress();
    if (found.shown) return found;
    if (first) clear(root, h("p", { class: "loading" }, bar, " ", text));
    bar.value = found.done / found.size;
    text.textContent = `reading: ${Math.floor((found.done / found.size) * 100)} %`;
    await pause(100);
  }
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((done) => setTimeout(done, milliseconds));
}

function chosenLook(): Look {
  const look = remembered();
  // an exported page may name its layout
  const wanted = place().get("layout") ?? (look.layout ? undefined : document.getElementById("app")!.dataset.layout);
  if (wanted === "beginner" || wanted === "expert") look.layout = wanted;
  else if (!look.layout && !document.getElementById("data") && isScenarioPage()) look.layout = "beginner";
  const ladder = place().get("ladder");
  if (ladder === "rows" || ladder === "scale") look.ladder = ladder;
  return look;
}

async function main(): Promise<void> {
  const root = document.getElementById("app")!;
  const look = chosenLook();
  applyLook(look);
  try {
    const data = document.getElementById("data");
    if (!data && location.pathname === startPage()) {
      await showStart(root, look);
      return;
    }
    let state = data ? null : await waitFor(root);
    const trace = new URLSearchParams(location.search).get("trace") ?? "0";
    const source: Source = data ? new EmbeddedSource(await embeddedData(data)) : new ServedSource(trace);
    let app: App | null = null;
    const open = async () => {
      const overview = await source.overview();
      document.title = `${overview.name} - pystack stepper`;
      app?.close();
      app = new App(source, overview, root, look, again, app);
      // for tests and for the browser's console
      (window as any).stepper = { store: app.store, source };
      await app.start();
    };
    const again: Again = (change) => {
      change?.();
      applyLook(look);
      rememberLook(look);
      const wanted = place();
      if (look.layout) wanted.set("layout", look.layout);
      if (look.ladder) wanted.set("ladder", look.ladder);
      wanted.delete("panes");
      wanted.delete("zoom");
      setPlace(`#${wanted}`);
      void open();
    };
    await open();
    // the page shows the beginning of a large file until all of it is read
    while (state && !state.ready) {
      (app as App | null)?.showReading(state.done, state.size);
      await pause(500);
      state = await progress();
      if (state.ready) await open();
    }
  } catch (error) {
    clear(root, h("p", { class: "failed", role: "alert" }, `The stepper could not start: ${(error as Error).message}`));
    throw error;
  }
}

// in the exported page the script precedes the body
if (document.readyState === "loading") addEventListener("DOMContentLoaded", () => void main());
else void main();
