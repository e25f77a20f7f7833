// The page of a lab: predict, run, compare, change, look inside, and the exercise.
import { clear, h } from "../dom";
import { Exercise } from "./exercise";
import { needs, stateOf } from "./list";
import { LookInside } from "./look";
import { fragment } from "./parts";
import type { CourseSource, Job, LabPage, ResultRow, RunResult, Value } from "./source";

/** The results of this page's runs, so that a lab that is opened again shows them. */
const results = new Map<number, RunResult>();

export class LabView {
  private readonly exercise: Exercise;
  private readonly inputs = new Map<string, HTMLInputElement>();
  private readonly problems = new Map<string, HTMLElement>();
  private readonly results = h("div", { class: "results" });
  private readonly verdict = h("p", { class: "verdict", id: "verdict", role: "status", "aria-live": "polite" });
  private readonly after = h("div", { class: "after-run" });
  private readonly progress = h("span", { class: "progress", id: "progress" });
  private readonly runButton = h("button", { id: "run", type: "submit", class: "strong" }, "Run");
  private readonly stopButton = h("button", { id: "stop", type: "button", hidden: true, onclick: () => this.job?.stop() }, "Stop");
  private readonly state = h("span", {});
  private job: Job<RunResult> | null = null;

  constructor(private readonly source: CourseSource, private readonly page: LabPage, root: HTMLElement) {
    document.title = `Lab ${page.number}: ${page.title} - pystack course`;
    this.exercise = new Exercise(source, page, () => void this.refreshState());
    this.showState();
    clear(root,
      h("nav", { "aria-label": "labs" }, h("a", { href: "#" }, "← all labs")),
      h("h1", { tabindex: -1 }, `Lab ${page.number}: ${page.title}`),
      h("p", { class: "facts" }, this.state, page.lectures && ` · ${page.lectures.includes(",") ? "lectures" : "lecture"} ${page.lectures}`),
      ...needs(page),
      h("section", { class: "words", "aria-label": "story and question" }, fragment(page.before), this.network()),
      this.predictions(),
      h("section", { id: "compare", "aria-labelledby": "compare-title" },
        h("h2", { id: "compare-title" }, "Compare"), this.verdict, this.results),
      this.after,
      new LookInside(source, page).element,
      this.exercise.element,
      page.further && h("section", { class: "words" }, h("h2", {}, "Further reading"), fragment(page.further)),
      this.following());
    const before = results.get(page.number);
    if (before) this.show(before);
    else {
      this.verdict.textContent = "Run the lab first. Then this part shows what you predicted beside what was measured.";
      if (page.ran) this.explain(page.explanation);
    }
  }

  /** Leave the page. What the learner wrote is saved first. */
  async close(): Promise<void> {
    this.job?.stop();
    await this.exercise.close();
  }

  private async refreshState(): Promise<void> {
    this.page.state = (await this.source.page(this.page.number)).state;
    this.showState();
  }

  private showState(): void {
    clear(this.state, stateOf(this.page.state));
  }

  private network(): HTMLElement | null {
    if (!this.page.network) return null;
    return h("figure", { class: "network" },
      h("div", { class: "drawing", tabindex: 0, role: "group", "aria-label": "drawing of the network" },
        h("img", { src: `data:image/svg+xml,${encodeURIComponent(this.page.network)}`, alt: "The network of this lab. The text below has the same." })),
      h("figcaption", {}, h("details", {}, h("summary", {}, "The network as text"), h("pre", { tabindex: 0 }, this.page.network_text))));
  }

  // -- predict and run

  private predictions(): HTMLElement {
    const submit = (event: Event) => {
      event.preventDefault();
      void this.run();
    };
    return h("section", { id: "predict", "aria-labelledby": "predict-title" },
      h("h2", { id: "predict-title" }, "Predict, and run"),
      h("form", { novalidate: true, onsubmit: submit },
        h("p", { class: "hint" }, "An empty field is no prediction. You may run the lab as often as you like."),
        ...this.page.values.map((value, index) => this.prediction(value, index)),
        h("p", { class: "buttons" }, this.runButton, this.stopButton, this.progress)));
  }

  private prediction(value: Value, index: number): HTMLElement {
    const id = `value-${index}`;
    const input = h("input", { id, name: value.name, autocomplete: "off", placeholder: `such as ${value.example}`, "aria-describedby": `${id}-problem`, value: this.kept(value.name),
      oninput: () => this.keep(value.name, input.value) }) as HTMLInputElement;
    const problem = h("span", { class: "problem", id: `${id}-problem` });
    this.inputs.set(value.name, input);
    this.problems.set(value.name, problem);
    return h("p", { class: "prediction" },
      h("label", { for: id }, value.question),
      h("span", { class: "field" }, input, value.unit && h("span", { class: "unit" }, ` ${value.unit}`)),
      problem,
      value.lacks && h("span", { class: "lack" }, `It ${value.lacks}, so it is skipped.`));
  }

  private kept(name: string): string {
    try {
      return sessionStorage.getItem(`prediction ${this.page.number} ${name}`) ?? "";
    } catch {
      return "";
    }
  }

  private keep(name: string, text: string): void {
    try {
      sessionStorage.setItem(`prediction ${this.page.number} ${name}`, text);
    } catch {
      // the browser may forbid it; then a reload forgets it
    }
  }

  async run(): Promise<void> {
    if (this.job) return;
    const predictions = Object.fromEntries([...this.inputs].map(([name, input]) => [name, input.value]));
    this.problem({});
    this.busy(true);
    this.verdict.textContent = "";
    try {
      this.job = this.source.run(this.page.number, predictions, (done, of, what) => {
        const bar = h("progress", { max: of, value: done, "aria-label": "progress of the run" });
        clear(this.progress, bar, what && ` ${done + 1} of ${of}: ${what}`);
      });
      const found = await this.job.result;
      if (found.errors) {
        this.problem(found.errors);
        this.verdict.textContent = "A prediction cannot be read. Nothing was run.";
        return;
      }
      results.set(this.page.number, found);
      this.show(found);
      await this.refreshState();
    } catch (error) {
      this.verdict.textContent = (error as Error).message;
    } finally {
      this.job = null;
      this.busy(false);
    }
  }

  private busy(busy: boolean): void {
    this.runButton.toggleAttribute("disabled", busy);
    this.stopButton.hidden = !busy;
    if (!busy) clear(this.progress);
  }

  private problem(errors: Record<string, string>): void {
    for (const [name, element] of this.problems) {
      element.textContent = errors[name] ?? "";
      this.inputs.get(name)!.setAttribute("aria-invalid", String(name in errors));
    }
    for (const [name, input] of this.inputs) {
      if (name in errors) return input.focus();
    }
  }

  // -- compare

  private show(found: RunResult): void {
    const predicted = found.rows.filter((row) => row.predicted_right !== null);
    const right = predicted.filter((row) => row.predicted_right).length;
    const skipped = [...found.rows, ...found.controls.map((one) => one.row)].filter((row) => row.skipped).length;
    const words = [
      predicted.length > 0 && `${right} of your ${predicted.length} ${predicted.length === 1 ? "prediction is" : "predictions are"} right.`,
      found.right ? "Every measured value is what its formula says." : "A measured value is not what its formula says.",
      skipped > 0 && `${skipped} skipped.`,
    ];
    this.verdict.textContent = words.filter(Boolean).join(" ");
    this.verdict.dataset.right = String(found.right);
    clear(this.results,
      table("The values", ["Question", "You predicted", "Measured", "Formula", "So"], found.rows.map((row) => [row.question, ...comparison(row)])),
      found.controls.length > 0 && h("h3", {}, "Control: one thing is changed, and the result must differ"),
      found.controls.length > 0 && table("The control", ["Change", "Value", "Measured", "Formula", "So"],
        found.controls.map(({ change, row }) => [change, row.question, ...comparison(row).slice(1)])));
    this.explain(found.explanation);
  }

  private explain(explanation: string): void {
    clear(this.after, h("section", { class: "words", id: "explanation" }, h("h2", {}, "Explanation"), fragment(explanation)));
  }

  private following(): HTMLElement {
    const { next } = this.page;
    const buttons = h("p", { class: "buttons" },
      next && h("a", { class: "button strong", id: "next-lab", href: `#lab=${next.number}` }, `Next: lab ${next.number}, ${next.title}`),
      h("a", { class: "button", href: "#" }, "All labs"));
    return h("nav", { "aria-label": "next lab" }, buttons);
  }
}

/** Return what was predicted and measured, the formula, and what follows, in words. */
function comparison(row: ResultRow): string[] {
  const guess = row.predicted_right === null ? "no prediction" : `${row.predicted} (${row.predicted_right ? "✓ right" : "✗ not so"})`;
  const measured = row.skipped ? `skipped: ${row.skipped}` : row.measured;
  const so = row.skipped ? "– skipped" : row.right ? "✓ as the formula says" : "✗ not what the formula says";
  return [guess, measured, `${row.formula} = ${row.expected}`, so];
}

/** A table, whose cells stand below each other on a narrow screen. */
function table(caption: string, heads: string[], rows: string[][]): HTMLElement {
  return h("table", { class: "stacked" },
    h("caption", {}, caption),
    h("thead", {}, h("tr", {}, ...heads.map((head) => h("th", { scope: "col" }, head)))),
    h("tbody", {}, ...rows.map((row) => h("tr", {}, ...row.map((cell, index) =>
      h(index ? "td" : "th", { "data-head": index ? heads[index] : undefined, scope: index ? undefined : "row", class: cell.includes("✗") ? "bad-cell" : undefined }, cell))))));
}
