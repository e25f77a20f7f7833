#!/usr/bin/env python3
"""Writes docs/reference/cli.md from the help texts of the command, so the page and the help are the same.

Usage: tools/cli_docs.py [--check]      with --check: exit status 1 if the page is out of date
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import click
from click.testing import CliRunner

from pystack.cli.main import COMMANDS, cli

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference" / "cli.md"
HEAD = """# The command `pystack`

The extra `cli` installs the command (`pip install '.[cli]'`). `tools/cli_docs.py` makes this page from the command's own help.

The output has colours only if it goes to a terminal and `NO_COLOR` is not set. The exit status is 0 if the command did what it should, 1 if
something failed, 2 if the usage is wrong or something is missing, and 130 after Ctrl-C.
"""


def commands() -> Iterator[list[str]]:
    """Each command, and after a group its own commands."""
    for name in COMMANDS:
        yield [name]
        for below in getattr(cli.get_command(click.Context(cli), name), "commands", ()):
            yield [name, below]


def page() -> str:
    """Return the page's text."""
    parts = [HEAD]
    for argv in ([], *commands()):
        result = CliRunner().invoke(cli, [*argv, "--help"], prog_name="pystack", terminal_width=100)
        assert result.exit_code == 0, result.output
        title = " ".join(["pystack", *argv])
        parts.append(f"\n## {title}\n\n```text\n{result.output.rstrip()}\n```\n")
    return "".join(parts)


def main() -> int:
    """Write or check the page."""
    text = page()
    if "--check" in sys.argv[1:]:
        return 0 if PAGE.exists() and PAGE.read_text() == text else 1
    PAGE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
