"""What all queueing disciplines have in common: statistics as `tc -s qdisc` names them, events, and how a frame is marked.

A discipline has neither a clock nor a scheduler. `enqueue(frame, now)` takes a frame, `dequeue(now)` gives the next one that may be
sent, and `ready(now)` says when to ask again.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pystack_c.const as C
from pystack.sim.channel import mark_ce
from pystack.sim.middlebox import segment_of
from pystack.sim.units import rate_text

#: report(time, kind, subject, reason, rfc, fields): receives the events of a discipline
Report = Callable[[int, str, str, str, str, dict[str, Any]], None]
#: the default length of a device's queue, in packets, and of its longest frame in bytes, as on Linux
TXQUEUELEN, MTU = 1000, 1514


class Qdisc:
    """The base class. Numbers in bytes are those of whole frames, with the Ethernet header, as in tc.

    sent_bytes, sent_packets   what was given to the device
    drops     the number of drops by the name of their reason; `dropped` is their sum
    marks     the number of packets marked CE (RFC 3168), by reason
    overlimits                 how often tbf had to wait for tokens, or red chose a packet, as on Linux
    """

    kind = ""

    def __init__(self) -> None:
        self.name = ""
        self.sent_bytes = self.sent_packets = self.overlimits = 0
        self.backlog = self.qlen = 0
        self.drops: Counter[str] = Counter()
        self.marks: Counter[str] = Counter()
        self.seed: object = 0
        self._header = C.ETH_HLEN
        self._report: Report | None = None
        self._used = False

    def begin(self, name: str, seed: object, header: int, report: Report | None) -> None:
        """Put it in its place, which may happen once. `header` is the length of the link's header."""
        if self._used:
            raise ValueError(f"this {self.kind} has been in a link already: make a new one for each direction")
        self._used = True
        self.name, self.seed, self._header, self._report = name, seed, header, report

    @property
    def dropped(self) -> int:
        """All drops."""
        return sum(self.drops.values())

    # -- for the driver ------------------------------------------------------------------------------------------------

    def enqueue(self, frame: bytes, now: int) -> bool:
        """Take a frame. Returns False if it was dropped."""
        raise NotImplementedError

    def dequeue(self, now: int) -> bytes | None:
        """The next frame to send, or None if there is none now."""
        raise NotImplementedError

    def ready(self, now: int) -> int | None:
        """The time at which `dequeue` may have a frame: at once if one waits. None: not before the next `enqueue`."""
        return now if self.qlen else None

    # -- for disciplines -----------------------------------------------------------------------------------------------

    def sent(self, frame: bytes) -> bytes:
        """Count a frame that leaves. Returns it."""
        self.sent_packets += 1
        self.sent_bytes += len(frame)
        return frame

    def drop(self, frame: bytes, now: int, name: str, why: str, rfc: str = "", **fields: Any) -> None:
        """Count a drop, and report it with the length of the queue."""
        self.drops[name] += 1
        if self._report is not None:
            told = {"name": f"qdisc-{name}", "backlog": self.backlog, "qlen": self.qlen, **fields}
            self._report(now, "frame.in", "in", "", "", {"iface": "in", "frame": frame})
            self._report(now, "drop", self._subject(frame), why, rfc, told)

    def mark(self, frame: bytes, now: int, name: str, why: str, rfc: str, **fields: Any) -> bytes | None:
        """The frame, marked CE, or None if its sender does not understand that (RFC 3168 5). It counts and reports a mark."""
        marked = mark_ce(frame, self._header)
        if marked is frame and not (len(frame) >= self._header + 20 and frame[self._header + 1] & 3 == 3):
            return None
        self.marks[name] += 1
        if self._report is not None:
            told = {"action": "mark", "backlog": self.backlog, "qlen": self.qlen, **fields}
            self._report(now, "frame.in", "in", "", "", {"iface": "in", "frame": frame})
            self._report(now, "qdisc", self._subject(frame), why, rfc, told)
            self._report(now, "frame.out", "out", "", "", {"iface": "out", "frame": marked, "gso_size": 0})
        return marked

    def _subject(self, frame: bytes) -> str:
        segment = segment_of(frame, self._header)
        return self.name if segment is None else segment.subject()

    # -- looking -------------------------------------------------------------------------------------------------------

    def text(self) -> str:
        """The parameters as tc prints them."""
        return ""

    def extra(self) -> list[str]:
        """The lines that only this discipline has in `tc -s qdisc`."""
        return []

    def show(self) -> str:
        """The parameters and statistics as `tc -s qdisc` prints them."""
        lines = [
            f"qdisc {self.kind} dev {self.name} root {self.text()}".rstrip(),
            f" Sent {self.sent_bytes} bytes {self.sent_packets} pkt "
            f"(dropped {self.dropped}, overlimits {self.overlimits} requeues 0)",
            f" backlog {self.backlog}b {self.qlen}p requeues 0",
            *self.extra(),
        ]
        return "".join(line + "\n" for line in lines)

    def __repr__(self) -> str:
        return f"<{self.kind} {self.text()}>"


def whole(name: str, value: object, least: int = 1, most: int = 1 << 62) -> int:
    """The value of a parameter, an int. ValueError if it is not in least..most."""
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ValueError(f"{name}={str(value)[:40]}: write an int from {least} to {most}")
    return value


def rate_words(rate: int) -> str:
    """A rate as tc prints it: 10Mbit."""
    text = rate_text(rate)
    return text[:-4] + text[-4:].replace("kbit", "Kbit").replace("mbit", "Mbit").replace("gbit", "Gbit")
