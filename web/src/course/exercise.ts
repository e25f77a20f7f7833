// The exercise of a lab: the editor, the check, hints, the solution, and the way back to the starter file.
import { clear, h } from "../dom";
import { Editor } from "./editor";
import { confirmed, fragment, line } from "./parts";
import type { CourseSource, Grade, Job, LabPage, Verdict } from "./source";

/** After how many milliseconds without a key the text is saved. */
const PAUSE = 600;

/** A text that is not saved, and the version of the file that it began with. */
interface Draft { text: string; version: string }

const WORDS: Record<Verdict, string> = {
  right: "✓ Right: the exercise is solved.",
  wrong: "✗ Not right yet.",
  error: "✗ Your file raised an error.",
  refused: "✗ Refused.",
  stopped: "✗ Stopped.",
  skipped: "– It cannot be checked here.",
};

export class Exercise {
  readonly element: HTMLElement;
  private readonly editor: Editor;
  private readonly saved = h("span", { class: "saved", id: "saved", role: "status" });
  private readonly conflict = h("div", { class: "conflict", id: "conflict", role: "alert" });
  private readonly verdict = h("div", { class: "grade", id: "grade", role: "status", "aria-live": "polite" });
  private readonly hints = h("ol", { class: "hints", id: "hints" });
  private readonly solution = h("div", { id: "solution" });
  private readonly checkButton = h("button", { class: "strong", id: "check", onclick: () => void this.check() }, "Check");
  private readonly stopButton = h("button", { id: "stop-check", hidden: true, onclick: () => this.job?.stop() }, "Stop");
  private readonly hintButton = h("button", { id: "hint", onclick: () => void this.hint() });
  private readonly closing = new AbortController();
  private job: Job<Grade> | null = null;
  private timer = 0;
  private version: string;
  /** The text that is known to be saved. */
  private last: string;
  private seen: string[];
  private saving: Promise<void> = Promise.resolve();
  private inConflict = false;
  private failed = false;
  private checking = false;

  constructor(private readonly source: CourseSource, private readonly page: LabPage, private readonly changed: () => void) {
    this.last = page.answer ?? page.starter;
    const found = this.draft();
    const draft = found && found.text !== this.last ? found : null;
    this.version = draft ? draft.version : page.version;
    if (!draft) this.forget();
    this.seen = [...page.hints_seen];
    const place = h("div", { class: "editor" });
    this.editor = new Editor(place, {
      text: draft ? draft.text : this.last, suffix: page.suffix, label: `your file ${page.file}`, describedBy: "editor-keys",
      onChange: () => this.later(), onSave: () => void this.save(), onCheck: () => void this.check(),
    });
    this.element = h("section", { id: "exercise", "aria-labelledby": "exercise-title" },
      h("h2", { id: "exercise-title" }, "Exercise"),
      h("div", { class: "words" }, fragment(page.exercise)),
      h("p", { class: "file" }, h("b", {}, page.file), " ", this.saved),
      this.conflict, place,
      h("p", { class: "hint", id: "editor-keys" }, h("kbd", {}, "Ctrl"), " ", h("kbd", {}, "Enter"), " checks, ", h("kbd", {}, "Tab"), " indents, and ", h("kbd", {}, "Esc"), " ", h("kbd", {}, "Tab"), " leaves the editor."),
      h("p", { class: "buttons" }, this.checkButton, this.stopButton, this.hintButton,
        h("button", { id: "show-solution", onclick: () => void this.showSolution() }, "Solution"),
        h("button", { id: "reset", onclick: () => void this.reset() }, "Begin again")),
      this.verdict, this.hints, this.solution);
    this.showHints();
    const { signal } = this.closing;
    addEventListener("pagehide", () => void this.save(true), { signal });
    addEventListener("beforeunload", (event) => {
      void this.save(true); // Firefox may end the script of a page that is left before it has done its part for pagehide
      if (this.editor.text !== this.last && (this.inConflict || this.failed)) event.preventDefault();
    }, { signal });
    document.addEventListener("visibilitychange", () => void (document.hidden ? this.save(true) : this.look()), { signal });
    if (draft) this.later();
  }

  async close(): Promise<void> {
    this.job?.stop();
    this.closing.abort();
    await this.save(true).catch(() => {});
    this.editor.close();
  }

  // -- saving

  private later(): void {
    clearTimeout(this.timer);
    if (this.editor.text === this.last) return;
    if (!this.inConflict) this.saved.textContent = "not saved yet";
    this.timer = window.setTimeout(() => void this.save(), PAUSE);
  }

  /** Save what is in the editor, one request after the other. */
  save(last = false): Promise<void> {
    clearTimeout(this.timer);
    const next = this.saving.then(() => this.write(last));
    this.saving = next.catch(() => {});
    return next;
  }

  private async write(last: boolean): Promise<void> {
    const text = this.editor.text;
    if (text === this.last) return this.forget();
    this.keep(text);
    if (this.inConflict) return;
    try {
      const found = await this.source.save(this.page.number, text, this.version, last);
      if (found.conflict !== undefined) return this.differ(found.conflict, found.version);
      this.version = found.version;
      this.last = text;
      this.failed = false;
      if (this.draft()?.text === text) this.forget();
      this.saved.textContent = found.file ? `saved in ${found.file}` : "saved";
      if (this.page.state === "open" || this.page.state === "run") this.changed();
    } catch (error) {
      this.failed = true;
      this.saved.textContent = `not saved: ${(error as Error).message}`;
    }
  }

  // A text that could not be saved is kept in the browser's tab, so that it is there if the learner leaves this lab and comes back.

  private keep(text: string): void {
    try {
      sessionStorage.setItem(`draft ${this.page.number}`, JSON.stringify({ text, version: this.version } satisfies Draft));
    } catch {
      // the browser may forbid it
    }
  }

  private draft(): Draft | null {
    try {
      return JSON.parse(sessionStorage.getItem(`draft ${this.page.number}`) ?? "null") as Draft | null;
    } catch {
      return null;
    }
  }

  private forget(): void {
    try {
      sessionStorage.removeItem(`draft ${this.page.number}`);
    } catch {
      // the browser may forbid it
    }
  }

  /** The page is seen again. Take the text that another page or editor has saved meanwhile, if nothing was typed here. */
  private async look(): Promise<void> {
    const { answer, version } = await this.source.page(this.page.number).catch(() => ({ answer: null, version: this.version }));
    if (answer === null || version === this.version || this.inConflict) return;
    if (this.editor.text !== this.last) return this.differ(answer, version);
    this.take(answer, version);
    this.saved.textContent = "another page or editor has changed the file; this is its text";
  }

  private take(text: string, version: string): void {
    this.last = text;
    this.version = version;
    this.editor.text = text;
    this.failed = false;
    this.forget();
  }

  private differ(other: string, version: string): void {
    this.inConflict = true;
    this.saved.textContent = "not saved";
    const settle = (mine: boolean) => () => {
      this.inConflict = false;
      clear(this.conflict);
      if (mine) {
        this.version = version;
        void this.save();
      } else {
        this.take(other, version);
        this.saved.textContent = "this is the other text; Ctrl-Z brings yours back";
      }
      this.editor.view.focus();
    };
    clear(this.conflict,
      h("p", {}, "The file was saved from elsewhere, by another tab or by an editor. Nothing was overwritten. Which text shall stay?"),
      h("p", { class: "buttons" },
        h("button", { id: "keep-mine", onclick: settle(true) }, "The text of this page"),
        h("button", { id: "take-other", onclick: settle(false) }, "The other text")),
      h("details", {}, h("summary", {}, "The other text"), h("pre", { tabindex: 0 }, other)));
  }

  // -- check

  async check(): Promise<void> {
    if (this.checking) return;
    this.checking = true;
    this.checkButton.setAttribute("disabled", "");
    clear(this.verdict, h("p", { class: "hint" }, "Checking …"));
    delete this.verdict.dataset.verdict;
    try {
      await this.save();
      this.stopButton.hidden = false;
      this.job = this.source.check(this.page.number, this.editor.text);
      this.say(await this.job.result);
      this.changed();
    } catch (error) {
      clear(this.verdict, h("p", {}, (error as Error).message));
    } finally {
      this.job = null;
      this.checking = false;
      this.checkButton.removeAttribute("disabled");
      this.stopButton.hidden = true;
    }
  }

  private say({ verdict, text, output }: Grade): void {
    this.verdict.dataset.verdict = verdict;
    clear(this.verdict,
      h("p", { class: "grade-word" }, WORDS[verdict] ?? verdict),
      text && h("p", { class: "grade-text" }, ...line(text)),
      output && h("details", { open: true }, h("summary", {}, "Your file printed"), h("pre", { tabindex: 0 }, output)));
  }

  // -- help

  private showHints(): void {
    clear(this.hints, ...this.seen.map((text) => h("li", {}, ...line(text))));
    const next = this.seen.length + 1;
    this.hintButton.textContent = next > this.page.hints ? "No more hints" : `Hint ${next} of ${this.page.hints}`;
    this.hintButton.toggleAttribute("disabled", next > this.page.hints);
  }

  private async hint(): Promise<void> {
    try {
      this.seen.push((await this.source.hint(this.page.number, this.seen.length + 1)).text);
      this.showHints();
    } catch (error) {
      this.saved.textContent = (error as Error).message;
    }
  }

  private async showSolution(): Promise<void> {
    if (!(await confirmed("Show a solution? You learn more if you try first, and the hints help.", "Show it"))) return;
    const { text } = await this.source.solution(this.page.number);
    const copy = () => {
      this.editor.text = text;
      this.editor.view.focus();
    };
    clear(this.solution, h("h3", { tabindex: -1 }, "A solution"), h("pre", { tabindex: 0 }, text),
      h("p", { class: "buttons" }, h("button", { id: "use-solution", onclick: copy }, "Copy it into the editor")));
    this.solution.querySelector("h3")!.focus();
  }

  private async reset(): Promise<void> {
    if (this.inConflict) { // There are two texts, and a copy would be made of one alone.
      this.conflict.querySelector("button")!.focus();
      this.saved.textContent = "not saved: first choose which text shall stay";
      return;
    }
    if (!(await confirmed("Begin again with the starter file? The lab counts as not begun then. Your text stays in a copy.", "Begin again"))) return;
    await this.save();
    const { text, version, kept } = await this.source.reset(this.page.number);
    this.inConflict = false;
    clear(this.conflict);
    this.take(text, version);
    this.saved.textContent = kept ? `your text is in ${kept}` : "";
    this.seen = [];
    this.showHints();
    clear(this.verdict);
    clear(this.solution);
    this.changed();
  }
}
