"""Round trips of a connection: a round ends when what was out at its beginning is acknowledged."""

from typing import TYPE_CHECKING

from pystack.stepper import snapshot

if TYPE_CHECKING:
    from pystack.stepper.timeline import Timeline

_UNA, _NXT = snapshot.FIELDS.index("snd_una"), snapshot.FIELDS.index("snd_nxt")


def connection_at(timeline: "Timeline", position: int) -> str:
    """The connection of the event at `position`, or of the last one before it that has one; else the first of all."""
    for index in range(position, max(position - 2000, -1), -1):
        conn = timeline.events[index].conn
        if conn:
            return conn
    connections = timeline.connections
    return connections[0] if connections else ""


def boundaries(timeline: "Timeline", conn: str) -> list[int]:
    """The events at which a round trip of the connection ended (its acknowledgement came in) and the next one began."""
    found = timeline._rounds.get(conn)
    if found is not None:
        return found
    found = timeline._rounds[conn] = []
    number = timeline._numbers.get(conn)
    target = -1  # SND.NXT when the round began, or -1 while nothing is out
    for index, deltas in enumerate(timeline.states.deltas):
        if not any(one == number for one, _ in deltas):
            continue
        values = timeline.states.at(index).get(number) if number is not None else None
        if values is None:
            target = -1
            continue
        una, nxt = values[_UNA], values[_NXT]
        if target >= 0 and (una - target) & 0xFFFFFFFF < 0x80000000:
            found.append(index)
            target = -1
        if target < 0 and una != nxt:
            target = nxt
    return found


def next_round(timeline: "Timeline", conn: str, position: int, direction: int) -> int | None:
    """The next end of a round trip after (or before) `position`, or None."""
    ends = boundaries(timeline, conn)
    if direction > 0:
        return next((index for index in ends if index > position), None)
    return next((index for index in reversed(ends) if index < position), None)
