// A worker with Python: the desk or a bench of the course (pystack/labs/course/browser.py). Its script comes from the site, and all
// that it fetches does, too.
import { loadPyodide, type PyodideAPI } from "pyodide";
import type { Begin, Said, Work } from "./messages";

/** What Pyodide's list of packages says about its versions (site.mjs). */
declare const LOCK_INFO: object;

const ROOT = "/course";

interface Browser {
  begin(names: string[], root: string, fetch: (name: string) => void): void;
  measure(lab: number, report: (done: number, of: number, what: string) => void): string;
  grade(lab: number, text: string): string;
  step(scenario: string): string;
  capture(lab: number): string;
  CourseDesk: () => { call(text: string): string };
}

const say = (message: Said) => postMessage(message);
let browser: Browser;
let desk: ReturnType<Browser["CourseDesk"]> | null = null;
let memory = 0;
let size = () => 0;
/** The memory may not grow beyond this size. */
let most = Infinity;

// Emscripten asks for more memory here, and an error is a MemoryError in Python.
const grow = WebAssembly.Memory.prototype.grow;
WebAssembly.Memory.prototype.grow = function (this: WebAssembly.Memory, pages: number) {
  if (this.buffer.byteLength + pages * 65536 > most) throw new RangeError("the memory is limited");
  return grow.call(this, pages);
};

async function begin(settings: Begin): Promise<void> {
  say({ loading: "Python" });
  const archive = fetched(settings.course);
  archive.catch(() => {}); // it is awaited below
  const asm = await import(/* the site's own file */ `${settings.base}pyodide/pyodide.asm.js`);
  const python = await loadPyodide({
    indexURL: `${settings.base}pyodide/`,
    createPyodideModule: asm.default,
    // Pyodide's own packages are not used, so none can be fetched from elsewhere.
    lockFileContents: { info: LOCK_INFO, packages: {} } as never,
    packageBaseUrl: `${settings.base}pyodide/`,
    checkAPIVersion: false,
    env: { HOME: "/learner", PYSTACK_PURE: "1", PYTHONHASHSEED: "0" },
    stdout: () => {},
    stderr: () => {},
  });
  say({ loading: "the course" });
  python.unpackArchive(await archive, "zip", { extractDir: ROOT });
  python.runPython(`import sys; sys.path.insert(0, ${JSON.stringify(ROOT)})`);
  browser = python.pyimport("pystack.labs.course.browser");
  const names = python.toPy(Object.keys(settings.packages));
  browser.begin(names, ROOT, (name) => unpack(python, settings.packages[name]));
  memory = settings.memory;
  size = () => (python as any)._module.HEAPU8.length;
  say({ ready: true });
}

async function fetched(address: string): Promise<ArrayBuffer> {
  const answer = await fetch(address);
  if (!answer.ok) throw new Error(`${address}: ${answer.status}`);
  return answer.arrayBuffer();
}

/** Fetch a package while Python waits. */
function unpack(python: PyodideAPI, address: string): void {
  const request = new XMLHttpRequest();
  request.open("GET", address, false);
  request.responseType = "arraybuffer";
  request.send();
  if (request.status !== 200) throw new Error(`${address}: ${request.status}`);
  python.unpackArchive(request.response, "zip", { extractDir: ROOT });
}

function work(what: Work): string {
  if ("desk" in what) return (desk ??= browser.CourseDesk()).call(what.desk);
  if ("measure" in what) return browser.measure(what.measure, (done, of, text) => say({ progress: [done, of, text] }));
  if ("step" in what) return browser.step(what.step);
  if ("capture" in what) return browser.capture(what.capture);
  most = size() + memory;
  return browser.grade(...what.grade);
}

let first = true;
addEventListener("message", (event: MessageEvent<Begin | Work>) => {
  if (first) {
    first = false;
    begin(event.data as Begin).catch((error) => say({ failed: `Python could not be loaded: ${(error as Error).message}` }));
    return;
  }
  try {
    say({ done: work(event.data as Work) });
  } catch (error) {
    say({ failed: String((error as Error).message).trim().split("\n").pop()!.slice(0, 300) });
  }
});
