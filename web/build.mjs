// Builds the pages of the stepper and of the course: for each a script, a style sheet and the page, and the licences of the packages inside.
// `node build.mjs [FOLDER]`; the folder is the Python package's, where `pystack step --web` and `pystack course` look for it.
import { build } from "esbuild";
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { notices } from "./notices.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const out = resolve(process.argv[2] ?? join(here, "..", "pystack", "stepper", "web", "static"));

/** Name of the script and the style -> the source, and the page. */
const PAGES = {
  stepper: ["src/main.ts", "index.html", "src/index.html"],
  course: ["src/course/main.ts", "course.html", "src/course/course.html"],
};

/** Bundle one page. Each has only the packages that it uses. */
function bundled(name) {
  return build({
    absWorkingDir: here,
    entryPoints: { [name]: PAGES[name][0] },
    outdir: out,
    bundle: true,
    minify: true,
    write: false,
    metafile: true,
    format: "iife",
    target: ["es2022"],
    legalComments: "none",
  });
}

mkdirSync(out, { recursive: true });

/** Write a file beside the old one and then replace it, so that a reader finds either the old or the new one. */
function write(name, text) {
  const path = join(out, name);
  if (existsSync(path) && readFileSync(path, "utf8") === text) return;
  writeFileSync(`${path}.new`, text);
  renameSync(`${path}.new`, path);
}

const all = new Set();
for (const [name, [, page, source]] of Object.entries(PAGES)) {
  const result = await bundled(name);
  const packages = notices(result.metafile.inputs);
  packages.forEach((one) => all.add(one));
  const comment = `/*!\nThis file contains these packages:\n\n${packages.join("\n").replaceAll("*/", "* /")}*/\n`;
  for (const file of result.outputFiles) write(file.path.split(/[\\/]/).pop(), comment + file.text);
  write(page, readFileSync(join(here, source), "utf8"));
}
write("THIRD-PARTY.txt", [...all].sort().join("\n"));
