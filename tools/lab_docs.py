#!/usr/bin/env python3
"""Writes docs/reference/lab-values.md: what each lab measures, with the formula, the result and the tolerance of each value and control.

Usage: tools/lab_docs.py [--check]      with --check: exit status 1 if the page is out of date
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from pystack.labs.folders import LabFolder, labs  # noqa: E402
from pystack.labs.values import LabValue  # noqa: E402

PAGE = ROOT / "docs" / "reference" / "lab-values.md"
HEAD = """# What the labs measure

Each lab measures values, and compares each with a formula. This table has them all: the question, the formula, its result, and how far the measured value may be from
it. "Exact" means that the measured value must be the result itself, to the nanosecond, the byte or the frame, because the simulator's hosts take no time and its links have
no noise. A tolerance has the unit of the value. A row "control" is a run with one thing changed, whose result must be another one than without the change.

`pystack lab run N` measures the values of lab N, `pystack lab check all` measures them all, and `tests/labs/test_labs.py` does the same in the tests. `tools/lab_docs.py` makes this page from the experiments.

Four measurements of the course are no labs, because nobody would wait for them, or because they are about the simulator itself:

| what | result | test |
|---|---|---|
| the same seed in three processes, whose hashes of strings differ | one SHA-256 of the capture; another seed gives another one | `tests/sim/test_determinism.py` |
| a connection with keep-alive to a dead peer | ETIMEDOUT after 7200 + 9 * 75 = 7,875 s | `tests/sim/labs/test_35_giving_up.py` |
| a write to a peer that is gone, 15 retransmissions, an RTO of 0.2 s | ETIMEDOUT after 924.6 s | `tests/sim/labs/test_35_giving_up.py` |
| a day with a request in each second | no timer and no buffer is left | `tests/sim/labs/test_36_day.py` |
"""


def page() -> str:
    """Return the text of the page."""
    return HEAD + "".join(_lab(lab) for lab in labs())


def _lab(lab: LabFolder) -> str:
    rows = [_row("", value) for value in lab.values()]
    rows += [_row(control.change, control.value) for control in lab.module("experiment").CONTROLS]
    title = f"\n## [{lab.number}: {lab.title}](../../pystack/labs/{lab.path.name}/page.md)\n\n"
    return title + "| value | formula | result | tolerance |\n|---|---|---|---|\n" + "".join(rows)


def _row(change: str, value: LabValue) -> str:
    words = f"control: {change}: {value.question}" if change else value.question
    cells = (words, value.formula, value.text(value.expected), tolerance(value))
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def tolerance(value: LabValue) -> str:
    """Return how far a measured value may be from the result."""
    return f"± {value.text(value.tolerance)}" if value.tolerance else "exact"


def main() -> int:
    """Write the page, or check it."""
    text = page()
    if sys.argv[1:] == ["--check"]:
        if PAGE.read_text(encoding="utf-8") == text:
            return 0
        print(f"{PAGE} is out of date: run tools/lab_docs.py")
        return 1
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
