// The addresses of the server: each opened trace has its own folder below the secret (pystack/stepper/web/server.py).

/** Return the folder of the secret, which everything is below. */
export function home(): string {
  return location.pathname.match(/^\/[^/]+\//)?.[0] ?? "/";
}

export function startPage(): string {
  return `${home()}start/`;
}

export function scenarioPage(name: string): string {
  return `${home()}scenario/${encodeURIComponent(name)}/`;
}

export function filePage(path: string): string {
  return `${home()}file/${path.split("/").map(encodeURIComponent).join("/")}/`;
}

/** Return whether the page was opened from the list of scenarios. */
export function isScenarioPage(): boolean {
  return location.pathname.startsWith(`${home()}scenario/`);
}

export interface Progress {
  done: number;
  size: number;
  ready: boolean;
  /** There is something to show, if only the beginning. */
  shown: boolean;
  error: string;
}

/** Return how much of the trace is read. */
export async function progress(): Promise<Progress> {
  const answer = await fetch("api/progress");
  const found = await answer.json();
  if (!answer.ok) throw new Error(found.error ?? `the server answered ${answer.status}`);
  if (found.error) throw new Error(found.error);
  return found;
}
