// Builds the parts of the static site that need npm's packages (tools/static_site.py calls it): the scripts, and the archives of Python code.
// `node site.mjs STAGE OUT`: each folder of STAGE becomes an archive, with the code compiled for Pyodide's Python.
import { build } from "esbuild";
import { copyFileSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { loadPyodide } from "pyodide";
import { notices } from "./notices.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const [stage, out] = process.argv.slice(2).map((name) => resolve(name));
const common = { absWorkingDir: here, outdir: out, bundle: true, minify: true, metafile: true, target: ["es2022"], legalComments: "none" };
const pyodide = join(here, "node_modules", "pyodide");
const LOCK_INFO = JSON.stringify(JSON.parse(readFileSync(join(pyodide, "pyodide-lock.json"), "utf8")).info);
const page = await build({ ...common, entryPoints: { course: "src/course/site/main.ts" }, format: "iife" });
const worker = await build({ ...common, entryPoints: { worker: "src/course/site/worker.ts" }, format: "esm", external: ["node:*", "ws"], define: { LOCK_INFO } });

// The names end with .js, because some web servers do not know .mjs.
mkdirSync(join(out, "pyodide"), { recursive: true });
for (const [from, to] of [["pyodide.asm.mjs", "pyodide.asm.js"], ["pyodide.asm.wasm"], ["python_stdlib.zip"]])
  copyFileSync(join(pyodide, from), join(out, "pyodide", to ?? from));

const python = await loadPyodide({ env: { PYTHONHASHSEED: "0" } });
mkdirSync(join(out, "python"), { recursive: true });
python.mountNodeFS("/stage", stage);
const pack = python.runPython(`${readFileSync(join(here, "pack.py"), "utf8")}\npack`);
for (const name of readdirSync(stage).sort()) {
  const archive = pack(`/stage/${name}`, "/course");
  writeFileSync(join(out, "python", `${name}.zip`), archive.toJs());
  archive.destroy();
}

const inputs = { ...page.metafile.inputs, ...worker.metafile.inputs };
const names = Object.keys(inputs).filter((path) => !path.includes("node_modules/pyodide/"));
const version = JSON.parse(readFileSync(join(pyodide, "package.json"), "utf8")).version;
writeFileSync(join(out, "THIRD-PARTY.txt"), [
  `Pyodide ${version} (MPL-2.0): the folder pyodide\n\nIts source is at https://github.com/pyodide/pyodide/tree/${version}, and the licence at https://www.mozilla.org/MPL/2.0/.\n`,
  `CPython ${python.runPython("import platform; platform.python_version()")} (PSF-2.0), in the folder pyodide\n\n${python.runPython("import sys; sys.copyright")}\n\nThe licence is at https://docs.python.org/3/license.html.\n`,
  ...notices(Object.fromEntries(names.map((path) => [path, true]))),
].join("\n"));
process.exit(0);
