"""Grades a folder of submissions, each file in a process of its own, and writes the grades as CSV."""

import csv
import os
import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from pystack.labs.folders import SUFFIXES, LabError, LabFolder, lab_of_file
from pystack.labs.grading import GradeLimits, LabGrade, grade

MOST = 10_000  # files of one folder
COLUMNS = ("learner", "lab", "file", "verdict", "text", "seconds")
#: A spreadsheet takes a cell that begins with one of these for a formula, and a submission may have such a name.
FORMULA = ("=", "+", "-", "@", "\t", "\r")
#: endings with which learners send an exercise by mistake
OTHERS = (".txt", ".ipynb", ".cpp", ".cc", ".mjs", ".cjs", ".ts", ".zip", ".doc", ".docx", ".rtf")
LINK = "It is a symbolic link, which the grader does not follow."


def written(text: str) -> str:
    """Return a text as UTF-8 can write it. The bytes of a file's name that are none, such as of an old ZIP archive, become \\xe9 and so on."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


@dataclass(frozen=True)
class Submission:
    """A file, its learner, and its lab, which is None if the name says none."""

    learner: str
    path: Path
    lab: LabFolder | None
    problem: str = ""


@dataclass(frozen=True)
class SubmissionGrade:
    """The grade of a submission, and how long grading took."""

    submission: Submission
    grade: LabGrade
    seconds: float

    def row(self, folder: Path) -> dict[str, Any]:
        """Return the columns of the CSV."""
        one = self.submission
        cells = {
            "learner": written(one.learner),
            "lab": one.lab.number if one.lab else "",
            "file": written(one.path.relative_to(folder).as_posix()),
            "verdict": self.grade.verdict,
            "text": written(self.grade.text),
            "seconds": f"{self.seconds:.1f}",
        }
        return {name: f"'{cell}" if str(cell).startswith(FORMULA) else cell for name, cell in cells.items()}


def _submission(folder: Path, path: Path) -> Submission:
    """Read the learner and the lab from the file's name: anna/lab_17_nagle.py, or anna_lab_17_nagle.py."""
    found = re.search(r"lab_\d\d", path.stem, re.IGNORECASE)
    own = path.stem[: found.start()].strip("_-. ") if found else ""
    learner = "/".join([*path.relative_to(folder).parts[:-1], *([own] if own else [])])
    if path.is_symlink():
        return Submission(learner, path, None, LINK)
    try:
        return Submission(learner, path, lab_of_file(path))
    except LabError as error:
        return Submission(learner, path, None, str(error))


def _is_submission(name: str) -> bool:
    """Return True for a name with the ending of an exercise, or with that of a lab and an ending that is a mistake."""
    mistaken = name.lower().endswith((*OTHERS, *SUFFIXES)) and re.search(r"lab_\d\d", name, re.IGNORECASE)
    return name.endswith(SUFFIXES) or bool(mistaken)


def submissions(folder: Path) -> list[Submission]:
    """Return the files of a folder that are exercises, or should be, and of the folders below it. Links and hidden folders are not followed."""
    found: list[Submission] = []
    for place, below, files in os.walk(folder):
        below[:] = sorted(name for name in below if not name.startswith(".") and name != "__pycache__")
        links = [Path(place) / name for name in below if (Path(place) / name).is_symlink()]
        found += [Submission(path.relative_to(folder).as_posix(), path, None, LINK) for path in links]
        found += [_submission(folder, Path(place) / name) for name in sorted(files) if _is_submission(name)]
        if len(found) > MOST:
            raise LabError(f"{folder} has more than {MOST} exercises, which is too many to grade at once")
    if not found:
        raise LabError(f"{folder} has no exercises, whose names end with .py, .c or .js")
    return sorted(found, key=lambda one: (one.learner, one.lab.number if one.lab else 0, str(one.path)))


def _grade(one: Submission, limits: GradeLimits, stop: threading.Event) -> SubmissionGrade:
    began = time.monotonic()
    try:
        if one.lab is None:
            raise LabError(one.problem)
        found = grade(one.lab, one.path, limits, stop)
    except LabError as error:
        text = str(error).replace(str(one.path), one.path.name)  # The column `file` says in which folder it is.
        found = LabGrade(one.lab.number if one.lab else 0, "unreadable", text)
    return SubmissionGrade(one, found, time.monotonic() - began)


def grade_all(found: list[Submission], limits: GradeLimits, jobs: int) -> Iterator[SubmissionGrade]:
    """Grade submissions, `jobs` at a time, and yield the grades in the order of the submissions."""
    stop = threading.Event()
    pool = ThreadPoolExecutor(jobs)
    try:
        yield from pool.map(lambda one: _grade(one, limits, stop), found)
    finally:
        stop.set()  # after Ctrl-C, the processes that still run are ended
        pool.shutdown(cancel_futures=True)


class GradeTable:
    """Writes the grades as CSV."""

    def __init__(self, file: TextIO, folder: Path):
        self.folder = folder
        self.writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        self.writer.writeheader()

    def write(self, one: SubmissionGrade) -> None:
        """Write one grade."""
        self.writer.writerow(one.row(self.folder))
