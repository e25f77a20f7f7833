"""The course in a page without a server: what the page's workers call. They run in Pyodide, which is CPython as WebAssembly.

There are two kinds of workers (web/src/course/site). The desk answers all requests with a CourseService. A bench runs an experiment, or grades a
learner's file, so it can be ended at any moment without the desk. The learner's files are in the page's storage. They come with each
request, and what a request changed goes back with its answer.
"""

import asyncio
import errno
import importlib
import io
import json
import socket
import sys
from collections.abc import Callable
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from pystack.labs import child
from pystack.labs.course.files import LearnerFiles
from pystack.labs.course.measuring import MeasureProgress, measured
from pystack.labs.course.service import CourseService
from pystack.labs.folders import LabError, LabFolder, lab_of
from pystack.labs.grading import GradeLimits, LabGrade, too_slow
from pystack.labs.progress import LabProgress
from pystack.sim.scheduler import SimError

LEARNER = Path("/learner")
METHODS = ("index", "page", "run", "plot", "capture", "check", "save", "hint", "solution", "reset", "step")
#: Linux's numbers of what programs with asyncio use, and what a browser's socket module does not have
LINUX = {"AF_UNIX": 1, "SO_REUSEADDR": 2, "SO_REUSEPORT": 15}
#: ways from Python to the page, which an exercise does not need
BRIDGES = ("js", "pyodide", "pyodide_js", "_pyodide", "_pyodide_core")


class Apart(Exception):
    """The desk raises it if a bench must do the work first."""


class CourseDesk:
    """Answers requests. `root` is the folder of the learner's files."""

    def __init__(self, root: Path = LEARNER):
        self.root = root
        self.found: Any = None
        progress = root / "labs.json"
        self.service = CourseService(
            self._grade, lambda: LabProgress(progress), self._measure, LearnerFiles(root / "exercises")
        )

    def call(self, text: str) -> str:
        """Answer a request, both as JSON. The request has `method`, `args`, `files`, and `found` if a bench has done its part.

        The answer has `result`, or `error` with a text for the learner, or `apart` if a bench has to do its part first. `files` has the texts that
        changed, and null for a file that is gone.
        """
        request = json.loads(text)
        before = request["files"]
        self._put(before)
        self.found = request.get("found")
        answer: dict[str, Any]
        try:
            if request["method"] not in METHODS:
                raise ValueError(f"there is no method {request['method']!r}")
            answer = {"result": getattr(self.service, request["method"])(*request["args"])}
        except Apart:
            answer = {"apart": True}
        except (LabError, ValueError, OSError) as error:
            answer = {"error": str(error)}
        after = self._files()
        changed: dict[str, str | None] = {name: text for name, text in after.items() if before.get(name) != text}
        changed |= {name: None for name in before if name not in after}
        return json.dumps({**answer, "files": changed})

    def _files(self) -> dict[str, str]:
        paths = sorted(path for path in self.root.rglob("*") if path.is_file())
        return {str(path.relative_to(self.root)): path.read_text(encoding="utf-8") for path in paths}

    def _put(self, files: dict[str, str]) -> None:
        """Make the folder hold these files. Another tab of the browser may have changed them."""
        there = self._files()
        for name in there.keys() - files.keys():
            (self.root / name).unlink()
        for name, text in files.items():
            path = self.root / name
            if not path.resolve().is_relative_to(self.root.resolve()):
                raise ValueError(f"{name!r} is no file of the learner")
            if there.get(name) != text:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")

    def _measure(self, lab: LabFolder, progress: MeasureProgress | None, stop: Any) -> list[list[Any]]:
        if self.found is None:
            raise Apart
        found: list[list[Any]] = self.found
        return found

    def _grade(self, lab: LabFolder, text: str, stop: Any) -> LabGrade:
        if self.found is None:
            raise Apart
        if "late" in self.found:
            return too_slow(lab, GradeLimits())
        if "ended" in self.found:
            return LabGrade(lab.number, "stopped", "The interpreter of your file ended before the grader had a result.")
        return LabGrade(lab.number, self.found["verdict"], self.found["text"], self.found["output"])


# -- the bench ---------------------------------------------------------------------------------------------------------


def measure(number: int, report: MeasureProgress) -> str:
    """Measure a lab, and return what `measuring.measured` returns, as JSON."""
    return json.dumps(measured(lab_of(str(number)), report))


def capture(number: int) -> str:
    """Return a lab's capture as JSON, or "error" with a text for the learner."""
    try:
        return json.dumps(CourseService(grade=_no_grade).capture(number))
    except (LabError, ValueError) as error:
        return json.dumps({"error": str(error)})


def step(scenario: str) -> str:
    """Return the stepper's page of a scenario as JSON, or "error" with a text for the learner."""
    try:
        return json.dumps(CourseService(grade=_no_grade).step(scenario))
    except (LabError, ValueError) as error:
        return json.dumps({"error": str(error)})
    except SimError:
        text = "This scenario has programs that block. They need greenlet, which does not run in a browser."
        return json.dumps({"error": text})


def _no_grade(lab: LabFolder, text: str, stop: Any) -> Any:
    raise NotImplementedError


class Printed(io.TextIOBase):
    """What a learner's file prints, up to a limit."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.left = child.OUTPUT

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, text: str) -> int:
        """Keep the text. OSError if it is too much."""
        if len(text) > self.left:
            raise OSError(errno.EFBIG, "File too large")
        self.left -= len(text)
        self.parts.append(text)
        return len(text)


def grade(number: int, text: str, folder: Path = Path("/exercise")) -> str:
    """Grade a text, and return verdict, text and output as JSON. Call it once in an interpreter, because its limits stay."""
    lab = lab_of(str(number))
    printed = Printed()
    found = child.grader_of(lab)
    if not isinstance(found, dict):
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / lab.exercise
        path.write_text(text, encoding="utf-8")
        refusals: list[str] = []
        sys.stdout = sys.stderr = printed
        child.guard(str(path), refusals)
        bar(refusals)
        found = child.verdict(found.check, str(path), text, refusals)
    return json.dumps({**found, "output": "".join(printed.parts)})


def bar(refusals: list[str]) -> None:
    """From now on, refuse the ways to the page's JavaScript."""
    for name in [name for name in sys.modules if name.partition(".")[0] in BRIDGES]:
        del sys.modules[name]

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event == "import" and str(args[0]).partition(".")[0] in BRIDGES:
            refusals.append("use the page's JavaScript")
            raise PermissionError("an exercise may not use the page's JavaScript")

    sys.addaudithook(hook)


# -- the interpreter ---------------------------------------------------------------------------------------------------


class LaterLoader(SourceFileLoader):
    """Fetches a package when it is imported for the first time."""

    def __init__(self, name: str, path: str, fetch: Callable[[str], Any]):
        super().__init__(name, path)
        self.fetch = fetch

    def exec_module(self, module: ModuleType) -> None:
        """Fetch, and load."""
        self.fetch(self.name)
        importlib.invalidate_caches()
        super().exec_module(module)


class PackageShelf(MetaPathFinder):
    """Knows packages that are not here yet. `fetch` puts the package with this name into the folder `root`."""

    def __init__(self, names: list[str], root: str, fetch: Callable[[str], Any]):
        self.names = frozenset(names)
        self.root = root
        self.fetch = fetch

    def find_spec(self, name: str, path: Any, target: Any = None) -> ModuleSpec | None:
        """See importlib. Nothing is fetched yet."""
        if name not in self.names:
            return None
        folder = f"{self.root}/{name}"
        file = f"{folder}/__init__.py"
        return spec_from_file_location(
            name, file, loader=LaterLoader(name, file, self.fetch), submodule_search_locations=[folder]
        )


def begin(names: list[str], root: str, fetch: Callable[[str], Any]) -> None:
    """Prepare the interpreter of a worker."""
    import _socket

    for name, number in LINUX.items():
        for module in (socket, _socket):
            if not hasattr(module, name):
                setattr(module, name, number)
    sys.meta_path.append(PackageShelf(names, root, fetch))
    # The worker has an event loop of JavaScript, which Pyodide calls running. The calls of the page are no part of it.
    asyncio._set_running_loop(None)
