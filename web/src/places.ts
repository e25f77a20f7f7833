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

/** Where the page is, if it has no address of its own: a frame's srcdoc, as in the course without a server. */
let kept = "";

export function hasAddress(): boolean {
  return location.protocol !== "about:";
}

/** Return what the address says after "#": position, panes and layout. */
export function place(): URLSearchParams {
  return new URLSearchParams((hasAddress() ? location.hash : kept).slice(1));
}

export function setPlace(hash: string): void {
  if (hasAddress()) history.replaceState(null, "", hash);
  else kept = hash;
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
