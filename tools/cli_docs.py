#!/usr/bin/env python3
"""Writes docs/reference/cli.md from the help texts of the command, so that the page says what the command says.

Usage: tools/cli_docs.py [--check]      with --check: exit status 1 where the page is out of date
"""

import sys
from pathlib import Path

from click.testing import CliRunner

from pystack.cli.main import COMMANDS, cli

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference" / "cli.md"
HEAD = """# The command `pystack`

Installed with the extra `cli`. This page is made from the command's own help by `tools/cli_docs.py`.

Colour is used on a terminal only, and never where `NO_COLOR` is set. Exit status: 0 done, 1 something failed, 2 wrong usage or
something missing; 130 after Ctrl-C.
"""


def page() -> str:
    """The page's text."""
    parts = [HEAD]
    for argv in ([], *([name] for name in COMMANDS)):
        result = CliRunner().invoke(cli, [*argv, "--help"], prog_name="pystack", terminal_width=100)
        assert result.exit_code == 0, result.output
        title = " ".join(["pystack", *argv])
        parts.append(f"\n## {title}\n\n```text\n{result.output.rstrip()}\n```\n")
    return "".join(parts)


def main() -> int:
    """Write or check."""
    text = page()
    if "--check" in sys.argv[1:]:
        return 0 if PAGE.exists() and PAGE.read_text() == text else 1
    PAGE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
