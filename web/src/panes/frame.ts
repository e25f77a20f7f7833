// The chosen frame: its fields as a tree and its bytes in hex. Each marks the chosen part in the other.
import { clear, h } from "../dom";
import { duration, seconds } from "../format";
import type { View } from "../store";
import type { Frame, TreeNode } from "../types";
import type { Context, Pane } from "./pane";

function pathOf(node: TreeNode, above: string, place: number): string {
  return `${above}/${node.abbrev || node.name}.${place}`;
}

export class FramePane implements Pane {
  readonly name = "frame";
  readonly title = "Frame";
  readonly element: HTMLElement;
  private readonly head = h("div", { class: "bar wraps frame-head" });
  private readonly tree = h("div", { class: "tree scroll", tabindex: 0, role: "tree" });
  private readonly hex = h("div", { class: "hex scroll", tabindex: 0 });
  private readonly open = new Set<string>(["tcp", "arp", "icmp", "udp"]);
  private frame: Frame | null = null;
  private chosen = "";
  private width = 8;
  private rows: { node: TreeNode; element: HTMLElement; path: string }[] = [];
  private cells: HTMLElement[] = [];

  constructor(private readonly context: Context) {
    this.element = h("div", { class: "pane-body column" }, this.head, h("div", { class: "split" }, this.tree, this.hex));
    new ResizeObserver(() => this.fit()).observe(this.element);
    this.tree.addEventListener("keydown", (event) => this.key(event));
  }

  show(view: View): void {
    if (!view.frame) {
      if (!this.frame) clear(this.tree, h("p", { class: "empty", role: "treeitem" }, "no frame here"));
      this.head.classList.add("stale");
      return;  // the last frame stays, so that the user can go on reading it
    }
    this.head.classList.remove("stale");
    if (this.frame?.index === view.frame.index) return;
    this.frame = view.frame;
    this.render();
  }

  private render(): void {
    const frame = this.frame!;
    const start = this.context.store.overview.start;
    const way = frame.arrival === null ? frame.fate : `${frame.fate} after ${duration(frame.arrival - frame.time)}`;
    clear(
      this.head,
      h("b", {}, `Frame ${frame.number}`),
      h("span", {}, `${frame.host} → ${frame.to || "all"}`),
      h("span", {}, `${seconds(frame.time - start)} s`),
      h("span", { class: `fate-${frame.fate}` }, way),
      h("span", {}, `${frame.length} bytes${frame.gso_size ? `, cut by the device into ${frame.gso_size}` : ""}`),
    );
    this.rows = [];
    clear(this.tree, ...frame.tree.map((node, i) => this.node(node, 0, "", i)));
    this.drawHex(frame);
    const again = this.rows.find((row) => row.path === this.chosen);
    if (again) this.mark(again.path);
  }

  private node(node: TreeNode, depth: number, above: string, place: number): HTMLElement {
    const path = pathOf(node, above, place);
    const open = this.open.has(depth === 0 ? node.abbrev : path);
    const line = h(
      "div",
      { class: `node depth-${depth}${node.abbrev === "_ws.malformed" ? " malformed" : ""}`, role: "treeitem", "data-abbrev": node.abbrev, style: `--depth:${depth}` },
      node.children.length ? h("span", { class: "twist", onclick: (event: Event) => this.toggle(event, depth === 0 ? node.abbrev : path) }, open ? "▾" : "▸") : h("span", { class: "twist" }),
      node.bits ? h("span", { class: "bits" }, `${node.bits} `) : null,
      h("span", { class: "name" }, node.name),
      node.text ? h("span", { class: "value" }, `: ${node.text}`) : null,
      node.meaning ? h("span", { class: "meaning" }, ` ${node.meaning}`) : null,
    );
    line.title = `${node.abbrev}  byte ${Math.floor(node.at / 8)}${node.width ? `, ${node.width} bits` : ""}${node.meaning ? `\n${node.meaning}` : ""}`;
    line.addEventListener("click", () => this.mark(path));
    this.rows.push({ node, element: line, path });
    const box = h("div", {}, line);
    if (open) box.append(...node.children.map((child, i) => this.node(child, depth + 1, path, i)));
    return box;
  }

  /** Show sixteen bytes per row if there is room, else eight. */
  private fit(): void {
    const width = this.element.clientWidth > 760 ? 16 : 8;
    if (width === this.width) return;
    this.width = width;
    if (this.frame) this.render();
  }

  private toggle(event: Event, what: string): void {
    event.stopPropagation();
    if (!this.open.delete(what)) this.open.add(what);
    this.render();
  }

  private drawHex(frame: Frame): void {
    this.cells = [];
    const rows: HTMLElement[] = [];
    const width = this.width;
    for (let at = 0; at * 2 < frame.hex.length; at += width) {
      const row = h("div", { class: "hex-row" }, h("span", { class: "offset" }, at.toString(16).padStart(4, "0")));
      let text = "";
      for (let i = at; i < at + width; i++) {
        const pair = frame.hex.slice(i * 2, i * 2 + 2);
        const cell = h("span", { class: i % 8 === 7 ? "byte gap" : "byte", onclick: () => this.pick(i) }, pair || "  ");
        if (pair) {
          this.cells.push(cell);
          const code = parseInt(pair, 16);
          text += code >= 32 && code < 127 ? String.fromCharCode(code) : "·";
        }
        row.append(cell);
      }
      row.append(h("span", { class: "ascii" }, text));
      rows.push(row);
    }
    if (frame.hex.length / 2 < frame.length) rows.push(h("div", { class: "empty" }, `… ${frame.length - frame.hex.length / 2} bytes more`));
    clear(this.hex, ...rows);
  }

  /** Mark a field in the tree, and its bytes. */
  private mark(path: string): void {
    this.chosen = path;
    let first = -1;
    let last = -1;
    for (const row of this.rows) {
      const on = row.path === path;
      row.element.classList.toggle("chosen", on);
      if (!on) continue;
      first = Math.floor(row.node.at / 8);
      last = Math.ceil((row.node.at + row.node.width) / 8);
      row.element.scrollIntoView({ block: "nearest" });
    }
    this.cells.forEach((cell, i) => cell.classList.toggle("marked", i >= first && i < last));
    this.cells[first]?.scrollIntoView({ block: "nearest" });
  }

  /** Choose the smallest field that holds the byte that was clicked. */
  private pick(byte: number): void {
    let best: { path: string; width: number } | null = null;
    const walk = (node: TreeNode, depth: number, above: string, place: number): void => {
      const path = pathOf(node, above, place);
      if (node.at <= byte * 8 + 7 && byte * 8 < node.at + node.width) {
        this.open.add(depth === 0 ? node.abbrev : path);
        if (!best || node.width < best.width) best = { path, width: node.width };
        node.children.forEach((child, i) => walk(child, depth + 1, path, i));
      }
    };
    this.frame?.tree.forEach((node, i) => walk(node, 0, "", i));
    if (!best) return;
    this.chosen = (best as { path: string }).path;
    this.render();
  }

  private key(event: KeyboardEvent): void {
    const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    const at = this.rows.findIndex((row) => row.path === this.chosen);
    const next = this.rows[Math.max(0, Math.min(this.rows.length - 1, at + step))];
    if (next) this.mark(next.path);
  }
}
