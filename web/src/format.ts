// How values are written: times, sizes, sequence numbers, the fields of a TCB.
import type { Fields } from "./types";

/** Format a time of the trace in seconds, with nanoseconds only if there are any. */
export function seconds(ns: number, digits = 6): string {
  return (ns / 1e9).toFixed(digits);
}

/** The same in nine letters, for a column that has room for no more. */
export function shortSeconds(ns: number): string {
  return seconds(ns, Math.max(0, 8 - Math.max(2, String(Math.floor(ns / 1e9)).length)));
}

export function duration(ns: number): string {
  const size = Math.abs(ns);
  if (size === 0) return "0";
  if (size >= 1e9) return `${trim(ns / 1e9)} s`;
  if (size >= 1e6) return `${trim(ns / 1e6)} ms`;
  if (size >= 1e3) return `${trim(ns / 1e3)} µs`;
  return `${ns} ns`;
}

function trim(value: number): string {
  return String(Number(value.toPrecision(6)));
}

const TIMES = new Set(["srtt", "rttvar", "rto", "min_rtt"]);
export const SEND_SEQUENCE = new Set(["snd_una", "snd_nxt", "snd_wl2", "recover"]);
export const RECEIVE_SEQUENCE = new Set(["rcv_nxt", "rcv_adv", "snd_wl1"]);
/** These are 0 until they are set for the first time. */
const UNSET = new Set(["recover", "snd_wl1", "snd_wl2"]);
const UNLIMITED = 2 ** 30;

/** Format a field of the TCB for a learner. The tooltip has the exact value. */
export function fieldText(name: string, value: any, fields: Fields | undefined, relative: boolean): string {
  if (value === null || value === undefined) return "–";
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value === "number") {
    if (TIMES.has(name)) return value <= 0 ? "–" : duration(value);
    if (name === "ssthresh" && value >= UNLIMITED) return "infinite";
    if (UNSET.has(name) && value === 0) return "–";
    if (relative && fields) {
      if (SEND_SEQUENCE.has(name) && typeof fields.iss === "number") return plus("ISS", value - fields.iss);
      if (RECEIVE_SEQUENCE.has(name) && typeof fields.irs === "number") return plus("IRS", value - fields.irs);
    }
    return value.toLocaleString("en-US").replaceAll(",", "\u2009");
  }
  return valueText(value);
}

function plus(base: string, delta: number): string {
  const wrapped = ((delta % 2 ** 32) + 2 ** 32) % 2 ** 32;
  const near = wrapped > 2 ** 31 ? wrapped - 2 ** 32 : wrapped;
  return `${base} ${near < 0 ? "−" : "+"} ${Math.abs(near).toLocaleString("en-US").replaceAll(",", "\u2009")}`;
}

export function valueText(value: any): string {
  if (value === null || value === undefined) return "–";
  if (typeof value === "string") return value;
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** Return whether two plain values are equal. */
export function same(a: any, b: any): boolean {
  return a === b || (typeof a === "object" && typeof b === "object" && JSON.stringify(a) === JSON.stringify(b));
}

/** Return the name that RFC 9293 has for a field, if it has one. */
const NAMES: Record<string, string> = {
  snd_una: "SND.UNA", snd_nxt: "SND.NXT", snd_wnd: "SND.WND", snd_wl1: "SND.WL1", snd_wl2: "SND.WL2", iss: "ISS",
  rcv_nxt: "RCV.NXT", rcv_wnd: "RCV.WND", irs: "IRS", srtt: "SRTT", rttvar: "RTTVAR", rto: "RTO",
};

export function fieldName(name: string): string {
  return NAMES[name] ?? name;
}
