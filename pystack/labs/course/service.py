"""What the page of the course asks for. All results are dictionaries for JSON.

The same class answers on this machine (server.py) and in a page without a server (Pyodide), so nothing here needs Linux. What differs
between the two is given to the constructor: how a file is graded, where an experiment runs, and where progress and files are.
"""

import base64
import re
import threading
from bisect import bisect_right
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from typing import Any

from pystack.labs.course import lectures
from pystack.labs.course.files import LearnerFiles, version
from pystack.labs.course.measuring import MeasureProgress, measured, results, written
from pystack.labs.effort import minutes
from pystack.labs.folders import LONGEST, LabError, LabFolder, LabResult, lab_of, labs
from pystack.labs.handout.markdown import html
from pystack.labs.looks import LabLook
from pystack.labs.progress import LabProgress
from pystack.labs.values import EXTRAS

#: how many runs of scenarios and pages of the stepper are kept, because making one takes a second
MOST_KEPT = 4
#: A run with more events is cut to so many frames before and after its key moment, because a page of it all takes a minute.
MOST_EVENTS = 3000
AROUND = 60
#: the plots of a lab's first look, besides its own: pystack.stepper.plot.figures has their names
PLOTS = ("ladder", "waterfall")
STATES = (("solved", "solved"), ("started", "file"), ("run", "run"))

#: lab, text, and an event that stops it -> an object with `verdict`, `text` and `output`
GradeText = Callable[[LabFolder, str, Any], Any]
#: lab, progress, and an event that stops it -> what was measured, as `measuring.measured` returns it
MeasureLab = Callable[[LabFolder, MeasureProgress | None, Any], list[list[Any]]]
#: lab, and the number of a look from 0 -> the recording of its run
RecordLook = Callable[[LabFolder, int], bytes]
#: lab -> its capture
WriteCapture = Callable[[LabFolder], bytes]
#: the name of a lab's look: its lab, and its number from 1
_LOOK = re.compile(r"(\d{1,3})\.(\d{1,2})")


def recorded(lab: LabFolder, look: int) -> bytes:
    """Run a look in this process."""
    return lab.looks()[look].recording()


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
        record: RecordLook = recorded,
        write: WriteCapture = written,
    ):
        self.grade = grade
        self.progress = progress
        self.measure = measure
        self.record = record
        self.write = write
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
            "minutes": minutes(lab),
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
            "ran": bool(progress.of(lab).get("run")),
            "hints_seen": list(hints[: progress.hints(lab)]),
            "next": following(lab),
            "scenarios": sights(lab),
            "no_scenarios": lab.no_looks(),
            "no_capture": lab.no_capture(),
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

    def _remember(self, lab: LabFolder, **entry: Any) -> str:
        """Keep something about a lab. The commands may have changed the file, so it is read anew. Returns why it is not kept, or "".

        The result of a run or of a check matters more, so this is no error.
        """
        with self._lock:
            progress = self.progress()
            progress.of(lab).update(entry)
            try:
                progress.save()
            except OSError as error:
                return f"Your progress is not saved: {progress.path}: {error.strerror}"
            return ""

    # -- look inside -----------------------------------------------------------------------------------------------------

    def plot(self, n: int | str) -> dict[str, Any]:
        """Return the plots of a lab's looks as SVG, with a title each: first its own, and for the first look the ladder and the waterfall, too.

        There are none without a look, or without matplotlib.
        """
        lab = lab_of(str(n))
        found: dict[str, list[str]] = {"svg": [], "titles": []}
        if not find_spec("matplotlib"):
            return found
        for number, look in enumerate(lab.looks(), 1):
            if look.missing():
                continue
            for one in drawn(look, PLOTS if number == 1 else ()):
                try:
                    with self._making:
                        found["svg"].append(one.svg(self._timeline(f"{lab.number}.{number}")))
                except ValueError:  # for example, there is no connection
                    continue
                found["titles"].append(f"{one.title} ({one.plot})")
        return found

    def capture(self, n: int | str) -> dict[str, Any]:
        """Return the lab's capture in base 64, and a name for its file."""
        lab = lab_of(str(n))
        if lab.no_capture():
            raise LabError(f"lab {lab.number} writes no capture: {lab.no_capture()}")
        with self._making:
            data = self.write(lab)
        return {"name": f"{lab.path.name}.pcapng", "data": base64.b64encode(data).decode()}

    def step(self, scenario: str) -> dict[str, Any]:
        """Return a page with the stepper at the key moment of a scenario, or of a lab's look such as "17.1"."""
        if not isinstance(scenario, str):
            raise LabError("there is no such scenario")
        with self._making:
            if scenario not in self._pages:
                look, timeline = look_of(scenario)[0], self._timeline(scenario)
                _keep(self._pages, scenario, stepper(timeline, look, look.moment(timeline).position))
            return {"html": self._pages[scenario]}

    def _timeline(self, name: str) -> Any:
        """Run a scenario or a look, or return its last run, which is the same."""
        if name not in self._timelines:
            look, lab, number = look_of(name)
            if look.missing():
                raise LabError(f"this run {look.missing()}")
            apart = lab is not None and not isinstance(look.run, str)
            _keep(self._timelines, name, look.timeline(self.record(lab, number) if lab and apart else None))
        return self._timelines[name]

    # -- the exercise ----------------------------------------------------------------------------------------------------

    def check(self, n: int | str, text: str, stop: Any = None) -> dict[str, Any]:
        """Grade a text."""
        lab = lab_of(str(n))
        found = self.grade(lab, checked(text), stop)
        unsaved = self._remember(lab, solved=True) if found.verdict == "right" else ""
        return {"verdict": found.verdict, "text": found.text or unsaved, "output": found.output[-4000:]}

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
            now = version(self.files.read(lab, progress))
            progress.forget(lab)
            progress.save()
        return {"text": starter, "version": now, "kept": kept}


def _keep(kept: dict[str, Any], name: str, value: Any) -> None:
    """Keep a value, and forget the oldest one if there are too many."""
    while len(kept) >= MOST_KEPT:
        del kept[next(iter(kept))]
    kept[name] = value


def look_of(name: str) -> tuple[LabLook, LabFolder | None, int]:
    """Return the look with this name, its lab, and its number from 0; for a scenario, there is no lab. LabError if there is none."""
    from pystack.stepper import scenarios

    if match := _LOOK.fullmatch(name):
        lab, number = lab_of(match[1]), int(match[2]) - 1
        if 0 <= number < len(lab.looks()):
            return lab.looks()[number], lab, number
    elif scenarios.known(name):
        return LabLook(scenarios.get(name).title, name), None, 0
    raise LabError(f"there is no scenario {name[:40]!r}")


def stepper(timeline: Any, look: LabLook, begin: int) -> str:
    """Return the stepper's page of a run, which begins at an event. A long run is cut to the frames around that event."""
    from pystack.stepper.export import page
    from pystack.stepper.web.data import Trace
    from pystack.stepper.web.excerpt import Excerpt

    if len(timeline.events) <= MOST_EVENTS:
        return page(Trace(timeline, look.scenario), begin, "beginner")
    moment = bisect_right([frame.event for frame in timeline.frames], begin)
    first, last = max(moment - AROUND, 1), min(moment + AROUND, len(timeline.frames))
    part = Excerpt(timeline, look.scenario, first, last)
    return page(part, begin - part.bounds()[0], "beginner")


def drawn(look: LabLook, more: tuple[str, ...]) -> list[LabLook]:
    """Return looks at the same run with the plots to draw: its own, and `more`."""
    kinds = dict.fromkeys([look.plot, *more])
    return [look if kind == look.plot else LabLook(look.title, look.run, plot=kind) for kind in kinds if kind]


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


def sights(lab: LabFolder) -> list[dict[str, Any]]:
    """Return what can be stepped through: the lab's own looks, and then the scenarios of its lectures."""
    from pystack.stepper import scenarios

    looks = lab.looks()
    found = [
        {"name": f"{lab.number}.{number}", "title": look.title, "own": True, "lacks": look.missing()}
        for number, look in enumerate(looks, 1)
    ]
    shown = {look.run for look in looks}
    names = [name for name in lectures.scenarios_of(lab.number) if name not in shown]
    return found + [{"name": name, "title": scenarios.get(name).title, "own": False, "lacks": ""} for name in names]


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
        "expected": value.wanted(),
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
