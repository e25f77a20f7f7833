"""The places between which a path is wanted, as a user writes them: a connection, and frame=N, event=N or time=SECONDS."""

from pystack.stepper.cursor import Cursor
from pystack.stepper.timeline import Timeline
from pystack.stepper.timing.path import PathError
from pystack.visible import one_line


def connection(timeline: Timeline, text: str) -> str:
    """Return the key of a connection: the text is its number from 1 or a part of its key. "" stays "". PathError: there is none."""
    if not text:
        return ""
    keys = timeline.connections
    if text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= len(keys):
        return keys[int(text) - 1]
    found = [key for key in keys if text in key]
    if not found:
        names = "".join(f"\n  {number} {one_line(key)}" for number, key in enumerate(keys[:40], 1))
        raise PathError(f"no connection has {one_line(text)!r} in its name; there are:{names or ' none'}")
    return found[0]


def place(timeline: Timeline, text: str, end: bool) -> int:
    """Return the index of an event, or -1 for "". A frame begins where it is sent, and ends where it arrives. PathError: no such place."""
    unit, _, value = text.partition("=")
    if not text:
        return -1
    try:
        if unit == "event":
            return int(value)
        if unit == "frame":
            number = int(value)
            if not 1 <= number <= len(timeline.frames):
                raise PathError(f"there are frames 1 to {len(timeline.frames)}")
            frame = timeline.frames[number - 1]
            return frame.arrived if end and frame.arrived >= 0 else frame.event
        if unit == "time":
            # The end is the last event up to the time, and the beginning the first one from it on.
            cursor = Cursor(timeline)
            cursor.goto(time=timeline.start + round(float(value) * 1e9) - (not end))
            return max(0, min(cursor.position + (not end), len(timeline.events) - 1))
    except PathError:
        raise
    except (ValueError, OverflowError):
        pass
    raise PathError(f"{one_line(text)!r}: write frame=N, event=N or time=SECONDS")
