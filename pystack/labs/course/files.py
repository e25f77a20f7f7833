"""The text that a learner writes for an exercise, in the file that `pystack lab start` made, or else beside the progress."""

import hashlib
import os
from itertools import count
from pathlib import Path
from typing import Any

from pystack.labs.folders import LONGEST, LabError, LabFolder
from pystack.labs.progress import state_file


def version(text: str | None) -> str:
    """Return a short name for a text, which is another one for each text; "" if there is none."""
    return "" if text is None else hashlib.sha256(text.encode()).hexdigest()[:16]


class LearnerFiles:
    """`folder` is the place of exercises that were not started elsewhere; by default it lies beside the progress."""

    def __init__(self, folder: Path | None = None):
        self.folder = folder

    def path(self, lab: LabFolder, progress: Any) -> Path:
        """Return the file of an exercise, which may not exist yet."""
        started = progress.file(lab)
        if started is not None and started.suffix == lab.suffix and started.parent.is_dir():
            found: Path = started
            return found
        return (self.folder or state_file().parent / "exercises") / lab.exercise

    def read(self, lab: LabFolder, progress: Any) -> str | None:
        """Return the learner's text, or None if there is none. LabError if it cannot be read."""
        path = self.path(lab, progress)
        try:
            if path.exists() and not path.is_file():
                raise LabError(f"{path} is not a regular file")
            if path.stat().st_size > LONGEST:
                raise LabError(f"{path} has more than {LONGEST} bytes, which is too long for an exercise")
            return path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise LabError(f"{path}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise LabError(f"{path} is not a text in UTF-8") from None

    def write(self, lab: LabFolder, progress: Any, text: str) -> Path:
        """Write the learner's text. A reader sees the old text or the new one. Returns the file."""
        path = self.path(lab, progress)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path = path.resolve()  # A link stays a link.
            new = path.with_name(f"{path.name}.{os.getpid()}.new")
            new.write_text(text, encoding="utf-8")
            if path.exists():
                new.chmod(path.stat().st_mode & 0o777)
            os.replace(new, path)
        except OSError as error:
            raise LabError(f"{path}: {error.strerror}") from None
        return path

    def keep(self, lab: LabFolder, progress: Any) -> str:
        """Copy the learner's text to a new file whose name ends with ~, ~2, ~3 and so on.

        Returns its name, or "" if there is no text, or only the starter file's. A copy that exists stays, because it may be the only one of that text.
        """
        text = self.read(lab, progress)
        if text is None or text == lab.starter.read_text(encoding="utf-8"):
            return ""
        path = self.path(lab, progress)
        kept = path.with_name(path.name + "~")
        try:
            for number in count(2):
                if not os.path.lexists(kept) or (kept.is_file() and kept.read_bytes() == text.encode()):
                    break
                kept = path.with_name(f"{path.name}~{number}")
            kept.write_bytes(text.encode())
        except OSError as error:
            raise LabError(f"{kept}: {error.strerror}") from None
        return str(kept)
