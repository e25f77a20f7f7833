"""What kind of failure an exception is: its type and its place. Shrinking keeps the kind."""

import os
import site
import sys
from types import TracebackType
from typing import Any

_LIBRARY = os.path.dirname(os.__file__)
_OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_APART = tuple({_LIBRARY, _OURS + os.sep, *site.getsitepackages(), os.path.join(sys.prefix, "lib")})
Place = tuple[str, int]


def kind_of(when: str, error: BaseException, host: str = "") -> Any:
    """The kind of a failure in the phase `when` of a test: a value that can be compared. `host` is the name of the test's host."""
    return (when, *_kind(error, host))


def _kind(error: BaseException, host: str) -> tuple[Any, ...]:
    name = f"{type(error).__module__}.{type(error).__qualname__}"
    if isinstance(error, BaseExceptionGroup):
        return (name, *sorted((_kind(each, host) for each in error.exceptions), key=repr))
    if is_simulators(error):
        return (name, *waits(str(error), host))
    return (name, place(error.__traceback__))


def is_simulators(error: BaseException) -> bool:
    """Whether the simulator has ended the run: a deadlock, or a limit."""
    return any(cls.__name__ == "SimError" for cls in type(error).__mro__)


def is_apart(file: str) -> bool:
    """Whether a file is part of an installed package, of the standard library, or of pystack."""
    return file.startswith((*_APART, "<"))


def place(traceback: TracebackType | None) -> Place | None:
    """The innermost line of a traceback outside installed packages, the standard library and pystack; else the innermost line."""
    last: Place | None = None
    found: Place | None = None
    while traceback is not None:
        file = traceback.tb_frame.f_code.co_filename
        last = (file, traceback.tb_lineno)
        if not is_apart(file):
            found = last
        traceback = traceback.tb_next
    return found or last


def waits(text: str, host: str) -> list[str]:
    """The places at which programs of this host wait, in the text of a SimError (pystack/sim/report.py)."""
    lines = [line for line in text.splitlines() if line.startswith(f"host {host!r}: ")]
    places = (part.rpartition(" (")[0] for line in lines for part in line.split(" at ")[1:])
    return sorted({place for place in places if place.rpartition(":")[2].isdecimal()})
