// What if: the scenario runs again with one change from the cursor on, beside the original run.
import { clear, h, VirtualList } from "../dom";
import { seconds } from "../format";
import type { View } from "../store";
import type { Branch, Change } from "../types";
import { Compared } from "./compared";
import type { Context, Pane } from "./pane";

const ROW = 20;

export class WhatIfPane implements Pane {
  readonly name = "whatif";
  readonly title = "What if";
  readonly element: HTMLElement;
  private readonly choice = h("select", { id: "change", "aria-label": "change" }) as HTMLSelectElement;
  private readonly argument = h("input", { id: "argument", list: "arguments", spellcheck: "false", autocomplete: "off" }) as HTMLInputElement;
  private readonly arguments = h("datalist", { id: "arguments" });
  private readonly result = h("div", { class: "bar compare-head" });
  private readonly list: VirtualList;
  private readonly compared = new Compared();
  private branch: Branch | null = null;

  constructor(private readonly context: Context) {
    const { changes } = context.store.overview;
    this.list = new VirtualList(ROW, (first, last, into) => this.draw(first, last, into), "compare");
    this.element = h("div", { class: "pane-body column" });
    if (!changes.length) {
      this.element.append(h("p", { class: "empty" }, this.whyNot()));
      return;
    }
    clear(this.choice, ...changes.map((change) => h("option", { value: change.name }, change.label)));
    this.choice.addEventListener("change", () => this.fill());
    this.fill();
    const form = h(
      "form",
      { class: "bar", onsubmit: (event: Event) => { event.preventDefault(); void this.run(() => this.chosen()); } },
      h("span", {}, "From here on:"), this.choice, this.argument, this.arguments, h("button", { id: "run-branch" }, "Run on"),
    );
    const tries = context.store.overview.tries.map(([change, text], number) =>
      h("button", { class: "try", "data-try": number, title: change, onclick: () => void this.run(() => context.store.source.attempt!(number)) }, `${text}?`),
    );
    this.element.append(form);
    if (tries.length) this.element.append(h("div", { class: "bar tries-bar" }, h("span", {}, "Try it: what if"), ...tries));
    this.element.append(this.result, h("div", { class: "compare-both" }, this.compared.element, this.list.element));
  }

  private whyNot(): string {
    const { served, parent } = this.context.store.overview;
    if (!served) return "An exported page cannot run a scenario again. Use pystack step SCENARIO --web.";
    if (parent !== null) return "This is already a branch. Go back to the scenario to make another one.";
    return "Only a scenario can run again with a change, and this is a recording.";
  }

  private change(): Change {
    return this.context.store.overview.changes.find((change) => change.name === this.choice.value)!;
  }

  private fill(): void {
    const change = this.change();
    this.argument.hidden = !change.argument;
    this.argument.placeholder = change.argument;
    this.argument.value = change.suggestion;
    clear(this.arguments, ...change.choices.map((text) => h("option", { value: text })));
  }

  private chosen(): Promise<Branch> {
    const { store } = this.context;
    return store.source.branch!(store.position, this.choice.value, this.argument.value.trim());
  }

  private async run(make: () => Promise<Branch>): Promise<void> {
    try {
      this.branch = await make();
    } catch (error) {
      this.context.say((error as Error).message, true);
      return;
    }
    document.dispatchEvent(new Event("runs")); // the pane Time can compare them
    const { rows, label, id, first, figures } = this.branch;
    const differ = rows.filter((row) => !row.same).length;
    clear(
      this.result,
      h("b", { title: label }, label),
      h("span", {}, first < 0 ? "nothing differs" : `${differ} rows differ`),
      ...Object.entries(figures).map(([name, [one, other]]) => h("span", { class: one === other ? "" : "changed" }, `${name} ${one} → ${other}`)),
      h("a", { href: `?trace=${encodeURIComponent(id)}`, id: "open-branch" }, "step through the branch"),
    );
    this.compared.show(this.branch);
    this.list.setCount(rows.length);
    this.list.show(Math.max(0, first));
  }

  show(view: View): void {
    // the user most likely means the frame at the cursor
    const { changes } = this.context.store.overview;
    if (view.frame && changes.length && this.change().argument.startsWith("FRAME")) {
      this.argument.value = this.argument.value.replace(/^\d*/, String(view.frame.number));
    }
    this.list.refresh();
  }

  private draw(first: number, last: number, into: HTMLElement): void {
    const rows = this.branch?.rows.slice(first, last) ?? [];
    const { start } = this.context.store.overview;
    const side = (text: string, time: number | null) =>
      h("span", { class: "side", title: text }, time === null ? "" : h("span", { class: "row-time" }, seconds(time - start)), text);
    clear(
      into,
      ...rows.map((row) =>
        h(
          "div",
          {
            class: `compare-row${row.same ? "" : " differs"}`,
            onclick: () => void (row.leftFrame >= 0 && this.context.store.frame(row.leftFrame).then((frame) => this.context.store.goto(frame.event))),
          },
          side(row.left, row.leftTime),
          side(row.right, row.rightTime),
        ),
      ),
    );
  }
}
