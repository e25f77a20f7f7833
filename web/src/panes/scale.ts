// The heights of a ladder's rows if it is to scale, and which of its words have room.
import type { Ladder } from "../types";

/** The usual height of a row, and the least distance between two rows to scale, so that arrows of one moment stay apart. */
export const ROW = 21;
const LEAST = 3;
/** A wait that would be higher than this is broken off, and a break has this height. */
const HIGHEST = 420;
const BREAK = 44;
/** The usual flight of a frame has at least and at most this height, because flatter or steeper arrows tell little. */
const FLAT = 42;
const STEEP = 240;
/** Words, and times, need this distance. */
const WORDS = 14;
/** Browsers show no higher element than about 17 million pixels. */
const MOST = 8_000_000;
/** How often the scale can be doubled or halved. */
export const ZOOMS = 8;

/** The places of the rows: to scale, words of rows that are too near to each other are left out and counted. */
export interface Scale {
  /** The place of each row, and the end. */
  tops: Float64Array;
  /** Pixels for a nanosecond. */
  pixels: number;
  /** The height of a usual flight. */
  flight: number;
  /** 1 for a row before which a wait is broken off. */
  broken: Uint8Array;
  /** 1 for a row whose time has room. */
  timed: Uint8Array;
  /** For a row whose place has words: the row whose words these are. For all others -1. */
  said: Int32Array;
  /** For such a row: how many rows with words are left out. */
  more: Int32Array;
}

/** Return how many pixels a nanosecond has, so that the ladder is about as long as with one row for each event. */
function fitting(steps: Float64Array, usual: number, long: number): number {
  if (!usual) return 0;
  const wanted = steps.length * ROW;
  // a frame that is long on the way must not look faster than the others because a wait is broken off
  let high = Math.min(STEEP / usual, HIGHEST / long);
  let low = Math.min(FLAT / usual, high);
  for (let i = 0; i < 20; i++) {
    const middle = Math.sqrt(low * high);
    let sum = 0;
    for (const step of steps) sum += step * middle > HIGHEST ? BREAK : step * middle;
    if (sum > wanted) high = middle;
    else low = middle;
  }
  return low;
}

/** Place all rows. From a break on, and after a crowd of rows, each is again where its time says. */
function place(times: number[], steps: Float64Array, pixels: number): Pick<Scale, "tops" | "broken"> {
  const tops = new Float64Array(times.length + 1);
  const broken = new Uint8Array(times.length);
  let at = 0;
  let base = 0;
  let begin = 0;
  for (let row = 1; row < times.length; row++) {
    begin += steps[row];
    if (steps[row] * pixels > HIGHEST) {
      broken[row] = 1;
      at += BREAK;
      base = at;
      begin = 0;
    } else {
      at = Math.max(at + LEAST, base + begin * pixels);
    }
    tops[row] = at;
  }
  tops[times.length] = at;
  return { tops, broken };
}

/** Choose the words that have room: of rows that are too near to each other, those of the first frame. */
function choose(rows: number, tops: Float64Array, frames: Set<number>, others: Set<number>): Pick<Scale, "said" | "more"> {
  const said = new Int32Array(rows).fill(-1);
  const more = new Int32Array(rows);
  let head = -1;
  for (let row = 0; row < rows; row++) {
    const frame = frames.has(row);
    if (!frame && !others.has(row)) continue;
    if (head < 0 || tops[row] >= tops[head] + WORDS) {
      head = row;
      said[row] = row;
    } else {
      more[head]++;
      if (frame && !frames.has(said[head])) said[head] = row;
    }
  }
  return { said, more };
}

function timesWithRoom(times: number[], tops: Float64Array): Uint8Array {
  const timed = new Uint8Array(times.length);
  let last = -1;
  for (let row = 0; row < times.length; row++) {
    if (last >= 0 && (times[row] === times[last] || tops[row] < tops[last] + WORDS)) continue;
    timed[row] = 1;
    last = row;
  }
  return timed;
}

/** Return where all rows are to scale, doubled `zoom` times. `noted` are the rows of timers, calls and states. */
export function toScale({ times, departs, arrives }: Ladder, noted: Set<number>, zoom: number): Scale {
  const steps = Float64Array.from(times, (time, row) => (row ? Math.max(0, time - times[row - 1]) : 0));
  const flights = departs.map((row, i) => (arrives[i] < 0 ? 0 : times[arrives[i]] - times[row])).filter((time) => time > 0);
  const sorted = (flights.length ? Float64Array.from(flights) : steps.filter((step) => step > 0)).sort();
  const usual = sorted[sorted.length >> 1] ?? 0;
  let pixels = fitting(steps, usual, flights.length ? sorted[Math.floor(sorted.length * 0.9)] : usual) * 2 ** zoom;
  let placed = place(times, steps, pixels);
  while (placed.tops[times.length] > MOST && placed.tops[times.length] > 2 * LEAST * times.length) {
    pixels /= 2;
    placed = place(times, steps, pixels);
  }
  const flight = flights.length ? Math.min(usual * pixels, HIGHEST) : ROW;
  placed.tops[times.length] += Math.max(2 * ROW, flight);
  return { ...placed, ...choose(times.length, placed.tops, new Set(departs), noted), timed: timesWithRoom(times, placed.tops), pixels, flight };
}

/** Return a round time, in ns, that is at most `width` pixels long. */
export function roundTime(pixels: number, width: number): number {
  const most = width / pixels;
  const ten = 10 ** Math.floor(Math.log10(most));
  return (most >= 5 * ten ? 5 : most >= 2 * ten ? 2 : 1) * ten;
}
