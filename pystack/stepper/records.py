"""The elements of a timeline: an Entry for each event, a Frame for each frame."""

import re
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pystack.trace import annotate

if TYPE_CHECKING:
    from pystack.stepper.store import Block, LooseRow
    from pystack.stepper.timeline import Timeline

T = TypeVar("T")

#: kinds that are not listed among a frame's reasons
QUIET = annotate.QUIET | {"drop"}
#: the layer that a kind of event belongs to, by the part before the dot
LAYERS = {
    "frame": "link",
    "arp": "arp",
    "ip": "ip",
    "route": "ip",
    "icmp": "icmp",
    "udp": "udp",
    "raw": "raw",
    "tcp": "tcp",
    "timer": "timer",
    "call": "application",
    "crash": "application",
}


#: the attributes of an Entry
ENTRY = (
    "index", "time", "host", "kind", "subject", "endpoint", "reason", "rfc", "fields", "frame", "record", "conn",
)  # fmt: skip
#: indices into the row of an event
TIME, HOST, KIND, SUBJECT, ENDPOINT, REASON, RFC, FIELDS, FRAME, RECORD, CONN = range(11)
#: the columns of events that are packed together
EVENT_GROUPS = (TIME, HOST, KIND, FRAME, RECORD, CONN), (SUBJECT, ENDPOINT, REASON, RFC), (FIELDS,)
#: the attributes of a Frame that `as_dict` returns, beside the data
FRAME_ATTRIBUTES = (
    "index", "number", "time", "arrival", "host", "to", "iface", "length", "link", "gso_size", "summary", "event", "arrived", "why",
    "copies", "altered", "outside", "conn",
)  # fmt: skip
#: indices into the row of a frame
SENT, SENDER, IFACE, DATA, LENGTH, LINK, GSO_SIZE, SUMMARY, WHY, EVENT, TO, OUTSIDE, OWNER = range(13)
#: the columns of frames that are packed together
FRAME_GROUPS = (SENT, SENDER, LINK, GSO_SIZE, WHY, EVENT, TO, OUTSIDE, OWNER), (IFACE, LENGTH, SUMMARY), (DATA,)


class FromColumn(Generic[T]):
    """An attribute of an Entry or a Frame that is read from its column when somebody asks for it."""

    def __init__(self, place: int):
        self.place = place

    def __get__(self, owner: Any, kind: Any = None) -> T:
        return owner._block.column(self.place)[owner._at]  # type: ignore[no-any-return]


class Kind(str):
    """A kind of event. It equals its full name and the part after the dot: "tcp.retransmit" and "retransmit"."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, str):
            return False
        full, text = str(self), str(other)
        return full == text or full.rpartition(".")[2] == text

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = str.__hash__


_KINDS: dict[str, Kind] = {}


def kind_of(name: str) -> Kind:
    """Return a kind of event by its full name: one object for all events of a kind."""
    return _KINDS.get(name) or _KINDS.setdefault(name, Kind(name))


class Entry:
    """One event of a timeline.

    index       its place among all events; time in ns; host: the stack's name
    kind        a key of probe.KINDS (or "crash"); subject, reason, rfc and fields are those of the probe's event
    endpoint    the number of the endpoint it is about, or 0; conn: the connection's key, or ""
    frame       index of the frame it belongs to, or -1; record: number of the recording's record that caused it
    """

    __slots__ = ("_block", "_at", "_fields", "index", "time", "host", "kind", "frame", "record", "conn")

    #: where the row is from which the rest is read when somebody asks for it
    _block: "Block | LooseRow"
    _at: int
    _fields: dict[str, Any] | None
    index: int
    time: int
    host: str
    kind: str
    frame: int
    record: int
    conn: str
    subject = FromColumn[str](SUBJECT)
    endpoint = FromColumn[int](ENDPOINT)
    reason = FromColumn[str](REASON)
    rfc = FromColumn[str](RFC)

    @property
    def fields(self) -> dict[str, Any]:
        """The fields of the probe's event."""
        if self._fields is None:
            self._fields = self._block.column(FIELDS)[self._at]
        return self._fields

    @property
    def layer(self) -> str:
        """The layer that decided: link, arp, ip, icmp, udp, raw, tcp, timer or application."""
        if self.kind == "drop":
            return LAYERS.get(re.split(r"[-.]", self.fields.get("name", ""))[0], "link")
        return LAYERS.get(self.kind.partition(".")[0], "link")

    def text(self) -> str:
        """Return the event in words, on one line."""
        fields = self.fields
        text = self.reason
        if self.kind == "call":
            args = ", ".join(annotate.value_text(arg) for arg in fields.get("args", ()))
            text = f"{fields['name']}({args}) = {fields.get('result')}"
        elif self.kind == "timer.fired":
            text = f"the {fields['timer']} timer expired"
        elif self.kind == "drop":
            text = f"dropped ({fields['name']}): {text}"
        elif self.kind == "tcp.rto":
            text = f"{text}: {fields['old'] / 1e6:g} ms -> {fields['new'] / 1e6:g} ms"
        elif "old" in fields and "new" in fields and self.kind != "tcp.window":
            text = f"{text or self.kind}: {annotate.value_text(fields['old'])} -> {annotate.value_text(fields['new'])}"
        elif not text:
            text = " ".join(f"{name} {annotate.value_text(value)}" for name, value in fields.items())
        return f"{text} [{self.rfc}]" if self.rfc else text

    def as_dict(self) -> dict[str, Any]:
        """Return all of it, for JSON."""
        return {name: getattr(self, name) for name in ENTRY} | {"layer": self.layer, "text": self.text()}

    def __repr__(self) -> str:
        return f"<{self.index} {self.time / 1e9:.9f} {self.host} {self.kind} {self.subject}: {self.text()}>"


class Frame:
    """One frame: sent by a host of the recording, or arrived from outside.

    index, number   its place among all frames, from 0 and from 1
    time            when it was sent (from outside: when it arrived); arrival: when it arrived at the peer, or None
    host, to        the sender and the receiver: names in `timeline.lanes`
    iface           the interface that it left by (from outside: that it arrived on)
    data, length    the bytes (of very long recordings only the first ones) and how many there were
    front           at least the first 96 bytes of `data`, as far as there are so many: to read them is quicker
    link, gso_size  const.LINK_*; the segment size if the device cuts the frame, or 0
    summary         one line as tcpdump would print it
    event           index of its frame.out (from outside: frame.in); arrived: index of its frame.in at the peer, or -1
    why             indices of the events that say why it was sent
    copies          further arrivals, if it arrived more than once: (time, host, index of the frame.in)
    altered         True if it arrived with a bit changed
    conn            key of the sender's connection it belongs to, or ""
    """

    __slots__ = (
        "_timeline", "_data", "_block", "_at", "index", "number", "time", "arrival", "host", "to", "link", "gso_size",
        "event", "arrived", "why", "copies", "altered", "outside", "conn",
    )  # fmt: skip

    _timeline: "Timeline"
    _data: bytes | None
    #: where the row is from which the rest is read when somebody asks for it
    _block: "Block | LooseRow"
    _at: int
    index: int
    number: int
    time: int
    arrival: int | None
    host: str
    to: str
    link: int
    gso_size: int
    event: int
    arrived: int
    why: list[int]
    copies: list[tuple[int, str, int]]
    altered: bool
    outside: bool
    conn: str
    iface = FromColumn[str](IFACE)
    length = FromColumn[int](LENGTH)
    summary = FromColumn[str](SUMMARY)
    front = FromColumn[bytes](DATA)

    @property
    def data(self) -> bytes:
        """The bytes of the frame."""
        if self._data is None:
            self._data = self.front + self._timeline.frames.rest(self.index)
        return self._data

    @property
    def effects(self) -> list[int]:
        """Indices of the events that it caused at the receiver."""
        return self._timeline.effects(self.arrived)

    @property
    def reasons(self) -> list[str]:
        """Why it was sent, in words. For a frame from outside: what the receiver decided about it."""
        events = self._timeline.events
        chosen = self.effects if self.outside else self.why
        texts = list(dict.fromkeys(events[i].text() for i in chosen if str(events[i].kind) not in QUIET))
        if self.gso_size:
            texts.append(f"the device cuts this group into segments of {self.gso_size} bytes")
        return texts

    @property
    def drops(self) -> list[str]:
        """The drops of it at its receiver, with their reasons."""
        return self._timeline.drops(self.arrived)

    @property
    def fate(self) -> str:
        """ "delivered", "dropped" (by its receiver), "lost" (on the way) or "unknown" (it left the recording)."""
        if self.arrived >= 0:
            timeline = self._timeline
            if not self.drops or any(not timeline.drops(event) for _, _, event in self.copies):
                return "delivered"
            return "dropped"
        return self._timeline.missing(self)

    def as_dict(self) -> dict[str, Any]:
        """Return all of it, for JSON, with the data as hex."""
        found = {name: getattr(self, name) for name in FRAME_ATTRIBUTES}
        found["data"] = self.data.hex()
        for name in ("reasons", "drops", "effects", "fate"):
            found[name] = getattr(self, name)
        return found

    def __repr__(self) -> str:
        return f"<frame {self.number} {self.time / 1e9:.9f} {self.host} > {self.to or '?'}: {self.summary}>"
