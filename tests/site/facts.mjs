// Runs tests/site/same.py in the Python of a site: `node facts.mjs SITE SCRIPT LABS`. Writes JSON.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { loadPyodide } from "../../web/node_modules/pyodide/pyodide.mjs";

const [site, script, labs] = process.argv.slice(2);
const { course, packages } = JSON.parse(readFileSync(join(site, "index.html"), "utf8").match(/<script id="site"[^>]*>(.*?)<\/script>/)[1]);
// the interpreter and the standard library of the site
const python = await loadPyodide({
  stdLibURL: join(site, "pyodide", "python_stdlib.zip"),
  env: { HOME: "/learner", PYSTACK_PURE: "1", PYTHONHASHSEED: "0" },
  stdout: (text) => process.stderr.write(`${text}\n`),
});
const unpack = (file) => python.unpackArchive(new Uint8Array(readFileSync(join(site, file))), "zip", { extractDir: "/course" });
unpack(course);
python.runPython("import sys, warnings; sys.path.insert(0, '/course'); warnings.simplefilter('error')");
const browser = python.pyimport("pystack.labs.course.browser");
browser.begin(python.toPy(Object.keys(packages)), "/course", (name) => unpack(packages[name]));
try {
  python.runPython(readFileSync(script, "utf8"));
  process.stdout.write(python.runPython(`import platform\njson.dumps({"python": platform.python_version(), "build": pystack_c.__file__, **facts(${labs})})`.replace(/^/, "import pystack_c\n")));
} catch (error) {
  process.stderr.write(String(error.message).slice(-4000));
  process.exit(1);
}
process.exit(0);
