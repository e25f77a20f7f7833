"""What the page of the course asks for. All results are dictionaries for JSON.

The same class answers on this machine (server.py) and in a page without a server (Pyodide), so nothing here needs Linux. What differs
between the two is given to the constructor: how a file is graded, where an experiment runs, and where progress and files are.
"""

import threading
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pystack.labs.course import lectures
from pystack.labs.course.files import LearnerFiles, version
from pystack.labs.course.markdown import html
from pystack.labs.course.measuring import MeasureProgress, measured, results
from pystack.labs.folders import LONGEST, LabError, LabFolder, LabResult, lab_of, labs
from pystack.labs.progress import LabProgress
from pystack.labs.values import EXTRAS

#: how many runs of scenarios and pages of the stepper are kept, because making one takes a second
MOST_KEPT = 4
#: the plots of a scenario: pystack.stepper.plot.figures has their names
PLOTS = ("ladder", "sequence", "waterfall")
STATES = (("solved", "solved"), ("started", "file"), ("run", "run"))

#: lab, text, and an event that stops it -> an object with `verdict`, `text` and `output`
GradeText = Callable[[LabFolder, str, Any], Any]
#: lab, progress, and an event that stops it -> what was measured, as `measuring.measured` returns it
MeasureLab = Callable[[LabFolder, MeasureProgress | None, Any], list[list[Any]]]


class CourseService:
    """Answers the page. LabError and ValueError say in one line what is wrong with a request.

    `progress` returns an object such as LabProgress, with what is stored now. Several threads may call the methods.
    """

    def __init__(
        self,
        grade: GradeText,
        progress: Callable[[], Any] = LabProgress,
        measure: MeasureLab = measured,
        files: LearnerFiles | None = None,
    ):
        self.grade = grade
        self.progress = progress
        self.measure = measure
        self.files = files or LearnerFiles()
        self._lock = threading.Lock()
        self._making = threading.Lock()
        self._pages: dict[str, str] = {}
        self._timelines: dict[str, Any] = {}

    # -- the list and the pages ------------------------------------------------------------------------------------------

    def index(self) -> dict[str, Any]:
        """Return all labs, and the rows of the course's table."""
        progress = self.progress()
        rows = [
            {"lectures": row.numbers, "topic": row.topic, "labs": list(row.labs), "scenarios": list(row.scenarios)}
            for row in lectures.ROWS
        ]
        return {"labs": [self._entry(lab, progress) for lab in labs()], "rows": rows}

    def _entry(self, lab: LabFolder, progress: Any) -> dict[str, Any]:
        return {
            "number": lab.number,
            "name": lab.name,
            "title": lab.title,
            "state": state(lab, progress),
            "lectures": lectures.lectures_of(lab.number),
            "suffix": lab.suffix,
            "host": needs_host(lab),
            "lacks": lacks(lab),
        }

    def page(self, n: int | str) -> dict[str, Any]:
        """Return the page of a lab, and what the learner has done with it."""
        lab = lab_of(str(n))
        progress = self.progress()
        hints = lab.hints()
        answer = self.files.read(lab, progress)
        return {
            **self._entry(lab, progress),
            "before": html(lab.before("Explanation").partition("\n")[2]),
            "explanation": html(lab.section("Explanation")),
            "exercise": html(lab.section("Exercise")),
            "further": html(lab.section("Further reading")),
            **network(lab),
            "values": [
                {
                    "name": value.name,
                    "question": value.question,
                    "unit": value.unit,
                    "example": value.example(),
                    "lacks": value.missing(),
                }
                for value in lab.values()
            ],
            "starter": lab.starter.read_text(encoding="utf-8"),
            "answer": answer,
            "version": version(answer),
            "file": lab.exercise,
            "hints": len(hints),
            "hints_seen": list(hints[: progress.hints(lab)]),
            "next": following(lab),
            "scenarios": scenarios(lab),
        }

    # -- predict, run, compare -------------------------------------------------------------------------------------------

    def run(
        self, n: int | str, predictions: dict[str, str], progress: MeasureProgress | None = None, stop: Any = None
    ) -> dict[str, Any]:
        """Measure a lab, and compare. Returns "errors" instead if a prediction cannot be read."""
        lab = lab_of(str(n))
        values = {value.name: value for value in lab.values()}
        predicted: dict[str, Any] = {}
        errors: dict[str, str] = {}
        for name, text in predictions.items():
            if name not in values or not isinstance(text, str):
                raise ValueError(f"lab {lab.number} has no value {name!r}")
            try:
                predicted[name] = values[name].parse(text[:200]) if text.strip() else None
            except ValueError as error:
                errors[name] = str(error)
        if errors:
            return {"errors": errors}
        found, controls = results(lab, self.measure(lab, progress, stop))
        self._remember(lab, run=True)
        return {
            "rows": [row(result, predicted.get(result.value.name)) for result in found],
            "controls": [{"change": change, "row": row(result)} for change, result in controls],
            "right": all(result.right for result in [*found, *(result for _, result in controls)]),
            "explanation": html(lab.section("Explanation")),
        }

    def _remember(self, lab: LabFolder, **entry: Any) -> None:
        """Keep something about a lab. The commands may have changed the file, so it is read anew."""
        with self._lock:
            progress = self.progress()
            progress.of(lab).update(entry)
            progress.save()

    # -- look inside -----------------------------------------------------------------------------------------------------

    def plot(self, n: int | str) -> dict[str, Any]:
        """Return plots of a lab's scenario as SVG: the ladder, and where the time of its request went.

        There are none without a scenario, or without matplotlib.
        """
        lab = lab_of(str(n))
        names = lectures.scenarios_of(lab.number)
        with self._making:
            return {"svg": plots(self._timeline(names[0])) if names and find_spec("matplotlib") else []}

    def step(self, scenario: str) -> dict[str, Any]:
        """Return a page with the stepper at the scenario's key moment, as `pystack step SCENARIO --export` writes it."""
        from pystack.stepper import scenarios as known

        if not isinstance(scenario, str) or not known.known(scenario):
            raise LabError(f"there is no scenario {str(scenario)[:40]!r}")
        with self._making:
            if scenario not in self._pages:
                from pystack.stepper.export import page
                from pystack.stepper.web.data import Trace

                chosen, timeline = known.get(scenario), self._timeline(scenario)
                answers = chosen.answers(timeline)
                _keep(self._pages, scenario, page(Trace(timeline, chosen), answers[0] if answers else 0, "beginner"))
            return {"html": self._pages[scenario]}

    def _timeline(self, scenario: str) -> Any:
        """Run a scenario, or return its last run, which is the same."""
        from pystack.stepper import scenarios as known

        if scenario not in self._timelines:
            _keep(self._timelines, scenario, known.get(scenario).timeline())
        return self._timelines[scenario]

    # -- the exercise ----------------------------------------------------------------------------------------------------

    def check(self, n: int | str, text: str, stop: Any = None) -> dict[str, Any]:
        """Grade a text."""
        lab = lab_of(str(n))
        found = self.grade(lab, checked(text), stop)
        if found.verdict == "right":
            self._remember(lab, solved=True)
        return {"verdict": found.verdict, "text": found.text, "output": found.output[-4000:]}

    def save(self, n: int | str, text: str, base: str | None = None) -> dict[str, Any]:
        """Save the learner's text.

        `base` is the version that the page began with. If the file has another one now, because another page or an editor saved it, then
        nothing is written, and the answer has that text as "conflict". Without a base, the text is written in any case.
        """
        lab = lab_of(str(n))
        checked(text)
        with self._lock:
            progress = self.progress()
            there = self.files.read(lab, progress)
            if base is not None and version(there) != base and there is not None and there != text:
                return {"conflict": there, "version": version(there)}
            path = self.files.path(lab, progress)
            if there != text:
                path = self.files.write(lab, progress, text)
            if not progress.file(lab):
                progress.of(lab)["file"] = str(path)
                progress.save()
        return {"version": version(text), "file": str(path)}

    def hint(self, n: int | str, k: int) -> dict[str, Any]:
        """Return hint `k`, from 1, and remember that the learner has seen it."""
        lab = lab_of(str(n))
        hints = lab.hints()
        if not isinstance(k, int) or not 1 <= k <= len(hints):
            raise ValueError(f"lab {lab.number} has the hints 1 to {len(hints)}")
        self._remember(lab, hints=max(k, self.progress().hints(lab)))
        return {"text": hints[k - 1], "of": len(hints)}

    def solution(self, n: int | str) -> dict[str, Any]:
        """Return a solution."""
        return {"text": lab_of(str(n)).solution.read_text(encoding="utf-8")}

    def reset(self, n: int | str) -> dict[str, Any]:
        """Forget the progress of a lab, and put the starter into the learner's file. Its old text stays in a file whose name ends with ~."""
        lab = lab_of(str(n))
        starter = lab.starter.read_text(encoding="utf-8")
        with self._lock:
            progress = self.progress()
            kept = self.files.keep(lab, progress)
            if kept:
                self.files.write(lab, progress, starter)
            progress.forget(lab)
            progress.save()
        return {"text": starter, "version": version(starter if kept else None), "kept": kept}


def _keep(kept: dict[str, Any], name: str, value: Any) -> None:
    """Keep a value, and forget the oldest one if there are too many."""
    while len(kept) >= MOST_KEPT:
        del kept[next(iter(kept))]
    kept[name] = value


def plots(timeline: Any) -> list[str]:
    """Draw a run as SVG. A kind of plot that does not fit it is left out."""
    from pystack.stepper.plot.figures import draw

    found = []
    with TemporaryDirectory() as folder:
        for kind in PLOTS:
            path = Path(folder) / f"{kind}.svg"
            try:
                draw(timeline, kind, str(path))
            except ValueError:  # for example, there is no connection
                continue
            found.append(path.read_text(encoding="utf-8"))
    return found


def state(lab: LabFolder, progress: Any) -> str:
    """Return how far the learner is: "solved", "started", "run" or "open"."""
    entry = progress.of(lab)
    return next((name for name, key in STATES if entry.get(key)), "open")


@cache
def lacks(lab: LabFolder) -> list[str]:
    """Return what this machine lacks for a lab, with the packages that have it."""
    found = {value.missing() for value in lab.values()}
    try:
        found.add(lab.lacks())
    except ImportError:  # in a page
        found.add("needs a kernel host")
    return sorted(found - {""})


@cache
def needs_host(lab: LabFolder) -> bool:
    """Return True if a part of the lab needs programs or the kernel of this machine."""
    grader = lab.module("grader")
    needs = " ".join([getattr(grader, "NEEDS", ""), *(value.needs for value in lab.values())])
    return any(name not in EXTRAS for name in needs.split()) or getattr(grader, "KERNEL_HOST", False)


@cache
def network(lab: LabFolder) -> dict[str, str]:
    """Return the network of a lab as SVG, and in characters."""
    from pystack.sim.drawing import draw
    from pystack.sim.svg import svg

    net = lab.network()
    return {"network": svg(net), "network_text": draw(net).rstrip()}


def following(lab: LabFolder) -> dict[str, Any] | None:
    """Return the lab after this one, or None."""
    found = next((other for other in labs() if other.number > lab.number), None)
    return {"number": found.number, "title": found.title} if found else None


def scenarios(lab: LabFolder) -> list[dict[str, str]]:
    """Return the scenarios of a lab, from the course's table."""
    from pystack.stepper import scenarios as known

    return [{"name": name, "title": known.get(name).title} for name in lectures.scenarios_of(lab.number)]


def row(result: LabResult, prediction: Any = None) -> dict[str, Any]:
    """Return a row of the comparison, as text for reading."""
    value = result.value
    return {
        "name": value.name,
        "question": value.question,
        "unit": value.unit,
        "predicted": "" if prediction is None else value.text(prediction),
        "predicted_right": None if prediction is None else value.fits(prediction),
        "measured": "" if result.skipped else value.text(result.measured),
        "formula": value.formula,
        "expected": value.text(value.expected),
        "right": result.right,
        "skipped": result.skipped,
    }


def checked(text: Any) -> str:
    """Return a learner's text. ValueError if it is none, or too long."""
    if not isinstance(text, str):
        raise ValueError("the file's text is missing")
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise ValueError("the file has characters that UTF-8 does not have") from None
    if size > LONGEST:
        raise ValueError(f"the file has more than {LONGEST} bytes, which is too long for an exercise")
    return text
