// What every pane has.
import type { Store, View } from "../store";

export interface Pane {
  readonly name: string;
  readonly title: string;
  readonly element: HTMLElement;
  /** Show this position. Called only while the pane is in sight, and once when it comes into sight. */
  show(view: View): void;
}

/** What panes share beyond the position: the connection being looked at, and a way to say something. */
export interface Context {
  store: Store;
  connection(): string;
  setConnection(key: string): void;
  say(text: string, bad?: boolean): void;
}
