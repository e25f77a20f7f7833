"""Answers "why did this happen?": names the mechanism, the values that decided, and the RFC section.

    why(timeline, event=190)         an event
    why(timeline, frame=12)          a frame: why it was sent, and what happened to it

The answer comes from the events and states around it, not from a list of answers, so it works for any recording.
"""

from collections.abc import Callable

from pystack.stepper.capture import CaptureTimeline
from pystack.stepper.capture import why as captured
from pystack.stepper.explain import (
    arrival,
    below,
    calls,
    contents,
    flow,
    loss,
    names,
    opening,
    paths,
    progress,
    queue,
    reports,
    translating,
)
from pystack.stepper.explain.base import Explanation, Look
from pystack.stepper.records import Frame
from pystack.stepper.timeline import Timeline

#: the names of the mechanisms
MECHANISMS = (
    "ack", "arp", "backlog", "bufferbloat", "close", "congestion-avoidance", "congestion-window", "cork", "cwnd", "data", "delayed-ack", "dhcp", "dns", "drop", "ecn",
    "fast-open", "fast-retransmit", "firewall", "fragment", "give-up", "handshake", "head-of-line", "icmp", "keep-alive", "load-balancing", "loss", "loss-window",
    "nagle", "pacing", "ping", "pmtud", "reset", "retransmission", "routing", "rto", "sack", "silly-window", "simultaneous-open", "slow-start",
    "syn-again", "syn-cookie", "syn-timeout", "tail-loss-probe", "time-wait", "timer", "told", "traceroute", "translation",
    "window", "window-update", "zero-window",
)  # fmt: skip

Explain = Callable[[Look], Explanation]
_KINDS: dict[str, Explain] = {
    "tcp.retransmit": loss.retransmit,
    "tcp.lost": loss.lost,
    "tcp.cwnd": loss.cwnd,
    "tcp.hold": flow.hold,
    "tcp.ack": flow.acknowledge,
    "tcp.probe": flow.probe,
    "tcp.window": flow.window,
    "tcp.state": opening.state,
    "tcp.sack": reports.sack,
    "tcp.ooo": reports.early,
    "tcp.ecn": reports.ecn,
    "tcp.mtu": paths.mtu,
    "route": paths.route,
    "icmp.error": paths.error,
    "arp.queued": below.arp,
    "arp.send": below.arp,
    "arp.state": below.arp,
    "arp.in": below.arp,
    "icmp.in": below.icmp,
    "icmp.out": below.icmp,
    "ip.forward": below.forwarded,
    "ip.fragment": below.fragments,
    "ip.held": below.fragments,
    "ip.reassembled": below.fragments,
    "dhcp.state": names.dhcp,
    "dhcp.message": names.dhcp,
    "dns": names.dns,
    "udp.out": names.datagram,
    "balance.choose": below.balance,
    "balance.direct": below.balance,
    "nat.bind": translating.bound,
    "nat.packet": translating.packet,
    "tcp.data": progress.arrived,
    "tcp.acked": progress.acknowledged,
    "tcp.rtt": progress.trip,
    "tcp.mss": progress.size,
    "tcp.fin": progress.end,
    "tcp.rto": progress.timeout,
    "tcp.recovery": progress.recovery,
    "tcp.listen": progress.listener,
    "nft.trace": progress.ruled,
    "nft.log": progress.ruled,
    "ct.new": progress.tracked,
    "ct.update": progress.tracked,
    "drop": below.dropped,
    "call": calls.call,
    "return": calls.returned,
    "qdisc": queue.discipline,
    "timer.set": below.timer,
    "timer.fired": below.timer,
    "timer.cancelled": below.timer,
}
#: kinds of events that only say that a frame came so far
_ARRIVALS = ("ip.in", "udp.in", "tcp.in", "raw.in", "arp.in")
#: kinds of events that announce a frame, the most informative kind first
_TELLING = ("tcp.retransmit", "tcp.probe", "ip.fragment", "icmp.out", "arp.send", "tcp.out", "udp.out", "ip.forward")


def why(timeline: Timeline, *, event: "int | None" = None, frame: "int | None" = None) -> Explanation:
    """Explain why an event (by its index) happened, or why a frame (by its number, from 1) was sent.

    ValueError if neither is given.
    """
    if frame is not None:
        return _frame(timeline, timeline.frames[frame - 1])
    if event is None:
        raise ValueError("why() needs event=index or frame=number")
    if event < 0:
        return Explanation("told", "Nothing has happened yet.")
    if isinstance(timeline, CaptureTimeline):
        return captured.of_event(timeline, timeline.events[event])
    look = Look(timeline, event)
    kind = str(look.entry.kind)
    if kind in ("frame.out", "frame.in"):
        return _frame(timeline, timeline.frames[look.entry.frame])
    try:
        if kind in _ARRIVALS and look.entry.frame >= 0:
            return _arrived(look)
        if kind == "tcp.out":
            return _segment(look)
        explain = _KINDS.get(kind)
        if explain is not None:
            return explain(look)
    except KeyError:
        # A state or field is missing because the connection is gone, so the answer is the core's own reason.
        pass
    return progress.named(look)


def _arrived(look: Look) -> Explanation:
    """Explain the first decision about a frame that arrived: what the frame meant to the host."""
    found = arrival.sentences(look.timeline, look.timeline.frames[look.entry.frame])
    if not found or found[0].startswith("Because of it"):
        found = [*progress.named(look).sentences, *found]
    return Explanation("told", *found)


def _segment(look: Look) -> Explanation:
    """Explain a TCP segment by the last decision before it that concerns it, or by its flags."""
    entry = look.entry
    if look.index:
        previous = look.timeline.events[look.index - 1]
        if previous.conn == look.conn and previous.conn and str(previous.kind) in ("tcp.retransmit", "tcp.probe"):
            return why(look.timeline, event=previous.index)
    syn = opening.syn_out(look)
    if syn is not None:
        return syn
    if not look.conn or not look.tcb:
        if entry.fields["flags"] & 4:
            cause = look.cause()
            does = "answers with" if cause is not None and cause.kind == "frame.in" else "sends"
            return Explanation("reset", f"{look.host} {does} a RST, because {look.named()}{look.section()}.")
        return Explanation("told", f"{look.host} sends it, because {look.named()}{look.section()}.")
    if entry.fields["flags"] & 4:
        return Explanation("reset", f"{look.host} sends a RST, because {look.named()}{look.section()}.", _ends(look))
    if entry.fields["length"]:
        return flow.data(look)
    if entry.fields["flags"] & 1:
        return Explanation(
            "close", f"The FIN says that {look.host} has no more data to send: {look.named()}{look.section()}."
        )
    cause = look.cause()
    if cause is not None and cause.kind == "timer.fired" and cause.fields.get("timer") == "delayed-ack":
        return flow.late_ack(look)
    if entry.reason.startswith(flow.UPDATE):
        return flow.update(look)
    return Explanation("ack", f"{look.host} sends an acknowledgement, because {look.named()}{look.section()}.")


def _ends(look: Look) -> str:
    """Say what a RST of a connection does to it."""
    if look.tcb.get("state") == "SYN-RECEIVED" or look.before.get("state") == "SYN-RECEIVED":
        return ""
    return f"The connection ends at once, without FIN and TIME-WAIT. What {look.peer()} has not read or not acknowledged may be lost (RFC 9293 3.10.5)."


def _frame(timeline: Timeline, frame: Frame) -> Explanation:
    """Explain why a frame was sent, and what happened to it."""
    if isinstance(timeline, CaptureTimeline):
        return captured.of_frame(timeline, frame)
    fate = ""
    if frame.fate == "lost":
        fate = (
            f"Frame {frame.number} never arrived: it was lost between {frame.host} and {frame.to or 'its receivers'}."
        )
    elif frame.fate == "dropped":
        drops = "; ".join(drop.removeprefix("dropped ") for drop in frame.drops)
        fate = f"{frame.to} dropped it {drops}."
    elif frame.altered:
        fate = "It arrived with a changed bit."
    after = arrival.sentences(timeline, frame)
    said = contents.carries(timeline, frame)
    if said:
        after = [said, *after]
    if (frame.outside or frame.arrived < 0) and _is_forwarded(timeline, frame):
        after = [contents.passes(frame), *after]
    if frame.outside:
        # Nobody recorded why it was sent, so the answer is what it meant to its receiver.
        chosen = frame.effects
        found = next((why(timeline, event=i) for i in chosen if _is_told(timeline, i)), None)
        mechanism = _mechanism_of(timeline, chosen) if found is None else found.mechanism
        own = [] if found is None else found.sentences
        text = f"Frame {frame.number} arrived: {frame.summary}."
        return Explanation(mechanism, *(after or [text]), *(one for one in own if one not in after))
    asked = below.arp_frame(timeline, frame)
    if asked:
        return Explanation("arp", asked, fate, *after)
    after = [*translating.changes(timeline, frame), *after]
    chosen = frame.why
    for kind in _TELLING:
        for index in reversed(chosen):
            if str(timeline.events[index].kind) == kind:
                found = why(timeline, event=index)
                return Explanation(found.mechanism, *found.sentences, fate, *after)
    if chosen:
        found = why(timeline, event=chosen[0])
        return Explanation(found.mechanism, *found.sentences, fate, *after)
    queued = _after_arp(timeline, frame)
    if queued:
        return Explanation("arp", queued, fate, *after)
    piece = below.piece(frame)
    if piece:
        return Explanation("fragment", piece, fate, *after)
    if _by_packet_socket(timeline, frame):
        text = f"A program on {frame.host} makes the whole packet itself and sends it by a packet socket (Linux packet(7))."
        return Explanation("told", text, fate, *after)
    return Explanation("told", f"{frame.host} sends {frame.summary}.", fate, *after)


def _is_forwarded(timeline: Timeline, frame: Frame) -> bool:
    """Return True if a router forwards the packet of a frame that arrived from outside, or that leaves for a host outside."""
    if frame.outside:
        return any(entry.kind == "ip.forward" for entry in arrival.work_of(timeline, frame.arrived))
    return any(timeline.kind(index) == "ip.forward" for index in frame.why)


def _by_packet_socket(timeline: Timeline, frame: Frame) -> bool:
    """Return True if a call sent the frame by a packet socket."""
    for index in range(frame.event - 1, max(frame.event - 5, -1), -1):
        entry = timeline.events[index]
        if entry.host == frame.host:
            return entry.kind == "call" and entry.rfc.startswith("Linux packet")
    return False


def _is_told(timeline: Timeline, index: int) -> bool:
    """Return True for an event whose own explanation says more than what the frame meant: ICMP, and the states that need a story."""
    kind = timeline.kind(index)
    return kind == "icmp.in" or (
        kind == "tcp.state" and timeline.events[index].fields["new"] in ("ESTABLISHED", "TIME-WAIT")
    )


def _mechanism_of(timeline: Timeline, chosen: list[int]) -> str:
    """Return the mechanism of a frame from outside."""
    kinds = {timeline.kind(index) for index in chosen}
    for kind, mechanism in (
        ("arp.in", "arp"), ("icmp.in", "icmp"), ("ip.held", "fragment"), ("tcp.state", "handshake"), ("tcp.fin", "close"),
        ("tcp.data", "data"), ("tcp.acked", "ack"), ("tcp.in", "ack"), ("drop", "drop"),
    ):  # fmt: skip
        if kind in kinds:
            return mechanism
    return "told"


def _after_arp(timeline: Timeline, frame: Frame) -> str:
    """Explain a frame that no decision announces, because it left the queue of an ARP entry."""
    for index in range(frame.event, max(frame.event - 5, -1), -1):
        entry = timeline.events[index]
        if str(entry.kind) == "arp.state" and entry.host == frame.host and entry.fields.get("new") == "REACHABLE":
            return f"The {_kind(frame)} waited for the MAC address, which {frame.host} has just learned (RFC 826, RFC 1122 2.3.2.2)."
    return ""


def _kind(frame: Frame) -> str:
    """Return what an IPv4 packet in an Ethernet frame is, in a word."""
    data = frame.data[14:]
    at = (data[0] & 15) * 4 if data else 0
    if len(data) > at + 13 and data[9] == 6:
        return "SYN" if data[at + 13] & 2 else "segment"
    return {1: "ICMP message", 17: "datagram"}.get(data[9] if len(data) > 9 else 0, "packet")


__all__ = ["MECHANISMS", "Explanation", "why"]
