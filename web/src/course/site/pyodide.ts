// The course without a server: Python runs in workers of the page, and the learner's files are in the browser's storage.
import type { CourseSource, Grade, Index, Job, LabPage, Progress, RunResult, Saved } from "../source";
import { Client } from "./client";
import type { Begin, Work } from "./messages";
import { Storage } from "./storage";

interface Answer {
  result?: any;
  error?: string;
  /** A bench has to do its part first. */
  apart?: boolean;
  files: Record<string, string | null>;
}

/** A learner's file may run for so many milliseconds, as on a host (GradeLimits.wall). */
const WALL = 60_000;

export class PyodideSource implements CourseSource {
  private readonly storage = new Storage();
  private desk: Client;
  private spare: Client | null = null;
  private turn: Promise<unknown> = Promise.resolve();
  /** Lab -> the name of its exercise's file; version -> the text with it. */
  private readonly names = new Map<number, string>();
  private readonly texts = new Map<string, string>([["", ""]]);

  constructor(private readonly settings: Begin, loading: (what: string) => void) {
    this.desk = new Client(settings, loading);
  }

  /** Resolved if the page can be used. */
  get ready(): Promise<void> {
    return this.desk.ready;
  }

  /** Load a second Python, in which experiments run. */
  prepare(): void {
    this.spare ??= new Client(this.settings);
  }

  // -- the desk

  /** Ask the desk, one request after the other, because each begins with the files that the one before has left. */
  private ask(method: string, args: unknown[], found: unknown = null): Promise<Answer> {
    const next = this.turn.then(async () => {
      if (this.desk.gone) this.desk = new Client(this.settings);
      const text = await this.desk.call({ desk: JSON.stringify({ method, args, found, files: this.storage.all() }) });
      const answer: Answer = JSON.parse(text);
      for (const [name, file] of Object.entries(answer.files)) this.storage.put(name, file);
      if (answer.error !== undefined) throw new Error(answer.error);
      return answer;
    });
    this.turn = next.catch(() => {});
    return next;
  }

  private async result(method: string, ...args: unknown[]): Promise<any> {
    return (await this.ask(method, args)).result;
  }

  index(): Promise<Index> {
    return this.result("index");
  }

  async page(lab: number): Promise<LabPage> {
    const page: LabPage = await this.result("page", lab);
    this.names.set(lab, `exercises/${page.file}`);
    if (page.answer !== null) this.know(page.version, page.answer);
    return page;
  }

  async plot(lab: number): Promise<{ svg: string[]; titles?: string[] }> {
    return this.result("plot", lab);
  }

  async save(lab: number, text: string, base: string, last = false): Promise<Saved> {
    if (last) this.saveNow(lab, text, base);
    const { version, conflict }: Saved = await this.result("save", lab, text, base);
    this.know(version, conflict ?? text);
    return { version, conflict };
  }

  /** Remember the text of a version, for the last versions. */
  private know(version: string, text: string): void {
    this.texts.set(version, text);
    if (this.texts.size > 50) this.texts.delete([...this.texts.keys()][1]); // the first one is the empty version
  }

  /** The page is being closed, so there may be no time for the desk. Write the text, unless it was saved from elsewhere. */
  private saveNow(lab: number, text: string, base: string): void {
    const name = this.names.get(lab);
    if (!name) return;
    const there = this.storage.get(name);
    if (base === "" ? there === null : there === this.texts.get(base)) this.storage.put(name, text);
  }

  hint(lab: number, number: number): Promise<{ text: string; of: number }> {
    return this.result("hint", lab, number);
  }
  solution(lab: number): Promise<{ text: string }> {
    return this.result("solution", lab);
  }
  async reset(lab: number): Promise<{ text: string; version: string; kept: string }> {
    const { text, version } = await this.result("reset", lab);
    this.know(version, text);
    return { text, version, kept: "" };
  }

  // -- the benches

  /** Take a worker. A fresh one has run nothing yet. */
  private take(fresh: boolean): Client {
    const spare = this.spare;
    this.spare = null;
    if (spare && !(fresh && spare.used)) return spare;
    spare?.end("it is not fresh");
    return new Client(this.settings);
  }

  private give(bench: Client): void {
    if (this.spare) bench.end("there is another one");
    else this.spare = bench;
  }

  run(lab: number, predictions: Record<string, string>, onProgress: Progress): Job<RunResult> {
    let bench: Client | null = null;
    let stopped = false;
    const follow = async (): Promise<RunResult> => {
      const first = await this.ask("run", [lab, predictions]);
      if (!first.apart) return first.result;
      if (stopped) throw new Error("You stopped the run.");
      bench = this.take(false);
      try {
        const found = JSON.parse(await bench.call({ measure: lab }, onProgress));
        this.give(bench);
        bench = null;
        return (await this.ask("run", [lab, predictions], found)).result;
      } catch (error) {
        bench?.end((error as Error).message);
        this.prepare();
        throw error;
      }
    };
    return {
      result: follow(),
      stop: () => {
        stopped = true;
        bench?.end("You stopped the run.");
      },
    };
  }

  check(lab: number, text: string): Job<Grade> {
    let bench: Client | null = null;
    let stopped = false;
    const follow = async (): Promise<Grade> => {
      const first = await this.ask("check", [lab, text]);
      if (!first.apart) return first.result;
      if (stopped) throw new Error("You stopped the check.");
      bench = this.take(true);
      const found = await this.grade(bench, lab, text);
      bench = null;
      this.prepare();
      if (stopped) throw new Error("You stopped the check.");
      return (await this.ask("check", [lab, text], found)).result;
    };
    return {
      result: follow(),
      stop: () => {
        stopped = true;
        bench?.end("You stopped the check.");
      },
    };
  }

  /** Grade in a worker, which ends then. */
  private async grade(bench: Client, lab: number, text: string): Promise<object> {
    let late = false;
    let timer = 0;
    try {
      await bench.ready;
      timer = window.setTimeout(() => {
        late = true;
        bench.end("it was too slow");
      }, WALL);
      return JSON.parse(await bench.call({ grade: [lab, text] }));
    } catch {
      return late ? { late } : { ended: true };
    } finally {
      clearTimeout(timer);
      bench.end("it was used");
    }
  }

  step(scenario: string): Promise<{ html: string }> {
    return this.made({ step: scenario });
  }

  capture(lab: number): Promise<{ name: string; data: string }> {
    return this.made({ capture: lab });
  }

  /** Let a bench make something. */
  private async made(what: Work): Promise<any> {
    const bench = this.take(false);
    let problem: string;
    try {
      const found = JSON.parse(await bench.call(what));
      this.give(bench);
      if (found.error === undefined) return found;
      problem = found.error;
    } catch (error) {
      bench.end((error as Error).message);
      this.prepare();
      throw error;
    }
    throw new Error(problem);
  }
}
