// The data of an exported page. It is in the page, compressed, and the page sends no request.
import { Expression, Kind, truth } from "./expr";
import { Scope, type Whole } from "./scope";
import { valueText } from "./format";
import type { Source } from "./source";
import { apply } from "./store";
import type {
  Breakpoint, Conversation, Entry, EventChunk, FilterResult, Frame, Overview, Plots, RequestTime, RunResult, SearchHit, SearchResult, State, Stream, TreeNode, Unit,
} from "./types";

interface Bundle {
  overview: Overview;
  events: EventChunk[];
  frames: Frame[][];
  plots: Record<string, Plots>;
  /** Connection ("" for the first one) -> its request, or why there is none. */
  time: Record<string, RequestTime | { error: string }>;
  talks: Conversation[];
  streams: Stream[];
  why: string[];
  /** Unit -> the position that a step forwards, and backwards, leads to from each event (the first is for -1). */
  steps: Record<string, [number[], number[]]>;
}

/** Unpack the element that holds the data. */
export async function embeddedData(element: Element): Promise<Bundle> {
  const packed = Uint8Array.from(atob(element.textContent!.trim()), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

export class EmbeddedSource implements Source, Whole {
  readonly served = false;
  readonly start: number;
  private readonly states = new Map<number, State[]>();

  constructor(private readonly bundle: Bundle) {
    this.start = bundle.overview.start;
  }

  async overview(): Promise<Overview> {
    return this.bundle.overview;
  }
  async events(chunk: number): Promise<EventChunk> {
    return this.bundle.events[chunk];
  }
  async frames(chunk: number): Promise<Frame[]> {
    return this.bundle.frames[chunk];
  }
  async plots(key: string): Promise<Plots> {
    const found = this.bundle.plots[key];
    if (!found) throw new Error(`this page has no plots of ${key}`);
    return found;
  }
  async time(connection: string): Promise<RequestTime> {
    const found = this.bundle.time[connection];
    if (!found) throw new Error(`this page has no times of ${connection}`);
    if ("error" in found) throw new Error(found.error);
    return found;
  }
  async why(index: number): Promise<string> {
    return this.bundle.why[index] ?? "";
  }
  async step(from: number, unit: Unit, count: number): Promise<number> {
    let position = from;
    for (let i = 0; i < Math.abs(count); i++) position = this.bundle.steps[unit][count > 0 ? 0 : 1][position + 1];
    return position;
  }

  // -- everything: for expressions

  entry(index: number): Entry {
    const size = this.bundle.overview.eventChunk;
    return this.bundle.events[Math.floor(index / size)].events[index % size];
  }
  frame(index: number): Frame {
    const size = this.bundle.overview.frameChunk;
    return this.bundle.frames[Math.floor(index / size)][index % size];
  }
  state(index: number): State {
    if (index < 0) return {};
    const size = this.bundle.overview.eventChunk;
    const number = Math.floor(index / size);
    let states = this.states.get(number);
    if (!states) {
      const chunk = this.bundle.events[number];
      let state: State = chunk.base;
      states = chunk.changes.map((changes) => (state = changes ? apply(state, changes) : state));
      if (this.states.size > 8) this.states.clear();
      this.states.set(number, states);
    }
    return states[index % size];
  }

  private compile(text: string): Expression {
    const { hosts, fields } = this.bundle.overview;
    return new Expression(text, hosts, fields);
  }

  async evaluate(text: string, at: number): Promise<any> {
    const value = shown(this.compile(text).quiet(new Scope(this, at)));
    // an event or a frame is not a value that can be shown
    const whole = value && typeof value === "object" && ("hex" in value || "subject" in value);
    return whole ? null : value;
  }

  /** Follows the same rules as Cursor.run in pystack/stepper/cursor.py. */
  async run(from: number, direction: number, breakpoints: Breakpoint[]): Promise<RunResult> {
    const chosen = breakpoints.map((one) => this.compile(one.text));
    const value = (one: Expression, index: number) => (index < 0 ? null : one.quiet(new Scope(this, index)));
    const before = chosen.map((one) => value(one, from));
    const total = this.bundle.overview.events;
    for (let index = from + direction; index >= 0 && index < total; index += direction) {
      let result: RunResult | null = null;
      chosen.forEach((one, i) => {
        const watch = breakpoints[i].watch;
        const now = value(one, index);
        const old = before[i];
        const hit = watch
          ? now !== null && old !== null && JSON.stringify(now) !== JSON.stringify(old)
          : truth(now) && (one.momentary || !truth(old));
        if (hit && !result) {
          const text = watch ? `: ${valueText(old)} -> ${valueText(now)}` : "";
          result = { position: index, hit: i, text };
        }
        if (now !== null || !watch) before[i] = now;
      });
      if (result) return result;
      // keep the page responsive during a long run
      if (index % 20000 === 0) await new Promise((done) => setTimeout(done));
    }
    return { position: direction > 0 ? total - 1 : -1, hit: -1, text: "" };
  }

  async filter(text: string, from: number, most: number): Promise<FilterResult> {
    const matches: number[] = [];
    const total = this.bundle.overview.events;
    const test = isWords(text) ? this.words(text) : this.condition(text);
    let index = from;
    for (; index < total && matches.length < most; index++) if (test(index)) matches.push(index);
    return { matches, next: index < total ? index : -1 };
  }

  private words(text: string): (index: number) => boolean {
    const wanted = text.toLowerCase().split(/\s+/).filter(Boolean);
    return (index) => {
      const { host, kind, subject, text: words, rfc } = this.entry(index);
      const line = `${host} ${kind} ${subject} ${words} ${rfc}`.toLowerCase();
      return wanted.every((word) => line.includes(word));
    };
  }

  async changed(at: number, key: string, field: string): Promise<number> {
    const size = this.bundle.overview.eventChunk;
    for (let index = at - 1; index >= 0; index--) {
      const fields = this.bundle.events[Math.floor(index / size)].changes[index % size]?.[key];
      if (fields && field in fields) return index;
    }
    return -1;
  }

  async conversations(): Promise<Conversation[]> {
    return this.bundle.talks;
  }
  async stream(number: number): Promise<Stream> {
    const found = this.bundle.streams[number];
    if (!found) throw new Error("this page does not have what was said in this conversation");
    return found;
  }

  /** Follows pystack/stepper/search.py. */
  async search(text: string, from: number): Promise<SearchResult> {
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    const hits: SearchHit[] = [];
    const total = this.bundle.overview.events;
    for (let index = from; index < total; index++) {
      if (hits.length >= 200 || (index > from && index % 2000 === 0)) {
        await new Promise((done) => setTimeout(done));  // keep the page responsive
        return { hits, next: index };
      }
      const hit = this.look(index, words);
      if (hit) hits.push(hit);
    }
    return { hits, next: -1 };
  }

  private look(index: number, words: string[]): SearchHit | null {
    const has = (line: string) => words.every((word) => line.toLowerCase().includes(word));
    const { host, kind, subject, text, rfc, reason, frame } = this.entry(index);
    const line = `${host} ${kind} ${subject} ${text} ${reason} ${rfc}`;
    if (has(line)) return [index, "event", `${host} ${kind} ${subject} ${text} ${rfc}`];
    const size = this.bundle.overview.eventChunk;
    for (const [key, fields] of Object.entries(this.bundle.events[Math.floor(index / size)].changes[index % size] ?? {})) {
      for (const [name, value] of Object.entries(fields ?? {})) {
        const shown = valueText(value);
        if (has(`${key} ${name} ${shown} ${name}=${shown}`)) return [index, "value", `${key}: ${name} = ${shown}`];
      }
    }
    if (frame < 0 || this.frame(frame).event !== index) return null;
    const { number, summary, tree } = this.frame(frame);
    const lines = [`frame ${number} ${summary}`];
    const walk = (node: TreeNode) => {
      lines.push(`frame ${number} ${node.abbrev} ${node.name}: ${node.text} ${node.meaning}`);
      node.children.forEach(walk);
    };
    tree.forEach(walk);
    const found = lines.find(has);
    return found ? [index, "frame", found] : null;
  }

  private condition(text: string): (index: number) => boolean {
    const expression = this.compile(text);
    return (index) => truth(expression.quiet(new Scope(this, index)));
  }
}

/** Return whether the text is words to search for, not an expression (is_words in pystack/stepper/web/data.py has
 * the same rule). */
export function isWords(text: string): boolean {
  return !/[=<>()[\]"']|\b(?:not|and|or|in|is)\b/.test(text);
}

/** Turn a kind of event into its text, inside lists, too. */
function shown(value: any): any {
  if (value instanceof Kind) return value.text;
  return Array.isArray(value) ? value.map(shown) : value;
}
