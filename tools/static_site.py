"""Builds the course as a static site: `python -m tools.static_site [FOLDER]` (`make site`; by default build/site).

The site runs the uncompiled stack in the page, in Pyodide. It needs npm at build time, and nothing from elsewhere at run time. The folder
works on any web server, and in a folder below the root, too. docs/howto/site.md describes it.
"""

import base64
import hashlib
import html
import importlib.metadata
import json
import runpy
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WEB = ROOT / "web"
OUT = ROOT / "build" / "site"
#: what belongs to the code beside its modules
DATA = ("page.md", "starter.c", "starter.js", "solution.c", "solution.js", "grammar.lark")
#: commands and tools for a terminal, which a page cannot run
WITHOUT = ("cli", "demo", "pkt", "pytest_plugin", "stepper/tui", "sweeps")
#: distributions that the course always needs, and those that a lab or the stepper may need
ALWAYS = ("markdown-it-py", "mdurl")
LATER = ("construct", "dnspython", "h11", "h2", "hpack", "hyperframe", "lark")
#: what a package needs for its work: modules, their types excepted, and grammars
KEPT = (".py", ".lark")


class SiteError(Exception):
    """The site cannot be built. The text says why."""


def stage_pystack(folder: Path) -> None:
    """Copy the packages, uncompiled, with the stepper's page."""
    for package in ("pystack", "pystack_c"):
        for path in sorted((ROOT / package).rglob("*")):
            wanted = path.suffix == ".py" or path.name in DATA or path.name.startswith("wrong_")
            if path.parent.name == "static":
                wanted = path.name in ("index.html", "stepper.js", "stepper.css")
            below = path.relative_to(ROOT / package)
            if any(below.is_relative_to(name) for name in WITHOUT):
                continue
            if path.is_file() and wanted and path.parent.name != "__pycache__":
                target = folder / path.relative_to(ROOT)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)


def stage_package(name: str, folder: Path) -> list[str]:
    """Copy a distribution of this environment. Returns the names of its packages."""
    try:
        files = importlib.metadata.distribution(name).files or []
    except importlib.metadata.PackageNotFoundError:
        raise SiteError(f"{name} is not installed here: call `make setup`") from None
    tops = set()
    for file in files:
        top = file.parts[0]
        if top.endswith((".dist-info", ".data")) or top == ".." or "__pycache__" in file.parts:
            continue
        if file.suffix in (".so", ".pyd"):
            raise SiteError(f"{name} has compiled code, which a browser cannot use")
        if file.suffix in KEPT:
            target = folder / str(file)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(str(file.locate()), target)
            tops.add(top)
    return sorted(tops)


def notice(name: str) -> str:
    """Return the licence notice of a distribution."""
    found = importlib.metadata.distribution(name)
    known = found.metadata.json
    words = str(known.get("license_expression") or known.get("license") or "")
    texts = [
        Path(str(file.locate())).read_text(encoding="utf-8").strip()
        for file in found.files or []
        if file.parts[0].endswith(".dist-info") and file.name.upper().startswith(("LICEN", "COPYING"))
    ]
    if not texts:
        raise SiteError(f"{name} has no licence file")
    return (
        f"{name} {found.version} ({words.splitlines()[0] if words else 'see below'}), in the folder python\n\n"
        + "\n\n".join(texts)
        + "\n"
    )


def run(command: list[str]) -> None:
    """Run a command of the build."""
    done = subprocess.run(command, cwd=WEB, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise SiteError(f"{' '.join(command[:2])} failed:\n{done.stdout[-2000:]}")


def digest(path: Path) -> str:
    """Return the first letters of a file's hash."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def policy(stepper: Path) -> str:
    """Return the page's content security policy. The stepper's script is inside a frame, so its hash is allowed."""
    script = base64.b64encode(hashlib.sha256(stepper.read_bytes()).digest()).decode()
    rules = {
        "default-src": "'none'",
        "script-src": f"'self' 'wasm-unsafe-eval' 'sha256-{script}'",
        "style-src": "'self' 'unsafe-inline'",
        "img-src": "data:",
        "connect-src": "'self'",
        "worker-src": "'self' blob:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def page(settings: dict[str, object], stepper: Path) -> str:
    """Return index.html: the course's page with its policy and the names of the archives."""
    text = (WEB / "src" / "course" / "course.html").read_text(encoding="utf-8")
    script = '<script src="course.js" defer></script>'
    charset = '<meta charset="utf-8">'
    if script not in text or charset not in text:
        raise SiteError("course.html has another form than expected")
    meta = f'{charset}\n<meta http-equiv="Content-Security-Policy" content="{html.escape(policy(stepper))}">'
    data = json.dumps(settings).replace("<", "\\u003c")
    return text.replace(charset, meta).replace(
        script, f'<script id="site" type="application/json">{data}</script>\n{script}'
    )


def finish(out: Path) -> int:
    """Write the service worker with the list of all files and their common hash. Returns the site's size in bytes."""
    files = sorted(path for path in out.rglob("*") if path.is_file() and path.name != "sw.js")
    whole = hashlib.sha256()
    for path in files:
        whole.update(f"{path.relative_to(out)} {digest(path)}\n".encode())
    names = ["./", *(str(path.relative_to(out)) for path in files)]
    worker = (WEB / "src" / "course" / "site" / "sw.js").read_text(encoding="utf-8")
    worker = worker.replace("__FILES__", json.dumps(names)).replace("__VERSION__", json.dumps(whole.hexdigest()[:16]))
    (out / "sw.js").write_text(worker, encoding="utf-8")
    return sum(path.stat().st_size for path in files)


def build(out: Path) -> int:
    """Build the site into a folder, which is emptied before. Returns its size in bytes."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        raise SiteError("npm is missing (Debian: nodejs, npm)")
    if out.exists() and any(out.iterdir()) and not (out / "sw.js").exists():
        raise SiteError(f"{out} has other files than a site: choose an empty folder")
    bundles = runpy.run_path(str(WEB / "build.py"))
    if not bundles["up_to_date"]() or not bundles["packages_there"]():
        problem = bundles["build"]()
        if problem:
            raise SiteError(problem)
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as folder:
        stage = Path(folder)
        stage_pystack(stage / "course")
        for name in ALWAYS:
            stage_package(name, stage / "course")
        tops = {top: name for name in LATER for top in stage_package(name, stage / name)}
        run(["node", "site.mjs", str(stage), str(out)])
    notices = out / "THIRD-PARTY.txt"
    notices.write_text(
        "\n".join([notices.read_text(encoding="utf-8"), *map(notice, (*ALWAYS, *LATER))]), encoding="utf-8"
    )
    named = {}
    for path in sorted((out / "python").iterdir()):
        named[path.stem] = f"python/{path.stem}-{digest(path)}.zip"
        path.rename(out / named[path.stem])
    settings: dict[str, object] = {
        "course": named["course"],
        "packages": {top: named[name] for top, name in sorted(tops.items())},
    }
    stepper = ROOT / "pystack" / "stepper" / "web" / "static" / "stepper.js"
    (out / "index.html").write_text(page(settings, stepper), encoding="utf-8")
    return finish(out)


def main() -> int:
    """Build, and say what to do with it."""
    out = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else OUT
    try:
        size = build(out)
    except SiteError as error:
        print(f"site: {error}", file=sys.stderr)
        return 1
    print(f"{out} has the course ({size / 1e6:.1f} MB). Try it: python3 -m http.server -b 127.0.0.1 -d {out} 8000")
    return 0


if __name__ == "__main__":
    sys.exit(main())
