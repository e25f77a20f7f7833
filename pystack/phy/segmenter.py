"""The work of a network card on offloaded frames, in software: TCP segmentation and checksum completion.

The segmenter is placed between the stack and a device without offload. The tests use it to prove that offload
changes nothing on the wire. Like a card, it trusts the pseudo-header sum that the stack left in the checksum
field, so that a wrong sum shows as a wrong checksum on the wire.
"""

import struct
from collections.abc import Iterator

import pystack_c.const as C
from pystack.phy.device import Device
from pystack.phy.wrapper import Wrapper
from pystack_c.packet import Transmit


def ones_sum(data: bytes) -> int:
    """Return the 16-bit one's complement sum (RFC 1071), not inverted. It is 0 only if all data is zero."""
    if len(data) & 1:
        data += b"\0"
    total = int.from_bytes(data, "big")
    rest = total % 0xFFFF
    return 0xFFFF if rest == 0 and total else rest


def _fold(total: int) -> int:
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def _complete(frame: bytes, start: int, offset: int) -> bytes:
    """Return the frame with the checksum of frame[start:] in the field at start + offset (virtio 1.2, 5.1.6.2)."""
    at = start + offset
    value = ones_sum(frame[start:]) ^ 0xFFFF
    if value == 0 and offset == 6:
        value = 0xFFFF  # RFC 768: UDP sends a checksum of zero as all ones
    return frame[:at] + value.to_bytes(2, "big") + frame[at + 2 :]


def segments(tx: Transmit) -> Iterator[bytes]:
    """Yield the finished frames that a card puts on the wire for one Transmit."""
    frame = bytes(tx.to_bytes())
    if tx.gso_size == 0:
        yield _complete(frame, tx.csum_start, tx.csum_offset) if tx.csum_start else frame
        return
    l4 = tx.csum_start
    ip = C.ETH_HLEN if tx.iface.kind == C.LINK_ETHERNET else 0
    hlen = l4 + (frame[l4 + 12] >> 4) * 4
    payload = frame[hlen:]
    l4_len = len(frame) - l4
    ident, sequence = struct.unpack_from(">H", frame, ip + 4)[0], struct.unpack_from(">I", frame, l4 + 4)[0]
    flags, pseudo = frame[l4 + 13], struct.unpack_from(">H", frame, l4 + 16)[0]
    for number, at in enumerate(range(0, len(payload), tx.gso_size)):
        piece = payload[at : at + tx.gso_size]
        header = bytearray(frame[:hlen])
        # The IP identification and the sequence number count on, and each segment has its own length.
        struct.pack_into(">HH", header, ip + 2, hlen - ip + len(piece), (ident + number) & 0xFFFF)
        header[ip + 10 : ip + 12] = b"\0\0"
        struct.pack_into(">H", header, ip + 10, ones_sum(bytes(header[ip:l4])) ^ 0xFFFF)
        struct.pack_into(">I", header, l4 + 4, (sequence + at) & 0xFFFFFFFF)
        # FIN and PSH belong to the last segment, and CWR to the first (RFC 3168 6.1.2).
        keep = flags
        if at + len(piece) < len(payload):
            keep &= ~(C.FIN | C.PSH)
        if number:
            keep &= ~C.CWR
        header[l4 + 13] = keep
        # The pseudo-header sum contains the length of the whole packet, but this segment is shorter.
        short = hlen - l4 + len(piece)
        struct.pack_into(">H", header, l4 + 16, _fold(pseudo + (l4_len ^ 0xFFFF) + short))
        yield _complete(bytes(header) + piece, l4, 16)


def finish_checksum(frame: bytes, ip: int) -> bytes:
    """Return a frame with a complete TCP or UDP checksum, if the field holds only the pseudo-header sum.

    The IPv4 header is at `ip`. Any other frame is returned unchanged.
    Captures use this to show frames as they will be on the wire.
    """
    if len(frame) < ip + 20 or frame[ip] >> 4 != 4 or (ip and frame[12:14] != b"\x08\x00"):
        return frame
    l4 = ip + (frame[ip] & 15) * 4
    end = ip + int.from_bytes(frame[ip + 2 : ip + 4], "big")
    offset = {C.IPPROTO_TCP: 16, C.IPPROTO_UDP: 6}.get(frame[ip + 9])
    fragment = int.from_bytes(frame[ip + 6 : ip + 8], "big") & 0x3FFF
    if offset is None or fragment or end > len(frame) or l4 + offset + 2 > end:
        return frame
    pseudo = _fold(ones_sum(frame[ip + 12 : ip + 20]) + frame[ip + 9] + (end - l4))
    if int.from_bytes(frame[l4 + offset : l4 + offset + 2], "big") != pseudo:
        return frame
    return _complete(frame[:end], l4, offset) + frame[end:]


class Segmenter(Wrapper):
    """A device that offers offload and does it in software, in front of a device without offload."""

    def __init__(self, device: Device, gso_max: int = 65226):
        super().__init__(device)
        self.tx_csum = True
        self.gso_max = gso_max
        self.waiting: list[bytes] = []

    def send(self, tx: Transmit) -> bool:
        """Cut the frame and send the pieces. Pieces that the device had no room for before are sent first."""
        if not self._flush(tx.iface):
            return False
        self.waiting.extend(segments(tx))
        self._flush(tx.iface)
        return True

    def _flush(self, iface: object) -> bool:
        sent = 0
        for frame in self.waiting:
            if not self.device.send(Transmit(iface, frame)):
                break
            sent += 1
        del self.waiting[:sent]
        return not self.waiting
