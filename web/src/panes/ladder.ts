// The ladder diagram, with one row for each departure or arrival. Only the visible rows are drawn. All words are in a
// column beside the lines, so that no arrow crosses them.
import { clear, svg, VirtualList } from "../dom";
import { seconds } from "../format";
import type { View } from "../store";
import { FATES, type Frame, type Ladder } from "../types";
import type { Context, Pane } from "./pane";

const ROW = 21;
const TIMES = 60;
/** Room beside the first and the last line: half of a host's name. */
const SIDE = 26;
/** The share of the width that the lines may have, and the width between two of them. */
const SHARE = 0.5;
const BETWEEN = 150;
/** The usual width of a letter of the words. */
const LETTER = 5.7;
/** More rows than this for the hosts' names would leave too little room for the ladder. */
const MOST_NAME_ROWS = 8;
/** Arrows across more rows than this are not searched for. */
const LONGEST = 4000;

export class LadderPane implements Pane {
  readonly name = "ladder";
  readonly title = "Ladder";
  readonly element: HTMLElement;
  private readonly list: VirtualList;
  private readonly head: HTMLElement;
  private readonly ladder: Ladder;
  private view: View | null = null;
  private drawing = 0;

  constructor(private readonly context: Context) {
    this.ladder = context.store.overview.ladder;
    this.list = new VirtualList(ROW, (first, last, into) => void this.draw(first, last, into), "ladder");
    this.list.setCount(this.ladder.times.length + 1);
    this.head = document.createElement("div");
    this.head.className = "ladder-head";
    this.element = document.createElement("div");
    this.element.className = "pane-body column";
    this.element.append(this.head, this.list.element);
  }

  show(view: View): void {
    this.view = view;
    this.list.show(this.rowOf(view.index));
  }

  /** Return the row at or before an event. */
  private rowOf(event: number): number {
    const events = this.ladder.events;
    let low = 0;
    let high = events.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (events[middle] <= event) low = middle + 1;
      else high = middle;
    }
    return Math.max(0, low - 1);
  }

  private width(): number {
    return Math.max(300, this.list.element.clientWidth);
  }

  private x(line: number): number {
    const last = Math.max(1, this.ladder.lines.length - 1);
    const width = Math.min(last * BETWEEN, this.width() * SHARE - TIMES - SIDE);
    return TIMES + SIDE + (width * line) / last;
  }

  /** Return the place at which the column of words begins. */
  private words(): number {
    return this.x(Math.max(1, this.ladder.lines.length - 1)) + SIDE;
  }

  /** Return the frames that are at least partly between two rows. */
  private inSight(first: number, last: number): number[] {
    const { departs, arrives } = this.ladder;
    const found: number[] = [];
    let low = 0;
    let high = departs.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (departs[middle] < first) low = middle + 1;
      else high = middle;
    }
    for (let i = Math.max(0, low - LONGEST); i < departs.length && departs[i] <= last; i++) {
      if (departs[i] >= first || arrives[i] >= first) found.push(i);
    }
    return found;
  }

  private async draw(first: number, last: number, into: HTMLElement): Promise<void> {
    const ticket = ++this.drawing;
    const chosen = this.inSight(first, last);
    const labelled = chosen.filter((i) => this.ladder.departs[i] >= first);
    const frames = new Map<number, Frame>();
    for (const i of labelled) {
      const frame = await this.context.store.frame(i);
      frames.set(i, frame);
      if (ticket !== this.drawing) return;
    }
    this.drawHead();
    const height = (last - first) * ROW;
    const width = this.width();
    const picture = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, class: "ladder-rows" });
    const y = (row: number) => (row - first) * ROW + ROW * 0.62;
    for (let line = 0; line < this.ladder.lines.length; line++) {
      picture.append(svg("line", { class: "lifeline", x1: this.x(line), x2: this.x(line), y1: 0, y2: height }));
    }
    this.drawTimes(picture, first, last, y);
    for (const i of chosen) this.drawArrow(picture, i, y);
    this.drawWords(picture, first, last, frames, y);
    this.drawHere(picture, y);
    clear(into, picture);
  }

  private drawHead(): void {
    const width = this.width();
    const { lines } = this.ladder;
    const between = this.x(1) - this.x(0);
    // names that would overlap are written by turns in as many rows as they need
    const widest = Math.max(...lines.map((name) => name.length)) * 7.5;
    const rows = lines.length > 2 ? Math.min(MOST_NAME_ROWS, lines.length, Math.ceil((widest + 6) / between)) : 1;
    const head = svg("svg", { width, height: rows > 1 ? 3 + 15 * rows : 20 });
    lines.forEach((name, line) => {
      const room = Math.max(3, Math.floor((rows * between) / 7.5));
      const shown = lines.length > 2 && name.length > room ? `${name.slice(0, room - 1)}…` : name;
      head.append(svg("text", { x: this.x(line), y: rows > 1 ? 13 + 15 * (line % rows) : 15, class: "line-name" }, shown, svg("title", {}, name)));
    });
    clear(this.head, head);
  }

  private drawTimes(picture: SVGElement, first: number, last: number, y: (row: number) => number): void {
    const { times, gaps } = this.ladder;
    for (let row = first; row < Math.min(last, times.length); row++) {
      // an unusually long wait before this row
      if (gaps[row]) {
        const middle = y(row) - ROW * 0.55;
        picture.append(svg("line", { class: "gap", x1: 4, x2: this.x(this.ladder.lines.length - 1), y1: middle, y2: middle }, svg("title", {}, `${seconds(gaps[row])} s later`)));
      }
      if (row > first && times[row] === times[row - 1]) continue;
      picture.append(svg("text", { x: TIMES - 4, y: y(row) + 3.5, class: "row-time" }, seconds(times[row])));
    }
  }

  private drawArrow(picture: SVGElement, i: number, y: (row: number) => number): void {
    const { departs, arrives, sender, receiver, fates, flows } = this.ladder;
    const fate = FATES[fates[i] & 3];
    const again = fates[i] >= 4;
    const x0 = this.x(sender[i]);
    const target = this.x(receiver[i]);
    const gone = arrives[i] < 0;
    const x1 = gone && fate === "lost" ? (x0 + target) / 2 : target;
    const y0 = y(departs[i]);
    const y1 = gone ? y0 + ROW * 0.5 : y(arrives[i]);
    const current = this.view?.frame?.index === i;
    const group = svg("g", {
      class: `arrow flow-${flows[i] < 0 ? "none" : flows[i] % 5} fate-${fate}${again ? " again" : ""}${current ? " current" : ""}`,
      "data-frame": i + 1 + this.context.store.overview.firstFrame,
      onclick: () => void this.open(i),
    });
    // a wider line, which is easier to click
    group.append(svg("line", { class: "hit", x1: x0, y1: y0, x2: x1, y2: y1 }));
    group.append(svg("line", { x1: x0, y1: y0, x2: x1, y2: y1 }));
    const angle = (Math.atan2(y1 - y0, x1 - x0) * 180) / Math.PI;
    if (gone && fate === "lost") {
      group.append(svg("path", { class: "cross", d: "M-5-5L5 5M-5 5L5-5", transform: `translate(${x1} ${y1})` }));
    } else {
      group.append(svg("path", { class: "tip", d: "M0 0L-8-3.5L-8 3.5Z", transform: `translate(${x1} ${y1}) rotate(${angle})` }));
    }
    if (fate === "dropped") {
      group.append(svg("rect", { class: "refused", x: x1 - 4, y: y1 - 4, width: 8, height: 8 }));
    }
    picture.append(group);
  }

  /** Draw the words of each row: the frame that leaves, and the states, timers and calls of that moment. */
  private drawWords(picture: SVGElement, first: number, last: number, frames: Map<number, Frame>, y: (row: number) => number): void {
    const x = this.words();
    const room = Math.floor((this.width() - x - 4) / LETTER);
    const rows = new Map<number, SVGElement[]>();
    for (const [i, frame] of frames) rows.set(this.ladder.departs[i], [this.label(i, frame)]);
    for (const [row, mark] of this.marksOf(first, last)) rows.set(row, [...(rows.get(row) ?? []), mark]);
    for (const [row, parts] of rows) {
      const text = svg("text", { x, y: y(row) + 3.5, class: "words" });
      let left = room;
      for (const part of parts) {
        // a browser adds the letters of a text and of its title, so the title is put in afterwards
        const words = part.firstChild!.textContent!;
        if (left < 6) break;
        if (words.length > left) part.firstChild!.textContent = `${words.slice(0, left - 1)}…`;
        if (text.childNodes.length) text.append(" · ");
        text.append(part);
        left -= words.length + 3;
      }
      picture.append(text);
    }
  }

  private label(i: number, frame: Frame): SVGElement {
    const fate = FATES[this.ladder.fates[i] & 3];
    const current = this.view?.frame?.index === i ? " current" : "";
    return svg(
      "tspan",
      { class: `label fate-${fate}${current}`, onclick: () => void this.open(i) },
      `${frame.number}  ${frame.label}`,
      svg("title", {}, [frame.summary, ...frame.reasons, ...frame.drops].join("\n")),
    );
  }

  /** Return the states, timers and calls of the visible rows, each with its row. */
  private marksOf(first: number, last: number): [number, SVGElement][] {
    const { marks, events, lines } = this.ladder;
    let low = 0;
    let high = marks.length;
    const begin = first > 0 ? events[first] : -1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (marks[middle][0] < begin) low = middle + 1;
      else high = middle;
    }
    const found: [number, SVGElement][] = [];
    for (let i = low; i < marks.length; i++) {
      const [event, line, kind, text] = marks[i];
      const row = this.rowOf(event);
      if (row > last) break;
      const words = `${lines[line]}: ${text}`;
      const go = () => void this.context.store.goto(event);
      found.push([row, svg("tspan", { class: `mark ${kind}`, onclick: go }, words, svg("title", {}, `event ${event + this.context.store.overview.firstEvent}: ${words}`))]);
    }
    return found;
  }

  private drawHere(picture: SVGElement, y: (row: number) => number): void {
    const entry = this.view?.entry;
    if (!entry) return;
    const line = this.ladder.lines.indexOf(entry.host);
    if (line < 0) return;
    picture.append(svg("circle", { class: "marker", cx: this.x(line), cy: y(this.rowOf(entry.index)), r: 5 }));
  }

  private async open(index: number): Promise<void> {
    const frame = await this.context.store.frame(index);
    await this.context.store.goto(frame.event);
  }
}
