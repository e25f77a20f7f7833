"""docs/howto/site.md: what it says about the contents of the site and about the labs."""

import re
from pathlib import Path

from pystack.labs.folders import labs
from pystack.labs.grading import GradeLimits
from tools import static_site

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "howto" / "site.md").read_text()
#: what a lab may need, and what the site has
HAS = {"dns", "h11", "h2", "lark"}
#: a kernel host comes with these, and a browser has none of them
OF_HOSTS = {"gcc", "node", "prlimit", "setpriv", "ss"}


def needs(lab):
    """Return what a lab needs for its values, its controls and its grader."""
    grader, experiment = lab.module("grader"), lab.module("experiment")
    values = [*lab.values(), *(control.value for control in experiment.CONTROLS)]
    found = {name for value in values for name in value.needs.split()} | set(getattr(grader, "NEEDS", "").split())
    return found | ({"a kernel host"} if getattr(grader, "KERNEL_HOST", False) else set())


def test_the_table_has_what_cannot_run():
    rows = re.findall(r"^\| (`[^|]*`|a kernel host) \| ([\d, ]+)[^|]*\| [^|]*\|$", PAGE, re.M)
    said = {
        name: {int(number) for number in numbers.split(",")}
        for names, numbers in rows
        for name in names.replace("`", "").split(", ")
    }
    wanted = {}
    for lab in labs():
        for name in needs(lab) - HAS - OF_HOSTS:
            wanted.setdefault(name, set()).add(lab.number)
    assert said == wanted


def test_the_page_names_the_packages_and_the_limits():
    *first, last = static_site.LATER
    assert ", ".join(first) + f" and {last}" in PAGE
    limits = GradeLimits()
    assert f"after {limits.wall:g} seconds" in PAGE and f"{limits.memory >> 20} MiB" in PAGE
    page = (ROOT / "web" / "src" / "course" / "site" / "pyodide.ts").read_text()
    assert f"WALL = {limits.wall:g}_000" in page
    assert f"memory: {limits.memory >> 20} << 20" in (ROOT / "web" / "src" / "course" / "site" / "main.ts").read_text()
