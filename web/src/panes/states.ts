// The state diagram of RFC 9293 (figure 5). The edges that the stack has besides are dashed.
import { clear, h, svg } from "../dom";
import type { View } from "../store";
import type { Context, Pane } from "./pane";

const WIDTH = 520;
const HEIGHT = 306;
const BOX_W = 86;
const BOX_H = 22;

/** The places of the states in the figure. CLOSED is there twice, as the beginning and as the end. */
export const PLACES: Record<string, [number, number]> = {
  CLOSED: [260, 14],
  LISTEN: [260, 62],
  "SYN-RECEIVED": [96, 102],
  "SYN-SENT": [424, 102],
  ESTABLISHED: [260, 146],
  "FIN-WAIT-1": [96, 190],
  "CLOSE-WAIT": [424, 190],
  "FIN-WAIT-2": [96, 240],
  CLOSING: [260, 226],
  "LAST-ACK": [424, 240],
  "TIME-WAIT": [240, 288],
  END: [424, 288],
};
/** From these states, nothing was open yet, so an edge into CLOSED leads to the one at the top, not to the end. */
const EARLY = new Set(["LISTEN", "SYN-SENT"]);

/** Return the point where a line between the centres of two boxes leaves the first. */
function border(from: [number, number], to: [number, number]): [number, number] {
  const dx = to[0] - from[0];
  const dy = to[1] - from[1];
  const scale = Math.min(BOX_W / 2 / Math.abs(dx || 1e-9), BOX_H / 2 / Math.abs(dy || 1e-9));
  return [from[0] + dx * scale, from[1] + dy * scale];
}

export class StatesPane implements Pane {
  readonly name = "states";
  readonly title = "States";
  readonly element: HTMLElement;
  private readonly picture: SVGElement;
  private readonly caption = h("div", { class: "caption", id: "state-caption" });
  private readonly edges = new Map<string, SVGElement>();
  private readonly boxes = new Map<string, SVGElement[]>();
  private readonly causes = new Map<string, string>();

  constructor(private readonly context: Context) {
    this.picture = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "states", role: "img", "aria-label": "the state diagram of TCP" });
    for (const [from, to, cause, known] of context.store.overview.transitions) this.addEdge(from, to, cause, known);
    for (const [name, place] of Object.entries(PLACES)) this.addBox(name === "END" ? "CLOSED" : name, place);
    this.element = h("div", { class: "pane-body column" }, h("div", { class: "states-box" }, this.picture), this.caption);
  }

  private addEdge(from: string, to: string, cause: string, known: boolean): void {
    const start = PLACES[from];
    const end = to === "CLOSED" && !EARLY.has(from) ? PLACES.END : PLACES[to];
    if (!start || !end) return;
    const [x0, y0] = border(start, end);
    const [x1, y1] = border(end, start);
    // two edges between the same states bend away from each other
    const back = this.context.store.overview.transitions.some(([a, b]) => a === to && b === from);
    const length = Math.hypot(x1 - x0, y1 - y0) || 1;
    const bend = back ? 16 : known ? 0 : 14;
    const cx = (x0 + x1) / 2 - ((y1 - y0) / length) * bend;
    const cy = (y0 + y1) / 2 + ((x1 - x0) / length) * bend;
    const angle = (Math.atan2(y1 - cy, x1 - cx) * 180) / Math.PI;
    const group = svg(
      "g",
      { class: `edge ${known ? "main" : "side"}`, "data-edge": `${from}>${to}` },
      svg("path", { class: "wire", d: `M${x0} ${y0}Q${cx} ${cy} ${x1} ${y1}` }),
      svg("path", { class: "tip", d: "M0 0L-7-3.2L-7 3.2Z", transform: `translate(${x1} ${y1}) rotate(${angle})` }),
      svg("title", {}, `${from} → ${to}: ${cause}${known ? "" : " (not in the figure)"}`),
    );
    this.edges.set(`${from}>${to}`, group);
    this.causes.set(`${from}>${to}`, known ? cause : `${cause} (not in the figure)`);
    this.picture.append(group);
  }

  private addBox(name: string, [x, y]: [number, number]): void {
    const box = svg(
      "g",
      { class: "state", "data-state": name, transform: `translate(${x - BOX_W / 2} ${y - BOX_H / 2})` },
      svg("rect", { width: BOX_W, height: BOX_H, rx: 5 }),
      svg("text", { x: BOX_W / 2, y: BOX_H / 2 + 3.6 }, name),
      svg("text", { x: BOX_W / 2, y: -3, class: "who" }),
    );
    this.boxes.set(name, [...(this.boxes.get(name) ?? []), box]);
    this.picture.append(box);
  }

  show(view: View): void {
    const key = this.context.connection();
    const changes = this.changesOf(key, view.index);
    for (const [edge, group] of this.edges) {
      group.classList.toggle("taken", changes.some(([, from, to]) => edge === `${from}>${to}`));
      group.classList.remove("lit", "now");
    }
    const last = changes[changes.length - 1];
    if (last) {
      const group = this.edges.get(`${last[1]}>${last[2]}`);
      group?.classList.add("lit");
      if (last[0] === view.index) group?.classList.add("now");
      if (group) this.picture.insertBefore(group, this.boxes.get("CLOSED")![0]);
    }
    this.showHosts(view, key);
    clear(this.caption, ...this.captionOf(view, key, last));
  }

  /** Return the changes of one connection up to an event: event, from, to. */
  private changesOf(key: string, upto: number): [number, string, string][] {
    const { connections, stateChanges } = this.context.store.overview;
    const number = connections.indexOf(key);
    const found: [number, string, string][] = [];
    for (const [event, connection, from, to] of stateChanges) {
      if (event > upto) break;
      if (connection === number) found.push([event, from, to]);
    }
    return found;
  }

  private showHosts(view: View, key: string): void {
    for (const boxes of this.boxes.values()) {
      for (const box of boxes) {
        box.classList.remove("here", "there");
        box.querySelector(".who")!.textContent = "";
      }
    }
    const changes = this.changesOf(key, view.index);
    const own = view.state[key]?.state ?? changes[changes.length - 1]?.[2];
    const ended = !view.state[key] && changes.length > 0;
    for (const [other, fields] of Object.entries(view.state)) {
      if (other === key) continue;
      if (isPeer(other, key)) this.put(fields.state, other.split(" ")[0], "there", false);
      else if (fields.state === "LISTEN") this.put("LISTEN", other.split(" ")[0], "there", false);
    }
    if (own) this.put(own, key.split(" ")[0], "here", ended);
  }

  private put(state: string, host: string, className: string, ended: boolean): void {
    const boxes = this.boxes.get(state);
    const box = boxes?.[ended ? boxes.length - 1 : 0];
    if (!box) return;
    box.classList.add(className);
    const who = box.querySelector(".who")!;
    who.textContent = who.textContent ? `${host}, ${who.textContent}` : host;
  }

  private captionOf(view: View, key: string, last: [number, string, string] | undefined): (Node | string)[] {
    if (!key) return ["no connection yet"];
    if (!last) return [`${key}: ${view.state[key]?.state ?? "no change of state yet"}`];
    const [event, from, to] = last;
    const when = event === view.index ? "now" : `event ${event + this.context.store.overview.firstEvent}`;
    const jump = h("a", { href: "#", onclick: (click: Event) => { click.preventDefault(); void this.context.store.goto(event); } }, when);
    return [h("b", {}, `${key.split(" ")[0]}: ${from} → ${to}`), " (", jump, ") ", this.causes.get(`${from}>${to}`) ?? "not in the table"];
  }
}

function isPeer(other: string, key: string): boolean {
  const match = key.match(/ tcp ([^ ]+?)-([^ ]+)/);
  return match !== null && other.includes(` tcp ${match[2]}-${match[1]}`);
}
