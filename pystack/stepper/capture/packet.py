"""Finds the addresses and the TCP header of a captured frame, whatever link it was captured on."""

import ipaddress
import struct
from typing import NamedTuple

import pystack_c.const as C
from pystack.trace.errors import TraceError
from pystack.trace.summary import tcp_flags_text

#: LINKTYPE numbers (draft-ietf-opsawg-pcaplinktype)
NULL, ETHERNET, LOOP, SLL, SLL2 = 0, 1, 108, 113, 276
RAW = (12, 14, 101, 228, 229)
IPV4, IPV6, ARP = C.ETH_P_IP, 0x86DD, C.ETH_P_ARP
VLAN = (C.ETH_P_8021Q, 0x88A8, 0x9100)
#: the kind of link of bytes that the dissection knows no structure for
OTHER = 0
#: the address families that systems write for IPv6 into a null header
FAMILIES = {2: IPV4, 10: IPV6, 24: IPV6, 28: IPV6, 30: IPV6}
#: extension headers of IPv6 that only need to be skipped (RFC 8200 section 4)
EXTENSIONS = (0, 43, 60, 135)
FIN, SYN, RST, ACK = C.FIN, C.SYN, C.RST, C.ACK


class CapturedSegment(NamedTuple):
    """The TCP header of a packet. `length` counts the data on the wire, of which `payload` has what was captured."""

    sport: int
    dport: int
    seq: int
    ack: int
    flags: int
    window: int
    length: int
    payload: bytes
    scale: int  # of the window scale option, or -1
    sacks: tuple[tuple[int, int], ...]
    mss: int  # of the MSS option, or -1


class CapturedPacket(NamedTuple):
    """What a frame carries: `kind` and `data` are what the dissection shows of it, the rest is "" or None if there is none."""

    kind: int
    data: bytes
    source: str
    target: str
    segment: CapturedSegment | None
    summary: str  # "" if trace.summary describes it


def parse(link: int, data: bytes, length: int, name: str = "capture") -> CapturedPacket:
    """Return what a frame of this LINKTYPE carries. TraceError if the link is of a type that is not known."""
    if link == ETHERNET:
        return _ethernet(data, length)
    if link in RAW:
        at, ethertype = 0, _by_version(data)
    elif link in (NULL, LOOP):
        at, ethertype = 4, _family(link, data[:4])
    elif link == SLL:
        at, ethertype = 16, int.from_bytes(data[14:16], "big")
    elif link == SLL2:
        at, ethertype = 20, int.from_bytes(data[:2], "big")
    else:
        raise TraceError(
            f"{name}: its frames are of link type {link}; known are Ethernet, IP, Linux cooked and loopback"
        )
    return _network(data, at, ethertype, length, C.LINK_IP)


def _by_version(data: bytes) -> int:
    return {4: IPV4, 6: IPV6}.get(data[0] >> 4, 0) if data else 0


def _family(link: int, head: bytes) -> int:
    """Return the ethertype for a null header, which has the byte order of the host that wrote it."""
    big, little = int.from_bytes(head, "big"), int.from_bytes(head, "little")
    return FAMILIES.get(big, 0 if link == LOOP else FAMILIES.get(little, 0))


def _ethernet(data: bytes, length: int) -> CapturedPacket:
    at, ethertype, tags = 14, int.from_bytes(data[12:14], "big"), 0
    while ethertype in VLAN and tags < 4:
        ethertype, at, tags = int.from_bytes(data[at + 2 : at + 4], "big"), at + 4, tags + 1
    found = _network(data, at, ethertype, length, C.LINK_ETHERNET)
    if found.source:
        return found
    return found._replace(source=_mac(data[6:12]), target=_mac(data[:6]))


def _mac(raw: bytes) -> str:
    return raw.hex(":") if len(raw) == 6 else "?"


def _network(data: bytes, at: int, ethertype: int, length: int, kind: int) -> CapturedPacket:
    inner = data[at:]
    shown = data if kind == C.LINK_ETHERNET else inner
    if ethertype == IPV4 and len(inner) >= 20 and inner[0] >> 4 == 4:
        return _ipv4(inner, shown, length - at, kind)
    if ethertype == IPV6 and len(inner) >= 40 and inner[0] >> 4 == 6:
        return _ipv6(inner, shown, length - at, kind)
    if ethertype == ARP and len(inner) >= 28:
        # The ends of the arrow are the addresses in the message, so that ARP is between the hosts of the capture.
        source, target = (str(ipaddress.ip_address(inner[n : n + 4])) for n in (14, 24))
        if kind == C.LINK_ETHERNET:
            return CapturedPacket(kind, shown, source, target, None, "")
        return CapturedPacket(OTHER, shown, source, target, None, f"ARP, {source} > {target}, length {length - at}")
    if kind == C.LINK_ETHERNET:
        return CapturedPacket(kind, shown, "", "", None, "")
    return CapturedPacket(OTHER, shown, "?", "?", None, f"ethertype {ethertype:#06x}, length {length - at}")


def _ipv4(inner: bytes, shown: bytes, wire: int, kind: int) -> CapturedPacket:
    head, total = (inner[0] & 15) * 4, int.from_bytes(inner[2:4], "big")
    source, target = (str(ipaddress.ip_address(inner[n : n + 4])) for n in (12, 16))
    fragment = int.from_bytes(inner[6:8], "big") & 0x3FFF
    # A frame for segmentation offload may have a total length of 0.
    end = total if total else wire
    segment = None
    if inner[9] == C.IPPROTO_TCP and not fragment and 20 <= head <= end:
        segment = _tcp(inner[head:end], end - head)
    return CapturedPacket(kind, shown, source, target, segment, "")


def _ipv6(inner: bytes, shown: bytes, wire: int, kind: int) -> CapturedPacket:
    source, target = (str(ipaddress.ip_address(inner[n : n + 16])) for n in (8, 24))
    payload, proto, at = int.from_bytes(inner[4:6], "big"), inner[6], 40
    end = 40 + payload if payload else wire
    for _ in range(8):
        if proto not in EXTENSIONS or at + 8 > len(inner):
            break
        proto, at = inner[at], at + (inner[at + 1] + 1) * 8
    segment = _tcp(inner[at:end], end - at) if proto == C.IPPROTO_TCP and at < end else None
    if segment is None:
        words = f"{source} > {target}: ip-proto-{proto}, length {payload}"
    else:
        words = (
            f"{source}.{segment.sport} > {target}.{segment.dport}: Flags [{tcp_flags_text(segment.flags)}], "
            f"seq {segment.seq}, ack {segment.ack}, win {segment.window}, length {segment.length}"
        )
    return CapturedPacket(kind if kind == C.LINK_ETHERNET else OTHER, shown, source, target, segment, f"IP6 {words}")


def _tcp(raw: bytes, length: int) -> CapturedSegment | None:
    """Return the header of a segment that has `length` bytes on the wire; None if it was not captured whole."""
    if len(raw) < 20:
        return None
    sport, dport, seq, ack, bits, window = struct.unpack_from(">HHIIHH", raw)
    head = (bits >> 12) * 4
    if head < 20 or head > length:
        return None
    scale, sacks, mss = _options(raw[20:head])
    return CapturedSegment(sport, dport, seq, ack, bits & 0x1FF, window, length - head, raw[head:], scale, sacks, mss)


def _options(raw: bytes) -> tuple[int, tuple[tuple[int, int], ...], int]:
    """Return the shift of the window scale option (or -1), the SACK blocks, and the MSS (or -1)."""
    scale, sacks, mss, at = -1, [], -1, 0
    while at < len(raw) and raw[at] != 0:
        if raw[at] == 1:
            at += 1
            continue
        size = raw[at + 1] if at + 1 < len(raw) else 0
        if size < 2 or at + size > len(raw):
            break
        if raw[at] == 3 and size == 3:
            scale = min(raw[at + 2], 14)
        elif raw[at] == 2 and size == 4:
            mss = int.from_bytes(raw[at + 2 : at + 4], "big")
        elif raw[at] == 5:
            sacks += [struct.unpack_from(">II", raw, n) for n in range(at + 2, at + size - 7, 8)]
        at += size
    return scale, tuple(sacks), mss
