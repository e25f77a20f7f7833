"""How far a learner has come, in a file below XDG_STATE_HOME (~/.local/state by default)."""

import json
import os
from pathlib import Path
from typing import Any

from pystack.labs.folders import LabError, LabFolder


def state_file() -> Path:
    """Return the file. A relative XDG_STATE_HOME is ignored, as the specification of base directories asks."""
    base = os.environ.get("XDG_STATE_HOME", "")
    folder = Path(base) if os.path.isabs(base) else Path.home() / ".local" / "state"
    return folder / "pystack" / "labs.json"


class LabProgress:
    """For each lab: whether it was run ("run"), solved ("solved"), the hints seen ("hints"), and the learner's file ("file")."""

    def __init__(self, path: Path | None = None):
        self.path = path or state_file()
        self.labs: dict[str, dict[str, Any]] = {}
        try:
            found = json.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return
        except ValueError:
            found = None
        if not isinstance(found, dict) or not all(isinstance(entry, dict) for entry in found.values()):
            raise LabError(f"{self.path} is damaged: remove it, and your progress begins anew")
        self.labs = found

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
        """Write the file. A reader sees the old one or the new one, and no part of it."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        new = self.path.with_name(f"{self.path.name}.{os.getpid()}")
        new.write_text(
            json.dumps({name: entry for name, entry in self.labs.items() if entry}, indent=1), encoding="utf-8"
        )
        os.replace(new, self.path)
