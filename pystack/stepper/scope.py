"""What the names of an expression mean at one event of a timeline (see expr.py for the expressions)."""

from typing import TYPE_CHECKING, Any

from pystack.stepper import snapshot

if TYPE_CHECKING:
    from pystack.stepper.timeline import Timeline


class Missing(LookupError):
    """A value that is not available at this event."""


class Scope:
    """What the names mean at one event. Each is looked up when an expression needs it."""

    def __init__(self, timeline: "Timeline", index: int):
        self.timeline = timeline
        self.index = index
        self._conn: str | None = None

    def event(self) -> Any:
        """The event."""
        if self.index < 0:
            raise Missing("no event yet")
        return self.timeline.events[self.index]

    def conn(self) -> str:
        """The connection's key; "" if the event has none."""
        if self._conn is None:
            self._conn = self.event().conn
        return self._conn

    def tcb(self, field: str) -> Any:
        """Return a field of the event's connection."""
        return self._field(self.conn(), field)

    def _field(self, conn: str, field: str) -> Any:
        timeline = self.timeline
        number = timeline._numbers.get(conn, -1)
        values = timeline.states.at(self.index).get(number)
        if values is None:
            raise Missing("no connection")
        value = values[snapshot.FIELDS.index(field)]
        return dict(value) if field == "timers" else value

    def of_host(self, host: str, field: str) -> Any:
        """Return a field of the host's connection that has the latest event."""
        timeline = self.timeline
        for index in range(self.index, max(self.index - 2000, -1), -1):
            entry = timeline.events[index]
            if entry.host == host and entry.conn:
                return self._field(entry.conn, field)
        raise Missing(f"{host} has no connection yet")

    def frame(self) -> Any:
        """The event's frame."""
        number = self.event().frame
        if number < 0:
            raise Missing("no frame")
        return self.timeline.frames[number]

    def time(self) -> float:
        """Seconds since the start."""
        return float(self.event().time - self.timeline.start) / 1e9
