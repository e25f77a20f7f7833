"""The data of the page: a timeline in chunks that fit JSON. The server sends them, and the exported page contains them.

The shapes are those of web/src/types.ts. Times are those of the trace; the page subtracts `start`.
"""

import re
from typing import TYPE_CHECKING, Any

import pystack
from pystack.stepper import explain, figure5, messages, snapshot, streams
from pystack.stepper.dissect.application import PROTOCOLS
from pystack.stepper.plot import data as plot
from pystack.stepper.plot.ladder import gaps, ladder
from pystack.stepper.timing.requests import Requests
from pystack_c.probe import KINDS

if TYPE_CHECKING:
    from pystack.stepper.scenarios import Scenario
    from pystack.stepper.timeline import Timeline

EVENT_CHUNK = 128
FRAME_CHUNK = 32
#: how many bytes of a frame are shown (a frame for segmentation offload has up to 64 KB)
MOST_BYTES = 2048
#: for how many connections and ARP entries the page gets the state in each chunk, besides those of the chunk's events
MOST_OBJECTS = 64

FATES = ("delivered", "lost", "dropped", "unknown")
#: added to the fate of a frame that is a retransmission
AGAIN = 4
#: the fields of a connection's block that the plots draw
LINES = ("cwnd", "ssthresh", "in_flight", "srtt", "rto", "snd_wnd")

_OPERATORS = re.compile(r"[=<>()\[\]\"']|\b(?:not|and|or|in|is)\b")


def is_words(text: str) -> bool:
    """Return True if the text is words to search in the events' lines, and not an expression.

    web/src/embedded.ts has the same rule.
    """
    return _OPERATORS.search(text) is None


class Trace:
    """A timeline prepared for the page: an overview, and chunks of events and frames."""

    def __init__(self, timeline: "Timeline", scenario: "Scenario | None" = None, note: str = ""):
        self.timeline = timeline
        self.scenario = scenario
        self.note = note
        self.scan = _Scan(timeline)
        self.connections = plot.connections(timeline)
        self.requests = Requests(timeline)
        self._overview: dict[str, Any] | None = None
        self._talks: list[streams.StreamTalk] | None = None
        self._plots: dict[str, dict[str, Any]] = {}

    def overview(self) -> dict[str, Any]:
        """Return everything that is not in chunks. The page fetches it once."""
        if self._overview is None:
            self._overview = self._make_overview()
        return self._overview

    def _make_overview(self) -> dict[str, Any]:
        timeline, scenario = self.timeline, self.scenario
        scan = self.scan
        numbers = {key: number for number, key in enumerate(self.connections)}
        counts = {kind: {"count": n, "text": KINDS[kind][1] if kind in KINDS else ""} for kind, n in scan.kinds.items()}
        return {
            "name": timeline.name,
            "version": pystack.__version__,
            "title": scenario.title if scenario else str(timeline.meta.get("title", "")),
            "question": scenario.question if scenario else "",
            "answers": scenario.answers(timeline) if scenario else [],
            "story": " ".join(scenario.story.split()) if scenario else "",
            "note": self.note,
            "scenario": scenario.name if scenario else "",
            "pane": scenario.pane if scenario else "",
            "tries": [],
            "inferred": timeline.inferred,
            "hosts": timeline.hosts,
            "start": timeline.start,
            "duration": timeline.end - timeline.start,
            "events": len(timeline.events),
            "frames": len(timeline.frames),
            "part": False,
            "firstEvent": 0,
            "firstFrame": 0,
            "eventChunk": EVENT_CHUNK,
            "frameChunk": FRAME_CHUNK,
            "chunkTimes": scan.chunk_times,
            "kinds": counts,
            "fields": list(snapshot.FIELDS),
            "transitions": [[*pair, cause, known] for pair, (cause, known) in figure5.edges().items()],
            "stateChanges": [
                [event, numbers[key], old, new] for event, key, old, new in scan.state_changes if key in numbers
            ],
            "connections": self.connections,
            "ladder": _ladder(timeline, scan),
        }

    def bounds(self) -> tuple[int, int]:
        """Return the first event of the page's data and the one after the last."""
        return 0, len(self.timeline.events)

    def sizes(self) -> tuple[int, int]:
        """Return how many events and frames the page's data has."""
        return len(self.timeline.events), len(self.timeline.frames)

    def tries(self) -> list[list[str]]:
        """Return the what-ifs that the scenario suggests: the changes, and their text."""
        return [list(one) for one in self.scenario.tries] if self.scenario else []

    def following(self) -> list[str] | None:
        """Return name and title of the next scenario of the course, or None after the last one."""
        from pystack.stepper import scenarios

        if self.scenario is None or self.scenario.name not in scenarios.NAMES:
            return None
        place = scenarios.NAMES.index(self.scenario.name) + 1
        if place == len(scenarios.NAMES):
            return None
        return [scenarios.NAMES[place], scenarios.get(scenarios.NAMES[place]).title]

    # -- events ------------------------------------------------------------------------------------------------------

    def events(self, number: int) -> dict[str, Any]:
        """Return a chunk of events, the state before it, and the changes by each event. LookupError if there is none."""
        first = number * EVENT_CHUNK
        if not 0 <= first < len(self.timeline.events):
            raise LookupError(f"no events {number}")
        return self.events_between(first, first + EVENT_CHUNK)

    def events_between(self, first: int, last: int) -> dict[str, Any]:
        """Return the events from `first` up to, but not including, `last`."""
        timeline = self.timeline
        entries = timeline.events[first:last]
        changes = [self._changes(entry.index) for entry in entries]
        touched = [entry.conn for entry in entries]
        for change in changes:
            touched.extend(change or ())
        return {
            "first": first,
            "events": [{**entry.as_dict(), "text": words(timeline, entry)} for entry in entries],
            "links": {entry.rfc: timeline.link(entry.rfc) for entry in entries if entry.rfc},
            "base": self._base(first - 1, dict.fromkeys(touched)),
            "changes": changes,
        }

    def _base(self, index: int, touched: dict[str, None]) -> dict[str, Any]:
        objects = {**self.timeline.state(index), **self.timeline.arp(index)}
        if len(objects) <= MOST_OBJECTS:
            return objects
        return {key: fields for n, (key, fields) in enumerate(objects.items()) if n < MOST_OBJECTS or key in touched}

    def _changes(self, index: int) -> dict[str, Any] | None:
        """Return the fields that changed by key: all fields of a new object, and None for one that is gone."""
        found: dict[str, Any] = {}
        timeline = self.timeline
        for key, fields in timeline.diff(index).items():
            whole = timeline.arp(index).get(key) if " arp " in key else timeline.tcb(index, key)
            if whole is None:
                found[key] = None
            elif fields.get("state", ("", ""))[0] is None:
                found[key] = whole
            else:
                found[key] = {name: after for name, (_, after) in fields.items()}
        return found or None

    def why(self, index: int) -> str:
        """Explain in sentences why an event happened."""
        return str(explain.why(self.timeline, event=index))

    # -- frames ------------------------------------------------------------------------------------------------------

    def frames(self, number: int) -> list[dict[str, Any]]:
        """Return a chunk of frames, each with its fields as a tree. LookupError if there is none."""
        first = number * FRAME_CHUNK
        if not 0 <= first < len(self.timeline.frames):
            raise LookupError(f"no frames {number}")
        return self.frames_between(first, first + FRAME_CHUNK)

    def frames_between(self, first: int, last: int) -> list[dict[str, Any]]:
        """Return the frames from `first` up to, but not including, `last`."""
        return [_frame(frame) for frame in self.timeline.frames[first:last]]

    # -- conversations -----------------------------------------------------------------------------------------------

    def frame_range(self) -> tuple[int, int]:
        """Return the first frame of the page's data and the one after the last."""
        return 0, len(self.timeline.frames)

    def talks(self) -> list[dict[str, Any]]:
        """Return the conversations of TCP and UDP."""
        if self._talks is None:
            self._talks = streams.conversations(self.timeline, *self.frame_range())
        return [
            {**talk._asdict(), "first": self.timeline.frames[talk.first].event - self.bounds()[0]}
            for talk in self._talks
        ]

    def stream(self, number: int) -> dict[str, Any]:
        """Return what both sides of a conversation said. LookupError if there is none of that number."""
        self.talks()
        assert self._talks is not None
        if not 0 <= number < len(self._talks):
            raise LookupError(f"no conversation {number}")
        pieces, cut = streams.follow(self.timeline, self._talks[number], self.frame_range()[1])
        shifts = (self.frame_range()[0], self.bounds()[0])
        return streams.as_json(self.timeline, pieces, cut, shifts, messages.spoken)

    # -- plots -------------------------------------------------------------------------------------------------------

    def plots(self, key: str) -> dict[str, Any]:
        """Return the data of the plots of one connection. LookupError if there is none."""
        if key not in self.connections:
            raise LookupError(f"no connection {key!r}")
        if key not in self._plots:
            self._plots[key] = self._make_plots(key)
        return self._plots[key]

    def _make_plots(self, key: str) -> dict[str, Any]:
        seq = plot.sequence(self.timeline, key)
        return {
            "key": key,
            "segments": {
                "time": [s.time for s in seq.segments],
                "low": [s.low for s in seq.segments],
                "high": [s.high for s in seq.segments],
                "kind": [s.kind for s in seq.segments],
                "event": [s.event for s in seq.segments],
                "lost": [s.lost for s in seq.segments],
            },
            "acked": list(seq.acked),
            "edge": list(seq.edge),
            "sacks": _columns(("time", "low", "high", "event"), seq.sacks),
            "lines": {name: list(plot.steps(self.timeline, key, name)) for name in LINES},
            "samples": _columns(("time", "value", "event"), plot.rtt(self.timeline, key).samples),
        }


def _columns(names: tuple[str, ...], rows: Any) -> dict[str, list[int]]:
    return {name: [row[place] for row in rows] for place, name in enumerate(names)}


class _Scan:
    """The results of one pass over all events: counts, changes of state, dropped and repeated frames."""

    def __init__(self, timeline: "Timeline"):
        self.kinds: dict[str, int] = {}
        self.state_changes: list[list[Any]] = []
        self.dropped: dict[int, bool] = {}
        self.again: dict[int, bool] = {}
        self.chunk_times: list[int] = []
        index = plot.Index(timeline)
        plot.keep_index(timeline, index)
        for entry in timeline.events:
            index.take(entry)
            if entry.index % EVENT_CHUNK == 0:
                self.chunk_times.append(entry.time)
            kind = str(entry.kind)
            self.kinds[kind] = self.kinds.get(kind, 0) + 1
            if kind == "tcp.state":
                old, new = entry.fields["old"], entry.fields["new"]
                self.state_changes.append([entry.index, entry.conn, old, new])
            elif kind == "drop" and entry.frame >= 0:
                self.dropped[entry.frame] = True
            elif kind == "tcp.retransmit" and entry.frame >= 0:
                self.again[entry.frame] = True


def _ladder(timeline: "Timeline", scan: _Scan) -> dict[str, Any]:
    fates = []
    for frame in timeline.frames:
        if frame.arrived >= 0:
            # The drop may be that of a copy at another host, such as on a link that has more than two.
            fate = frame.fate if frame.index in scan.dropped else "delivered"
        else:
            fate = timeline.missing(frame)
        fates.append(FATES.index(fate) + (AGAIN if frame.index in scan.again else 0))
    found = ladder(timeline)
    # A call that shares its row with a frame would hide the states there, which say more.
    marks = [[mark.event, mark.line, mark.kind, mark.text] for mark in found.marks if mark.own or mark.kind != "call"]
    return {**found._asdict(), "fates": fates, "marks": marks, "gaps": gaps(found.times)}


def words(timeline: "Timeline", entry: Any) -> str:
    """Return an event in words, without its RFC reference, which is shown beside it as a link. A frame is its summary."""
    if entry.kind in ("frame.in", "frame.out") and entry.frame >= 0:
        frame = timeline.frames[entry.frame]
        return f"frame {frame.number} {'into' if entry.kind == 'frame.in' else 'out of'} {entry.fields['iface']}: {plot.short(frame.summary)}"
    text: str = entry.text()
    return text.removesuffix(f" [{entry.rfc}]") if entry.rfc else text


def _frame(frame: Any) -> dict[str, Any]:
    tree = messages.tree(frame)
    above = next((layer for layer in tree.layers if layer.abbrev in PROTOCOLS), None)
    label = plot.short(frame.summary)
    # the layer of DNS and the words about the datagram say the same
    parts = [above.line] if above is not None else []
    if above is None or above.abbrev != "dns":
        parts.append(messages.beside(frame))
    said = "; ".join(text for text in parts if text)
    if said:
        label = said if label.startswith("UDP") else f"{said}  {label}"
    return {
        "index": frame.index, "number": frame.number, "time": frame.time, "arrival": frame.arrival, "host": frame.host,
        "to": frame.to, "iface": frame.iface, "hex": frame.data[:MOST_BYTES].hex(), "length": frame.length,
        "altered": frame.altered, "conn": frame.conn, "link": frame.link, "gso_size": frame.gso_size,
        "summary": frame.summary, "label": label, "reasons": frame.reasons, "drops": frame.drops,
        "event": frame.event, "arrived": frame.arrived, "fate": frame.fate,
        "tree": [_node(node) for node in tree.layers],
    }  # fmt: skip


def _node(node: Any) -> dict[str, Any]:
    return {
        "name": node.name, "abbrev": node.abbrev, "at": node.offset_bits, "width": node.width_bits, "bits": node.bits,
        "text": node.text, "meaning": node.meaning, "children": [_node(child) for child in node.children],
    }  # fmt: skip
