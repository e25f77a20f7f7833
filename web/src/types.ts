// The shapes of the server's answers and of the exported page's data (pystack/stepper/web/data.py makes them).

export type Value = string | number | boolean | null | Value[] | { [name: string]: Value };
export type Fields = Record<string, any>;
/** Key of a connection -> fields of its TCB; an ARP entry has " arp " in its key. */
export type State = Record<string, Fields>;

export interface Ladder {
  lines: string[];
  /** Row -> time (ns from the start), and the event of that row. */
  times: number[];
  events: number[];
  /** Row -> the time since the row before if that is unusually long, else 0. */
  gaps: number[];
  /** Frame -> rows (-1: never arrived), lifelines, fate. */
  departs: number[];
  arrives: number[];
  sender: number[];
  receiver: number[];
  fates: number[];
  /** Frame -> number of its conversation, or -1. */
  flows: number[];
  /** Notes beside the lifelines: event, lifeline, kind, text. */
  marks: [number, number, string, string][];
}

export const FATES = ["delivered", "lost", "dropped", "unknown"];

export interface Overview {
  name: string;
  version: string;
  title: string;
  question: string;
  /** The events that answer the question. */
  answers: number[];
  story: string;
  hosts: string[];
  start: number;
  duration: number;
  events: number;
  frames: number;
  /** What to add to numbers that are shown: an exported page may have only some frames. */
  firstEvent: number;
  /** It has only some frames. */
  part: boolean;
  firstFrame: number;
  eventChunk: number;
  frameChunk: number;
  /** Time of the first event of each chunk. */
  chunkTimes: number[];
  kinds: Record<string, { count: number; text: string }>;
  /** Names of the fields of a TCB. */
  fields: string[];
  /** The edges of the state diagram: from, to, the cause, and whether figure 5 of RFC 9293 has it. */
  transitions: [string, string, string, boolean][];
  /** Every change of state: event, index into connections, from, to. */
  stateChanges: [number, number, string, string][];
  /** Keys, with the one that sent most first. */
  connections: string[];
  ladder: Ladder;
  changes: Change[];
  /** What-ifs that the scenario suggests: changes, text. */
  tries: [string, string][];
  /** Name of the scenario, or "". */
  scenario: string;
  /** The pane that shows the scenario's answer best, or "". */
  pane: string;
  /** The next scenario of the course: name, title. */
  next?: [string, string] | null;
  /** It is a capture, so decisions and states are inferred. */
  inferred: boolean;
  served: boolean;
  /** The trace from which this one branched, if any. */
  parent: string | null;
  /** The change in this branch. */
  note: string;
  /** The position and the breakpoints that the command line asks for. */
  begin?: number;
  breakpoints?: Breakpoint[];
}

/** A what-if that the server offers. */
export interface Change {
  name: string;
  label: string;
  /** The initial text of the argument, and its possible values (any text if there are none). */
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
  /** All blocks and ARP entries before the first event of the chunk, and then the changes by each event (null:
   * gone). */
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

/** Times, and the values that are in force from then on. */
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

/** A stretch of time with one cause (Span in pystack/stepper/timing/path.py). */
export interface TimeSpan {
  start: number;
  end: number;
  cause: string;
  why: string;
  host: string;
  /** Number of a frame, or 0; the event that ended the span; the event to which a click leads. */
  frame: number;
  event: number;
  go: number;
  text: string;
  inferred: boolean;
}

/** Where the time of a request went (pystack/stepper/web/timing.py). Times are in ns from the start. */
export interface RequestTime {
  connection: string;
  begin: number;
  end: number;
  first: number;
  last: number;
  spans: TimeSpan[];
  /** Cause, why, ns: the largest first. */
  totals: [string, string, number][];
  /** Cause -> its group and its meaning; why -> its meaning; group -> words for the legend. */
  causes: Record<string, [string, string]>;
  whys: Record<string, string>;
  groups: Record<string, string>;
  /** The other runs that the server has: id and label. */
  runs?: [string, string][];
}

export interface Breakpoint {
  text: string;
  watch: boolean;
  enabled: boolean;
  hits: number;
}

export interface RunResult {
  position: number;
  /** The breakpoint that stopped the run (index into the list sent), or -1 at the end. */
  hit: number;
  text: string;
}

export interface FilterResult {
  matches: number[];
  /** Where to continue, or -1 if all events were searched. */
  next: number;
}

/** Event, "event", "frame" or "value", and the words around the match. */
export type SearchHit = [number, string, string];

export interface SearchResult {
  hits: SearchHit[];
  /** Where to continue, or -1. */
  next: number;
}

/** A conversation of TCP or UDP: frames and bytes of data from the client, and from the server. */
export interface Conversation {
  number: number;
  protocol: string;
  client: string;
  server: string;
  frames: [number, number];
  data: [number, number];
  start: number;
  end: number;
  first: number;
}

/** What both sides said: way (0: the client's), number of the frame, its event, bytes, text. */
export interface Stream {
  pieces: [number, number, number, number, string][];
  cut: boolean;
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
  /** Name -> the figure of the original run, and that of the branch. */
  figures: Record<string, [string, string]>;
  rows: CompareRow[];
  first: number;
  /** Both runs as lines, and the connection whose bytes they are, if it is one. */
  plot: { label: string; of: string; runs: [Steps, Steps] };
}

export type Unit = "event" | "frame" | "layer" | "rtt";
