// The course served by this machine (pystack/labs/course/server.py). All addresses are relative, so the page asks only its own server.
import type { CourseSource, Grade, Index, Job, LabPage, Progress, RunResult, Saved } from "./source";

/** The longest body that a browser sends after its page is closed. */
const LAST = 60_000;

interface Line<Result> {
  progress?: [number, number, string];
  result?: Result;
  error?: string;
}

export class HttpSource implements CourseSource {
  private async ask(what: string, body?: object, last = false): Promise<any> {
    return (await this.fetch(what, body, { keepalive: last })).json();
  }

  private async fetch(what: string, body?: object, more: RequestInit = {}): Promise<Response> {
    const text = body && JSON.stringify(body);
    if (text && text.length > LAST) more = { ...more, keepalive: false };
    const options = text ? { ...more, method: "POST", headers: { "Content-Type": "application/json" }, body: text } : more;
    let answer: Response;
    try {
      answer = await fetch(`api/${what}`, options);
    } catch (error) {
      if ((error as Error).name === "AbortError") throw error;
      throw new Error("the server does not answer: does `pystack course` still run?");
    }
    if (answer.ok) return answer;
    const problem = await answer.json().catch(() => ({}));
    throw new Error(problem.error ?? `the server answered ${answer.status}`);
  }

  /** Ask for something that takes its time. The answer has a line of JSON for each step. */
  private job<Result>(what: string, body: object, onProgress: Progress, stopped: string): Job<Result> {
    const abort = new AbortController();
    const follow = async (): Promise<Result> => {
      try {
        const answer = await this.fetch(what, body, { signal: abort.signal });
        for await (const line of lines<Result>(answer)) {
          if (line.progress) onProgress(...line.progress);
          if (line.error !== undefined) throw new Error(line.error);
          if (line.result !== undefined) return line.result;
        }
      } catch (error) {
        if (abort.signal.aborted) throw new Error(stopped);
        throw error;
      }
      throw new Error("the server ended before there was a result");
    };
    return { result: follow(), stop: () => abort.abort() };
  }

  index(): Promise<Index> {
    return this.ask("index");
  }
  page(lab: number): Promise<LabPage> {
    return this.ask(`page/${lab}`);
  }
  run(lab: number, predictions: Record<string, string>, onProgress: Progress): Job<RunResult> {
    return this.job(`run/${lab}`, { predictions }, onProgress, "You stopped the run.");
  }
  plot(lab: number): Promise<{ svg: string[]; titles?: string[] }> {
    return this.ask(`plot/${lab}`);
  }
  capture(lab: number): Promise<{ name: string; data: string }> {
    return this.ask(`capture/${lab}`);
  }
  check(lab: number, text: string): Job<Grade> {
    return this.job(`check/${lab}`, { text }, () => {}, "You stopped the check.");
  }
  save(lab: number, text: string, base: string, last = false): Promise<Saved> {
    return this.ask(`save/${lab}`, { text, base }, last);
  }
  hint(lab: number, number: number): Promise<{ text: string; of: number }> {
    return this.ask(`hint/${lab}`, { k: number });
  }
  solution(lab: number): Promise<{ text: string }> {
    return this.ask(`solution/${lab}`, {});
  }
  reset(lab: number): Promise<{ text: string; version: string; kept: string }> {
    return this.ask(`reset/${lab}`, {});
  }
  async step(scenario: string): Promise<{ address: string }> {
    return { address: `step/${encodeURIComponent(scenario)}` };
  }
}

/** Yield the lines of an answer as they arrive. */
async function* lines<Result>(answer: Response): AsyncGenerator<Line<Result>> {
  const reader = answer.body!.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    rest += value ?? "";
    const parts = rest.split("\n");
    rest = parts.pop()!;
    for (const part of parts) yield JSON.parse(part);
    if (done) return;
  }
}
