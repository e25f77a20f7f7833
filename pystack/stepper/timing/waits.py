"""The waits that are open while the walk goes back: what a span was waited for."""

from bisect import bisect_left, bisect_right
from typing import Any

import pystack_c.const as C
from pystack.stepper.gathered import CONNECT, INPUTS, RECV, SEND, conditions
from pystack.stepper.keys import ConnKey
from pystack.stepper.records import HOST, KIND, TIME, Entry, Frame
from pystack.stepper.timeline import Timeline
from pystack.stepper.timing.echo import shortest
from pystack.stepper.timing.index import Lookup
from pystack.stepper.timing.tls import Handshakes

#: a condition in tcp.hold -> why
HOLDS = {
    "window": "receive window", "zero-window": "zero window", "silly-window": "silly window", "cwnd": "congestion window", "group": "congestion window",
    "mtu-probe": "congestion window", "nagle": "Nagle", "cork": "cork", "pacing": "pacing", "route": "route",
}  # fmt: skip
#: the counter of a drop -> why
DROPS = {"tcp-accept-queue-full": "backlog", "tcp-syn-queue-full": "backlog", "forward-too-big": "path MTU"}
#: how many events, arrivals of data and hops are looked at for one wait
REACH, MOST_READS, MOST_HOPS = 4000, 1000, 64
ARP, IPV4, DNS_PORT = 0x0806, 0x0800, 53


class Wait:
    """A wait that opened at a time: why, and in words. `also` names other conditions that were satisfied at its end, too."""

    def __init__(self, opened: int, why: str, text: str, also: tuple[str, ...] = ()):
        self.opened = opened
        self.why = why
        self.text = text
        self.also = also


class Waits:
    """A stack of waits. The walk goes back in time, so a wait ends for it where the wait opened."""

    def __init__(self, timeline: Timeline, index: Lookup, tls: Handshakes | None = None):
        self.timeline = timeline
        self.events = timeline.events
        self.index = index
        self.tls = Handshakes(timeline, index) if tls is None else tls
        self.open: list[Wait] = []
        self._shortest: dict[str, int] = {}

    def why(self, time: int) -> tuple[str, int]:
        """Return why the time just before `time` passed, and when that wait opened ("" and 0: no wait is open)."""
        while self.open and self.open[-1].opened >= time:
            self.open.pop()
        return (self.open[-1].why, self.open[-1].opened) if self.open else ("", 0)

    def text(self) -> str:
        """Return the wait that is open in words."""
        return self.open[-1].text if self.open else ""

    def also(self) -> tuple[str, ...]:
        """Return what else was waited for in the wait that is open."""
        return self.open[-1].also if self.open else ()

    def push(self, opened: int, why: str, text: str, also: tuple[str, ...] = ()) -> None:
        """A wait was open until the place where the walk is."""
        self.open.append(Wait(opened, why, text, also))

    # -- where waits show --------------------------------------------------------------------------------------------

    def at_end(self, entry: Entry) -> None:
        """The walk begins at an event: did bytes that it completes arrive long before?"""
        if entry.kind != "tcp.data" or not entry.conn:
            return
        kept = self.index.last("tcp.ooo", entry.conn, entry.index)
        if kept < 0:
            return
        last, early = self.events[entry.index].fields, self.events[kept].fields
        ends = (early["seq"] + early["length"] - last["seq"]) & 0xFFFFFFFF
        if 0 < ends <= last["length"]:
            self.push(
                self.events[kept].time, "head of line", "bytes that arrived earlier waited for the ones before them"
            )

    def at_step(self, entry: Entry) -> None:
        """A program calls: did data wait for it, or for an earlier call of the same step?"""
        step_of = self.timeline.ways.step_of
        host = self.events.value(entry.index, HOST)
        inputs, what = self.index.inputs[host], self.index.what[host]
        at = bisect_right(inputs, entry.index) - 1
        number = step_of[entry.index]
        while at >= 0 and step_of.get(inputs[at]) == number:
            conn = self.index.conn(inputs[at])
            if what[at] == RECV and conn:
                self._received(inputs[at], conn)
            elif what[at] == SEND and conn:
                self._sent(inputs[at], conn)
            at -= 1

    def _received(self, call: int, conn: str) -> None:
        """A program read from a connection: did the data wait for it?"""
        arrived = self.index.last("tcp.data", conn, call)
        # To look up a state takes longer than all else, so do it only for data that may have waited.
        if arrived < 0 or self.events.value(arrived, TIME) == self.events.value(call, TIME):
            return
        state = self.timeline.tcb(call - 1, conn)
        if state and state.get("recvbuf"):
            text = f"{state['recvbuf']} bytes waited until the program read them"
            self.push(self.events[arrived].time, "reading late", text)

    def _sent(self, call: int, conn: str) -> None:
        """A program wrote to a connection: was there no room when it did so before?"""
        before = self.index.last("call", conn, call)
        if before >= 0 and self.index.what_is(before) == SEND and _cut_short(self.events[before]):
            text = "the send buffer was full when the program wrote before"
            self.push(self.events[before].time, "send buffer", text)

    def relayed(self, entry: Entry, woken: int) -> None:
        """A program on one connection was woken by data on another one: did data that it passes on wait for the last of it?"""
        source = self.events[woken].conn if woken >= 0 else ""
        if not entry.conn or not source or source == entry.conn or self.events[woken].host != entry.host:
            return
        what, size = self.index.what_is(entry.index), entry.fields.get("result")
        if what == CONNECT:
            size = self._sent_before_answer(entry)
        elif what != SEND:
            return
        if not isinstance(size, int) or size <= 0:
            return
        # Data that came before the host's own last data on that connection answered something else.
        first, at, since = -1, entry.index, self._data_before(source, woken)
        for _ in range(MOST_READS):
            at = self.index.last("tcp.data", source, at)
            if at <= since or size <= 0:
                break
            first, size = at, size - self.events[at].fields["length"]
        if first >= 0 and self.events[first].time < self.events[woken].time:
            text = f"bytes that {entry.host} passes on waited there until it had more of them"
            self.push(self.events[first].time, "proxy buffer", text)

    def reassembled(self, entry: Entry) -> None:
        """A frame arrived: was it the last missing fragment of a datagram?"""
        done = self._during(entry, "ip.reassembled") if self.index.reassembled else None
        if done is None:
            return
        first = None
        for at in range(entry.index - 1, max(entry.index - REACH, -1), -1):
            other = self.events[at]
            if other.kind == "ip.held" and other.host == entry.host and other.fields["ident"] == done.fields["ident"]:
                first = other
            elif other.kind == "ip.reassembled" and other.host == entry.host and first is not None:
                break
        if first is not None:
            self.push(first.time, "reassembly", f"the first fragments waited for frame {entry.frame + 1}")

    def _during(self, entry: Entry, kind: str) -> Entry | None:
        """Return the first event of a kind while the host works on an input."""
        for at in range(entry.index + 1, min(entry.index + 40, len(self.events))):
            other = self.events[at]
            if other.host == entry.host:
                if other.kind in INPUTS:
                    return None
                if other.kind == kind:
                    return other
        return None

    def _sent_before_answer(self, entry: Entry) -> int:
        """Return how many bytes a connection, which a program opens, sends before the first answer."""
        answers, outs = self.index.all("tcp.data", entry.conn), self.index.all("text", entry.conn)
        at = bisect_right(answers, entry.index)
        end = bisect_left(outs, answers[at]) if at < len(answers) else len(outs)
        return sum(self.events[at].fields["length"] for at in outs[bisect_right(outs, entry.index) : end])

    def on_the_way(self, frame: Frame) -> None:
        """The walk goes back along a frame: what is it for, if it carries no data?"""
        why, text = frame_wait(frame)
        # If an acknowledgement is waited for, it does not matter that the segment that it answers belongs to a handshake.
        if not why and not (self.open and self.open[-1].opened <= frame.time) and self.tls.of_frame(frame):
            why, text = "TLS handshake", f"frame {frame.number} carries a part of the handshake of TLS"
        if why:
            self.push(frame.time, why, text)

    def before_sending(self, frame: Frame, piece: int = 0) -> None:
        """The walk has come to where a frame was sent, of which the device made pieces: what had to happen before this piece?"""
        kinds = [self.events.value(at, KIND) for at in frame.why]
        if "tcp.out" not in kinds:
            return
        at = frame.why[kinds.index("tcp.out")]
        if "tcp.retransmit" in kinds:
            self._retransmitted(frame, self.events[at])
        elif self.index.conn(at) in self.index.holds:
            out = self.events[at]
            if out.fields["length"] > 0:
                self._held(frame, out, (out.fields["seq"] + piece * frame.gso_size) & 0xFFFFFFFF)

    def _retransmitted(self, frame: Frame, out: Entry) -> None:
        sent = self.index.first_sent(out.conn, out.fields["seq"])
        cause = self.events[self.index.input_of(frame.event)]
        timer = cause.fields.get("timer", "") if cause.kind == "timer.fired" else ""
        dropped = self._dropped(self.events[sent].frame)
        if dropped:
            why = dropped
        elif out.fields["flags"] & C.SYN:
            why = "SYN retransmission"
        elif "too large for the path" in out.reason:
            why = "path MTU"
        elif timer == "retransmission" or "when the RTO expired" in out.reason:
            why = "loss, retransmission timeout"
        elif timer == "loss-probe":
            why = "loss, tail probe"
        else:
            why = "loss, fast retransmit" if cause.kind == "frame.in" else "loss"
        text = f"frame {frame.number} repeats what frame {self.events[sent].frame + 1} carried"
        self.push(self.events[sent].time, why, text)
        held = self.index.lost_and_held(out.conn, out.fields["seq"], cause.index)
        if held >= 0:
            entry = self.events[held]
            also = tuple(HOLDS[name] for name in conditions(entry.fields))
            self.push(entry.time, why, f"{text}, and it waited: {entry.reason}", also)

    def _dropped(self, index: int) -> str:
        """Return the why that a drop by a host on the way stands for: "backlog", "filter", "path MTU"; or "": the frame was lost, or arrived."""
        for _ in range(MOST_HOPS):
            frame = self.timeline.frames[index] if index >= 0 else None
            if frame is None or frame.arrived < 0:
                return ""
            arrival = self.events[frame.arrived]
            drop = self._during(arrival, "drop")
            if drop is not None:
                name = str(drop.fields["name"])
                return DROPS.get(name, "filter" if name.startswith(("nft-", "filter-", "ct-", "nat-")) else "")
            if self._during(arrival, "ip.forward") is None:
                return ""
            onward = self._during(arrival, "frame.out")
            index = -1 if onward is None else onward.frame
        return ""

    def _held(self, frame: Frame, out: Entry, seq: int) -> None:
        """Push the waits of new data that the sender held back: one for each row of conditions, so that the latest is on top."""
        waits = []
        for held in reversed(self.index.held(out.conn, seq, self.index.input_of(frame.event))):
            first, *others = held.by
            text = f"the data of frame {frame.number} waited: {held.reason}" + (
                f" ({held.phase})" if held.phase else ""
            )
            waits.append(Wait(held.time, HOLDS[first], text, tuple(HOLDS[name] for name in others)))
        # Frames of one write have most of their waits in common.
        last = [(wait.opened, wait.why) for wait in self.open[-len(waits) :]] if waits else []
        if last != [(wait.opened, wait.why) for wait in waits]:
            self.open.extend(waits)

    def _data_before(self, conn: str, before: int) -> int:
        return self.index.last("text", conn, before)

    def departure(self, fired: Entry, since: int) -> int:
        """Return the event from which a pacing timer counts: the departure of the connection's segment before it."""
        sent = self._data_before(fired.conn, fired.index) if fired.conn else -1
        return since if sent < 0 else sent

    # -- the other side, if nobody recorded it -----------------------------------------------------------------------

    def shortest_round_trip(self, conn: str) -> int:
        """Return the shortest round trip that a connection measured, or that its timestamps show; or -1."""
        if conn not in self._shortest:
            samples = [self.events[at].fields["sample"] for at in self.index.all("tcp.rtt", conn)]
            echo = shortest(self.timeline, self._passed(conn)) if samples else -1
            self._shortest[conn] = min(samples + [echo] * (echo >= 0), default=-1)
        return self._shortest[conn]

    def _passed(self, conn: str) -> list[tuple[int, int, bool]]:
        """Return the frames of a connection as shortest() takes them."""
        places = [(at, True) for at in self.index.all("frame.out", conn)]
        host = ConnKey.of(conn).host
        inputs = self.index.inputs[self.timeline.hosts.index(host)] if host in self.timeline.hosts else []
        came = (at for at in inputs if self.timeline.kind(at) == "frame.in")
        places += [(at, False) for at in came if self.events[at].conn == conn]
        entries = [(self.events[at], mine) for at, mine in sorted(places)]
        return [(entry.time, entry.frame, mine) for entry, mine in entries if entry.frame >= 0]

    def sent_before(self, conn: str, time: int, before: int) -> int:
        """Return the last event at which a connection sent a frame, up to a time; or -1."""
        at = before
        while (at := self.index.last("frame.out", conn, at)) >= 0:
            if self.events[at].time <= time:
                return at
        return -1


class NoWaits(Waits):
    """For a walk that asks only for the way, and not for what was waited."""

    def __init__(self, waits: Waits):
        super().__init__(waits.timeline, waits.index, waits.tls)
        self._shortest = waits._shortest

    def at_step(self, entry: Entry) -> None:
        """Nothing."""

    def relayed(self, entry: Entry, woken: int) -> None:
        """Nothing."""

    def reassembled(self, entry: Entry) -> None:
        """Nothing."""

    def on_the_way(self, frame: Frame) -> None:
        """Nothing."""

    def before_sending(self, frame: Frame, piece: int = 0) -> None:
        """Nothing."""


def _cut_short(entry: Entry) -> bool:
    """Return True if a call to send took less than all of its data."""
    fields = entry.fields
    result, args = fields.get("result"), fields.get("args") or [""]
    if not isinstance(result, int):
        return "BlockingIOError" in str(result) or "EAGAIN" in str(result)
    size = str(args[0]).partition(" ")[0]
    return size.isdigit() and result < int(size)


def frame_wait(frame: Frame) -> tuple[str, str]:
    """Return what a frame is for, if it is no data: (why, text), or ("", "")."""
    data: Any = frame.front
    if frame.link == C.LINK_ETHERNET:
        if len(data) < C.ETH_HLEN:
            return "", ""
        kind = int.from_bytes(data[12:14], "big")
        if kind == ARP:
            return "ARP", f"frame {frame.number} asks for a MAC address, or answers"
        data = data[C.ETH_HLEN :] if kind == IPV4 else b""
    if len(data) < 20 or data[0] >> 4 != 4 or int.from_bytes(data[6:8], "big") & 0x1FFF:
        return "", ""
    at = (data[0] & 15) * 4
    proto = data[9]
    if proto == C.IPPROTO_TCP and len(data) >= at + 14 and data[at + 13] & C.SYN:
        return "connection", f"frame {frame.number} is part of the handshake"
    if proto == C.IPPROTO_UDP and len(data) >= at + 4:
        ports = int.from_bytes(data[at : at + 2], "big"), int.from_bytes(data[at + 2 : at + 4], "big")
        if DNS_PORT in ports:
            return "name lookup", f"frame {frame.number} asks for a name, or answers"
    return "", ""
