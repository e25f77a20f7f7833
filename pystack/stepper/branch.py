"""What if? Runs a scenario again with a change from one place of the timeline on, and shows both runs side by side.

A scenario is a program and a seed, so the run is the same, byte for byte, up to the change:

    nagle = scenarios.get("nagle")
    cursor = Cursor(nagle.timeline())
    cursor.goto(frame=4)
    other = branch(nagle, cursor, NoDelay("a"))
    for row in compare(cursor.timeline, other): print(row)

Changes of the network and of sockets take effect right after the event at the cursor. A change of one frame applies to
that frame, wherever the cursor is. A `Setting` changes a host's configuration from the beginning.
"""

import errno
import math
import os
import re
from difflib import SequenceMatcher
from typing import Any, NamedTuple

from pystack.sim.network import Network, SimError
from pystack.stepper.cursor import Cursor
from pystack.stepper.flight import on_the_wire
from pystack.stepper.records import Frame
from pystack.stepper.scenarios.base import Scenario
from pystack.stepper.timeline import Timeline
from pystack_c.probe import Event, Probe
from pystack_c.tcp import sockopt
from pystack_c.tcp.congestion.base import REGISTRY
from pystack_c.tcp.tcb import Tcb

SOL_TCP, TCP_NODELAY, TCP_QUICKACK, TCP_CONGESTION = 6, 1, 12, 13
#: If there are more frames than this, two runs are compared only by the order of their frames.
TOO_MANY = 4000


class ChangeError(ValueError):
    """A change that cannot be made. The message is one line."""


class Change:
    """One difference from the scenario. `text` describes it."""

    text = ""

    def prepare(self, net: Network, timeline: Timeline) -> None:
        """Called before the scenario builds anything."""

    def apply(self, net: Network) -> None:
        """Make the change, at the place of the cursor."""

    def place(self, timeline: Timeline) -> int:
        """Return the event after which to apply the change if no cursor says it."""
        return 0

    def sent(self, net: Network, event: Event) -> None:
        """Called just before a host hands a frame to its device."""

    def done(self, timeline: Timeline) -> None:
        """Called after the run, with its timeline. ChangeError: nothing could be changed."""

    def __repr__(self) -> str:
        return f"<what if {self.text}>"


# -- one frame -------------------------------------------------------------------------------------------------------


class FrameChange(Change):
    """Changes what happens on the way to one frame, which is given by its number in the timeline."""

    def __init__(self, frame: int):
        self.frame = frame
        self.wanted = range(0)
        self.place_of = ("", "")
        self.ordinal = 0
        self.frames = 0
        self.pieces = 0
        self.count = 0

    def fate(self, arrivals: list[tuple[int, bytes]], usual: tuple[int, bytes]) -> list[tuple[int, bytes]]:
        """Return what arrives instead. `usual` is what would arrive if nothing were lost."""
        raise NotImplementedError

    def prepare(self, net: Network, timeline: Timeline) -> None:
        """Find out which of its sender's frames it is."""
        if not 1 <= self.frame <= len(timeline.frames):
            raise ChangeError(f"there is no frame {self.frame}; there are {len(timeline.frames)}")
        chosen = timeline.frames[self.frame - 1]
        if timeline.boxes:
            raise ChangeError(f"single frames cannot be changed in a run with a middlebox ({timeline.boxes[0]})")
        if chosen.outside:
            raise ChangeError(f"frame {self.frame} does not come from a recorded host")
        self.place_of = (chosen.host, chosen.iface)
        before = (timeline.frames[number] for number in range(self.frame))
        self.ordinal = sum((one.host, one.iface) == self.place_of and not one.outside for one in before)
        self.frames = self.pieces = self.count = 0
        self.wanted = range(0)

    def sent(self, net: Network, event: Event) -> None:
        """Count the sender's frames. At the first one, wrap the channel of the port."""
        if (event.host, event.fields["iface"]) != self.place_of:
            return
        port = net.hosts[event.host].port(event.fields["iface"])
        if self.frames == 0 and port.out is not None:
            self._stand_between(port.out)
        self.frames += 1
        pieces = len(on_the_wire(event.fields["frame"], port.kind, event.fields["gso_size"]))
        if self.frames == self.ordinal:
            self.wanted = range(self.pieces + 1, self.pieces + pieces + 1)
        self.pieces += pieces

    def _stand_between(self, channel: Any) -> None:
        before = channel.meddle
        full = channel.stats.drops.get("queue", 0)

        def changed(frame: bytes, now: int, arrivals: list[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
            nonlocal full
            if before is not None:
                arrivals = before(frame, now, arrivals)
            self.count += 1
            queued = channel.stats.drops.get("queue", 0) == full
            full = channel.stats.drops.get("queue", 0)
            if self.count in self.wanted:
                arrivals = self.fate(arrivals, (channel.arrival_of(len(frame), now, queued), frame))
            return arrivals

        channel.meddle = changed


class Drop(FrameChange):
    """The network loses the frame."""

    def __init__(self, frame: int):
        super().__init__(frame)
        self.text = f"frame {frame} were lost"

    def fate(self, arrivals: list[tuple[int, bytes]], usual: tuple[int, bytes]) -> list[tuple[int, bytes]]:
        """Return nothing."""
        return []


class Deliver(FrameChange):
    """The network does not lose the frame."""

    def __init__(self, frame: int):
        super().__init__(frame)
        self.text = f"frame {frame} had arrived"

    def fate(self, arrivals: list[tuple[int, bytes]], usual: tuple[int, bytes]) -> list[tuple[int, bytes]]:
        """Return the frame at the time when it has passed over the wire."""
        return arrivals or [usual]


class Hold(FrameChange):
    """The frame arrives `extra` ns later."""

    def __init__(self, frame: int, extra: int):
        super().__init__(frame)
        self.extra = extra
        self.text = f"frame {frame} had arrived {extra / 1e6:g} ms later"

    def fate(self, arrivals: list[tuple[int, bytes]], usual: tuple[int, bytes]) -> list[tuple[int, bytes]]:
        """Return the frame, later."""
        return [(time + self.extra, data) for time, data in arrivals]


class Repeat(FrameChange):
    """The frame arrives twice."""

    def __init__(self, frame: int):
        super().__init__(frame)
        self.text = f"frame {frame} had arrived twice"

    def fate(self, arrivals: list[tuple[int, bytes]], usual: tuple[int, bytes]) -> list[tuple[int, bytes]]:
        """Return the frame twice."""
        return arrivals * 2


# -- sockets, links, settings ----------------------------------------------------------------------------------------


class SetOption(Change):
    """Sets a socket option on all TCP connections that the host has at that place."""

    def __init__(self, host: str, level: int, name: int, value: Any, text: str = ""):
        self.host, self.level, self.name, self.value = host, level, name, value
        self.text = text or f"{host} had set option {level}, {name} to {value!r}"

    def place(self, timeline: Timeline) -> int:
        """Return the first event at which a program on the host has an open connection: it has connected, or accepted one."""
        if self.host not in timeline.hosts:
            raise ChangeError(f"there is no host {self.host!r}; there are {', '.join(timeline.hosts)}")
        for entry in timeline.events:
            if entry.host != self.host:
                continue
            fields = entry.fields
            if entry.kind == "tcp.state" and fields["new"] == "ESTABLISHED" and fields["old"] == "SYN-SENT":
                return entry.index
            if entry.kind == "return" and fields["name"] == "accept" and fields["result"] is not None:
                return entry.index
        raise ChangeError(f"{self.host} has no connection in this scenario")

    def apply(self, net: Network) -> None:
        """Call setsockopt, as an application would."""
        host = net.hosts.get(self.host)
        if host is None:
            raise ChangeError(f"there is no host {self.host!r}; there are {', '.join(net.hosts)}")
        tcbs = [tcb for tcb in host.stack.endpoints.values() if isinstance(tcb, Tcb)]
        # No program has a connection that waits to be accepted, so none can set its options.
        waiting = {id(one) for tcb in tcbs if tcb.listening() for one in tcb.listener.accept_queue}
        chosen = [tcb for tcb in tcbs if not tcb.listening() and tcb.parent is None and id(tcb) not in waiting]
        if not chosen:
            raise ChangeError(f"{self.host} has no connection at that place")
        for tcb in chosen:
            try:
                host.call(sockopt.setsockopt, tcb, self.level, self.name, self.value)
            except OSError as error:
                what = os.strerror(error.errno or 0)
                if error.errno == errno.ENOENT and self.name == TCP_CONGESTION:
                    what = f"there is no such congestion control; there are {', '.join(sorted(REGISTRY))}"
                raise ChangeError(f"{self.text}: {what}") from None


def NoDelay(host: str) -> SetOption:
    """Set TCP_NODELAY, which turns off Nagle's algorithm."""
    return SetOption(host, SOL_TCP, TCP_NODELAY, 1, f"{host} had set TCP_NODELAY")


def QuickAck(host: str) -> SetOption:
    """Set TCP_QUICKACK, which turns off delayed ACKs for a while."""
    return SetOption(host, SOL_TCP, TCP_QUICKACK, 1, f"{host} had set TCP_QUICKACK")


def Congestion(host: str, algorithm: str) -> SetOption:
    """Set TCP_CONGESTION, which selects another congestion control."""
    return SetOption(host, SOL_TCP, TCP_CONGESTION, algorithm, f"{host} had used {algorithm}")


class LinkSet(Change):
    """Changes a setting of all links, or of one by its name: delay, rate, loss, queue, ... (see Channel)."""

    def __init__(self, link: str = "", **settings: Any):
        self.link, self.settings = link, settings
        words = ", ".join(
            f"{name} {value / 1e6:g} ms" if name in ("delay", "jitter") else f"{name} {value}"
            for name, value in settings.items()
        )
        self.text = f"{link or 'all links'} had {words}"

    def apply(self, net: Network) -> None:
        """Change the setting for the frames that are sent from now on."""
        if self.link and self.link not in net.links:
            raise ChangeError(f"there is no link {self.link!r}; there are {', '.join(net.links)}")
        for name, link in net.links.items():
            if self.link in ("", name):
                try:
                    link.set(**self.settings)
                except TypeError as error:
                    raise ChangeError(str(error)) from None


class Setting(Change):
    """Changes a setting of a host's configuration from the beginning."""

    def __init__(self, host: str, name: str, value: Any):
        self.host, self.name, self.value = host, name, value
        self.text = f"{host} had {name} = {value}"

    def prepare(self, net: Network, timeline: Timeline) -> None:
        """Make the network create the host with the setting."""
        if self.host not in timeline.hosts:
            raise ChangeError(f"there is no host {self.host!r}; there are {', '.join(timeline.hosts)}")
        make = net.host

        def host(name: str, *args: Any, **settings: Any) -> Any:
            return make(name, *args, **(settings | ({self.name: self.value} if name == self.host else {})))

        setattr(net, "host", host)  # noqa: B010 (a method of this one network)


# -- running it ------------------------------------------------------------------------------------------------------


class _Watch(Probe):
    """Counts the events of all hosts as the timeline does, and schedules the change for right after the chosen one."""

    def __init__(self, net: Network, at: int, changes: "tuple[Change, ...]"):
        self.net, self.at, self.changes = net, at, changes
        self.index = -1

    def event(self, event: Event) -> None:
        """Called in the middle of the core's work, so it changes nothing itself."""
        self.index += 1
        if event.kind == "frame.out":
            for change in self.changes:
                change.sent(self.net, event)
        if self.index == self.at:
            for change in self.changes:
                self.net.soon(change.apply, self.net)

    def flush(self) -> None:
        """Do nothing; a FrameProbe has this method, too."""


def branch(
    scenario: Scenario, at: "Cursor | int | None", *changes: Change, seed: int = 1, original: "Timeline | None" = None
) -> Timeline:
    """Return the timeline of a scenario with changes, which are made after the event at the cursor.

    If `at` is None, each change says itself where it makes sense. `original` is the timeline without changes, if there is one already.
    """
    if isinstance(at, Cursor):
        original = at.timeline
    elif original is None:
        original = scenario.timeline(seed)
    if at is None:
        index = max((change.place(original) for change in changes), default=0)
    else:
        index = at.position if isinstance(at, Cursor) else at

    before = original

    def prepare(net: Network) -> None:
        for change in changes:
            change.prepare(net, before)
        watch: Any = _Watch(net, max(index, 0), changes)
        net.frame_probe = watch

    try:
        recording = scenario.record(seed, prepare)
    except ValueError as error:
        raise error if isinstance(error, ChangeError) else ChangeError(str(error)) from None
    except SimError as error:
        raise ChangeError(f"the programs of the scenario do not end if {changes[0].text}: {error}") from None
    text = " and ".join(change.text for change in changes)
    timeline = Timeline.of(recording, f"{scenario.name}, if {text}")
    for change in changes:
        change.done(timeline)
    return timeline


# -- side by side ----------------------------------------------------------------------------------------------------


class Row(NamedTuple):
    """A frame of one run beside its counterpart in the other, or None if there is no counterpart.

    `same` is true if time, fate and bytes are equal, apart from the IPv4 identification (RFC 6864).
    """

    left: "Frame | None"
    right: "Frame | None"
    same: bool


def diverges(a: Timeline, b: Timeline) -> int:
    """Return the index of the first event that differs between the two, or -1 if all are equal."""
    for index in range(min(len(a.events), len(b.events))):
        one, two = a.events[index], b.events[index]
        if (one.time, one.host, str(one.kind), one.subject, one.reason, one.fields) != (
            two.time, two.host, str(two.kind), two.subject, two.reason, two.fields,
        ):  # fmt: skip
            return index
    return -1 if len(a.events) == len(b.events) else min(len(a.events), len(b.events))


def compare(a: Timeline, b: Timeline) -> list[Row]:
    """Return the frames of two runs, each beside its counterpart."""
    left, right = list(a.frames), list(b.frames)
    rows: list[Row] = []
    start = 0
    while start < min(len(left), len(right)) and _same(left[start], right[start]):
        rows.append(Row(left[start], right[start], True))
        start += 1
    left, right = left[start:], right[start:]
    if len(left) + len(right) > TOO_MANY:
        return rows + _in_order(left, right)
    matcher = SequenceMatcher(None, [_key(one) for one in left], [_key(one) for one in right], autojunk=False)
    for tag, a0, a1, b0, b1 in matcher.get_opcodes():
        if tag == "equal":
            rows.extend(Row(one, two, _same(one, two)) for one, two in zip(left[a0:a1], right[b0:b1]))
        else:
            rows.extend(_by_time(left[a0:a1], right[b0:b1]))
    return rows


def _in_order(left: list[Frame], right: list[Frame]) -> list[Row]:
    count = max(len(left), len(right))
    pairs = [(left[i] if i < len(left) else None, right[i] if i < len(right) else None) for i in range(count)]
    return [Row(one, two, one is not None and two is not None and _same(one, two)) for one, two in pairs]


def _by_time(left: list[Frame], right: list[Frame]) -> list[Row]:
    """Return the frames without a counterpart, ordered by time."""
    both = [Row(one, None, False) for one in left] + [Row(None, one, False) for one in right]
    return sorted(both, key=lambda row: (row.left or row.right).time)  # type: ignore[union-attr]


def _same(one: Frame, two: Frame) -> bool:
    if (one.time, one.host, one.length, one.fate) != (two.time, two.host, two.length, two.fate):
        return False
    return one.data == two.data or _unnumbered(one.data) == _unnumbered(two.data)


def _unnumbered(data: bytes) -> bytes:
    """Return a frame without the identification of its IPv4 header and the checksum over it.

    One additional packet shifts the identification of all later ones.
    """
    if len(data) >= 34 and data[12:14] == b"\x08\x00":
        at = 14
    elif len(data) >= 20 and data[0] >> 4 == 4:
        at = 0
    else:
        return data
    return data[: at + 4] + data[at + 6 : at + 10] + data[at + 12 :]


def _key(frame: Frame) -> tuple[Any, ...]:
    """Return what identifies a frame's counterpart: who sends what to whom, without the time, window and options."""
    return (frame.host, frame.to, re.sub(r", (options \[[^][]*\]|win \d+)", "", frame.summary))


def figures(timeline: Timeline) -> dict[str, Any]:
    """Return a run in a few numbers: the time until the last data arrived, frames, losses, retransmissions."""
    arrivals = [frame.arrival for frame in timeline.frames if frame.arrival is not None and frame.length > 80]
    kinds = [str(entry.kind) for entry in timeline.events]
    return {
        "last data": (max(arrivals) - timeline.start) / 1e9 if arrivals else math.nan,
        "frames": len(timeline.frames),
        "lost": sum(frame.fate in ("lost", "dropped") for frame in timeline.frames),
        "retransmissions": kinds.count("tcp.retransmit"),
    }
