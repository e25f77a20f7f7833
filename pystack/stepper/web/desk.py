"""What one server can open: the trace of the command line, scenarios, and the recordings in a directory.

Each has its own part of the server's addresses (server.py) and its own WebSession. A file is read in a thread of its
own: until all of it is read, the page can step through its beginning.
"""

import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pystack.sim.scheduler import SimError
from pystack.stepper.beginning import BEGINNING, StoppedError, beginning
from pystack.stepper.export import scenario_of
from pystack.stepper.timeline import Timeline
from pystack.stepper.web.data import Trace
from pystack.stepper.web.found import open_below, search
from pystack.stepper.web.session import WebSession
from pystack.trace.errors import TraceError

if TYPE_CHECKING:
    from typing import BinaryIO

#: how many opened scenarios and files are kept, besides the one of the command line; a new one replaces the oldest
MOST_OPEN = 6


class Opening:
    """A file that is read in the background. `session` is None until there is something to show."""

    def __init__(self, name: str, open_file: "Callable[[], BinaryIO]", partial: bool, trusted: bool):
        self.name = name
        self.open_file = open_file
        self.partial, self.trusted = partial, trusted
        self.session: WebSession | None = None
        self.ready = False
        self.error = ""
        self.done, self.size = 0, 1
        self.stopped = False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            with self.open_file() as file:
                self.size = max(os.fstat(file.fileno()).st_size, 1)
                if self.size > BEGINNING:
                    first = beginning(file, self.name, trusted=self.trusted, size=BEGINNING)
                    self.session = None if first is None else self._session(first)
                self.session = self._session(self._load(file))
                self.ready = True
        except StoppedError:
            pass
        except (TraceError, OSError) as error:
            hint = (
                "; --partial accepts the part that exists" if ": truncated" in str(error) and not self.partial else ""
            )
            self.error = f"{getattr(error, 'strerror', None) or error}{hint}"

    def _load(self, file: "BinaryIO") -> Timeline:
        return Timeline.of_file(
            file, self.name, partial=self.partial, progress=self._progress, size=self.size, trusted=self.trusted
        )

    def _progress(self, done: int, size: int) -> None:
        self.done = done
        if self.stopped:
            raise StoppedError

    @staticmethod
    def _session(timeline: Timeline) -> WebSession:
        trace = Trace(timeline, scenario_of(timeline))
        trace.overview()  # it is made in this thread, so that the page need not wait for it
        return WebSession(trace)

    def progress(self) -> dict[str, Any]:
        """Return how much is read. `ready` is true at the end, and `error` says what went wrong."""
        return {"done": self.done, "size": self.size, "ready": self.ready, "error": self.error}


class Desk:
    """Everything that the server can show. LookupError and ValueError say what cannot be opened.

    `first` is the trace of the command line, a WebSession or an Opening, or None. `folder` is searched for recordings.
    """

    def __init__(
        self,
        first: "WebSession | Opening | None",
        folder: str,
        *,
        partial: bool = False,
        trusted: bool = False,
        seed: int = 1,
    ):
        self.first = first
        self.folder = folder
        self.partial, self.trusted, self.seed = partial, trusted, seed
        self.opened: dict[tuple[str, str], WebSession | Opening] = {}

    def start(self) -> dict[str, Any]:
        """Return the data of the start page."""
        from pystack.stepper import scenarios

        files, cut = search(self.folder)
        return {
            "parts": [
                {"title": title, "scenarios": [_about(scenarios.get(name)) for name in names]}
                for title, names in scenarios.PARTS
            ],
            "files": [one._asdict() for one in files],
            "folder": os.path.basename(os.path.abspath(self.folder)) or "/",
            "cut": cut,
            "first": self.first is not None,
        }

    def entry(self, kind: str, name: str) -> "WebSession | Opening":
        """Return what is opened under a name. It is opened now if it is not open yet."""
        if not kind:
            if self.first is None:
                raise LookupError("nothing is open; the start page lists the scenarios and recordings")
            return self.first
        key = (kind, name)
        found = self.opened.pop(key, None)
        if found is None or (isinstance(found, Opening) and found.error):
            found = self._scenario(name) if kind == "scenario" else self._file(name)
        self.opened[key] = found  # the newest is the last
        while len(self.opened) > MOST_OPEN:
            old = self.opened.pop(next(iter(self.opened)))
            if isinstance(old, Opening):
                old.stopped = True
        return found

    def session(self, kind: str, name: str) -> WebSession:
        """Return the session of an opened trace."""
        found = self.entry(kind, name)
        if isinstance(found, WebSession):
            return found
        if found.session is None:
            raise LookupError(found.error or f"{found.name} is being read")
        return found.session

    def progress(self, kind: str, name: str) -> dict[str, Any]:
        """Return how much of a trace is read (Opening.progress)."""
        found = self.entry(kind, name)
        if isinstance(found, WebSession):
            return {"done": 1, "size": 1, "ready": True, "error": "", "shown": True}
        return {**found.progress(), "shown": found.session is not None}

    def _scenario(self, name: str) -> WebSession:
        from pystack.stepper import scenarios

        if not scenarios.known(name):
            raise LookupError(f"no scenario {name!r}")
        scenario = scenarios.get(name)
        try:
            return WebSession(Trace(scenario.timeline(self.seed), scenario))
        except (ImportError, SimError) as error:
            raise LookupError(f"the scenario {name}: {error}") from None

    def _file(self, name: str) -> Opening:
        if name not in [one.path for one in search(self.folder)[0]]:
            raise LookupError(f"no recording {name!r} in the directory")
        return Opening(name, lambda: open_below(self.folder, name), self.partial, self.trusted)


def _about(scenario: Any) -> dict[str, str]:
    return {"name": scenario.name, "title": scenario.title, "question": scenario.question}
