// The time-sequence graph (as tcptrace draws it), and windows and round trips over time.
import { clear, cssColour, h } from "../dom";
import { duration } from "../format";
import type { View } from "../store";
import type { Plots, Steps } from "../types";
import { Chart, drawSteps, highest, placeOf, type Pen } from "./chart";
import type { Context, Pane } from "./pane";

const UNLIMITED = 2 ** 30;
const NOTHING: Steps = [[], []];

export function kilobytes(value: number): string {
  return Math.abs(value) >= 1000 ? `${Number((value / 1000).toPrecision(4))} kB` : String(Number(value.toPrecision(3)));
}

/** What both plots do: choose the connection, and fetch its numbers once. */
abstract class PlotPane implements Pane {
  abstract readonly name: string;
  abstract readonly title: string;
  readonly element: HTMLElement;
  protected plots: Plots | null = null;
  protected readonly charts: Chart[] = [];
  private readonly choice = h("select", { "aria-label": "connection", title: "the connection whose sending is drawn" }) as HTMLSelectElement;
  private readonly legend = h("div", { class: "legend" });
  private loading = "";
  private own = false;

  constructor(protected readonly context: Context) {
    const bar = h("div", { class: "bar wraps" }, this.choice, this.legend);
    this.element = h("div", { class: "pane-body column" }, bar);
    const shown = context.store.overview.connections.slice(0, 200);
    clear(this.choice, ...shown.map((key) => h("option", { value: key }, key)));
    this.choice.addEventListener("change", () => {
      this.own = true;
      void this.load(this.choice.value);
    });
  }

  protected add(chart: Chart): void {
    this.charts.push(chart);
    this.element.append(chart.element);
  }

  protected setLegend(items: [string, string, string][]): void {
    clear(this.legend, ...items.map(([sign, colour, text]) => h("span", {}, h("i", { style: `color:var(${colour})` }, sign), ` ${text}`)));
  }

  /** Return the busier end of the connection at the cursor, unless the user chose another connection. */
  private wanted(): string {
    const { connections } = this.context.store.overview;
    const key = this.context.connection();
    const match = key.match(/ tcp ([^ ]+?)-([^ ]+)/);
    if (this.own) return this.choice.value;
    const both = match && connections.find((one) => one === key || one.includes(` tcp ${match[2]}-${match[1]}`));
    return both || connections[0] || "";
  }

  private async load(key: string): Promise<void> {
    if (!key) clear(this.legend, h("span", { class: "empty" }, "No TCP connection in this run, so there is nothing to plot. The ladder shows its frames."));
    if (!key || this.loading === key) return;
    this.loading = key;
    this.choice.value = key;
    try {
      const plots = await this.context.store.source.plots(key);
      if (this.loading !== key) return;
      this.plots = plots;
      for (const chart of this.charts) chart.setEnd(this.end(plots), this.begin());
      if (this.context.store.view) this.move(this.context.store.view);
    } catch (error) {
      this.context.say((error as Error).message, true);
    }
  }

  /** Return the time at which the connection's data ends, which is the end of the plots. */
  private end(plots: Plots): number {
    const last = [plots.acked[0], plots.segments.time, plots.lines.cwnd?.[0] ?? [], plots.samples.time].map((times) => times[times.length - 1] ?? 0);
    return Math.max(...last, 1) * 1.02;
  }

  /** Return the time at which the page's data begins. */
  private begin(): number {
    const { firstEvent, chunkTimes, start } = this.context.store.overview;
    return firstEvent ? chunkTimes[0] - start : 0;
  }

  private move(view: View): void {
    for (const chart of this.charts) chart.moveTo(view.time);
  }

  show(view: View): void {
    void this.load(this.wanted());
    this.move(view);
  }

  /** Draw again, because the colours have changed. */
  redraw(): void {
    for (const chart of this.charts) chart.redraw();
  }

  protected async gotoTime(time: number): Promise<void> {
    await this.context.store.goto(await this.context.store.eventAt(Math.round(time)));
  }
}

export class SequencePane extends PlotPane {
  readonly name = "sequence";
  readonly title = "Sequence";

  constructor(context: Context) {
    super(context);
    this.setLegend([
      ["┃", "--blue", "segment"],
      ["┃R", "--red", "retransmission"],
      ["✕", "--text", "lost"],
      ["━", "--green", "ACK"],
      ["━", "--orange", "window"],
      ["┃", "--purple", "SACK"],
    ]);
    this.add(
      new Chart({
        label: "sequence number",
        unit: kilobytes,
        draw: (pen) => this.draw(pen),
        range: (from, to) => this.range(from, to),
        click: (time, value, chart) => void this.pick(time, value, chart),
      }),
    );
  }

  /** Return the range from the line of ACKs to the highest visible segment (and to the window's edge if it is near). */
  private range(from: number, to: number): [number, number] {
    if (!this.plots) return [0, 1];
    const { segments, acked } = this.plots;
    let top = highest(acked, from, to);
    let bottom = acked[0].length ? acked[1][placeOf(acked[0], from)] : 0;
    for (let i = placeOf(segments.time, from); i < segments.time.length && segments.time[i] <= to; i++) {
      if (segments.time[i] < from) continue;
      top = Math.max(top, segments.high[i]);
      bottom = Math.min(bottom, segments.low[i]);
    }
    const edge = highest(this.plots.edge, from, to);
    if (edge < bottom + (top - bottom) * 1.6) top = Math.max(top, edge);
    const span = Math.max(top - bottom, 10);
    return [bottom - span * 0.03, top + span * 0.08];
  }

  private draw(pen: Pen): void {
    if (!this.plots) return;
    const { segments, acked, edge, sacks } = this.plots;
    const { context, ratio } = pen;
    this.bars(pen, sacks.time, sacks.low, sacks.high, () => true, cssColour("--purple"), 1.4);
    drawSteps(pen, edge, { colour: cssColour("--orange") });
    drawSteps(pen, acked, { colour: cssColour("--green"), width: 1.8 });
    const again = (i: number) => segments.kind[i] === "retransmission";
    this.bars(pen, segments.time, segments.low, segments.high, (i) => !again(i), cssColour("--blue"), 2.2);
    this.bars(pen, segments.time, segments.low, segments.high, again, cssColour("--red"), 3);
    context.font = `bold ${11 * ratio}px system-ui, sans-serif`;
    context.textAlign = "center";
    for (let i = placeOf(segments.time, pen.from); i < segments.time.length && segments.time[i] <= pen.to; i++) {
      const x = pen.x(segments.time[i]);
      if (segments.lost[i]) cross(pen, x, pen.y((segments.low[i] + segments.high[i]) / 2));
      if (!again(i)) continue;
      context.fillStyle = cssColour("--red");
      context.fillText("R", x, pen.y(segments.high[i]) - 3 * ratio);
    }
  }

  private bars(pen: Pen, times: number[], lows: number[], highs: number[], which: (i: number) => boolean, colour: string, width: number): void {
    const { context, ratio } = pen;
    context.strokeStyle = colour;
    context.lineWidth = width * ratio;
    context.beginPath();
    for (let i = placeOf(times, pen.from); i < times.length && times[i] <= pen.to; i++) {
      if (!which(i)) continue;
      const x = pen.x(times[i]);
      const low = pen.y(lows[i]);
      const high = pen.y(highs[i]);
      context.moveTo(x, low);
      context.lineTo(x, Math.min(high, low - ratio));
    }
    context.stroke();
  }

  /** Go to the segment under the mouse, or else to that time. */
  private async pick(time: number, value: number, chart: { valToPos: (v: number, s: string) => number }): Promise<void> {
    const { segments } = this.plots!;
    let best = -1;
    let distance = 12;
    const x = chart.valToPos(time, "x");
    for (let i = 0; i < segments.time.length; i++) {
      const off = Math.abs(chart.valToPos(segments.time[i], "x") - x);
      if (off > 6) continue;
      const inside = value >= segments.low[i] && value <= segments.high[i];
      const near = Math.abs(chart.valToPos((segments.low[i] + segments.high[i]) / 2, "y") - chart.valToPos(value, "y"));
      const total = off + (inside ? 0 : near);
      if (total < distance) [best, distance] = [i, total];
    }
    if (best >= 0) await this.context.store.goto(segments.event[best]);
    else await this.gotoTime(time);
  }
}

function cross({ context, ratio }: Pen, x: number, y: number): void {
  const size = 5 * ratio;
  context.strokeStyle = cssColour("--text");
  context.lineWidth = 2 * ratio;
  context.beginPath();
  context.moveTo(x - size, y - size);
  context.lineTo(x + size, y + size);
  context.moveTo(x - size, y + size);
  context.lineTo(x + size, y - size);
  context.stroke();
}

export class WindowsPane extends PlotPane {
  readonly name = "windows";
  readonly title = "cwnd, RTT";

  constructor(context: Context) {
    super(context);
    this.setLegend([
      ["━", "--blue", "cwnd"],
      ["╌", "--red", "ssthresh"],
      ["▆", "--sky", "in flight"],
      ["━", "--green", "SRTT"],
      ["━", "--orange", "RTO"],
      ["•", "--purple", "sample"],
    ]);
    const click = (time: number) => void this.gotoTime(time);
    this.add(new Chart({ label: "bytes", unit: kilobytes, draw: (pen) => this.drawWindow(pen), range: (a, b) => this.windowRange(a, b), click }));
    this.add(new Chart({ label: "time", unit: duration, draw: (pen) => this.drawTimes(pen), range: (a, b) => this.timeRange(a, b), click }));
  }

  private line(name: string): Steps {
    return this.plots?.lines[name] ?? NOTHING;
  }

  private windowRange(from: number, to: number): [number, number] {
    const threshold = highest(this.line("ssthresh"), from, to);
    const top = Math.max(highest(this.line("cwnd"), from, to), highest(this.line("in_flight"), from, to), threshold < UNLIMITED ? threshold : 0);
    return [0, (top || 1) * 1.1];
  }

  private drawWindow(pen: Pen): void {
    drawSteps(pen, this.line("in_flight"), { colour: cssColour("--sky"), fill: true });
    drawSteps(pen, this.line("ssthresh"), { colour: cssColour("--red"), dash: [5, 4] });
    drawSteps(pen, this.line("cwnd"), { colour: cssColour("--blue"), width: 2 });
  }

  /** Choose the range. Before the first sample, an RTO far above all round trips may leave the picture. */
  private timeRange(from: number, to: number): [number, number] {
    const first = this.plots?.samples.time[0] ?? from;
    const top = Math.max(highest(this.line("srtt"), from, to), highest(this.line("rto"), Math.max(from, Math.min(first, to)), to));
    return [0, (top || 1) * 1.1];
  }

  private drawTimes(pen: Pen): void {
    drawSteps(pen, this.line("rto"), { colour: cssColour("--orange") });
    drawSteps(pen, this.line("srtt"), { colour: cssColour("--green"), width: 2 });
    const { time, value } = this.plots?.samples ?? { time: [], value: [] };
    pen.context.fillStyle = cssColour("--purple");
    for (let i = placeOf(time, pen.from); i < time.length && time[i] <= pen.to; i++) {
      pen.context.beginPath();
      pen.context.arc(pen.x(time[i]), pen.y(value[i]), 2.4 * pen.ratio, 0, 7);
      pen.context.fill();
    }
  }
}
