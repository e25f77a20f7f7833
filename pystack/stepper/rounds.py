"""Round trips of a connection. A round trip ends when the data in flight at its beginning is acknowledged."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pystack.stepper.timeline import Timeline


def connection_at(timeline: "Timeline", position: int) -> str:
    """Return the connection of the event at `position`, or of the last event before it that has one; else the first of
    all.
    """
    for index in range(position, max(position - 2000, -1), -1):
        conn = timeline.events[index].conn
        if conn:
            return conn
    connections = timeline.connections
    return connections[0] if connections else ""


def boundaries(timeline: "Timeline", conn: str) -> Sequence[int]:
    """Return the events at which a round trip of the connection ended (its acknowledgement arrived) and the next one
    began.
    """
    return timeline.rounds.get(timeline._numbers.get(conn, -1), ())


def next_round(timeline: "Timeline", conn: str, position: int, direction: int) -> int | None:
    """Return the next end of a round trip after (or before) `position`, or None."""
    return following(boundaries(timeline, conn), position, direction)


def following(places: Sequence[int], position: int, direction: int) -> int | None:
    """Return the next of these sorted places after (or before) `position`, or None."""
    at = bisect_right(places, position) if direction > 0 else bisect_left(places, position) - 1
    return places[at] if 0 <= at < len(places) else None
