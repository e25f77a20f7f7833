// What the course's page asks for. `pystack course` answers over HTTP (http.ts), and a page without a server by a worker.
// pystack/labs/course/service.py makes these shapes.

export type LabState = "open" | "run" | "started" | "solved";
export type Verdict = "right" | "wrong" | "error" | "refused" | "stopped" | "skipped";

export interface Lab {
  number: number;
  name: string;
  title: string;
  state: LabState;
  lectures: string;
  suffix: ".py" | ".c" | ".js";
  /** An estimate. */
  minutes: number;
  /** It needs programs or the kernel of the machine. */
  host: boolean;
  lacks: string[];
}

/** A row of the course's table. `lectures` is "-" for what belongs to the whole course. */
export interface Row {
  lectures: string;
  topic: string;
  labs: number[];
  scenarios: string[];
}

export interface Index {
  labs: Lab[];
  rows: Row[];
}

export interface Value {
  name: string;
  question: string;
  unit: string;
  /** How a prediction looks, which does not give the right one away. */
  example: string;
  lacks: string;
}

export interface Sight {
  name: string;
  title: string;
  own: boolean;
  /** What the machine lacks for it. */
  lacks: string;
}

export interface LabPage extends Lab {
  /** Parts of the page as HTML, made from Markdown. */
  before: string;
  explanation: string;
  exercise: string;
  further: string;
  /** SVG, and the same in characters. */
  network: string;
  network_text: string;
  values: Value[];
  starter: string;
  /** What the learner has saved, or null, and its version ("" for null). */
  answer: string | null;
  version: string;
  /** The name of the exercise's file. */
  file: string;
  hints: number;
  /** Whether the lab was run, so that the explanation gives nothing away. */
  ran: boolean;
  hints_seen: string[];
  /** The lab after this one. */
  next: { number: number; title: string } | null;
  /** The runs to step through: the lab's own, and scenarios of its lectures. */
  scenarios: Sight[];
  /** Why the lab has no runs of its own to step through, or "". */
  no_scenarios: string;
  /** Why there can be no capture, or "". */
  no_capture: string;
}

export interface ResultRow {
  name: string;
  question: string;
  unit: string;
  predicted: string;
  predicted_right: boolean | null;
  measured: string;
  formula: string;
  expected: string;
  right: boolean;
  skipped: string;
}

export interface RunResult {
  /** Value -> why its prediction cannot be read. Then nothing else is there. */
  errors?: Record<string, string>;
  rows: ResultRow[];
  controls: { change: string; row: ResultRow }[];
  right: boolean;
  explanation: string;
}

export interface Grade {
  verdict: Verdict;
  text: string;
  output: string;
}

export interface Saved {
  version: string;
  /** Where the text is now. */
  file?: string;
  /** Nothing was saved, because this text was saved from elsewhere. `version` is its version. */
  conflict?: string;
}

export interface Job<Result> {
  result: Promise<Result>;
  /** End it. The promise is then rejected. */
  stop(): void;
}

export type Progress = (done: number, of: number, what: string) => void;

/** Errors are rejections whose message is for the learner. */
export interface CourseSource {
  index(): Promise<Index>;
  page(lab: number): Promise<LabPage>;
  run(lab: number, predictions: Record<string, string>, onProgress: Progress): Job<RunResult>;
  plot(lab: number): Promise<{ svg: string[]; titles?: string[] }>;
  /** Return the lab's capture in base 64, and a name for its file. */
  capture(lab: number): Promise<{ name: string; data: string }>;
  check(lab: number, text: string): Job<Grade>;
  /** Save, unless the text was saved from elsewhere since version `base`. `last` says that the page is being closed. */
  save(lab: number, text: string, base: string, last?: boolean): Promise<Saved>;
  hint(lab: number, number: number): Promise<{ text: string; of: number }>;
  solution(lab: number): Promise<{ text: string }>;
  reset(lab: number): Promise<{ text: string; version: string; kept: string }>;
  /** Return a page with the stepper: its text, or its address. */
  step(scenario: string): Promise<{ html?: string; address?: string }>;
}
