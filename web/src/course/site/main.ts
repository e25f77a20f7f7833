// The course as a static site (`make site`).
import "../course.css";
import "./site.css";
import { h } from "../../dom";
import { startCourse } from "../course";
import type { Begin } from "./messages";
import { PyodideSource } from "./pyodide";

/** tools/static_site.py writes it into the page. */
const { course, packages } = JSON.parse(document.getElementById("site")!.textContent!);
const base = new URL(".", location.href).href;
const absolute = (name: string) => base + name;

const settings: Begin = {
  base,
  course: absolute(course),
  packages: Object.fromEntries(Object.entries<string>(packages).map(([name, file]) => [name, absolute(file)])),
  memory: 512 << 20,
};

const status = h("p", { id: "site-status", role: "status" }, "Python is being loaded (about 20 MB the first time) …");
document.body.append(h("footer", { class: "site-status" }, status));
const source = new PyodideSource(settings, (what) => (status.textContent = `${what} is being loaded …`));

/** Keep the site's files in the browser, so that it works without a network from then on. */
async function offline(): Promise<void> {
  if (!("serviceWorker" in navigator)) return;
  const registered = await navigator.serviceWorker.register("sw.js", { scope: "./" });
  const installing = registered.installing ?? registered.waiting;
  if (!registered.active && installing) {
    await new Promise<void>((resolve, reject) => {
      installing.addEventListener("statechange", () => {
        if (installing.state === "activated") resolve();
        if (installing.state === "redundant") reject(new Error("the site's files could not be kept"));
      });
    });
  }
  status.textContent = "This course is in your browser now, and works without a network.";
}

void startCourse(source, document.getElementById("app")!);
source.ready.then(
  () => {
    status.textContent = "";
    source.prepare();
    offline().catch(() => {}).finally(() => (document.documentElement.dataset.offline = String(!!navigator.serviceWorker?.controller)));
  },
  (error: Error) => (status.textContent = error.message),
);
