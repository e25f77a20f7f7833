"""What the terminal stepper shows, without the screen: the cursor, the chosen connection and field, the last message."""

from typing import Any

from pystack.stepper.cursor import Cursor
from pystack.stepper.dissect import Node, Tree, dissect
from pystack.stepper.records import Entry, Frame
from pystack.stepper.scenarios import Scenario
from pystack.stepper.timeline import Timeline


class Session:
    """One person looking at one timeline.

    since    the position with which the connection is compared: where the last step came from, or the event before
    pinned   the connection to show, or "" for that of the event at the cursor
    field    the chosen field: Wireshark's name, and which of that name; it stays chosen from frame to frame
    other    the timeline of a what-if branch, and `rows` the two side by side
    """

    def __init__(self, timeline: Timeline, cursor: "Cursor | None" = None, scenario: "Scenario | None" = None):
        self.timeline = timeline
        self.cursor = cursor if cursor is not None else Cursor(timeline)
        self.scenario = scenario
        self.since = self.cursor.position - 1
        self.pinned = ""
        self.field: tuple[str, int] = ("", 0)
        self.message = ""
        self.failed = False
        self.other: Timeline | None = None
        self.rows: list[Any] = []
        self._tree: tuple[int, Tree] | None = None

    # -- what is at the cursor -----------------------------------------------------------------------------------------

    @property
    def entry(self) -> "Entry | None":
        """The event."""
        return self.cursor.entry

    @property
    def frame(self) -> "Frame | None":
        """The frame."""
        return self.cursor.frame

    @property
    def tree(self) -> "Tree | None":
        """The frame's dissection."""
        frame = self.frame
        if frame is None:
            return None
        if self._tree is None or self._tree[0] != frame.index:
            self._tree = (frame.index, dissect(frame.data, frame.link))
        return self._tree[1]

    @property
    def node(self) -> "Node | None":
        """The chosen field in this frame, or None where it has no such field."""
        named = self._named(self.field[0])
        return named[min(self.field[1], len(named) - 1)] if named else None

    def choose(self, node: Node) -> None:
        """Choose this field of the frame."""
        name = node.abbrev or node.name
        places = [n for n, one in enumerate(self._named(name)) if one is node]
        self.field = (name, places[0] if places else 0)

    def _named(self, name: str) -> list[Node]:
        tree = self.tree
        return [one for one in tree.walk() if (one.abbrev or one.name) == name] if tree is not None and name else []

    @property
    def conn(self) -> str:
        """The connection to show."""
        return self.pinned or self.cursor.conn

    def tcb(self) -> "dict[str, Any] | None":
        """Its fields at the cursor."""
        conn = self.conn
        return self.timeline.tcb(self.cursor.position, conn) if conn else None

    def changes(self) -> "dict[str, tuple[Any, Any]]":
        """What the last step changed in it, or after a jump the event at the cursor: {field: (before, after)}."""
        now = self.tcb()
        if now is None:
            return {}
        then = self.timeline.tcb(self.since, self.conn) or {}
        return {name: (then.get(name), new) for name, new in now.items() if then and then.get(name) != new}

    def moved(self, came_from: int, stepped: bool) -> None:
        """The cursor is somewhere else: after a step from where it was, or after a jump."""
        position = self.cursor.position
        if position != came_from:
            self.since = came_from if stepped else position - 1

    def next_connection(self) -> str:
        """Pin the next connection; behind the last one comes the cursor's own again."""
        known = list(self.timeline.connections)
        if not known:
            return ""
        here = known.index(self.pinned) + 1 if self.pinned in known else 0
        self.pinned = known[here] if here < len(known) else ""
        return self.pinned

    # -- messages ------------------------------------------------------------------------------------------------------

    def say(self, text: str) -> None:
        """A message for the person."""
        self.message, self.failed = text, False

    def fail(self, text: str) -> None:
        """What is wrong with what the person asked, on one line."""
        self.message, self.failed = " ".join(text.split()), True
