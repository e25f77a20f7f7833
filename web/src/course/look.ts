// Look inside: the stepper at the lab's key moment, and plots.
import { clear, h } from "../dom";
import type { CourseSource, LabPage } from "./source";

export class LookInside {
  readonly element: HTMLElement | null;
  private readonly shown = h("div", { class: "shown" });
  private readonly status = h("p", { class: "hint", role: "status" });

  constructor(private readonly source: CourseSource, private readonly page: LabPage) {
    this.element = page.scenarios.length === 0 ? null : h("section", { id: "look", "aria-labelledby": "look-title" },
      h("h2", { id: "look-title" }, "Look inside"),
      h("p", { class: "hint" }, "The stepper shows each frame and each decision, with the reason. Its own keys work after a click into it."),
      h("p", { class: "buttons" },
        ...page.scenarios.map((one) => h("button", { "data-step": one.name, onclick: () => void this.step(one.name, one.title) }, `Step through: ${one.title}`)),
        h("button", { id: "plots", onclick: () => void this.plots() }, "Plots")),
      this.status, this.shown);
  }

  private async step(name: string, title: string): Promise<void> {
    await this.during("The simulation runs …", async () => {
      const { html, address } = await this.source.step(name);
      // the frame counts as another site, so its script cannot reach this page
      const frame = h("iframe", { class: "stepper", title: `stepper: ${title}`, sandbox: "allow-scripts allow-popups", src: address, srcdoc: address ? undefined : html });
      clear(this.shown, address && h("p", {}, h("a", { href: address, target: "_blank", rel: "noopener" }, "Open it in a tab of its own")), frame);
    });
  }

  private async plots(): Promise<void> {
    await this.during("The plots are drawn …", async () => {
      const { svg } = await this.source.plot(this.page.number);
      if (!svg.length) throw new Error("There are no plots of this lab here.");
      clear(this.shown, ...svg.map((text, index) =>
        h("img", { class: "plot", src: `data:image/svg+xml,${encodeURIComponent(text)}`, alt: `plot ${index + 1} of lab ${this.page.number}` })));
    });
  }

  private async during(words: string, action: () => Promise<void>): Promise<void> {
    this.status.textContent = words;
    try {
      await action();
      this.status.textContent = "";
    } catch (error) {
      this.status.textContent = (error as Error).message;
    }
  }
}
