// Small parts of the course's page.
import { h } from "../dom";

/** Return HTML that the service made from Markdown as nodes. The parser runs no scripts, and the page's policy forbids them. */
export function fragment(html: string): HTMLElement {
  const found = new DOMParser().parseFromString(html, "text/html");
  found.querySelectorAll("script, style, iframe, object, form").forEach((node) => node.remove());
  // a link leads to another site
  found.querySelectorAll("a").forEach((link) => {
    link.target = "_blank";
    link.rel = "noopener noreferrer";
  });
  found.querySelectorAll("pre, table").forEach((node) => node.setAttribute("tabindex", "0"));
  const box = h("div", { class: "markdown" });
  box.append(...Array.from(found.body.childNodes).map((node) => document.importNode(node, true)));
  return box;
}

/** Ask in a dialog. Escape means no. */
export function confirmed(question: string, yes: string): Promise<boolean> {
  return new Promise((answer) => {
    const close = (value: string) => (dialog as HTMLDialogElement).close(value);
    const dialog = h("dialog", { "aria-label": question },
      h("p", {}, question),
      h("p", { class: "buttons" },
        h("button", { class: "strong", id: "dialog-yes", onclick: () => close("yes") }, yes),
        h("button", { id: "dialog-no", onclick: () => close("") }, "Cancel"))) as HTMLDialogElement;
    dialog.addEventListener("close", () => {
      dialog.remove();
      answer(dialog.returnValue === "yes");
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** Hints and grades have their code between backticks. */
export { withCode as line } from "../dom";
