// What the names in an expression mean at one event (the counterpart of pystack/stepper/scope.py).
import { Kind, Missing } from "./expr";
import type { Entry, Frame, State } from "./types";

export const FIELDS_OF_EVENT = [
  "kind", "time", "host", "subject", "reason", "rfc", "fields", "layer", "frame", "conn", "endpoint", "index", "record",
];
export const FIELDS_OF_FRAME = [
  "number", "time", "arrival", "host", "to", "iface", "length", "gso_size", "summary", "reasons", "drops", "fate",
  "altered", "index", "conn",
];
/** How many events back to look for the last event of a host's connection. */
const BACK = 2000;

/** A trace that is completely in memory. */
export interface Whole {
  entry(index: number): Entry;
  state(index: number): State;
  frame(index: number): Frame;
  start: number;
}

export class Scope {
  constructor(
    private readonly whole: Whole,
    private readonly index: number,
  ) {}

  event(): Entry {
    if (this.index < 0) throw new Missing();
    return this.whole.entry(this.index);
  }
  eventField(name: string): any {
    const event: any = this.event();
    return name === "kind" ? new Kind(event.kind) : event[name];
  }
  conn(): string {
    return this.event().conn;
  }
  tcb(field: string): any {
    return this.field(this.conn(), field);
  }
  private field(key: string, field: string): any {
    const fields = this.whole.state(this.index)[key];
    if (!fields || !(field in fields)) throw new Missing();
    return fields[field];
  }
  ofHost(host: string, field: string): any {
    for (let index = this.index; index > Math.max(this.index - BACK, -1); index--) {
      const entry = this.whole.entry(index);
      if (entry.host === host && entry.conn) return this.field(entry.conn, field);
    }
    throw new Missing();
  }
  frame(): Frame {
    const number = this.event().frame;
    if (number < 0) throw new Missing();
    return this.whole.frame(number);
  }
  frameField(name: string): any {
    return (this.frame() as any)[name];
  }
  time(): number {
    return (this.event().time - this.whole.start) / 1e9;
  }
}
