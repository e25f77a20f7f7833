// The course: a list of the labs, and a page for each. `#lab=17` in the address is lab 17.
import { clear, h } from "../dom";
import { apply, remember, remembered, type Look } from "../look";
import { LabView } from "./lab";
import { showList } from "./list";
import type { CourseSource } from "./source";

/** Build the page in `root`, and follow the address. */
export async function startCourse(source: CourseSource, root: HTMLElement): Promise<void> {
  const look = remembered();
  apply(look);
  const body = h("main", { class: "course-body", id: "content", tabindex: -1 });
  clear(root, h("a", { class: "skip", href: "#content", onclick: (event: Event) => { event.preventDefault(); body.focus(); } }, "Skip to the content"), header(look), body);
  let view: LabView | null = null;
  let turn = 0;
  const show = async (first = false) => {
    const mine = ++turn;
    const lab = labInAddress();
    await view?.close();
    view = null;
    const loading = setTimeout(() => mine === turn && clear(body, h("p", { class: "loading", role: "status" }, "loading …")), 150);
    try {
      if (lab === null) await showList(source, body, () => mine === turn);
      else {
        const page = await source.page(lab);
        if (mine !== turn) return;
        view = new LabView(source, page, body);
        (window as any).course = { view, source };
      }
    } catch (error) {
      if (mine !== turn) return;
      clear(body, h("p", { class: "failed", role: "alert" }, (error as Error).message), h("p", {}, h("a", { href: "#" }, "The list of labs")));
    } finally {
      clearTimeout(loading);
    }
    if (mine !== turn) return;
    document.documentElement.dataset.ready = lab === null ? "list" : String(lab);
    if (first) return;
    scrollTo(0, 0);
    // a reader of the screen begins at the new heading
    body.querySelector<HTMLElement>("h1")?.focus({ preventScroll: true });
  };
  addEventListener("hashchange", () => void show());
  await show(true);
}

export function labInAddress(): number | null {
  const lab = Number(new URLSearchParams(location.hash.slice(1)).get("lab") ?? NaN);
  return Number.isInteger(lab) ? lab : null;
}

function header(look: Look): HTMLElement {
  const dark = () => (look.theme ? look.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches);
  const toggle = (change: () => void) => () => {
    change();
    apply(look);
    remember(look);
  };
  return h("header", { class: "course-top" },
    h("a", { class: "brand", href: "#" }, "pystack course"),
    h("span", { class: "space" }),
    h("button", { id: "projector", title: "large type and high contrast", onclick: toggle(() => (look.projector = !look.projector)) }, "Projector"),
    h("button", { id: "theme", title: "light or dark", "aria-label": "light or dark", onclick: toggle(() => (look.theme = dark() ? "light" : "dark")) }, "◐"));
}
