"""Writes the conformance pages: `python -m tools.conformance` (`make rfc`) runs tests/rfc on both builds of the core.

It writes docs/reference/rfc9293.md, rfc1122.md and rfc4787.md from the results. The requirements are in
tests/rfc/requirements/*.csv, in the project's own words. The name of a test says to which requirement it belongs
(test_must_2_... in test_rfc9293_*.py is a test of MUST-2). tools/mutate.py finds out for which requirements the tests
notice a broken core. tests/rfc/test_pages.py compares the pages with the tests. The exit status is 1 if a test failed.
"""

import argparse
import ast
import csv
import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from tests.rfc.mutants import ALL
from tools.mutate import RESULTS, fingerprint

ROOT = Path(__file__).resolve().parents[1]
TESTS = ROOT / "tests" / "rfc"
PAGES = ("rfc9293", "rfc1122", "rfc4787")
NAME = re.compile(r"test_([a-z]+)_(\d+[a-z]?)_")
HEADS = {
    "rfc9293": """# RFC 9293, requirement by requirement

The numbers are those of the RFC's appendix B, and the words are our own. Each test is named after its requirement. The tests are in `tests/rfc/`.""",
    "rfc1122": """# RFC 1122: IP, ICMP, ARP and UDP

This page lists the requirements of sections 2.3, 3.2 to 3.4 and 4.1 for a host. The RFC does not number them, so the numbers are our own.
The tests are in `tests/rfc/`.""",
    "rfc4787": """# RFC 4787, RFC 5382 and RFC 5508: address translation

This page lists the numbered requirements for a NAT: REQ-1 of RFC 4787 is UDP-1, REQ-1 of RFC 5382 is TCP-1, and REQ-1 of RFC 5508 is ICMP-1.
The words are our own. The section has the number of the RFC before it. The tests are in `tests/rfc/`.

There are two settings. By default, the translation behaves as Linux's does. With `nat_endpoint_independent`, the mapping depends only on the
internal endpoint, and `nat_filtering` decides which packets from the outside it lets in. The profile `rfc` sets both, and the times that the RFCs
ask for. If a note names neither a setting nor the profile, both translations behave alike.
[The guide to address translation](../howto/nat.md) describes the settings.""",
}
TAIL = """**Result** is the result on the compiled and on the uncompiled core, with the number of runs. **Broken** says whether the tests noticed a core
that was broken on purpose: `tests/rfc/mutants.py` has, for each requirement, a change of the source that breaks it.

`make rfc` writes this page, and `make mutants` finds the results of the column **Broken**. `tests/rfc/test_pages.py` compares the page
with the tests."""


class Requirement(NamedTuple):
    """One line of requirements/*.csv."""

    id: str
    level: str
    section: str
    text: str
    note: str


def requirements(page: str) -> list[Requirement]:
    """Return the requirements that a page must list, in its order."""
    with (TESTS / "requirements" / f"{page}.csv").open(newline="") as lines:
        return [Requirement(**row) for row in csv.DictReader(lines)]


def ident(function: str) -> str:
    """Return the requirement of a test function, or ""."""
    found = NAME.match(function)
    return f"{found[1].upper()}-{found[2]}" if found else ""


def collect(page: str) -> dict[str, list[str]]:
    """Return the test functions by requirement, read from the sources."""
    tests: dict[str, list[str]] = {}
    for path in sorted(TESTS.glob(f"test_{page}_*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_") and ident(node.name):
                tests.setdefault(ident(node.name), []).append(f"{path.name}::{node.name}")
    return tests


class Outcomes:
    """A pytest plugin that counts how often each test function passed, failed or was skipped."""

    def __init__(self) -> None:
        self.counts: dict[str, Counter[str]] = {}

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Count one phase of one test."""
        if report.when == "call" or report.outcome != "passed":
            path, _, rest = report.nodeid.partition("::")
            key = f"{Path(path).name}::{rest.split('[')[0]}"
            self.counts.setdefault(key, Counter())[report.outcome] += 1


def run_here(out: Path) -> int:
    """Run the tests in this process, and write the counts to `out`."""
    import pytest

    outcomes = Outcomes()
    status = pytest.main(
        ["-q", "-p", "no:cacheprovider", str(TESTS), "--ignore", str(TESTS / "test_pages.py")], [outcomes]
    )
    out.write_text(json.dumps(outcomes.counts))
    return int(status)


def run_builds(scratch: Path) -> tuple[list[dict[str, dict[str, int]]], bool]:
    """Return the counts of the compiled and the uncompiled build, and whether both runs succeeded."""
    results, good = [], True
    for pure in ("", "1"):
        out = scratch / f"results{pure}.json"
        env = {key: value for key, value in os.environ.items() if key != "PYSTACK_PURE"}
        if pure:
            env["PYSTACK_PURE"] = pure
        command = [sys.executable, "-m", "tools.conformance", "--here", str(out)]
        good &= subprocess.run(command, cwd=ROOT, env=env, timeout=600).returncode == 0
        results.append(json.loads(out.read_text()))
    return results, good


def verdict(tests: list[str], results: list[dict[str, dict[str, int]]]) -> str:
    """Return the result of a requirement's tests."""
    total: Counter[str] = Counter()
    for counts in results:
        for test in tests:
            total.update(counts.get(test, {"missing": 1}))
    if set(total) == {"passed"}:
        return f"passed ({total['passed']})"
    return ", ".join(f"{count} {name}" for name, count in sorted(total.items())).upper()


def broken(page: str, requirement: str) -> str:
    """Return the results of the requirement's mutants."""
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    said = [known.get(fingerprint(m), "not tried") for m in ALL[page] if m.id == requirement]
    if not said:
        return ""
    return "noticed" if set(said) == {"killed"} else ", ".join(sorted(set(said)))


def render(page: str, results: list[dict[str, dict[str, int]]]) -> str:
    """Return the page."""
    tests = collect(page)
    rows, sums = [], Counter[str]()
    for need in requirements(page):
        found = tests.get(need.id, [])
        names = "<br>".join(f"`{test.removeprefix('test_').replace('.py::', '` `')}`" for test in found)
        result = verdict(found, results) if found else ""
        noticed = broken(page, need.id)
        sums["all"] += 1
        sums["tested"] += bool(found)
        sums["passed"] += result.startswith("passed")
        sums["noticed"] += noticed == "noticed"
        cells = (need.id, need.level, need.section, need.text, names, result, noticed, need.note)
        rows.append("| " + " | ".join(cells) + " |")
    summary = (
        f"Of {sums['all']} requirements, {sums['tested']} have tests, and the tests of {sums['passed']} pass. "
        f"For {sums['noticed']} of them, the tests noticed a broken core. The notes say what is missing or different."
    )
    head = "| | Level | Section | What | Tests | Result | Broken | Note |\n|---|---|---|---|---|---|---|---|"
    return "\n\n".join((HEADS[page], summary, "\n".join((head, *rows)), TAIL)) + "\n"


def main(argv: "list[str] | None" = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m tools.conformance", description="run tests/rfc, write the pages")
    parser.add_argument("--here", type=Path, metavar="FILE", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.here is not None:
        return run_here(options.here)
    import tempfile

    with tempfile.TemporaryDirectory() as scratch:
        results, good = run_builds(Path(scratch))
    for page in PAGES:
        (ROOT / "docs" / "reference" / f"{page}.md").write_text(render(page, results))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
