"""Colour for terminals, unless NO_COLOR forbids it (https://no-color.org).

All output of the commands goes through `echo` or a Style. A terminal gets no escape sequences other than Style's.
"""

import os
import shutil
import sys
from typing import TextIO

from pystack.visible import visible


def wants_color(stream: TextIO) -> bool:
    """Return True if the stream should get escape sequences. NO_COLOR wins over FORCE_COLOR."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def echo(text: str = "", nl: bool = True, err: bool = False) -> None:
    """Print text of any origin. Control characters are shown, not sent (tests/cli/test_terminal.py)."""
    import click

    click.echo(visible(text), nl=nl, err=err)


class Style:
    """Adds colour to text, or leaves it as it is."""

    CODES = {
        "bold": "1",
        "dim": "2",
        "red": "31",
        "green": "32",
        "yellow": "33",
        "blue": "34",
        "magenta": "35",
        "cyan": "36",
    }

    def __init__(self, color: bool | None = None, stream: TextIO | None = None):
        self.stream = sys.stdout if stream is None else stream
        self.color = wants_color(self.stream) if color is None else color

    def __call__(self, text: str, *names: str) -> str:
        """Return the text in these colours, with its own control characters as escapes."""
        text = visible(text)
        if not self.color or not text or not names:
            return text
        codes = ";".join(self.CODES[name] for name in names)
        return f"\033[{codes}m{text}\033[0m"

    def width(self) -> int:
        """Return the number of columns at which to wrap, or 0 (never) without a terminal and COLUMNS."""
        if self.stream.isatty() or os.environ.get("COLUMNS"):
            return shutil.get_terminal_size().columns
        return 0
