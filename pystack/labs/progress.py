"""How far a learner has come, in a file below XDG_STATE_HOME (~/.local/state by default)."""

import contextlib
import copy
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pystack.labs.folders import LabError, LabFolder

#: seconds after which a save goes on without the lock, because a process that was stopped may hold it
LOCK = 5.0


def state_file() -> Path:
    """Return the file. A relative XDG_STATE_HOME is ignored, as the specification of base directories asks."""
    base = os.environ.get("XDG_STATE_HOME", "")
    folder = Path(base) if os.path.isabs(base) else Path.home() / ".local" / "state"
    return folder / "pystack" / "labs.json"


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """In the block, no other process is in such a block for the same folder. Not all systems have such locks, and the block runs without one, too."""
    try:
        import fcntl  # not on Windows
    except ImportError:
        yield
        return
    held = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        end = time.monotonic() + LOCK
        while time.monotonic() < end:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(0.005)
            except OSError:  # this file system locks no folders
                break
        yield
    finally:
        os.close(held)


def merged(stored: dict[str, dict[str, Any]], before: dict[str, dict[str, Any]], now: dict[str, dict[str, Any]]) -> Any:
    """Return what is stored with the changes from `before` to `now`. Labs without an entry are left out."""
    found = {}
    for lab in {**stored, **now}:
        old, new = before.get(lab, {}), now.get(lab, {})
        entry = {name: value for name, value in stored.get(lab, {}).items() if name in new or name not in old}
        entry.update((name, value) for name, value in new.items() if name not in old or old[name] != value)
        if entry:
            found[lab] = entry
    return found


class LabProgress:
    """For each lab: whether it was run ("run"), solved ("solved"), the hints seen ("hints"), and the learner's file ("file")."""

    def __init__(self, path: Path | None = None):
        self.path = path or state_file()
        self.labs = self._read()
        self._before = copy.deepcopy(self.labs)

    def _read(self) -> dict[str, dict[str, Any]]:
        try:
            found = json.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except ValueError:
            found = None
        if not isinstance(found, dict) or not all(isinstance(entry, dict) for entry in found.values()):
            raise LabError(f"{self.path} is damaged: remove it, and your progress begins anew")
        return found

    def of(self, lab: LabFolder) -> dict[str, Any]:
        """Return the entry of a lab. `save` keeps what you change in it."""
        return self.labs.setdefault(str(lab.number), {})

    def file(self, lab: LabFolder) -> Path | None:
        """Return the learner's file, or None if the exercise was not started."""
        name = self.of(lab).get("file")
        return Path(name) if isinstance(name, str) else None

    def hints(self, lab: LabFolder) -> int:
        """Return how many hints the learner has seen."""
        number = self.of(lab).get("hints", 0)
        return number if isinstance(number, int) and number >= 0 else 0

    def report(self, lab: LabFolder) -> dict[str, Any]:
        """Return how far the learner is with a lab, for others: without the paths of this machine."""
        entry = self.of(lab)
        state = {
            name: bool(entry.get(key)) for name, key in (("run", "run"), ("started", "file"), ("solved", "solved"))
        }
        return {"lab": lab.number, "name": lab.name, "title": lab.title, **state, "hints": self.hints(lab)}

    def forget(self, lab: LabFolder) -> None:
        """Forget a lab."""
        self.labs.pop(str(lab.number), None)

    def save(self) -> None:
        """Write your changes into the file, and keep what others have changed meanwhile. A reader sees the old file or the new one, and no part of it."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with locked(self.path.parent):
            self.labs = merged(self._read(), self._before, self.labs)
            new = self.path.with_name(f"{self.path.name}.{os.getpid()}")
            new.write_text(json.dumps(self.labs, indent=1), encoding="utf-8")
            os.replace(new, self.path)
        self._before = copy.deepcopy(self.labs)
