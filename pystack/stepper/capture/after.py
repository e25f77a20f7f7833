"""Finds what a frame of a capture led to, and what it answers: the acknowledgement of a segment, the answer to a question, an error about a packet.

A capture has no causes. A frame counts as an answer if its numbers say so: the identifier of a ping, the ports of a datagram, the address that was asked for.
"""

from typing import TYPE_CHECKING, Any

import pystack_c.const as C
from pystack.stepper.capture.packet import ACK, FIN, RST, SYN
from pystack.stepper.explain.base import after
from pystack.stepper.pieces import key
from pystack.trace import headers

if TYPE_CHECKING:
    from pystack.stepper.capture.timeline import CaptureTimeline
    from pystack.stepper.records import Entry, Frame

#: how many frames, and how many events of segments, are searched
FRAMES, EVENTS = 300, 3000
#: an ICMP error quotes a packet from this byte of its message on
QUOTED = 8
ERRORS = {C.IPPROTO_ICMP: (3, 11, 12), headers.ICMPV6: (1, 2, 3, 4)}
ECHO = {C.IPPROTO_ICMP: (8, 0), headers.ICMPV6: (128, 129)}
SOLICITATION, ADVERTISEMENT = 135, 136
#: the ports of DHCP, whose messages have an identifier of their transaction instead of addresses
DHCP = {67, 68}
Key = tuple[Any, ...]


def segment(timeline: "CaptureTimeline", entry: "Entry") -> str:
    """Say which segment of the other side answered a SYN, or acknowledged data or a FIN; "" if nothing had to."""
    fields = entry.fields
    flags, size = fields["flags"], fields["length"]
    size += bool(flags & SYN) + bool(flags & FIN)
    if not size or flags & RST:
        return ""
    end = fields["relative_seq"] + size
    other = timeline.other_end(entry.conn)
    for index in range(entry.index + 1, min(entry.index + EVENTS, len(timeline.events))):
        if timeline.kind(index) != "tcp.out":
            continue
        later = timeline.events[index]
        if later.conn == entry.conn and flags & SYN and later.fields["flags"] & SYN:
            return (
                f"No answer had come when it was repeated in frame {later.frame + 1}, {after(later.time - entry.time)}."
            )
        if later.conn != other or not later.fields["flags"] & ACK or later.fields["relative_ack"] < end:
            continue
        return f"Frame {later.frame + 1} {_did(flags, later.fields['flags'])} it, {after(later.time - entry.time)}."
    whole = entry.index + EVENTS >= len(timeline.events)
    return f"The capture has no {'answer to' if flags & SYN else 'acknowledgement of'} it." if whole else ""


def _did(asked: int, flags: int) -> str:
    if asked & SYN and not asked & ACK:
        return "refuses" if flags & RST else "accepts"
    return "ends the connection after" if flags & RST else "acknowledges"


def answer(timeline: "CaptureTimeline", frame: "Frame") -> str:
    """Say which frame answers a question, or reports an error about a packet, and which question a frame answers."""
    asked = question(frame)
    if asked is not None:
        return _answered(timeline, frame, asked)
    given = answers(frame)
    frames = timeline.frames
    for index in range(frame.index - 1, max(frame.index - FRAMES, -1), -1):
        earlier = frames[index]
        if given and question(earlier) in given:
            does = "It is about" if given[0][0] == "error" else "It answers"
            return f"{does} frame {earlier.number}, which was captured {_before(frame.time - earlier.time)}."
    return ""


def _answered(timeline: "CaptureTimeline", frame: "Frame", asked: Key) -> str:
    frames = timeline.frames
    unknown = asked[0] == "udp" and 53 not in asked[3:]  # Nothing says which datagram answers which.
    for index in range(frame.index + 1, min(frame.index + FRAMES, len(frames))):
        later = frames[index]
        if question(later) == asked and not unknown:
            return f"No answer had come when it was repeated in frame {later.number}, {after(later.time - frame.time)}."
        given = answers(later)
        if asked in given:
            does = "reports an error about" if given[0][0] == "error" else "answers"
            if unknown and does == "answers":
                return f"The next datagram of the other side is frame {later.number}, {after(later.time - frame.time)}."
            return f"Frame {later.number} {does} it, {after(later.time - frame.time)}."
    if unknown:
        return "The capture has no datagram back, and no error about it."
    return "The capture has no answer to it." if frame.index + FRAMES >= len(frames) else ""


def _before(time: int) -> str:
    return after(time).replace(" later", " before")


def question(frame: "Frame") -> "Key | None":
    """Return what an answer to a frame must name, or None if the frame needs no answer."""
    arp = _arp(frame)
    if arp is not None:
        return ("arp", arp[1], arp[2]) if arp[0] == 1 and arp[1] != arp[2] else None
    found = headers.find(frame.data, frame.link, frame.length)
    if found is None or found.offset:
        return None
    return _asks(found, frame.data)


def answers(frame: "Frame") -> list[Key]:
    """Return the questions that a frame would answer, after ("error",) if it is an error about the packet of one of them."""
    arp = _arp(frame)
    if arp is not None:
        return [("arp", arp[2], arp[1])] if arp[0] == 2 else []
    found = headers.find(frame.data, frame.link, frame.length)
    if found is None or found.offset:
        return []
    data, at = frame.data, found.at
    if found.proto == C.IPPROTO_UDP and len(data) >= at + 8:
        ports = int.from_bytes(data[at + 2 : at + 4], "big"), int.from_bytes(data[at : at + 2], "big")
        if DHCP & {*ports}:
            return [("dhcp", bytes(data[at + 12 : at + 16]))] if data[at + 8 : at + 9] == b"\2" else []
        return [("udp", found.target, found.source, *ports, *_dns(data, at, ports))]
    kinds = ECHO.get(found.proto)
    if kinds is None or len(data) < at + QUOTED:
        return []
    if data[at] == kinds[1]:
        return [("echo", found.target, found.source, bytes(data[at + 4 : at + 8]))]
    if found.proto == headers.ICMPV6 and data[at] == ADVERTISEMENT:
        return [("nd", bytes(data[at + 8 : at + 24]))]
    if data[at] in ERRORS[found.proto]:
        inside = data[at + QUOTED :]
        quoted = headers.ipv4(inside, 0) if found.version == 4 else headers.ipv6(inside, 0)
        asked = None if quoted is None or quoted.offset else _asks(quoted, inside)
        return [("error",), asked] if asked is not None else []
    return []


def _asks(found: headers.IpPacket, data: bytes) -> "Key | None":
    at = found.at
    if len(data) < at + 8:
        return None
    if found.proto == C.IPPROTO_UDP:
        ports = int.from_bytes(data[at : at + 2], "big"), int.from_bytes(data[at + 2 : at + 4], "big")
        if DHCP & {*ports}:
            return ("dhcp", bytes(data[at + 12 : at + 16])) if data[at + 8 : at + 9] == b"\1" else None
        return ("udp", found.source, found.target, *ports, *_dns(data, at, ports))
    kinds = ECHO.get(found.proto)
    if kinds is not None and data[at] == kinds[0]:
        return "echo", found.source, found.target, bytes(data[at + 4 : at + 8])
    if found.proto == headers.ICMPV6 and data[at] == SOLICITATION:
        return "nd", bytes(data[at + 8 : at + 24])
    return None


def _dns(data: bytes, at: int, ports: tuple[int, int]) -> tuple[bytes, ...]:
    """Return the identifier of a message of DNS."""
    return (bytes(data[at + 8 : at + 10]),) if 53 in ports else ()


def _arp(frame: "Frame") -> "tuple[int, bytes, bytes] | None":
    """Return the operation of an ARP packet, and the addresses of its sender and of its target."""
    data = frame.data
    kind, at = headers.payload_of(data) if frame.link == C.LINK_ETHERNET else (0, 0)
    if kind != C.ETH_P_ARP or len(data) < at + 28:
        return None
    return int.from_bytes(data[at + 6 : at + 8], "big"), bytes(data[at + 14 : at + 18]), bytes(data[at + 24 : at + 28])


def pieces(timeline: "CaptureTimeline", frame: "Frame") -> str:
    """Say which frames have the other fragments of a datagram."""
    mine = headers.find(frame.data, frame.link, frame.length)
    if mine is None:
        return ""
    found = []
    for index in range(max(frame.index - FRAMES, 0), min(frame.index + FRAMES, len(timeline.frames))):
        other = timeline.frames[index]
        its = headers.find(other.data, other.link, other.length)
        if index != frame.index and its is not None and (its.offset or its.more) and key(its) == key(mine):
            found.append(other.number)
    if not found:
        return "The capture has no other fragment of it, so it cannot be put together."
    listed = " and ".join([", ".join(map(str, found[:-1])), str(found[-1])] if found[1:] else [str(found[0])])
    return f"The other fragments are in frame{'s' if found[1:] else ''} {listed}. The receiver waits until it has all of them."
