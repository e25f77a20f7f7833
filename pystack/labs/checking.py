"""Checks the labs themselves: each value, each control, and the grader with the solution, the starter and the wrong answers.

`python -m pystack.labs.checking N` checks lab N in a process of its own, and prints what it found as JSON.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass

from pystack.labs.folders import HERE, LabFolder, lab_of
from pystack.labs.grading import grade
from pystack.labs.processor import children_seconds, own_seconds

#: a lab whose check takes longer is stopped, in seconds of wall time
LONGEST = 300


@dataclass(frozen=True)
class LabCheck:
    """The faults of a lab, what this machine lacks for its grader and for each value that was skipped, and the seconds of the check: by the clock, and of processors."""

    lab: int
    faults: list[str]
    lacks: str = ""
    seconds: float = 0
    processor: float = 0
    skipped: Sequence[str] = ()

    def skips(self) -> str:
        """Return what was not checked, in words, or ""."""
        count = len(self.skipped)
        parts = [f"without its grader, which {self.lacks}"] if self.lacks else []
        if count:
            parts.append(f"{count} value{'s' * (count > 1)} skipped: {'; '.join(dict.fromkeys(self.skipped))}")
        return "; ".join(parts)


def check(lab: LabFolder, jobs: int = 1) -> LabCheck:
    """Check a lab here, and grade `jobs` files at a time. An exception of the lab is a fault of it."""
    began, used = time.monotonic(), _processor()
    try:
        found = list(faults(lab, jobs))
        lacks = lab.lacks()
        every = [*lab.values(), *(control.value for control in lab.module("experiment").CONTROLS)]
        skipped = [value.missing() for value in every if value.missing()]
    except Exception as error:
        found, lacks, skipped = [f"{type(error).__name__}: {error}"], "", []
    return LabCheck(lab.number, found, lacks, time.monotonic() - began, _processor() - used, skipped)


def check_all(labs: Sequence[LabFolder], jobs: int = 0) -> Iterator[LabCheck]:
    """Check labs, `jobs` at a time (0: as many as there are processors), each in a process of its own. Yields the results in the labs' order.

    One lab is checked here, and `jobs` is the number of files that are graded at a time.
    """
    jobs = jobs or len(os.sched_getaffinity(0))
    if jobs == 1 or len(labs) == 1:
        yield from (check(lab, jobs) for lab in labs)
        return
    with ThreadPoolExecutor(jobs) as pool:
        yield from pool.map(_apart, labs)


def _apart(lab: LabFolder) -> LabCheck:
    """Check a lab in a process of its own."""
    places = [str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, places))}
    command = [sys.executable, "-P", "-m", "pystack.labs.checking", str(lab.number)]
    try:
        done = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=LONGEST)
    except subprocess.TimeoutExpired:
        return LabCheck(lab.number, [f"the check takes more than {LONGEST} s"], seconds=LONGEST)
    try:
        return LabCheck(**json.loads(done.stdout.splitlines()[-1]))
    except (ValueError, IndexError, TypeError):
        last = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
        return LabCheck(lab.number, [f"the check ended with status {done.returncode}: {''.join(last)}"])


def _processor() -> float:
    """Return the seconds of processor time of this process and of its children that have ended."""
    return own_seconds() + children_seconds()


def faults(lab: LabFolder, jobs: int = 1) -> Iterator[str]:
    """Yield what is wrong with a lab. `jobs` files are graded at a time."""
    for result in lab.measure():
        if not result.right:
            yield f"{result.value.name}: {result.value.text(result.measured)} instead of {result.value.text(result.value.expected)}"
    for control, result in lab.controls():
        if not result.right:
            yield f"control {control.change!r}: {result.value.text(result.measured)}"
    if not lab.lacks():
        yield from grader_faults(lab, jobs)
    if len(lab.hints()) != 3 or len(lab.wrong()) < 3 or len(set(lab.wrong().values())) != len(lab.wrong()):
        yield "a lab has three hints, and three wrong answers with a hint each"
    for heading in ("Question", "What to predict", "Explanation", "Exercise", "Further reading"):
        if not lab.section(heading):
            yield f"page.md has no section {heading!r}"


def grader_faults(lab: LabFolder, jobs: int = 1) -> Iterator[str]:
    """Yield what the grader does wrong with the solution, the starter and the wrong answers. `jobs` files are graded at a time."""
    wrong = lab.wrong()
    with ThreadPoolExecutor(jobs) as pool:
        paths = [lab.solution, lab.starter, *(lab.path / file for file in wrong)]
        solution, starter, *answers = pool.map(lambda path: grade(lab, path), paths)
    if not solution.right:
        yield f"the grader refuses the solution: {solution.text}"
    if starter.verdict != "wrong":
        yield f"the grader does not refuse the starter file as wrong, but says {starter.verdict}: {starter.text}"
    for (file, hint), found in zip(wrong.items(), answers):
        if found.verdict != "wrong" or not found.text.startswith(hint):
            yield f"{file} should get the hint {hint!r}, and gets {found.verdict}: {found.text}"


if __name__ == "__main__":
    print(json.dumps(asdict(check(lab_of(sys.argv[1])))))
