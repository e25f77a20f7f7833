// The armed timers and the ARP tables.
import { clear, h } from "../dom";
import { duration, seconds } from "../format";
import type { View } from "../store";
import { isArp } from "./tcb";
import type { Context, Pane } from "./pane";

export class TimersPane implements Pane {
  readonly name = "timers";
  readonly title = "Timers, ARP";
  readonly element = h("div", { class: "pane-body scroll", tabindex: 0 });

  constructor(private readonly context: Context) {}

  show(view: View): void {
    clear(this.element, this.timers(view), this.arp(view));
  }

  private timers(view: View): HTMLElement {
    const { start } = this.context.store.overview;
    const rows: { key: string; name: string; deadline: number; fresh: boolean }[] = [];
    for (const [key, fields] of Object.entries(view.state)) {
      const before = view.before[key]?.timers ?? {};
      for (const [name, deadline] of Object.entries<number>(fields.timers ?? {})) {
        rows.push({ key, name, deadline, fresh: before[name] !== deadline });
      }
    }
    if (!rows.length) return h("p", { class: "empty" }, "no timer is set");
    rows.sort((a, b) => a.deadline - b.deadline);
    return h(
      "table",
      { class: "list" },
      h("thead", {}, h("tr", {}, ...["in", "at", "timer", "of"].map((title) => h("th", {}, title)))),
      h(
        "tbody",
        {},
        ...rows.slice(0, 100).map(({ key, name, deadline, fresh }) =>
          h(
            "tr",
            { class: fresh ? "changed" : "" },
            h("td", { class: "number" }, duration(deadline - start - view.time)),
            h("td", { class: "number" }, `${seconds(deadline - start)} s`),
            h("td", {}, name),
            h("td", {}, key),
          ),
        ),
      ),
    );
  }

  private arp(view: View): HTMLElement {
    const keys = Object.keys(view.state).filter(isArp);
    if (!keys.length) return h("p", { class: "empty" }, "no ARP entry");
    return h(
      "table",
      { class: "list" },
      h("thead", {}, h("tr", {}, ...["ARP entry", "state", "MAC", "iface", "waiting"].map((title) => h("th", {}, title)))),
      h(
        "tbody",
        {},
        ...keys.slice(0, 100).map((key) => {
          const { state, mac, iface, waiting } = view.state[key];
          return h("tr", { class: view.changed[key] ? "changed" : "" }, ...[key.replace(" arp ", ": "), state, mac, iface, waiting].map((text) => h("td", {}, text)));
        }),
      ),
    );
  }
}
