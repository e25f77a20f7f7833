// The ladder diagram, with one row for each departure or arrival, or to scale. Only the visible rows are drawn. All words
// are in a column beside the lines, so that no arrow crosses them.
import { clear, h, svg, VirtualList } from "../dom";
import { duration, seconds, shortSeconds } from "../format";
import type { View } from "../store";
import { FATES, type Frame, type Ladder } from "../types";
import type { Context, Pane } from "./pane";
import { ROW, roundTime, toScale, ZOOMS, type Scale } from "./scale";

const TIMES = 60;
/** Room beside the first and the last line: half of a host's name. */
const SIDE = 26;
/** The share of the width that the lines may have, and the width between two of them. */
const SHARE = 0.5;
const BETWEEN = 150;
/** The usual width of a letter of the words, and of one in bold type. */
const LETTER = 5.7;
const BOLD = 6.5;
/** More rows than this for the hosts' names would leave too little room for the ladder. */
const MOST_NAME_ROWS = 8;
/** Arrows across more rows than this are not searched for. */
const LONGEST = 4000;
/** The usual length of the bar that shows the scale. */
const BAR = 60;

export class LadderPane implements Pane {
  readonly name = "ladder";
  readonly title = "Ladder";
  readonly element: HTMLElement;
  private readonly list: VirtualList;
  private readonly head: HTMLElement;
  private readonly names = h("div", {});
  private readonly tools = h("div", { class: "ladder-tools" });
  private readonly ladder: Ladder;
  private scale: Scale | null = null;
  private zoom = 0;
  private view: View | null = null;
  private drawing = 0;

  constructor(private readonly context: Context) {
    this.ladder = context.store.overview.ladder;
    this.list = new VirtualList(ROW, (first, last, into) => void this.draw(first, last, into), "ladder");
    this.head = h("div", { class: "ladder-head" }, this.names, this.tools);
    this.element = h("div", { class: "pane-body column" }, this.head, this.list.element);
    this.place();
  }

  /** Place the rows to scale, or one below the other, as the context says. The cursor stays in view. */
  place(): void {
    const { times } = this.ladder;
    this.scale = this.context.toScale() && times.length ? toScale(this.ladder, this.notedRows(), this.zoom) : null;
    if (this.scale) this.list.setTops(this.scale.tops);
    else this.list.setCount(times.length + 1);
    this.drawTools();
    if (this.view) this.list.centre(this.rowOf(this.view.index));
  }

  private changeZoom(by: number): void {
    this.zoom = Math.max(-ZOOMS, Math.min(ZOOMS, this.zoom + by));
    this.place();
  }

  /** Draw the switch, and to scale also how long a time is, and two buttons that change it. */
  private drawTools(): void {
    const on = this.scale !== null;
    const parts: Element[] = [];
    if (this.scale) {
      const time = roundTime(this.scale.pixels, BAR);
      const width = time * this.scale.pixels;
      const bar = svg("svg", { width: width + 2, height: 9, class: "scale-bar" }, svg("path", { d: `M1 0V9M${width + 1} 0V9M1 4.5H${width + 1}` }));
      const button = (text: string, label: string, by: number) =>
        h("button", { class: "small", "data-zoom": by, title: label, "aria-label": label, disabled: Math.abs(this.zoom + by) > ZOOMS, onclick: () => this.changeZoom(by) }, text);
      parts.push(h("span", { class: "scale-length", title: "so long is this time, from top to bottom" }, bar, ` ${duration(time)}`));
      parts.push(button("−", "show more time", -1), button("+", "show time larger", 1));
    }
    const title = on ? "one row for each event (m)" : "rows as far apart as their times (m)";
    parts.push(h("button", { class: "small", id: "to-scale", title, "aria-pressed": String(on), onclick: () => this.context.switchScale() }, "To scale"));
    // the buttons are new, and the keyboard stays at the one that was pressed
    const name = (button: Element | null) => button?.id || button?.getAttribute("data-zoom");
    const pressed = this.tools.contains(document.activeElement) ? name(document.activeElement) : null;
    clear(this.tools, ...parts);
    if (pressed) (parts.find((part) => name(part) === pressed) as HTMLElement | undefined)?.focus();
  }

  /** Return the rows of states, timers and calls. */
  private notedRows(): Set<number> {
    return new Set(this.ladder.marks.map(([event]) => this.rowOf(event)));
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
    const places = this.wordsPlaces(first, last);
    const frames = new Map<number, Frame>();
    for (const i of chosen) {
      if (!places.has(this.ladder.departs[i])) continue;
      const frame = await this.context.store.frame(i);
      frames.set(i, frame);
      if (ticket !== this.drawing) return;
    }
    this.drawHead();
    const top = this.list.top(first);
    const height = this.list.top(last) - top;
    const width = this.width();
    const picture = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, class: "ladder-rows" });
    const y = (row: number) => this.list.top(row) - top + ROW * 0.62;
    for (let line = 0; line < this.ladder.lines.length; line++) {
      picture.append(svg("line", { class: "lifeline", x1: this.x(line), x2: this.x(line), y1: 0, y2: height }));
    }
    if (this.scale) this.drawBreaks(picture, first, last, y);
    this.drawTimes(picture, first, last, y);
    // the cursor's frame is above the others
    const here = this.view?.frame?.index;
    for (const i of chosen) if (i !== here) this.drawArrow(picture, i, y);
    if (here !== undefined && chosen.includes(here)) this.drawArrow(picture, here, y);
    this.drawWords(picture, this.textsOf(first, last, frames), places, y);
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
    clear(this.names, head);
    // the switch has a line of its own if there is no room beside the last name
    const end = this.x(lines.length - 1) + (Math.min(lines[lines.length - 1].length, lines.length > 2 ? 12 : 99) * 7.5) / 2;
    this.head.classList.toggle("apart", end + this.tools.offsetWidth > width);
  }

  private drawTimes(picture: SVGElement, first: number, last: number, y: (row: number) => number): void {
    const { times, gaps } = this.ladder;
    for (let row = first; row < Math.min(last, times.length); row++) {
      // an unusually long wait before this row
      if (gaps[row] && !this.scale) {
        const middle = y(row) - ROW * 0.55;
        picture.append(svg("line", { class: "gap", x1: 4, x2: this.x(this.ladder.lines.length - 1), y1: middle, y2: middle }, svg("title", {}, `${seconds(gaps[row])} s later`)));
      }
      if (this.scale ? !this.scale.timed[row] : row > first && times[row] === times[row - 1]) continue;
      picture.append(svg("text", { x: TIMES - 4, y: y(row) + 3.5, class: "row-time" }, shortSeconds(times[row])));
    }
  }

  /** Draw the waits that are too long to be to scale: the hosts' lines are interrupted, and words say how long it was. */
  private drawBreaks(picture: SVGElement, first: number, last: number, y: (row: number) => number): void {
    const { times, lines } = this.ladder;
    for (let row = Math.max(first, 1); row < Math.min(last, times.length); row++) {
      if (!this.scale!.broken[row]) continue;
      const [y1, y2] = [y(row - 1) + 8, y(row) - 8];
      for (let line = 0; line < lines.length; line++) {
        picture.append(svg("line", { class: "cut", x1: this.x(line), x2: this.x(line), y1, y2 }));
        for (const end of [y1, y2]) picture.append(svg("line", { class: "cut-end", x1: this.x(line) - 5, x2: this.x(line) + 5, y1: end + 2, y2: end - 2 }));
      }
      picture.append(svg("text", { class: "broken", x: this.words(), y: (y1 + y2) / 2 + 3.5 }, `${duration(times[row] - times[row - 1])} later (not to scale)`));
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
    // to scale, a lost frame gets half of the way in half of the usual time
    const y1 = gone ? y0 + (this.scale ? this.scale.flight / 2 : ROW * 0.5) : y(arrives[i]);
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

  /** Return the rows whose words are shown, each with the row of their place and how many others are left out there. */
  private wordsPlaces(first: number, last: number): Map<number, [place: number, more: number]> {
    const places = new Map<number, [number, number]>();
    const { scale, view } = this;
    const near = (one: number, two: number) => Math.abs(this.list.top(one) - this.list.top(two)) < ROW * 0.62;
    // the words of the cursor's frame are always there, and those of its row if there is room beside them
    const kept = scale && view ? [view.frame ? this.ladder.departs[view.frame.index] : this.rowOf(view.index)] : [];
    if (kept.length && !near(kept[0], this.rowOf(view!.index))) kept.push(this.rowOf(view!.index));
    for (let row = first; row < last; row++) {
      if (!scale) places.set(row, [row, 0]);
      else if (scale.said[row] >= 0 && !kept.includes(scale.said[row])) places.set(scale.said[row], [row, scale.more[row]]);
    }
    for (const row of kept) {
      if (row < first || row >= last) continue;
      for (const [other, [at]] of places) if (!kept.includes(other) && near(at, row)) places.delete(other);
      places.set(row, [row, 0]);
    }
    return places;
  }

  /** Return the words of each row: the frame that leaves, and the states, timers and calls of that moment. */
  private textsOf(first: number, last: number, frames: Map<number, Frame>): Map<number, SVGElement[]> {
    const rows = new Map<number, SVGElement[]>();
    for (const [i, frame] of frames) rows.set(this.ladder.departs[i], [this.label(i, frame)]);
    for (const [row, mark] of this.marksOf(first, last)) rows.set(row, [...(rows.get(row) ?? []), mark]);
    return rows;
  }

  private drawWords(picture: SVGElement, rows: Map<number, SVGElement[]>, places: Map<number, [number, number]>, y: (row: number) => number): void {
    const x = this.words();
    for (const [row, parts] of rows) {
      const [place, more] = places.get(row) ?? [-1, 0];
      if (place < 0) continue;
      const others = more ? ` (+${more})` : "";
      const text = svg("text", { x, y: y(place) + 3.5, class: "words" });
      let left = Math.floor((this.width() - x - 4) / LETTER) - others.length;
      for (const part of parts) {
        // a browser adds the letters of a text and of its title, so the title is put in afterwards
        const words = part.firstChild!.textContent!;
        if (left < 6) break;
        const fits = part.classList.contains("current") ? Math.floor((left * LETTER) / BOLD) : left;
        if (words.length > fits) part.firstChild!.textContent = `${words.slice(0, fits - 1)}…`;
        if (text.childNodes.length) text.append(" · ");
        text.append(part);
        left -= words.length + 3;
      }
      if (others) text.append(svg("tspan", { class: "others" }, others, svg("title", {}, `${more} more rows are so near that their words have no room; + shows time larger`)));
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
