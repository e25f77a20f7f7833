"""The state of the terminal stepper without its screen: the cursor, the chosen connection and field, the last message."""

from typing import Any

from pystack.stepper import changes, messages
from pystack.stepper.branch import ChangeError, Row, branch, compare, figures
from pystack.stepper.cursor import Cursor
from pystack.stepper.dissect import Node, Tree
from pystack.stepper.records import Entry, Frame
from pystack.stepper.scenarios import Scenario
from pystack.stepper.timeline import Timeline
from pystack.stepper.timing.path import Path, PathError
from pystack.stepper.timing.requests import Requests, span_at
from pystack.stepper.tui import rows
from pystack.stepper.tui.scale import line_time


class TerminalSession:
    """One user's view of one timeline.

    since    the position that the connection is compared with: before the last step, or the previous event after a jump
    pinned   the connection to show, or "" for that of the event at the cursor
    field    the chosen field: Wireshark's name, and its number among fields of that name; it stays from frame to frame
    other    the cursor of the other run after `whatif`; `rows` has the frames of both runs, `numbers` their results
    """

    def __init__(
        self, timeline: Timeline, cursor: "Cursor | None" = None, scenario: "Scenario | None" = None, seed: int = 1
    ):
        self.timeline = timeline
        self.cursor = cursor if cursor is not None else Cursor(timeline)
        self.scenario = scenario
        self.since = self.cursor.position - 1
        self.pinned = ""
        self.field: tuple[str, int] = ("", 0)
        self.message = ""
        self.failed = False
        self.seed = seed
        self.to_scale = False
        self.other: Cursor | None = None
        self.changed = False
        self.rows: list[Row] = []
        self.numbers: list[str] = []
        #: the request whose time is shown: connection, from, to (see timing/places.py)
        self.request: tuple[str, str, str] = ("", "", "")
        #: the span that the user chose, and where the cursor was then
        self.clicked: tuple[int, int] = (-1, -1)
        self._requests: list[Requests] = []
        self._tree: tuple[int, Tree] | None = None
        self._unit: tuple[Timeline, int] | None = None
        self._flows: tuple[Timeline, dict[frozenset[str], int]] | None = None

    # -- what is at the cursor -----------------------------------------------------------------------------------------

    @property
    def entry(self) -> "Entry | None":
        """The event at the cursor."""
        return self.cursor.entry

    @property
    def frame(self) -> "Frame | None":
        """The frame at the cursor."""
        return self.cursor.frame

    @property
    def flows(self) -> dict[frozenset[str], int]:
        """The numbers of the conversations of this run."""
        if self._flows is None or self._flows[0] is not self.timeline:
            self._flows = (self.timeline, rows.flows(self.timeline))
        return self._flows[1]

    @property
    def unit(self) -> int:
        """The time of a line of the ladder if it is to scale, in ns, otherwise 0."""
        if not self.to_scale:
            return 0
        if self._unit is None or self._unit[0] is not self.timeline:
            self._unit = (self.timeline, line_time(self.timeline))
        return self._unit[1]

    @property
    def tree(self) -> "Tree | None":
        """The frame's dissection."""
        frame = self.frame
        if frame is None:
            return None
        if self._tree is None or self._tree[0] != frame.index:
            self._tree = (frame.index, messages.tree(frame))
        return self._tree[1]

    @property
    def node(self) -> "Node | None":
        """The chosen field in this frame, or None if the frame has no such field."""
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
        """Return the connection's fields at the cursor."""
        conn = self.conn
        return self.timeline.tcb(self.cursor.position, conn) if conn else None

    def changes(self) -> "dict[str, tuple[Any, Any]]":
        """Return what the last step changed in the connection, or after a jump the last event: {field: (before,
        after)}.
        """
        now = self.tcb()
        if now is None:
            return {}
        then = self.timeline.tcb(self.since, self.conn) or {}
        return {name: (then.get(name), new) for name, new in now.items() if then and then.get(name) != new}

    def moved(self, came_from: int, stepped: bool) -> None:
        """Note that the cursor has moved, by a step from `came_from` or by a jump."""
        position = self.cursor.position
        if position != came_from:
            self.since = came_from if stepped else position - 1

    def next_connection(self) -> str:
        """Pin the next connection. After the last one, the connection at the cursor is shown again."""
        known = list(self.timeline.connections)
        if not known:
            return ""
        here = known.index(self.pinned) + 1 if self.pinned in known else 0
        self.pinned = known[here] if here < len(known) else ""
        return self.pinned

    # -- where the time went -------------------------------------------------------------------------------------------

    def _requests_of(self, timeline: Timeline) -> Requests:
        found = next((one for one in self._requests if one.timeline is timeline), None)
        if found is None:
            found = Requests(timeline)
            self._requests = [*self._requests[-3:], found]
        return found

    def path(self) -> Path:
        """Return the path of the chosen request. PathError: there is none."""
        return self._requests_of(self.timeline).path(*self.request)

    def other_path(self) -> "Path | None":
        """Return that of the other run, if there is one. There, the connection may have another name."""
        if self.other is None:
            return None
        requests = self._requests_of(self.other.timeline)
        for request in (self.request, ("", "", "")):
            try:
                return requests.path(*request)
            except PathError:
                continue
        return None

    def span(self, path: Path) -> int:
        """Return the index of the span at the cursor: the one that the user chose, or the one in which the event lies; or -1."""
        position, chosen = self.clicked
        if position == self.cursor.position >= 0 and chosen < len(path.spans):
            return chosen
        return span_at(self.timeline, path.spans, self.cursor.position)

    def replace(self, timeline: Timeline) -> None:
        """Go on with a longer timeline of the same recording, at the same place."""
        self.timeline = self.cursor.timeline = timeline
        self._tree = None

    # -- what if -------------------------------------------------------------------------------------------------------

    def what_if(self, texts: list[str], from_the_beginning: bool = False) -> None:
        """Run the scenario once more with changes, which are made at the cursor.

        If the cursor is before the first event, or `from_the_beginning` is true, each change is made where it makes
        sense. ChangeError if it cannot be made.
        """
        if self.scenario is None:
            raise ChangeError("only a scenario can run again with a change, and this is a recording")
        if self.changed:
            raise ChangeError("this is the changed run; x goes back to the first run, which can be changed")
        chosen = [changes.parse(text) for text in texts]
        at = self.cursor if self.cursor.position >= 0 and not from_the_beginning else None
        timeline = branch(self.scenario, at, *chosen, seed=self.seed)
        self.compare_with(timeline)

    def compare_with(self, timeline: Timeline) -> None:
        """Take another run to compare with."""
        self.other = Cursor(timeline)
        self.other.breakpoints = self.cursor.breakpoints
        self.rows = compare(self.timeline, timeline)
        self.numbers = [_numbers(self.timeline), _numbers(timeline)]

    def swap(self) -> bool:
        """Switch to the other run at the same time. Return False if there is no other run."""
        if self.other is None:
            return False
        time = self.cursor.time
        self.cursor, self.other = self.other, self.cursor
        self.timeline = self.cursor.timeline
        self.cursor.goto(time=time)
        self.clicked = (-1, -1)
        self.since, self.pinned, self._tree = self.cursor.position - 1, "", None
        self.changed = not self.changed
        return True

    def runs(self) -> "tuple[Timeline, Timeline] | None":
        """The original run and the changed one, or None."""
        if self.other is None:
            return None
        pair = (self.timeline, self.other.timeline)
        return (pair[1], pair[0]) if self.changed else pair

    # -- messages ------------------------------------------------------------------------------------------------------

    def say(self, text: str) -> None:
        """Show a message to the user."""
        self.message, self.failed = text, False

    def fail(self, text: str) -> None:
        """Show an error to the user, on one line."""
        self.message, self.failed = " ".join(text.split()), True


def _numbers(timeline: Timeline) -> str:
    """Return a run in a few numbers."""
    found = figures(timeline)
    last = found.pop("last data")
    return ", ".join(
        [
            f"last data at {last:.6f} s",
            *(f"{count} {name.removesuffix('s') if count == 1 else name}" for name, count in found.items()),
        ]
    )
