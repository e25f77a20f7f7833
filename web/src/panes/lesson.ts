// The beginner's words: the question, one button for the next step, and what to try.
import { clear, h, withCode } from "../dom";
import { scenarioPage } from "../places";
import type { View } from "../store";
import { Compared } from "./compared";
import type { Context } from "./pane";

export class Lesson {
  readonly element: HTMLElement;
  /** The buttons that move. They stay in sight while the words scroll. */
  readonly buttons: HTMLElement;
  readonly compared = new Compared();
  private readonly next: HTMLButtonElement;
  private readonly back: HTMLButtonElement;
  private readonly place = h("span", { class: "lesson-place" });
  private readonly after = h("div", { class: "lesson-after" });
  private readonly through = h("p", {});
  private readonly question = h("p", { class: "lesson-question" });

  constructor(
    private readonly context: Context,
    private readonly showAnswer: () => Promise<void>,
  ) {
    const { overview } = context.store;
    this.next = h("button", { class: "lesson-next", id: "lesson-next", title: "the next row of the ladder (Space)", onclick: () => void this.forward() }, "Next") as HTMLButtonElement;
    this.back = h("button", { id: "lesson-back", title: "the row before", onclick: () => void this.backward() }, "Back") as HTMLButtonElement;
    const answer = overview.answers.length
      ? h("button", { id: "lesson-answer", title: "to the event that answers the question (a)", onclick: () => void this.showAnswer() }, "Show me the answer")
      : null;
    this.buttons = h("div", { class: "lesson-buttons" }, this.back, this.next, answer, this.place);
    const tries = overview.tries.map(([changes, text], number) =>
      h("button", { class: "try", "data-try": number, title: changes, onclick: () => void this.attempt(number) }, `What if ${text}?`),
    );
    this.element = h(
      "div",
      { class: "lesson" },
      this.question,
      overview.story && h("details", { class: "lesson-story" }, h("summary", {}, "The story"), h("p", {}, ...withCode(overview.story))),
      tries.length ? h("div", { class: "tries" }, h("h2", {}, "Try it"), ...tries) : null,
      this.compared.element, this.through, this.after,
    );
  }

  show(view: View): void {
    const { overview } = this.context.store;
    const rows = overview.ladder.events;
    const row = this.row();
    this.next.disabled = row >= rows.length - 1;
    this.back.disabled = view.index < 0;
    this.place.textContent = `${row + 1} of ${rows.length}`;
    // before the first event, and after "Show me the answer", the question is above
    const above = view.index < 0 || this.context.store.message.startsWith(overview.question);
    this.question.textContent = above ? "" : overview.question;
    (this.element.querySelector("details") as HTMLDetailsElement | null)?.toggleAttribute("open", view.index < 0);
    const following = overview.next;
    clear(this.after, this.next.disabled && following ? h("a", { class: "button", href: scenarioPage(following[0]) }, `Next scenario: ${following[1]} →`) : null);
  }

  /** Return the last row at or before the position, or -1. */
  private row(): number {
    const rows = this.context.store.overview.ladder.events;
    let found = rows.findIndex((event) => event > this.context.store.position);
    if (found < 0) found = rows.length;
    return found - 1;
  }

  async forward(): Promise<void> {
    const rows = this.context.store.overview.ladder.events;
    const row = this.row() + 1;
    if (row < rows.length) await this.context.store.goto(rows[row]);
  }

  private async backward(): Promise<void> {
    const rows = this.context.store.overview.ladder.events;
    const row = this.row();
    const here = rows[row] === this.context.store.position ? row - 1 : row;
    await this.context.store.goto(here < 0 ? -1 : rows[here]);
  }

  private async attempt(number: number): Promise<void> {
    try {
      const branch = await this.context.store.source.attempt!(number);
      this.compared.show(branch);
      clear(this.through, h("a", { class: "button", id: "open-branch", href: `?trace=${encodeURIComponent(branch.id)}` }, "Step through this run"));
      this.compared.element.scrollIntoView({ block: "nearest" });
    } catch (error) {
      this.context.say((error as Error).message, true);
    }
  }
}
