"""Checks the labs themselves: each value, each control, and the grader with the solution, the starter and the wrong answers."""

from collections.abc import Iterator

from pystack.labs.folders import LabFolder
from pystack.labs.grading import grade


def faults(lab: LabFolder) -> Iterator[str]:
    """Yield what is wrong with a lab."""
    for result in lab.measure():
        if not result.right:
            yield f"{result.value.name}: {result.value.text(result.measured)} instead of {result.value.text(result.value.expected)}"
    for control, result in lab.controls():
        if not result.right:
            yield f"control {control.change!r}: {result.value.text(result.measured)}"
    if not lab.lacks():
        yield from grader_faults(lab)
    if len(lab.hints()) != 3 or len(lab.wrong()) < 3 or len(set(lab.wrong().values())) != len(lab.wrong()):
        yield "a lab has three hints, and three wrong answers with a hint each"
    for heading in ("Question", "What to predict", "Explanation", "Exercise", "Further reading"):
        if not lab.section(heading):
            yield f"page.md has no section {heading!r}"


def grader_faults(lab: LabFolder) -> Iterator[str]:
    """Yield what the grader does wrong with the solution, the starter and the wrong answers."""
    solution = grade(lab, lab.solution)
    if not solution.right:
        yield f"the grader refuses the solution: {solution.text}"
    starter = grade(lab, lab.starter)
    if starter.verdict != "wrong":
        yield f"the grader does not refuse the starter file as wrong, but says {starter.verdict}: {starter.text}"
    for file, hint in lab.wrong().items():
        found = grade(lab, lab.path / file)
        if found.verdict != "wrong" or not found.text.startswith(hint):
            yield f"{file} should get the hint {hint!r}, and gets {found.verdict}: {found.text}"
