// The position in the trace, and everything at that position. Panes listen; nothing else changes the position.
import type { Source } from "./source";
import type { Breakpoint, Entry, EventChunk, Frame, Overview, State, Unit } from "./types";

/** Everything that is shown at one position. */
export interface View {
  index: number;
  time: number;
  entry: Entry | null;
  links: Record<string, string>;
  before: State;
  state: State;
  /** Connection -> names of the fields that this event changed. */
  changed: Record<string, string[]>;
  frame: Frame | null;
}

const KEPT = 40;
/** How many steps may wait for the one before them, such as those of a key that is held. */
const MOST_WAITING = 8;

export class Store {
  position = -1;
  view: View;
  breakpoints: Breakpoint[] = [];
  message = "";
  private readonly chunks = new Map<number, Promise<EventChunk>>();
  private readonly frameChunks = new Map<number, Promise<Frame[]>>();
  private readonly listeners: ((view: View) => void)[] = [];
  private ticket = 0;
  private stepping: Promise<void> = Promise.resolve();
  private waiting = 0;

  constructor(
    readonly source: Source,
    readonly overview: Overview,
  ) {
    this.view = {
      index: -1, time: 0, entry: null, links: {}, before: {}, state: {}, changed: {}, frame: null,
    };
  }

  listen(listener: (view: View) => void): void {
    this.listeners.push(listener);
  }

  private cached<T>(cache: Map<number, Promise<T>>, key: number, load: () => Promise<T>): Promise<T> {
    let found = cache.get(key);
    if (found) {
      cache.delete(key);
    } else {
      found = load();
      found.catch(() => cache.delete(key));
    }
    cache.set(key, found);
    if (cache.size > KEPT) cache.delete(cache.keys().next().value!);
    return found;
  }

  chunk(number: number): Promise<EventChunk> {
    return this.cached(this.chunks, number, () => this.source.events(number));
  }

  async event(index: number): Promise<Entry> {
    const size = this.overview.eventChunk;
    return (await this.chunk(Math.floor(index / size))).events[index % size];
  }

  async frame(index: number): Promise<Frame> {
    const size = this.overview.frameChunk;
    const chunk = await this.cached(this.frameChunks, Math.floor(index / size), () =>
      this.source.frames(Math.floor(index / size)),
    );
    return chunk[index % size];
  }

  /** Return a range of frames, which are fetched if necessary. */
  async frameRange(first: number, last: number): Promise<Frame[]> {
    const found = [];
    for (let index = first; index < last; index++) found.push(await this.frame(index));
    return found;
  }

  async goto(index: number, message = ""): Promise<void> {
    const target = Math.max(-1, Math.min(index, this.overview.events - 1));
    const ticket = ++this.ticket;
    const view = await this.look(target);
    if (ticket !== this.ticket) return;  // the position has changed meanwhile
    this.position = target;
    this.view = view;
    this.message = message;
    for (const listener of this.listeners) listener(view);
  }

  /** Return the state after an event: the chunk's first state with the changes by its events. */
  async look(index: number): Promise<View> {
    if (index < 0) {
      return {
        index, time: 0, entry: null, links: {}, before: {}, state: {}, changed: {}, frame: null,
      };
    }
    const size = this.overview.eventChunk;
    const chunk = await this.chunk(Math.floor(index / size));
    const place = index % size;
    const entry = chunk.events[place];
    const frame = entry.frame >= 0 ? await this.frame(entry.frame) : null;
    let state: State = { ...chunk.base };
    let before = state;
    for (let i = 0; i <= place; i++) {
      before = state;
      const changes = chunk.changes[i];
      if (changes) state = apply(state, changes);
    }
    const changed: Record<string, string[]> = {};
    for (const [key, fields] of Object.entries(chunk.changes[place] ?? {})) changed[key] = Object.keys(fields ?? {});
    const time = entry.time - this.overview.start;
    return { index, time, entry, links: chunk.links, before, state, changed, frame };
  }

  /** Step after the steps that were asked for before, because each one begins where the one before it ends. */
  step(unit: Unit, count: number): Promise<void> {
    if (this.waiting >= MOST_WAITING) return this.stepping;
    this.waiting++;
    const before = this.stepping.catch(() => {});
    this.stepping = before.then(() => this.stepNow(unit, count)).finally(() => this.waiting--);
    return this.stepping;
  }

  private async stepNow(unit: Unit, count: number): Promise<void> {
    const target =
      unit === "event" ? this.position + count : await this.source.step(this.position, unit, count);
    await this.goto(target);
  }

  async run(direction: number): Promise<void> {
    const armed = this.breakpoints.filter((one) => one.enabled);
    if (!armed.length) {
      await this.goto(direction > 0 ? this.overview.events - 1 : -1, "no breakpoint is set");
      return;
    }
    const result = await this.source.run(this.position, direction, armed);
    if (result.hit >= 0) armed[result.hit].hits++;
    const where = direction > 0 ? "the end" : "the beginning";
    const message = result.hit >= 0 ? `stopped by ${armed[result.hit].text}${result.text}` : `ran to ${where} without a hit`;
    await this.goto(result.position, message);
  }

  /** Go to the event that answers the scenario's question, or to the next one if there are several. */
  async answer(): Promise<void> {
    const { answers, question } = this.overview;
    if (!answers.length) throw new Error("only a scenario asks a question, and this is a recording");
    const next = answers.find((index) => index > this.position) ?? answers[0];
    await this.goto(next, answers.length > 1 ? `${question} (a: the next of ${answers.length} answers)` : question);
  }

  /** Return the last event at or before a time (ns from the start). */
  async eventAt(time: number): Promise<number> {
    const { chunkTimes, start, eventChunk } = this.overview;
    const wanted = time + start;
    let low = 0;
    let high = chunkTimes.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (chunkTimes[middle] <= wanted) low = middle + 1;
      else high = middle;
    }
    if (low === 0) return -1;
    const chunk = await this.chunk(low - 1);
    const later = chunk.events.findIndex((event) => event.time > wanted);
    return (low - 1) * eventChunk + (later < 0 ? chunk.events.length : later) - 1;
  }
}

export function apply(state: State, changes: Record<string, any>): State {
  const after = { ...state };
  for (const [key, fields] of Object.entries(changes)) {
    if (fields === null) delete after[key];
    else after[key] = { ...after[key], ...fields };
  }
  return after;
}
