"""The beginning of a large file as a timeline, so that the user sees it while the rest is read.

The beginning has the same events, frames and states as the whole file. Only the fate of its last frames is not known yet.
"""

from typing import BinaryIO, cast

from pystack.stepper.timeline import Timeline
from pystack.trace.errors import TraceError

#: a file of more bytes is shown before all of it is read: its first bytes, as many as this
BEGINNING = 1 << 19


class StoppedError(Exception):
    """Nobody waits for the file any more."""


def beginning(file: BinaryIO, name: str, *, trusted: bool = False, size: int = BEGINNING) -> "Timeline | None":
    """Return the timeline of the first bytes of an open file, which is at its first byte again afterwards.

    None: these bytes show nothing. Reading the whole file then says if something is wrong with it.
    """
    try:
        head = cast("BinaryIO", _Head(file, size))
        return Timeline.of_file(head, name, partial=True, size=0, trusted=trusted)
    except TraceError:
        return None  # such as: a block of compressed records is longer
    finally:
        file.seek(0)


class _Head:
    """The first bytes of a file, as a file."""

    def __init__(self, file: BinaryIO, most: int):
        self.file, self.most = file, most

    def read(self, count: int = -1) -> bytes:
        """Return the next bytes, up to the end of the beginning."""
        left = max(self.most - self.file.tell(), 0)
        return self.file.read(left if count < 0 else min(count, left))

    def seek(self, where: int) -> int:
        """Go to a place."""
        return self.file.seek(where)

    def tell(self) -> int:
        """Return the place."""
        return self.file.tell()

    def close(self) -> None:
        """Do nothing: the file stays open for the rest."""
