// Conversations: who talked with whom, and what both sides said.
import { clear, h } from "../dom";
import { duration, seconds } from "../format";
import type { View } from "../store";
import type { Conversation, Stream } from "../types";
import type { Context, Pane } from "./pane";

/** How many conversations are listed. */
const MOST = 500;

export class StreamsPane implements Pane {
  readonly name = "streams";
  readonly title = "Conversations";
  readonly element: HTMLElement;
  private readonly table = h("div", { class: "scroll talks", tabindex: 0 });
  private readonly text = h("div", { class: "scroll stream", tabindex: 0, id: "stream" });
  private talks: Conversation[] | null = null;
  private chosen = -1;
  private loading = false;

  constructor(private readonly context: Context) {
    this.element = h("div", { class: "pane-body column" }, this.table, this.text);
    clear(this.text, h("p", { class: "hint" }, "Choose a conversation to read what both sides said. A click on the text leads to its frame."));
  }

  show(_view: View): void {
    if (!this.talks && !this.loading) void this.load();
  }

  private async load(): Promise<void> {
    this.loading = true;
    try {
      this.talks = await this.context.store.source.conversations();
      this.draw();
    } catch (error) {
      this.context.say((error as Error).message, true);
    }
    this.loading = false;
  }

  private draw(): void {
    const talks = this.talks!;
    if (!talks.length) {
      clear(this.table, h("p", { class: "empty" }, "no conversation of TCP or UDP"));
      return;
    }
    const rows = talks.slice(0, MOST).map((talk) =>
      h(
        "tr",
        { class: talk.number === this.chosen ? "current" : "", "data-talk": talk.number },
        h("td", {}, h("button", { class: "small", onclick: () => void this.follow(talk.number) }, `${talk.protocol} ${talk.client} > ${talk.server}`)),
        h("td", { class: "number" }, `${talk.frames[0]} + ${talk.frames[1]}`),
        h("td", { class: "number" }, `${talk.data[0]} + ${talk.data[1]}`),
        h("td", { class: "number" }, seconds(talk.start)),
        h("td", { class: "number" }, duration(talk.end - talk.start)),
      ),
    );
    const heads = ["conversation", "frames", "bytes of data", "begins (s)", "lasts"];
    clear(this.table, h("table", { class: "list" }, h("thead", {}, h("tr", {}, ...heads.map((text) => h("th", { scope: "col" }, text)))), h("tbody", {}, ...rows)));
  }

  private async follow(number: number): Promise<void> {
    try {
      const stream: Stream = await this.context.store.source.stream(number);
      this.chosen = number;
      this.draw();
      const { client, server } = this.talks![number];
      const pieces = stream.pieces.map(([way, frame, event, size, text]) =>
        h("span", {
          class: `said way-${way}`, role: "button", tabindex: 0, "data-frame": frame, title: `${way ? server : client} said ${size} bytes in frame ${frame}`,
          onclick: () => void this.context.store.goto(event),
          onkeydown: (press: KeyboardEvent) => { if (press.key === "Enter") void this.context.store.goto(event); },
        }, text),
      );
      clear(
        this.text,
        h("p", { class: "hint" }, h("span", { class: "said way-0" }, client), " ", h("span", { class: "said way-1" }, server)),
        pieces.length ? h("div", { class: "said-all" }, ...pieces) : h("p", { class: "empty" }, "nobody said anything"),
        stream.cut && h("p", { class: "hint" }, "There is more than is shown here."),
      );
    } catch (error) {
      this.context.say((error as Error).message, true);
    }
  }
}
