// The interface of all panes.
import type { Store, View } from "../store";

export interface Pane {
  readonly name: string;
  readonly title: string;
  readonly element: HTMLElement;
  /** Show this position. It is called only while the pane is visible, and once when it becomes visible. */
  show(view: View): void;
}

/** What panes share besides the position: the chosen connection, and a way to show a message. */
export interface Context {
  store: Store;
  connection(): string;
  setConnection(key: string): void;
  say(text: string, bad?: boolean): void;
  /** Whether the ladder is to scale, and the switch. */
  toScale(): boolean;
  switchScale(): void;
}
