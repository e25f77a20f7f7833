"""Where the time of a request went: the critical path through a recording, span by span, to the nanosecond.

`path(timeline)` walks backwards from the end of a request to its beginning. docs/howto/where-time-went.md explains it.
"""

from pystack.stepper.timing.causes import CAUSES, WHYS
from pystack.stepper.timing.path import Path, PathError, Span
from pystack.stepper.timing.walk import path

__all__ = ["CAUSES", "WHYS", "Path", "PathError", "Span", "path"]
