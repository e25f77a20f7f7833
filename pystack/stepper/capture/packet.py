"""Finds the addresses and the TCP header of a captured frame, whatever link it was captured on."""

import struct
from typing import NamedTuple

import pystack_c.const as C
from pystack.trace import headers
from pystack.trace.errors import TraceError
from pystack.trace.headers import IPV4, IPV6, IpPacket, address_text

#: LINKTYPE numbers (draft-ietf-opsawg-pcaplinktype)
NULL, ETHERNET, LOOP, SLL, SLL2 = 0, 1, 108, 113, 276
RAW = (12, 14, 101, 228, 229)
ARP = C.ETH_P_ARP
#: the kind of link of bytes that the dissection knows no structure for
OTHER = 0
#: the address families that systems write for IPv6 into a null header
FAMILIES = {2: IPV4, 10: IPV6, 24: IPV6, 28: IPV6, 30: IPV6}
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
    ethertype, at = headers.payload_of(data)
    found = _network(data, at, ethertype, length, C.LINK_ETHERNET)
    if found.source:
        return found
    return found._replace(source=_mac(data[6:12]), target=_mac(data[:6]))


def _mac(raw: bytes) -> str:
    return raw.hex(":") if len(raw) == 6 else "?"


def _network(data: bytes, at: int, ethertype: int, length: int, kind: int) -> CapturedPacket:
    inner = data[at:]
    shown = data if kind == C.LINK_ETHERNET else inner
    packet = None
    if ethertype == IPV4:
        packet = headers.ipv4(inner, 0, length - at)
    elif ethertype == IPV6:
        packet = headers.ipv6(inner, 0, length - at)
    if packet is not None:
        return _ip(packet, inner, shown, kind)
    if ethertype == ARP and len(inner) >= 28:
        # The ends of the arrow are the addresses in the message, so that ARP is between the hosts of the capture.
        source, target = (address_text(inner[n : n + 4]) for n in (14, 24))
        if kind == C.LINK_ETHERNET:
            return CapturedPacket(kind, shown, source, target, None, "")
        return CapturedPacket(OTHER, shown, source, target, None, f"ARP, {source} > {target}, length {length - at}")
    if kind == C.LINK_ETHERNET:
        return CapturedPacket(kind, shown, "", "", None, "")
    return CapturedPacket(OTHER, shown, "?", "?", None, f"ethertype {ethertype:#06x}, length {length - at}")


def _ip(packet: IpPacket, inner: bytes, shown: bytes, kind: int) -> CapturedPacket:
    segment = None
    if packet.proto == C.IPPROTO_TCP and not packet.offset and not packet.more and packet.at <= packet.end:
        segment = _tcp(inner[packet.at : packet.end], packet.end - packet.at)
    return CapturedPacket(kind, shown, address_text(packet.source), address_text(packet.target), segment, "")


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
