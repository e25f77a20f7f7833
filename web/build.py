#!/usr/bin/env python3
"""Builds the web stepper's page into pystack/stepper/web/static, where it is not up to date. Needs npm.

    python web/build.py             build; exit status 1 where npm is missing or fails, with a line that says so
    python web/build.py --optional  the same, but without npm only say so

The packages come by web/package-lock.json; what is built depends on the files here alone, so a hash of them is kept.
"""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
OUT = HERE.parent / "pystack" / "stepper" / "web" / "static"
STAMP = OUT / ".built"
FILES = ("index.html", "stepper.js", "stepper.css", "course.html", "course.js", "course.css", "THIRD-PARTY.txt")


def sources() -> list[Path]:
    """What the page is made of."""
    return [
        HERE / "package-lock.json",
        HERE / "build.mjs",
        HERE / "notices.mjs",
        *sorted(p for p in (HERE / "src").rglob("*") if p.is_file()),
    ]


def digest() -> str:
    """A hash of the sources."""
    found = hashlib.sha256()
    for path in sources():
        found.update(f"{path.relative_to(HERE)} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return found.hexdigest()


def up_to_date() -> bool:
    """Is the page there, and made of these sources?"""
    return STAMP.exists() and STAMP.read_text() == digest() and all((OUT / name).exists() for name in FILES)


def packages_there() -> bool:
    """Are the packages of the lock file installed?"""
    installed = HERE / "node_modules" / ".package-lock.json"
    if not installed.exists():
        return False
    wanted = json.loads((HERE / "package-lock.json").read_text())["packages"]
    have = json.loads(installed.read_text())["packages"]
    return all(wanted.get(name, {}).get("version") == one.get("version") for name, one in have.items()) and all(
        name in have for name, one in wanted.items() if name and not one.get("optional")
    )


def build() -> str:
    """Build it; "" or what went wrong."""
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        return "npm is missing (Debian: nodejs, npm): `pystack step --web` and --export will not work"
    steps = [] if packages_there() else [[npm, "ci", "--no-progress", "--loglevel=error"]]
    for command in [*steps, [node, "build.mjs"]]:
        done = subprocess.run(
            command, cwd=HERE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        if done.returncode:
            return f"the web stepper's page could not be built:\n{done.stdout[-2000:]}"
    STAMP.write_text(digest())
    return ""


def main() -> int:
    """Build where needed."""
    if not (HERE / "src").exists() or up_to_date():
        return 0
    problem = build()
    if problem:
        print(f"web stepper: {problem}", file=sys.stderr)
        return 0 if "--optional" in sys.argv[1:] else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
