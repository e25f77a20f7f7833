// Look inside: the stepper at the lab's key moment, and plots.
import { clear, h } from "../dom";
import type { CourseSource, LabPage, Sight } from "./source";

export class LookInside {
  readonly element: HTMLElement;
  private readonly shown = h("div", { class: "shown" });
  private readonly status = h("p", { class: "hint", role: "status" });

  constructor(private readonly source: CourseSource, private readonly page: LabPage) {
    const own = page.scenarios.filter((one) => one.own);
    const others = page.scenarios.filter((one) => !one.own);
    this.element = h("section", { id: "look", "aria-labelledby": "look-title" },
      h("h2", { id: "look-title" }, "Look inside"),
      page.no_scenarios && h("p", { class: "hint" }, `This lab has nothing of its own to step through: ${page.no_scenarios}.`),
      page.scenarios.length > 0 && h("p", { class: "hint" }, "The stepper shows each frame and each decision, with the reason. Its own keys work after a click into it."),
      own.length > 0 && h("p", { class: "buttons" }, ...own.map((one) => this.button(one)), h("button", { id: "plots", onclick: () => void this.plots() }, "Plots"), this.captureButton()),
      others.length > 0 && h("details", { class: "more", open: own.length === 0 }, h("summary", {}, "Scenarios of these lectures"), h("p", { class: "buttons" }, ...others.map((one) => this.button(one)))),
      this.status, this.shown);
  }

  private button({ name, title, lacks }: Sight): HTMLElement {
    return h("button", { "data-step": name, disabled: lacks !== "", title: lacks ? `It ${lacks}.` : undefined, onclick: () => void this.step(name, title) }, `Step through: ${title}`);
  }

  private async step(name: string, title: string): Promise<void> {
    await this.during("The simulation runs …", async () => {
      const { html, address } = await this.source.step(name);
      // the frame counts as another site, so its script cannot reach this page
      const frame = h("iframe", { class: "stepper", title: `stepper: ${title}`, sandbox: "allow-scripts allow-popups", src: address, srcdoc: address ? undefined : html });
      clear(this.shown, address && h("p", {}, h("a", { href: address, target: "_blank", rel: "noopener" }, "Open it in a tab of its own")), frame);
      // not before: it would let the browser lay out a page that is not complete
      frame.addEventListener("load", () => frame.scrollIntoView({ block: "nearest" }), { once: true });
    });
  }

  private captureButton(): HTMLElement {
    const lacks = this.page.no_capture;
    return h("button", { id: "capture", disabled: lacks !== "", title: lacks ? `It ${lacks}.` : undefined, onclick: () => void this.capture() }, "Capture for Wireshark");
  }

  /** Let the browser save the lab's capture as a file. */
  private async capture(): Promise<void> {
    await this.during("The capture is written …", async () => {
      const { name, data } = await this.source.capture(this.page.number);
      const bytes = Uint8Array.from(atob(data), (char) => char.charCodeAt(0));
      const address = URL.createObjectURL(new Blob([bytes], { type: "application/octet-stream" }));
      h("a", { href: address, download: name }).click();
      setTimeout(() => URL.revokeObjectURL(address), 60_000);
      clear(this.shown, h("p", {}, `The browser saves ${name}. Open it in Wireshark, or read it with `, h("code", {}, `tshark -r ${name}`), "."));
    });
  }

  private async plots(): Promise<void> {
    await this.during("The plots are drawn …", async () => {
      const { svg, titles } = await this.source.plot(this.page.number);
      if (!svg.length) throw new Error("There are no plots of this lab here.");
      clear(this.shown, ...svg.map((text, index) => {
        const title = titles?.[index] ?? `plot ${index + 1} of lab ${this.page.number}`;
        return h("figure", {}, h("img", { class: "plot", src: `data:image/svg+xml,${encodeURIComponent(text)}`, alt: title }), h("figcaption", {}, title));
      }));
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
