// The source of the data: the server (pystack step --web), or the page itself (--export).
import type {
  Branch, Breakpoint, Conversation, EventChunk, FilterResult, Frame, Overview, Plots, RequestTime, RunResult, SearchResult, Stream, Unit,
} from "./types";

export interface Source {
  readonly served: boolean;
  overview(): Promise<Overview>;
  events(chunk: number): Promise<EventChunk>;
  frames(chunk: number): Promise<Frame[]>;
  plots(key: string): Promise<Plots>;
  step(from: number, unit: Unit, count: number): Promise<number>;
  run(from: number, direction: number, breakpoints: Breakpoint[]): Promise<RunResult>;
  filter(text: string, from: number, most: number): Promise<FilterResult>;
  /** Explain in sentences why this happened. */
  why(index: number): Promise<string>;
  /** Evaluate an expression at one event. If the expression is wrong, the thrown error has a message for the reader. */
  evaluate(text: string, at: number): Promise<any>;
  /** Return where the time of a request went; of another run, if `trace` is its id. */
  time(connection: string, from: string, to: string, trace?: string): Promise<RequestTime>;
  /** Return the last event up to `at` that changed a field of a connection, or -1. */
  changed(at: number, key: string, field: string): Promise<number>;
  search(text: string, from: number): Promise<SearchResult>;
  conversations(): Promise<Conversation[]>;
  stream(number: number): Promise<Stream>;
  attempt?(number: number): Promise<Branch>;
  branch?(at: number, change: string, argument: string): Promise<Branch>;
}

/** The server's answers. All addresses are relative, so the page sends requests only to its own server. */
export class ServedSource implements Source {
  readonly served = true;

  constructor(readonly trace: string) {}

  private async ask(what: string, body?: object, trace = this.trace): Promise<any> {
    const options = body && {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    };
    const answer = await fetch(`api/${encodeURIComponent(trace)}/${what}`, options || undefined);
    if (answer.ok) return answer.json();
    const problem = await answer.json().catch(() => ({}));
    throw new Error(problem.error ?? `the server answered ${answer.status}`);
  }

  overview(): Promise<Overview> {
    return this.ask("overview");
  }
  events(chunk: number): Promise<EventChunk> {
    return this.ask(`events/${chunk}`);
  }
  frames(chunk: number): Promise<Frame[]> {
    return this.ask(`frames/${chunk}`);
  }
  plots(key: string): Promise<Plots> {
    return this.ask(`plots?connection=${encodeURIComponent(key)}`);
  }
  time(connection: string, from: string, to: string, trace?: string): Promise<RequestTime> {
    return this.ask(`time?${new URLSearchParams({ connection, from, to })}`, undefined, trace);
  }
  async why(index: number): Promise<string> {
    return (await this.ask(`why/${index}`)).text;
  }
  async step(from: number, unit: Unit, count: number): Promise<number> {
    return (await this.ask("step", { from, unit, count })).position;
  }
  run(from: number, direction: number, breakpoints: Breakpoint[]): Promise<RunResult> {
    return this.ask("run", { from, direction, breakpoints });
  }
  filter(text: string, from: number, most: number): Promise<FilterResult> {
    return this.ask("filter", { text, from, most });
  }
  async evaluate(text: string, at: number): Promise<any> {
    return (await this.ask("evaluate", { text, at })).value;
  }
  async changed(at: number, key: string, field: string): Promise<number> {
    return (await this.ask("changed", { at, key, field })).position;
  }
  search(text: string, from: number): Promise<SearchResult> {
    return this.ask("search", { text, from });
  }
  conversations(): Promise<Conversation[]> {
    return this.ask("conversations");
  }
  stream(number: number): Promise<Stream> {
    return this.ask(`streams/${number}`);
  }
  attempt(number: number): Promise<Branch> {
    return this.ask("attempt", { number });
  }
  branch(at: number, change: string, argument: string): Promise<Branch> {
    return this.ask("branch", { at, change, argument });
  }
}
