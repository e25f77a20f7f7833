// The band under the buttons: what happened here, and why, in words.
import { clear, h, rfcLink } from "../dom";
import { seconds } from "../format";
import type { View } from "../store";
import type { Context } from "./pane";

export class Why {
  private readonly long = h("div", { class: "long", id: "why", onclick: () => this.element.classList.toggle("open") });
  readonly element = h("section", { class: "why", "aria-live": "polite" });

  constructor(private readonly context: Context) {}

  show(view: View): void {
    const { overview, message } = this.context.store;
    const entry = view.entry;
    const note = message ? h("span", { class: "note" }, message) : null;
    if (!entry) {
      clear(
        this.element,
        h("div", { class: "facts" }, h("b", {}, "before the first event"), note),
        h("div", { class: "reason asks" }, overview.question || overview.title || "Step forwards to begin (→).", " ", this.answer()),
      );
      return;
    }
    const about = overview.kinds[entry.kind]?.text ?? "";
    const place = `event ${entry.index + overview.firstEvent}/${overview.firstEvent + overview.events - 1}`;
    const frame = view.frame ? `frame ${view.frame.number}` : "";
    this.long.textContent = "";
    void this.explain(entry.index);
    clear(
      this.element,
      h(
        "div",
        { class: "facts" },
        h("span", { class: `kind layer-${entry.layer}`, title: about, id: "kind" }, entry.kind),
        h("b", { class: "host" }, entry.host),
        h("span", { class: "time", title: `${entry.time} ns on the host's clock` }, `${seconds(view.time, 9)} s`),
        h("span", { class: "number" }, place),
        frame && h("span", { class: "number" }, frame),
        h("span", { class: "subject" }, entry.subject),
        note,
      ),
      h(
        "div",
        { class: "reason" },
        h("span", { id: "reason" }, entry.text || about),
        " ",
        rfcLink(entry.rfc, view.links[entry.rfc]),
      ),
      this.long,
    );
  }

  /** If the scenario asks a question, show a button that leads to the answer. */
  private answer(): HTMLElement | null {
    const go = () => void this.showAnswer();
    return this.context.store.overview.answers.length
      ? h("button", { id: "answer", title: "to the event that answers it (a)", onclick: go }, "Show me (a)")
      : null;
  }

  /** Go to the answer, with the explanation unfolded. */
  async showAnswer(): Promise<void> {
    await this.context.store.answer();
    this.element.classList.add("open");
  }

  private async explain(index: number): Promise<void> {
    const text = await this.context.store.source.why(index);
    if (this.context.store.position !== index) return;
    this.long.textContent = text;
    this.long.title = `${text}\n(click to show all of it, or two lines)`;
  }
}
