"""Writes docs/reference/real-programs.md: `python -m tools.programs_docs` (`make programs`) runs tests/programs/real, as root.

A cell names the other side if its test passed. tests/programs/real/test_page.py compares the page with the tests. The exit status is 1 if a
test failed or was skipped.
"""

import importlib.metadata
import os
import platform
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.programs.real.table import COLUMNS, ROWS, Row

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "reference" / "real-programs.md"
TESTS = "tests/programs/real/test_table.py"
HEAD = """# Real programs on a stack

These programs run unchanged. Each cell has a test of its own, in `tests/programs/real/`, and names the program on the other side.

- **Client**: the program runs on a stack behind a TAP, and the server on the kernel.
- **Server**: the other way round.
- **Virtual time**: both run on simulated hosts, 20 ms apart, with 1 % loss. The packets are real, and so are the retransmissions.

An empty cell means that the program has no such side, or that the side is in another row. **What it took** says what had to be different
from the same program on the kernel. If it is empty, nothing had to."""
TAIL = """A program needs nothing but `pystack run`, `pystack.patch` or `pystack.aio` ([how](../howto/programs.md)), and in virtual time `Network.run`
([how](../howto/virtual-time.md)). The programs themselves are in `tests/programs/real/apps/`, which knows nothing about pystack.

- The servers in C (Valkey, PostgreSQL, OpenSSH, dnsmasq, nghttpd) cannot run in virtual time. Their places are taken by other servers in
  Python, and for Redis and PostgreSQL by the small ones in `tests/programs/real/apps/small.py`, which know only what the clients ask.
- NX-27017 speaks MongoDB's protocol and keeps its documents in SQLite. MongoDB itself is in no Debian package.
- The peer of aioquic's client is aioquic, because no other QUIC server is at hand. The peer of its server is curl.

`make programs` writes this page, and `tests/programs/real/test_page.py` compares it with the tests."""
#: the programs on the kernel's side, and the command that prints the version of each
PEERS = {
    "curl": ["curl", "-V"],
    "Chromium": ["chromium", "--version"],
    "nghttp2": ["h2load", "--version"],
    "Valkey": ["valkey-server", "-v"],
    "PostgreSQL": ["postgres", "-V"],
    "OpenSSH": ["ssh", "-V"],
    "dnsmasq": ["dnsmasq", "-v"],
}


class Outcomes:
    """A pytest plugin that keeps the outcome of each test: passed, failed or skipped."""

    def __init__(self) -> None:
        self.found: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Note one phase of one test."""
        if report.when == "call" or report.outcome != "passed":
            self.found[report.nodeid.rpartition("::")[2]] = report.outcome


def command_version(words: list[str]) -> str:
    """Return the first number with dots that a command prints, or "not installed"."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=30)
    except OSError:
        return "not installed"
    found = re.search(r"\d+(\.\d+)+", done.stdout + done.stderr)
    return found[0] if found else "?"


def peers() -> str:
    """Return the line about the kernel's side."""
    from tests.programs.real.apps.stores import postgres_binaries

    commands = {**PEERS, "PostgreSQL": [f"{postgres_binaries()}/postgres", "-V"]}
    named = ", ".join(f"{name} {command_version(words)}" for name, words in commands.items())
    return (
        f"The last run of `make programs` was on Python {platform.python_version()}. On the kernel's side were {named}."
    )


def version(package: str) -> str:
    """Return the version of a distribution."""
    if package == "python":
        return platform.python_version()
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def versions(row: Row) -> str:
    """Return the versions of a row, with the names of the distributions if there are several."""
    if len(row.packages) == 1:
        return version(row.packages[0])
    return ", ".join(f"{name} {version(name)}" for name in row.packages)


def cell(row: Row, column: str, outcomes: dict[str, str]) -> str:
    """Return a cell of the table."""
    way = getattr(row, column)
    if way is None:
        return ""
    outcome = outcomes.get(f"test_{column}[{row.key}]", "missing")
    return str(way.text) if outcome == "passed" else outcome.upper()


def line(row: Row, versions: str, outcomes: dict[str, str]) -> str:
    """Return a row of the table."""
    cells = [row.name, versions, *(cell(row, column, outcomes) for column in COLUMNS), row.took]
    return "| " + " | ".join(cells) + " |"


def render(outcomes: dict[str, str]) -> str:
    """Return the page."""
    table = ["| Program | Version | Client | Server | Virtual time | What it took |", "|---|---|---|---|---|---|"]
    table += [line(row, versions(row), outcomes) for row in ROWS]
    return "\n\n".join((HEAD, "\n".join(table), peers(), TAIL)) + "\n"


def main() -> int:
    """Run the command."""
    import pytest

    os.chdir(ROOT)
    outcomes = Outcomes()
    status = pytest.main(["-q", "-p", "no:cacheprovider", TESTS], [outcomes])
    PAGE.write_text(render(outcomes.found))
    return int(bool(status) or set(outcomes.found.values()) != {"passed"})


if __name__ == "__main__":
    sys.exit(main())
