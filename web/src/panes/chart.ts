// A chart with the cursor's line. uPlot draws the axes and the grid and does the zoom. The lines are drawn here, so
// that a hundred thousand segments cost no more than the visible ones.
import uPlot from "uplot";
import { cssColour } from "../dom";
import { duration } from "../format";
import type { Steps } from "../types";

/** Draws into the plot. x and y convert to canvas coordinates; first and last are the visible time. */
export interface Pen {
  context: CanvasRenderingContext2D;
  ratio: number;
  x: (time: number) => number;
  y: (value: number) => number;
  from: number;
  to: number;
}

export interface ChartOptions {
  unit: (value: number) => string;
  draw: (pen: Pen) => void;
  range: (from: number, to: number) => [number, number];
  click: (time: number, value: number, chart: uPlot) => void;
  label: string;
}

export class Chart {
  private plot: uPlot | null = null;
  private time = 0;
  private begin = 0;
  private end = 1;
  readonly element: HTMLElement;
  private readonly marker = document.createElement("div");

  constructor(private readonly options: ChartOptions) {
    this.element = document.createElement("div");
    this.element.className = "chart";
    this.marker.className = "chart-marker";
    new ResizeObserver(() => this.resize()).observe(this.element);
  }

  /** Set new data, from time `begin` to `end`. */
  setEnd(end: number, begin = 0): void {
    this.begin = begin;
    this.end = Math.max(end, begin + 1);
    this.element.dataset.end = String(this.end);
    this.plot?.destroy();
    this.plot = null;
    this.resize();
  }

  /** Move the cursor's line. The view follows if the line leaves it. */
  moveTo(time: number): void {
    this.time = time;
    if (!this.plot) return;
    const { min, max } = this.plot.scales.x;
    if (min != null && max != null && (time < min || time > max) && max - min < this.end - this.begin) {
      const span = max - min;
      const low = Math.max(this.begin, Math.min(time - span / 2, this.end - span));
      this.plot.setScale("x", { min: low, max: low + span });
    } else {
      this.placeMarker();
    }
  }

  /** Place the cursor's line, which is an element over the plot, so that a step redraws nothing. */
  private placeMarker(): void {
    if (!this.plot) return;
    const place = this.plot.valToPos(this.time, "x");
    this.marker.style.transform = `translateX(${place}px)`;
    this.marker.hidden = place < 0 || place > this.plot.over.clientWidth;
  }

  redraw(): void {
    if (this.plot) this.setEnd(this.end, this.begin);
  }

  private resize(): void {
    const width = this.element.clientWidth;
    const height = this.element.clientHeight;
    if (width < 50 || height < 40) return;
    if (this.plot) this.plot.setSize({ width, height });
    else this.make(width, height);
  }

  private make(width: number, height: number): void {
    const { options } = this;
    const axis = {
      stroke: () => cssColour("--dim"),
      grid: { stroke: () => cssColour("--line"), width: 1 },
      ticks: { show: false },
      font: "11px system-ui, sans-serif",
    };
    this.plot = new uPlot(
      {
        width,
        height,
        padding: [6, 22, 0, 0],
        legend: { show: false },
        cursor: { drag: { x: true, y: false, dist: 5 }, points: { show: false } },
        scales: {
          x: { time: false, range: (_u, min, max) => [min, max] },
          y: { range: (u) => options.range(u.scales.x.min ?? this.begin, u.scales.x.max ?? this.end) },
        },
        axes: [
          { ...axis, size: 24, gap: 2, space: 70, values: (_u, splits) => splits.map((value) => duration(value)) },
          { ...axis, size: 50, gap: 3, space: 28, values: (_u, splits) => splits.map(options.unit) },
        ],
        series: [{}, { paths: () => null, points: { show: false } }],
        hooks: { draw: [(u) => this.draw(u)] },
      },
      [[this.begin, this.end], [0, 1]],
      this.element,
    );
    this.plot.over.append(this.marker);
    this.placeMarker();
    this.listenForClicks(this.plot);
  }

  private draw(u: uPlot): void {
    const ratio = devicePixelRatio;
    const from = u.scales.x.min ?? this.begin;
    const to = u.scales.x.max ?? this.end;
    const { left, top, width, height } = u.bbox;
    const context = u.ctx;
    context.save();
    context.beginPath();
    context.rect(left, top, width, height);
    context.clip();
    this.options.draw({
      context, ratio, from, to,
      x: (time) => u.valToPos(time, "x", true),
      y: (value) => u.valToPos(value, "y", true),
    });
    context.restore();
    this.placeMarker();
  }

  private listenForClicks(u: uPlot): void {
    let down: [number, number] | null = null;
    u.over.addEventListener("mousedown", (event) => (down = [event.clientX, event.clientY]));
    u.over.addEventListener("mouseup", (event) => {
      if (!down || Math.hypot(event.clientX - down[0], event.clientY - down[1]) > 4) return;
      const box = u.over.getBoundingClientRect();
      const time = u.posToVal(event.clientX - box.left, "x");
      const value = u.posToVal(event.clientY - box.top, "y");
      this.options.click(time, value, u);
    });
  }
}

/** Return the index of the last time at or before `time` (or 0). */
export function placeOf(times: number[], time: number): number {
  let low = 0;
  let high = times.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle] <= time) low = middle + 1;
    else high = middle;
  }
  return Math.max(0, low - 1);
}

export interface Look {
  colour: string;
  width?: number;
  dash?: number[];
  fill?: boolean;
}

/** Draw a quantity that holds its value until the next change. */
export function drawSteps(pen: Pen, [times, values]: Steps, look: Look): void {
  if (!times.length) return;
  const { context, ratio } = pen;
  context.beginPath();
  let y = 0;
  const first = placeOf(times, pen.from);
  const start = pen.x(Math.max(times[first], pen.from));
  for (let i = first; i < times.length && times[i] <= pen.to; i++) {
    const x = i === first ? start : pen.x(times[i]);
    if (i === first) context.moveTo(x, pen.y(values[i]));
    else context.lineTo(x, y);
    y = pen.y(values[i]);
    context.lineTo(x, y);
  }
  const end = pen.x(pen.to);
  context.lineTo(end, y);
  if (look.fill) {
    context.lineTo(end, pen.y(0));
    context.lineTo(start, pen.y(0));
    context.closePath();
    context.fillStyle = look.colour;
    context.globalAlpha = 0.3;
    context.fill();
    context.globalAlpha = 1;
    return;
  }
  context.strokeStyle = look.colour;
  context.lineWidth = (look.width ?? 1.5) * ratio;
  context.setLineDash((look.dash ?? []).map((length) => length * ratio));
  context.stroke();
  context.setLineDash([]);
}

/** Return the largest value of a line between two times. */
export function highest([times, values]: Steps, from: number, to: number): number {
  let most = 0;
  for (let i = placeOf(times, from); i < times.length && times[i] <= to; i++) most = Math.max(most, values[i]);
  return most;
}
