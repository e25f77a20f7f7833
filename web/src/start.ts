// The start page: the scenarios in the order of the course, and the recordings of the directory.
import { clear, h } from "./dom";
import { apply, remember, type Look } from "./look";
import { filePage, home, scenarioPage } from "./places";

interface Start {
  parts: { title: string; scenarios: { name: string; title: string; question: string }[] }[];
  files: { path: string; kind: string; size: number }[];
  folder: string;
  /** The search for files ended early. */
  cut: boolean;
  /** The command line has opened something, too. */
  first: boolean;
}

export async function showStart(root: HTMLElement, look: Look): Promise<void> {
  const answer = await fetch(`${home()}api/start`);
  if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
  const start: Start = await answer.json();
  document.title = "pystack stepper";
  root.classList.add("start");
  const toggle = (change: () => void) => () => {
    change();
    apply(look);
    remember(look);
  };
  const dark = () => (look.theme ? look.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches);
  clear(
    root,
    h(
      "header",
      { class: "top" },
      h("b", { class: "brand" }, "pystack"),
      h("h1", {}, "What do you want to see?"),
      h("button", { id: "projector", onclick: toggle(() => (look.projector = !look.projector)) }, "Projector"),
      h("button", { id: "theme", title: "light or dark", "aria-label": "light or dark", onclick: toggle(() => (look.theme = dark() ? "light" : "dark")) }, "◐"),
    ),
    h(
      "div",
      { class: "start-body" },
      start.first && h("p", {}, h("a", { class: "button", href: home() }, "← what the command line opened")),
      h("section", { class: "start-scenarios", "aria-labelledby": "scenarios" }, h("h2", { id: "scenarios" }, "Scenarios, in the order of the course"), ...start.parts.map(part)),
      h("section", { class: "start-files", "aria-labelledby": "files" }, h("h2", { id: "files" }, `Recordings and captures in ${start.folder}`), ...files(start)),
    ),
  );
}

function part({ title, scenarios }: Start["parts"][number]): HTMLElement {
  return h(
    "div",
    { class: "part" },
    h("h3", {}, title),
    h("ul", {}, ...scenarios.map((one) =>
      h("li", {}, h("a", { href: scenarioPage(one.name), "data-scenario": one.name }, one.title), h("span", { class: "question" }, ` ${one.question}`)),
    )),
  );
}

function files({ files, cut }: Start): HTMLElement[] {
  if (!files.length) {
    return [h("p", { class: "hint" }, "There are none. ", h("code", {}, "pystack up --record run.pytrace"), " makes a recording, and any capture (.pcapng, .pcap) can be opened, too.")];
  }
  const rows = files.map((one) =>
    h("li", {}, h("a", { href: filePage(one.path), "data-file": one.path }, one.path), h("span", { class: "question" }, ` ${one.kind}, ${size(one.size)}`)),
  );
  return [h("ul", {}, ...rows), ...(cut ? [h("p", { class: "hint" }, "There are more files than are searched here: pystack step FILE --web opens any.")] : [])];
}

function size(bytes: number): string {
  if (bytes < 1000) return `${bytes} bytes`;
  return bytes < 1e6 ? `${(bytes / 1e3).toPrecision(3)} kB` : `${(bytes / 1e6).toPrecision(3)} MB`;
}
