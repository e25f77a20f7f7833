"""The shortest round trip, as the timestamps in TCP's segments show it (RFC 7323 3.2): a segment echoes the timestamp of one that had arrived.

TCP itself measures a round trip only from data to its acknowledgement. But data that answers an acknowledgement echoes the timestamp of it, too.
"""

from collections.abc import Iterable

import pystack_c.const as C
from pystack.stepper.timeline import Timeline
from pystack.trace import headers

TIMESTAMPS, LENGTH = 8, 10


def timestamps(data: bytes, link: int) -> tuple[int, int] | None:
    """Return the timestamp of a TCP segment and the one that it echoes, or None: it has none."""
    found = headers.find(data, link)
    if found is None or found.proto != C.IPPROTO_TCP or found.offset:
        return None
    at = found.at
    end = at + (data[at + 12] >> 4) * 4 if len(data) >= at + 20 else 0
    at += 20
    while at + LENGTH <= min(end, len(data)) and data[at]:
        if data[at] == TIMESTAMPS and data[at + 1] == LENGTH:
            return int.from_bytes(data[at + 2 : at + 6], "big"), int.from_bytes(data[at + 6 : at + 10], "big")
        size = 1 if data[at] == 1 else data[at + 1]
        if size == 0:
            break
        at += size
    return None


def shortest(timeline: Timeline, passed: Iterable[tuple[int, int, bool]]) -> int:
    """Return the shortest time in ns from a segment of one side to one of the other side that echoes its timestamp, or -1.

    passed  (time, index of the frame, whether the one side sent it), in the order of time
    """
    first: dict[int, int] = {}
    found = -1
    for time, index, mine in passed:
        frame = timeline.frames[index]
        marks = timestamps(frame.data, frame.link)
        if marks is None:
            continue
        if mine:
            # Several segments may have the same timestamp. The first one gives the longest time, so it is safe.
            first.setdefault(marks[0], time)
        elif marks[1] in first:
            took = time - first[marks[1]]
            found = took if found < 0 or took < found else found
    return found
