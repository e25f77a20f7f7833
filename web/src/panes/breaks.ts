// Breakpoints and watchpoints: the same expressions as in the terminal.
import { clear, h } from "../dom";
import { valueText } from "../format";
import type { View } from "../store";
import type { Context, Pane } from "./pane";

const IDEAS = ['event.kind == "retransmit"', "state == TIME_WAIT", "tcb.cwnd < 2*tcb.mss", "frame.number == 12", "tcb.snd_wnd == 0"];

export class BreaksPane implements Pane {
  readonly name = "breaks";
  readonly title = "Breakpoints";
  readonly element: HTMLElement;
  readonly input: HTMLInputElement;
  private readonly list = h("div", { class: "break-list" });
  private watching = false;
  private readonly value = h("span", { class: "value", id: "expression-value" });

  constructor(private readonly context: Context) {
    this.input = h("input", {
      id: "expression", spellcheck: "false", autocomplete: "off", list: "ideas", placeholder: 'event.kind == "retransmit"',
      "aria-label": "expression", title: "an expression over event, tcb, state, frame, time, host, and the hosts' names",
      onblur: () => { this.watching = false; },
    }) as HTMLInputElement;
    const form = h(
      "form",
      { class: "bar", onsubmit: (event: Event) => { event.preventDefault(); void this.add(this.watching); } },
      this.input,
      h("datalist", { id: "ideas" }, ...IDEAS.map((text) => h("option", { value: text }))),
      // Not a submit button: Enter would click it, and "w" asks for a watchpoint.
      h("button", { type: "button", id: "add-break", title: "stop when it is true", onclick: () => void this.add(false) }, "Break"),
      h("button", { type: "button", id: "add-watch", title: "stop when its value changes", onclick: () => void this.add(true) }, "Watch"),
      h("button", { type: "button", id: "show-value", title: "show its value here", onclick: () => void this.showValue() }, "="),
    );
    const hints = h(
      "p",
      { class: "hint" },
      "For example: ",
      ...IDEAS.flatMap((text) => [h("code", { onclick: () => { this.input.value = text; this.input.focus(); } }, text), "  "]),
      "Run forwards with ", h("kbd", {}, "r"), ", backwards with ", h("kbd", {}, "R"), ".",
    );
    this.element = h("div", { class: "pane-body column" }, form, h("div", { class: "scroll", tabindex: 0 }, this.value, this.list, hints));
  }

  /** Let the user type an expression; Enter makes a breakpoint of it, or a watchpoint. */
  begin(watch: boolean): void {
    this.watching = watch;
    this.input.focus();
  }

  /** Add a breakpoint. Its expression is evaluated first, so that a mistake is reported at once. */
  private async add(watch: boolean): Promise<void> {
    const text = this.input.value.trim();
    if (!text || !(await this.tried(text))) return;
    this.context.store.breakpoints.push({ text, watch, enabled: true, hits: 0 });
    this.input.value = "";
    this.watching = false;
    this.context.say(`${watch ? "watch" : "break"}: ${text}`);
    this.draw();
  }

  private async tried(text: string): Promise<{ value: any } | null> {
    this.input.classList.remove("bad");
    try {
      return { value: await this.context.store.source.evaluate(text, Math.max(0, this.context.store.position)) };
    } catch (error) {
      this.input.classList.add("bad");
      this.context.say((error as Error).message, true);
      return null;
    }
  }

  private async showValue(): Promise<void> {
    const text = this.input.value.trim();
    const found = text ? await this.tried(text) : null;
    this.value.textContent = found ? `${text} = ${found.value === null ? "no value here" : valueText(found.value)}` : "";
  }

  private draw(): void {
    const { breakpoints } = this.context.store;
    clear(
      this.list,
      ...breakpoints.map((one, i) =>
        h(
          "div",
          { class: `break${one.enabled ? "" : " off"}` },
          h("input", {
            type: "checkbox", checked: one.enabled, "aria-label": "enabled",
            onchange: (event: Event) => { one.enabled = (event.target as HTMLInputElement).checked; this.draw(); },
          }),
          h("span", { class: "sort" }, one.watch ? "watch" : "break"),
          h("code", {}, one.text),
          h("span", { class: "count" }, one.hits ? `${one.hits} hit${one.hits > 1 ? "s" : ""}` : ""),
          h("button", { class: "small", title: "remove", onclick: () => { breakpoints.splice(i, 1); this.draw(); } }, "✕"),
        ),
      ),
    );
  }

  show(_view: View): void {
    this.value.textContent = "";
    this.draw();
  }
}
