// What the page and its workers say to each other.

/** The first message to a worker. Addresses are absolute. */
export interface Begin {
  /** The folder of the site, which ends with a slash. */
  base: string;
  /** The archive with pystack. */
  course: string;
  /** Python package -> its archive. It is fetched when the package is imported. */
  packages: Record<string, string>;
  /** The longest growth of the memory in bytes while a file is graded. */
  memory: number;
}

export type Work =
  /** A request for the desk, as pystack/labs/course/browser.py describes it. */
  | { desk: string }
  | { measure: number }
  | { grade: [number, string] }
  | { step: string }
  | { capture: number };

/** The answers of a worker. The worker does one thing at a time. */
export type Said =
  | { loading: string }
  | { ready: true }
  | { progress: [number, number, string] }
  | { done: string }
  | { failed: string };
