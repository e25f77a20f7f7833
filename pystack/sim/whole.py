"""Frames of kernel hosts as the kernel gives them: a virtio-net header, then a frame of up to 64 KB with an unfinished checksum.

On a plain link such a frame stays whole, because to cut it costs more than all the rest. A capture, a middlebox, or a link that does more
than delay frames gets the finished segments that a network card would have sent. In this module, `raw` is header and frame.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pystack_c.const as C
from pystack.phy.segmenter import segments
from pystack.phy.tapio import GSO_ECN, GSO_NONE, GSO_TCPV4, NEEDS_CSUM, VNET_HDR, VNET_HDR_LEN
from pystack.sim.channel import Channel
from pystack_c.packet import Transmit

if TYPE_CHECKING:
    from pystack.sim.path import SimPort

_fields = VNET_HDR.unpack_from
_PLAIN = bytes(VNET_HDR_LEN)


class _Iface:
    """What `segments` asks of the interface of a Transmit."""

    kind = C.LINK_ETHERNET


_ETHERNET = _Iface()
TAGGED = b"\x81\x00"


def plain(frame: bytes) -> bytes:
    """A finished frame with a header that leaves nothing to do."""
    return _PLAIN + frame


def of_transmit(tx: Transmit) -> bytes:
    """What a host with offload sends, with its header."""
    kind = GSO_NONE
    if tx.gso_size:
        kind = GSO_TCPV4 | (GSO_ECN if tx.header[tx.csum_start + 13] & C.CWR else 0)
    header = VNET_HDR.pack(NEEDS_CSUM, kind, tx.hdr_len, tx.gso_size, tx.csum_start, tx.csum_offset)
    return header + tx.to_bytes()


def cut(raw: bytes) -> Iterator[bytes]:
    """The finished Ethernet frames that a card makes of it."""
    flags, kind, _, gso_size, csum_start, csum_offset = _fields(raw)
    frame, tag = raw[VNET_HDR_LEN:], b""
    if frame[12:14] == TAGGED and csum_start >= C.ETH_HLEN + 4:
        # `segments` knows no VLAN tags (IEEE 802.1Q), so the tag is taken out, and put into each piece.
        tag, frame, csum_start = frame[12:16], frame[:12] + frame[16:], csum_start - 4
    tx = Transmit(_ETHERNET, frame)
    if flags & NEEDS_CSUM and C.ETH_HLEN <= csum_start and csum_start + csum_offset + 2 <= len(frame):
        tx.csum_start, tx.csum_offset = csum_start, csum_offset
        if kind != GSO_NONE and csum_offset == 16 and C.ETH_HLEN + 20 <= csum_start <= len(frame) - 20:
            header = (frame[csum_start + 12] >> 4) * 4
            if 20 <= header < len(frame) - csum_start:
                tx.gso_size = gso_size
    for piece in segments(tx):
        yield piece[:12] + tag + piece[12:] if tag else piece


def pieces(raw: bytes) -> tuple[int, int]:
    """The number of frames that it becomes on a wire, and the bytes of the largest one."""
    flags, kind, _, gso_size, csum_start, _ = _fields(raw)
    length = len(raw) - VNET_HDR_LEN
    if kind == GSO_NONE or not gso_size or not flags & NEEDS_CSUM or csum_start + 20 > length:
        return 1, length
    headers = int(csum_start + (raw[VNET_HDR_LEN + csum_start + 12] >> 4) * 4)
    return max(1, -(-(length - headers) // gso_size)), min(length, headers + gso_size)


def only_delays(out: Any) -> bool:
    """Whether what takes the frames of a port is a channel that does nothing but delay them."""
    return isinstance(out, Channel) and out.only_delays()


def send(port: "SimPort", raw: bytes) -> None:
    """Put it on the link of a port, now: whole, if nothing on the way needs the single frames."""
    channel, peer, net = port.out, port.peer, port.net
    if channel is None or peer is None:
        return
    take: Any = getattr(peer.node, "deliver_raw", None)
    watched = (
        port.taps or port.boxes or peer.taps or peer.boxes or port.transmitter is not None or net.causes is not None
    )
    if take is not None and not watched and isinstance(channel, Channel):
        count, longest = pieces(raw)
        length = len(raw) - VNET_HDR_LEN
        arrival = channel.send_group(count, longest, last_piece(raw, count, longest, length), net.now)
        if arrival >= 0:
            net.at(arrival, take, peer, raw)
            return
    for frame in cut(raw):
        port.send(frame)


def last_piece(raw: bytes, count: int, longest: int, length: int) -> int:
    """The bytes of the last of the frames that it becomes."""
    return length if count == 1 else length - (count - 1) * int(_fields(raw)[3])


def receive_arguments(raw: bytes) -> tuple[int, int, int]:
    """Offset, flags and segment size, as Host.receive takes them."""
    flags, kind, _, gso_size, _, _ = _fields(raw)
    return VNET_HDR_LEN, C.RX_CSUM_OK if flags & 3 else 0, gso_size if kind != GSO_NONE else 0
