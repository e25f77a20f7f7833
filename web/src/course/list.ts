// The list of the labs, in the order of the course's lectures.
import { clear, h } from "../dom";
import type { CourseSource, Index, Lab, LabState, Row } from "./source";

/** How far the learner is, in words and with a sign beside them. */
const STATES: Record<LabState, [string, string]> = {
  open: ["○", "open"],
  run: ["◔", "run"],
  started: ["◑", "exercise started"],
  solved: ["●", "solved"],
};

export async function showList(source: CourseSource, root: HTMLElement, current: () => boolean): Promise<void> {
  const index = await source.index();
  if (!current()) return;
  document.title = "pystack course";
  const labs = new Map(index.labs.map((lab) => [lab.number, lab]));
  const rows = index.rows.filter((row) => row.labs.some((number) => labs.has(number)));
  const listed = new Set(rows.flatMap((row) => row.labs));
  const others = index.labs.filter((lab) => !listed.has(lab.number));
  clear(root,
    h("h1", { tabindex: -1 }, "The course, lecture by lecture"),
    h("p", {}, "A lab is an experiment. You predict its results, run it, compare them with a formula, and look inside. Then you do an exercise, which is checked."),
    done(index),
    ...rows.map((row) => section(row, row.labs.flatMap((number) => labs.get(number) ?? []))),
    others.length > 0 && section({ lectures: "-", topic: "More labs", labs: [], scenarios: [] }, others));
}

function done({ labs }: Index): HTMLElement {
  const solved = labs.filter((lab) => lab.state === "solved").length;
  const next = labs.find((lab) => lab.state === "started") ?? labs.find((lab) => lab.state !== "solved" && !lab.lacks.length);
  return h("p", { class: "done" },
    h("progress", { max: labs.length, value: solved, "aria-label": "solved exercises" }), ` ${solved} of ${labs.length} exercises solved. `,
    next && h("a", { class: "button strong", href: `#lab=${next.number}`, id: "go-on" }, `${solved || next.state !== "open" ? "Go on with" : "Begin with"} lab ${next.number}`));
}

function section(row: Row, labs: Lab[]): HTMLElement {
  const number = row.lectures === "-" ? "" : `${row.lectures.includes(",") ? "Lectures" : "Lecture"} ${row.lectures}`;
  return h("section", { class: "row" },
    h("h2", {}, number && h("span", { class: "lectures" }, number), " ", row.topic),
    h("ul", { class: "labs" }, ...labs.map(entry)));
}

function entry(lab: Lab): HTMLElement {
  return h("li", {},
    stateOf(lab.state),
    h("div", {},
      h("a", { href: `#lab=${lab.number}`, "data-lab": lab.number }, `Lab ${lab.number}: ${lab.title}`),
      h("span", { class: "minutes" }, ` about ${lab.minutes} min`),
      ...needs(lab)));
}

/** Return the state as a sign with its words. */
export function stateOf(state: LabState): HTMLElement {
  const [sign, words] = STATES[state];
  return h("span", { class: `state state-${state}`, "data-state": state }, h("span", { "aria-hidden": "true" }, sign), ` ${words}`);
}

/** Say what the machine lacks for a lab. */
export function needs(lab: Lab): HTMLElement[] {
  return lab.lacks.map((lack) => h("p", { class: "lack" }, `A part of it ${lack}.`));
}
