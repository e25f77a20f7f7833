#!/usr/bin/env python3
"""Draws the README's picture of the demo (docs/images/demo.svg) from a real run of it.

Usage: tools/demo_picture.py [FILE.svg]        needs what the demo needs, and rich
"""

import io
import os
import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parent.parent
WIDTH = 132
#: the parts of the run that the picture shows: from a line with the first text up to a line with the second
PARTS = [
    ("pystack 0.", "$ curl http://10.0.0.2/"),
    ("$ curl http://10.0.0.2/", "ok  curl, a page"),
    ("Summary", "All steps passed."),
]
#: the most lines of one part; longer parts are cut in the middle
MOST = 24


def demo_output() -> list[str]:
    """Return the demo's output on a terminal with colours, WIDTH columns wide."""
    env = {**os.environ, "FORCE_COLOR": "1", "COLUMNS": str(WIDTH), "PYTHONPATH": str(ROOT)}
    env.pop("NO_COLOR", None)
    command = [sys.executable, "-m", "pystack.cli", "demo", "--seed", "1"]
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, text=True, timeout=120, check=True)
    return done.stdout.splitlines()


def chosen(lines: list[str]) -> list[str]:
    """Return the lines that the picture shows."""
    plain = [Text.from_ansi(line).plain for line in lines]
    result = ["$ make demo"]
    at = 0
    for first, last in PARTS:
        start = next(i for i in range(at, len(plain)) if first in plain[i])
        end = next(i for i in range(start, len(plain)) if last in plain[i] and i > start)
        # the next part begins with its own heading
        part = lines[start : end + (0 if last.startswith("$") else 1)]
        if len(part) > MOST:
            part = [*part[: MOST - 6], f"{'':12}[...]", *part[-5:]]
        if result[-1] and not part[0].startswith("\033[1mpystack"):
            result.append("")
        result += part
        at = end
    return result


def main() -> None:
    """Write the picture."""
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "images" / "demo.svg"
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    for line in chosen(demo_output()):
        console.print(Text.from_ansi(line), soft_wrap=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    svg = console.export_svg(title="make demo", unique_id="demo")
    # rich would load a font from the network, but the reader's own monospaced font is good enough
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.S).replace("Fira Code, monospace", "monospace")
    path.write_text(svg)
    print(path)


if __name__ == "__main__":
    main()
