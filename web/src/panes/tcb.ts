// The transmission control blocks: the changes by this event on top, and then everything, with both ends side by side.
import { clear, h } from "../dom";
import { fieldName, fieldText, same } from "../format";
import type { View } from "../store";
import type { Fields, State } from "../types";
import type { Context, Pane } from "./pane";

const GROUPS: [string, string[]][] = [
  ["State", ["state", "ca_state"]],
  ["Send", ["snd_una", "snd_nxt", "snd_wnd", "in_flight", "unsent", "sendbuf", "iss", "mss"]],
  ["Congestion", ["congestion", "cwnd", "ssthresh", "sacked", "lost", "retransmitted", "dupacks", "recover", "total_retrans"]],
  ["Round trip", ["srtt", "rttvar", "rto", "min_rtt", "backoff", "retries"]],
  ["Receive", ["rcv_nxt", "rcv_wnd", "rcv_adv", "recvbuf", "ooo", "irs"]],
];
const NAMED = new Set([...GROUPS.flatMap(([, names]) => names), "timers"]);

export function isArp(key: string): boolean {
  return key.includes(" arp ");
}

/** "a tcp 10.0.0.1:40000-10.0.0.2:80" -> "tcp 10.0.0.2:80-10.0.0.1:40000": the other end's view of it. */
function reversed(key: string): string {
  const match = key.match(/ tcp ([^ ]+?)-([^ ]+)/);
  return match ? ` tcp ${match[2]}-${match[1]}` : "";
}

export class TcbPane implements Pane {
  readonly name = "tcb";
  readonly title = "TCB";
  readonly element: HTMLElement;
  private readonly diff = h("div", { class: "diff", id: "diff", tabindex: 0 });
  private readonly table = h("div", { class: "scroll", tabindex: 0 });
  private readonly choice = h("select", { title: "the connection to show", "aria-label": "connection" }) as HTMLSelectElement;
  private readonly relative: HTMLInputElement;
  private readonly more: HTMLInputElement;
  private view: View | null = null;
  /** The connection that the user chose, and the event at which it was chosen. */
  private pinned = { key: "", index: -2 };

  constructor(private readonly context: Context) {
    const again = () => this.view && this.show(this.view);
    this.relative = h("input", { type: "checkbox", checked: true, onchange: again }) as HTMLInputElement;
    this.more = h("input", { type: "checkbox", onchange: again }) as HTMLInputElement;
    this.choice.addEventListener("change", () => {
      this.pinned = { key: this.choice.value, index: this.view?.index ?? -1 };
      context.setConnection(this.choice.value);
      again();
    });
    const bar = h(
      "div",
      { class: "bar wraps" },
      this.choice,
      h("label", { title: "sequence numbers relative to ISS and IRS" }, this.relative, "relative"),
      h("label", { title: "every field of the connection" }, this.more, "all"),
    );
    this.element = h("div", { class: "pane-body column" }, bar, this.diff, this.table);
  }

  /** Choose the next connection of the list; after the last one, the first. */
  next(): void {
    if (!this.choice.options.length) return;
    this.choice.selectedIndex = (this.choice.selectedIndex + 1) % this.choice.options.length;
    this.choice.dispatchEvent(new Event("change"));
  }

  show(view: View): void {
    this.view = view;
    const keys = this.keys(view);
    const chosen = keys.find((key) => key === this.context.connection()) ?? "";
    this.fillChoice(keys, chosen);
    this.showDiff(view);
    if (!chosen) {
      clear(this.table, h("p", { class: "empty" }, "no connection yet"));
      return;
    }
    const other = Object.keys(view.state).find((key) => key !== chosen && key.includes(reversed(chosen)) && reversed(chosen));
    const columns = other ? [chosen, other].sort() : [chosen];
    clear(this.table, this.tableOf(columns, view));
  }

  /** Return the keys of the connections that exist at the event, and then of those that it took away. */
  private keys(view: View): string[] {
    const keys = Object.keys(view.state).filter((key) => !isArp(key));
    return [...keys, ...Object.keys(view.changed).filter((key) => !isArp(key) && !keys.includes(key))];
  }

  /**
   * Return the connection of the event, else the previous one, else the first that is not a listener. The other panes show it, too,
   * also in a layout that does not have this pane.
   */
  follow(view: View): string {
    this.view = view;
    const keys = this.keys(view);
    const wanted = view.entry && !isArp(view.entry.conn) ? view.entry.conn : "";
    const last = this.context.connection();
    const pinned = this.pinned.index === view.index ? this.pinned.key : "";
    return (
      (keys.includes(pinned) && pinned) ||
      (keys.includes(wanted) && wanted) ||
      (keys.includes(last) && last) ||
      keys.find((key) => view.state[key]?.state !== "LISTEN" && view.state[key]?.state !== "CLOSED") ||
      keys[0] ||
      last
    );
  }

  private fillChoice(keys: string[], chosen: string): void {
    const shown = keys.slice(0, 200);
    if (chosen && !shown.includes(chosen)) shown.push(chosen);
    clear(this.choice, ...shown.map((key) => h("option", { value: key, selected: key === chosen }, key)));
  }

  private text(name: string, key: string, state: State): string {
    const fields = state[key];
    return fieldText(name, fields?.[name], fields, this.relative.checked);
  }

  private showDiff(view: View): void {
    const rows: HTMLElement[] = [];
    for (const [key, names] of Object.entries(view.changed)) {
      if (isArp(key)) continue;
      const host = key.split(" ")[0];
      if (!view.before[key] || !view.state[key]) {
        rows.push(h("div", {}, h("b", { class: "host" }, host), view.state[key] ? ` new connection: ${key}` : ` this connection is gone: ${key}`));
        continue;
      }
      for (const name of names.filter((one) => one !== "timers").slice(0, 40)) {
        rows.push(
          h("div", { class: "change", "data-field": name },
            h("b", { class: "host" }, host),
            h("span", { class: "name" }, fieldName(name)),
            h("span", { class: "old" }, this.text(name, key, view.before)),
            h("span", {}, "→"),
            h("span", { class: "new" }, this.text(name, key, view.state)),
          ),
        );
      }
    }
    clear(this.diff, ...(rows.length ? rows : [h("div", { class: "empty" }, "this event changed no connection")]));
  }

  private tableOf(columns: string[], view: View): HTMLElement {
    const body = h("tbody", {});
    const groups = [...GROUPS];
    if (this.more.checked) {
      const names = new Set(columns.flatMap((key) => Object.keys(view.state[key] ?? {})));
      groups.push(["Everything else", [...names].filter((name) => !NAMED.has(name))]);
    }
    for (const [title, names] of groups) {
      body.append(h("tr", { class: "group" }, h("th", { colspan: columns.length + 1 }, title)));
      for (const name of names) {
        if (!columns.some((key) => view.state[key]?.[name] !== undefined)) continue;
        body.append(h("tr", {}, h("th", { title: name }, fieldName(name)), ...columns.map((key) => this.cell(name, key, view))));
      }
    }
    const heads = columns.map((key) => h("th", { title: key, class: key === view.entry?.conn ? "acting" : "" }, key.split(" ")[0]));
    return h("table", { class: "tcb" }, h("thead", {}, h("tr", {}, h("td", {}), ...heads)), body);
  }

  private cell(name: string, key: string, view: View): HTMLElement {
    const fields: Fields | undefined = view.state[key];
    const changed = view.changed[key]?.includes(name) && !same(view.before[key]?.[name], fields?.[name]);
    const exact = fields?.[name];
    const text = this.text(name, key, view.state);
    return h(
      "td",
      { class: changed ? "changed" : "", title: exact === undefined ? "" : String(exact), "data-field": name, "data-key": key },
      exact === undefined ? text : h("button", { class: "value-button", "aria-label": `${fieldName(name)} ${text}: go to its last change`, onclick: () => void this.origin(key, name) }, text),
    );
  }

  /** Go to the event that gave this field its value; from there, to the change before. */
  private async origin(key: string, name: string): Promise<void> {
    const { store } = this.context;
    try {
      const found = await store.source.changed(store.position, key, name);
      if (found < 0) this.context.say(`${fieldName(name)} did not change before`);
      else await store.goto(found, `the last change of ${fieldName(name)}`);
    } catch (error) {
      this.context.say((error as Error).message, true);
    }
  }
}
