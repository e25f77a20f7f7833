// Two runs of a scenario side by side: their figures, and both in one plot.
import { clear, cssColour, h } from "../dom";
import type { Branch, Steps } from "../types";
import { Chart, drawSteps, highest, type Pen } from "./chart";
import { kilobytes } from "./plots";

export class Compared {
  readonly element = h("div", { class: "compared", hidden: true });
  private readonly chart: Chart;
  private runs: [Steps, Steps] = [[[], []], [[], []]];
  private readonly head = h("div", { class: "compared-head" });
  private readonly label = h("span", {});

  constructor() {
    this.chart = new Chart({ label: "", unit: kilobytes, draw: (pen) => this.draw(pen), range: (from, to) => this.range(from, to), click: () => {} });
    const legend = h(
      "p",
      { class: "hint" }, this.label, ": ",
      h("i", { class: "run-one" }, "━"), " as it was, ", h("i", { class: "run-two" }, "╍"), " what if",
    );
    this.element.append(this.head, legend, this.chart.element);
  }

  show(branch: Branch): void {
    this.element.hidden = false;
    const rows = Object.entries(branch.figures).map(([name, [one, other]]) =>
      h("tr", { class: one === other ? "" : "changed" }, h("th", { scope: "row" }, name), h("td", {}, one), h("td", {}, other)),
    );
    clear(
      this.head,
      h("b", {}, branch.label),
      h("table", { class: "list figures" },
        h("thead", {}, h("tr", {}, h("td", {}), h("th", { scope: "col" }, "as it was"), h("th", { scope: "col" }, "what if"))),
        h("tbody", {}, ...rows)),
    );
    this.label.textContent = branch.plot.of ? `${branch.plot.label} of ${branch.plot.of}` : branch.plot.label;
    this.runs = branch.plot.runs;
    const ends = this.runs.map(([times]) => times[times.length - 1] ?? 0);
    this.chart.setEnd(Math.max(...ends, 1) * 1.05);
  }

  redraw(): void {
    this.chart.redraw();
  }

  private range(from: number, to: number): [number, number] {
    return [0, Math.max(1, ...this.runs.map((run) => highest(run, from, to))) * 1.08];
  }

  private draw(pen: Pen): void {
    drawSteps(pen, this.runs[0], { colour: cssColour("--blue"), width: 2.5 });
    drawSteps(pen, this.runs[1], { colour: cssColour("--orange"), width: 2.5, dash: [7, 4] });
  }
}
