// The shapes of what the server answers and the exported page carries (pystack/stepper/web/data.py makes them).

export type Value = string | number | boolean | null | Value[] | { [name: string]: Value };
export type Fields = Record<string, any>;
/** Key of a connection -> fields of its TCB; an ARP entry has " arp " in its key. */
export type State = Record<string, Fields>;

export interface Ladder {
  lines: string[];
  /** Row -> time (ns from the start), and the event that happened there. */
  times: number[];
  events: number[];
  /** Frame -> rows (-1: never arrived), lifelines, fate. */
  departs: number[];
  arrives: number[];
  sender: number[];
  receiver: number[];
  fates: number[];
  /** What is written beside the lifelines: event, lifeline, kind, text. */
  marks: [number, number, string, string][];
}

export const FATES = ["delivered", "lost", "dropped", "unknown"];

export interface Overview {
  name: string;
  version: string;
  title: string;
  question: string;
  /** The events that answer it. */
  answers: number[];
  story: string;
  hosts: string[];
  start: number;
  duration: number;
  events: number;
  frames: number;
  eventChunk: number;
  frameChunk: number;
  /** Time of the first event of each chunk. */
  chunkTimes: number[];
  kinds: Record<string, { count: number; text: string }>;
  /** Names of the fields of a TCB. */
  fields: string[];
  /** The code's table: from, to, what takes a connection along this edge. */
  transitions: [string, string, string][];
  /** Every change of state: event, index into connections, from, to. */
  stateChanges: [number, number, string, string][];
  /** Keys, the one that sent most first. */
  connections: string[];
  ladder: Ladder;
  changes: Change[];
  served: boolean;
  /** The trace that this one branched off, if any. */
  parent: string | null;
  /** What is changed in this branch. */
  note: string;
  /** Where the command line wants to begin, and its breakpoints. */
  begin?: number;
  breakpoints?: Breakpoint[];
}

/** A what-if that the server offers. */
export interface Change {
  name: string;
  label: string;
  /** What to fill in, and what it can be (anything, where there are none). */
  argument: string;
  choices: string[];
  suggestion: string;
}

export interface Entry {
  index: number;
  time: number;
  host: string;
  kind: string;
  subject: string;
  endpoint: number;
  reason: string;
  rfc: string;
  fields: Fields;
  frame: number;
  record: number;
  conn: string;
  layer: string;
  text: string;
}

export interface EventChunk {
  first: number;
  events: Entry[];
  /** RFC reference -> address. */
  links: Record<string, string>;
  /** All blocks and ARP entries before the first event of the chunk; then what each event made of them (null: gone). */
  base: State;
  changes: (Record<string, Fields | null> | null)[];
}

export interface TreeNode {
  name: string;
  text: string;
  /** Place and size in bits. */
  at: number;
  width: number;
  bits: string;
  meaning: string;
  abbrev: string;
  children: TreeNode[];
}

export interface Frame {
  index: number;
  number: number;
  time: number;
  arrival: number | null;
  host: string;
  to: string;
  iface: string;
  hex: string;
  length: number;
  altered: boolean;
  conn: string;
  link: number;
  gso_size: number;
  summary: string;
  label: string;
  reasons: string[];
  drops: string[];
  event: number;
  arrived: number;
  fate: string;
  tree: TreeNode[];
}

/** Times and the values that hold from then on. */
export type Steps = [number[], number[]];

export interface Plots {
  key: string;
  segments: { time: number[]; low: number[]; high: number[]; kind: string[]; event: number[]; lost: boolean[] };
  acked: Steps;
  edge: Steps;
  sacks: { time: number[]; low: number[]; high: number[]; event: number[] };
  lines: Record<string, Steps>;
  samples: { time: number[]; value: number[]; event: number[] };
}

export interface Breakpoint {
  text: string;
  watch: boolean;
  enabled: boolean;
  hits: number;
}

export interface RunResult {
  position: number;
  /** Which breakpoint stopped it (index into the list sent), or -1 at the end. */
  hit: number;
  text: string;
}

export interface FilterResult {
  matches: number[];
  /** Where to go on, or -1 when all events were looked at. */
  next: number;
}

export interface CompareRow {
  left: string;
  right: string;
  leftTime: number | null;
  rightTime: number | null;
  leftFrame: number;
  rightFrame: number;
  same: boolean;
}

export interface Branch {
  id: string;
  label: string;
  /** Name -> as it was, and in the branch. */
  figures: Record<string, [string, string]>;
  rows: CompareRow[];
  first: number;
}

export type Unit = "event" | "frame" | "layer" | "rtt";
