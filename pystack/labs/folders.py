"""The labs as folders: which there are, and what is in them."""

import importlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pystack.labs
from pystack.labs.looks import LabLook
from pystack.labs.values import LabControl, LabValue, lacking

HERE = Path(__file__).resolve().parent
#: the endings of exercises: Python, C and JavaScript
SUFFIXES = (".py", ".c", ".js")
LONGEST = 1 << 18  # bytes of a learner's file
_NAME = re.compile(r"lab_(\d\d)_([a-z0-9_]+)")


class LabError(Exception):
    """There is no such lab, or a folder lacks something. The text says what to do."""


@dataclass(frozen=True)
class LabResult:
    """What one value is, and whether it is what the formula says. `measured` is None if it was skipped."""

    value: LabValue
    measured: Any
    skipped: str = ""

    @property
    def right(self) -> bool:
        """Return True if the value was skipped or fits."""
        return bool(self.skipped) or self.value.fits(self.measured)


@dataclass(frozen=True)
class LabFolder:
    """One lab. `number` and `name` are from the folder's name."""

    number: int
    name: str
    path: Path

    def module(self, part: str) -> Any:
        """Import `experiment` or `grader` of this lab. LabError: it is no Python."""
        try:
            return importlib.import_module(f"pystack.labs.{self.path.name}.{part}")
        except SyntaxError as error:
            raise LabError(
                f"lab {self.number} has an error in {error.filename}, line {error.lineno}: {error.msg}"
            ) from error

    @property
    def page(self) -> str:
        """The text of page.md."""
        return (self.path / "page.md").read_text(encoding="utf-8")

    @property
    def title(self) -> str:
        """The first heading of the page, without its number."""
        return self.page.partition("\n")[0].lstrip("# ").partition(": ")[2]

    def section(self, heading: str) -> str:
        """Return the text below a heading of the page."""
        return self.page.partition(f"\n## {heading}\n")[2].partition("\n## ")[0].strip()

    def before(self, heading: str) -> str:
        """Return the page up to a heading."""
        return self.page.partition(f"\n## {heading}\n")[0].strip()

    @property
    def suffix(self) -> str:
        """The ending of the exercise's files, which is the starter file's."""
        return next((suffix for suffix in SUFFIXES if (self.path / f"starter{suffix}").exists()), ".py")

    @property
    def exercise(self) -> str:
        """The name of the learner's file."""
        return self.path.name + self.suffix

    @property
    def starter(self) -> Path:
        """The exercise, as the learner gets it."""
        return self.path / f"starter{self.suffix}"

    @property
    def solution(self) -> Path:
        """The file with a solution."""
        return self.path / f"solution{self.suffix}"

    def lacks(self) -> str:
        """Return what this machine lacks to grade the exercise, with the package that has it, or ""."""
        grader = self.module("grader")
        needs: str = getattr(grader, "NEEDS", "")
        return lacking(needs) or (no_host() if getattr(grader, "KERNEL_HOST", False) else "")

    def network(self) -> Any:
        """Return the network of the experiment: a Network, or the `net` of what `network()` returns."""
        built = self.module("experiment").network()
        return getattr(built, "net", built)

    def looks(self) -> list[LabLook]:
        """Return what there is to step through and to draw, the most important one first."""
        return list(getattr(self.module("experiment"), "LOOKS", ()))

    def no_looks(self) -> str:
        """Return why there is nothing to step through and to draw, or ""."""
        return "" if self.looks() else getattr(self.module("experiment"), "NO_LOOKS", "it declares none")

    def values(self) -> list[LabValue]:
        """Return the values that the experiment measures."""
        return list(self.module("experiment").VALUES)

    def measure(self) -> list[LabResult]:
        """Run the experiment, once for each value."""
        measure = self.module("experiment").measure
        return [self.result(value, measure) for value in self.values()]

    def controls(self) -> list[tuple[LabControl, LabResult]]:
        """Run each control."""
        experiment = self.module("experiment")
        return [(one, self.result(one.value, experiment.control)) for one in experiment.CONTROLS]

    def no_capture(self) -> str:
        """Return why there can be no capture here, or ""."""
        return self.no_looks() or self.looks()[0].missing()

    def write(self, path: Path, look: LabLook | None = None) -> None:
        """Write a capture: of the experiment if it makes one itself, or else of one of its runs, by default the first. LabError if it has neither."""
        write = getattr(self.module("experiment"), "write", None)
        if write is not None and look is None:
            write(path)
            return
        if not self.looks():
            raise LabError(f"lab {self.number} writes no capture: {self.no_looks()}")
        look = look or self.looks()[0]
        if look.missing():
            raise LabError(f"{look.title}: {look.missing()}")
        look.capture(path)

    def result(self, value: LabValue, measure: Any) -> LabResult:
        """Measure one value by calling `measure(name)`, or skip it if this machine lacks something."""
        missing = value.missing()
        return LabResult(value, None, missing) if missing else LabResult(value, measure(value.name))

    def hints(self) -> Sequence[str]:
        """Return the hints of the exercise, the weakest first."""
        hints: Sequence[str] = self.module("grader").HINTS
        return hints

    def wrong(self) -> dict[str, str]:
        """Return the files with typical wrong answers, and the beginning of the hint for each."""
        wrong: dict[str, str] = self.module("grader").WRONG
        return wrong


@cache
def no_host() -> str:
    """Return why there can be no kernel host here, or ""."""
    from pystack.kernel.space import HostSpace  # a browser has not what it needs

    try:
        with HostSpace("check") as space:
            os.close(space.open("/dev/net/tun", os.O_RDWR))
    except OSError as error:
        return f"needs a kernel host: {error.strerror or error}"
    return ""


@cache
def labs() -> tuple[LabFolder, ...]:
    """Return all labs, by number. LabError if the labs of PYSTACK_LABS cannot be among them."""
    other = os.environ.get("PYSTACK_LABS", "")
    if other and not (os.path.isabs(other) and os.path.isdir(other)):
        raise LabError(f"the variable PYSTACK_LABS is {other!r}, which is not the absolute path of a folder")
    found: list[LabFolder] = []
    for path in (path for place in map(Path, pystack.labs.__path__) if place.is_dir() for path in place.iterdir()):
        match = _NAME.fullmatch(path.name)
        if match and (path / "page.md").exists():
            found.append(LabFolder(int(match[1]), match[2], path))
    found.sort(key=lambda lab: lab.number)
    for one, two in pairwise(found):
        if one.number == two.number:
            raise LabError(f"two labs have the number {one.number}: {one.path} and {two.path}")
    return tuple(found)


def lab_of(text: str) -> LabFolder:
    """Return the lab with this number or name. LabError if there is none."""
    for lab in labs():
        if text in (str(lab.number), f"{lab.number:02}", lab.name, lab.path.name):
            return lab
    known = ", ".join(f"{lab.number} ({lab.name})" for lab in labs())
    raise LabError(f"there is no lab {text[:40]!r}; there are {known}")


def lab_of_file(path: Path) -> LabFolder:
    """Return the lab to which a learner's file belongs, by its name. LabError if the name says none."""
    match = _NAME.search(path.stem.lower())  # Some systems do not keep capital letters apart.
    if match is None:
        raise LabError(f"{path.name} does not say to which lab it belongs: name it as `pystack lab start` does")
    return lab_of(str(int(match[1])))
