"""VXLAN: Ethernet frames of one segment in UDP datagrams between tunnel end points, VTEPs (RFC 7348).

0       1                       4                   7       8
+-------+-----------------------+-------------------+-------+----------------
| flags | reserved              | VNI               | res.  | Ethernet frame
+-------+-----------------------+-------------------+-------+----------------

A VTEP has neither a clock nor a socket. `receivers(frame, now)` names the VTEPs that a frame goes to, and `unwrap(datagram, source, now)`
takes a frame out of a datagram.
"""

from collections import Counter
from typing import Any

from pystack_c.link.fdb import AGEING_TIME, MAX_LEARNED, ForwardingTable
from pystack_c.wire import vlan

#: RFC 7348 5: the destination port that IANA assigned
PORT = 4789
HEADER_LEN = 8
#: RFC 7348 5: this flag says that the VNI is valid
_VALID = 0x08
#: the most VTEPs to which a frame is flooded
MOST_REMOTES = 256


class Vtep:
    """One end of the tunnels of a segment.

    vni       the number of the segment, 24 bits
    remotes   the addresses to which frames with an unknown or a group address go: VTEPs, or a multicast group of all of them
    learning  whether the VTEP behind which a host is, is learned from the frames that arrive (RFC 7348 4.1)
    tags      whether frames with the tag of a VLAN pass (RFC 7348 6.1 says that they should not; a VTEP of Linux lets them pass)
    drops     the number of frames that were dropped, by reason
    """

    def __init__(
        self,
        vni: int,
        remotes: "tuple[int, ...]" = (),
        *,
        learning: bool = True,
        tags: bool = False,
        ageing: int = AGEING_TIME,
        limit: int = MAX_LEARNED,
    ) -> None:
        if not isinstance(vni, int) or isinstance(vni, bool) or not 0 <= vni < 1 << 24:
            raise ValueError(f"the VNI {str(vni)[:20]} is not in 0..16777215")
        if len(remotes) > MOST_REMOTES:
            raise ValueError(f"a VTEP floods to {MOST_REMOTES} others at most, not to {len(remotes)}")
        self.vni = vni
        self.remotes = list(remotes)
        self.learning = learning
        self.tags = tags
        self.fdb = ForwardingTable(ageing, limit)
        self.drops: Counter[str] = Counter()
        #: the header of all datagrams (RFC 7348 5): what is reserved is 0
        self.header = bytes((_VALID, 0, 0, 0)) + vni.to_bytes(3, "big") + b"\0"

    def receivers(self, frame: bytes, now: int) -> "list[int]":
        """Return the VTEPs to which a frame is sent. A frame that no VTEP gets is counted."""
        if len(frame) < 14:
            return self._none("truncated")
        if not self.tags and vlan.tci_of(frame) >= 0:
            return self._none("tagged")
        known = self.fdb.lookup(frame[:6], now)
        if known is not None:
            return [known]
        return list(self.remotes) or self._none("no-remote")

    def unwrap(self, datagram: bytes, source: int, now: int) -> "tuple[bytes, str]":
        """Return the frame in a datagram from the VTEP `source`, and "". If it is dropped, the frame is empty, and the text says why."""
        if len(datagram) < HEADER_LEN:
            return self._dropped("truncated", "the datagram is shorter than a VXLAN header")
        if not datagram[0] & _VALID:
            return self._dropped("no-vni", "the flag of a valid VNI is not set")
        if int.from_bytes(datagram[4:7], "big") != self.vni:
            return self._dropped(
                "other-vni", f"the datagram belongs to the segment {int.from_bytes(datagram[4:7], 'big')}"
            )
        frame = datagram[HEADER_LEN:]
        if len(frame) < 14:
            return self._dropped("truncated", "the frame in the datagram is shorter than an Ethernet header")
        if not self.tags and vlan.tci_of(frame) >= 0:
            return self._dropped("tagged", "the frame in the datagram has the tag of a VLAN")
        src = frame[6:12]
        if src[0] & 1 or not any(src):
            return self._dropped("source", "the source of the frame is not a unicast address")
        if self.learning:
            self.fdb.learn(src, source, now)
        return frame, ""

    def _none(self, name: str) -> "list[int]":
        self.drops[name] += 1
        return []

    def _dropped(self, name: str, why: str) -> "tuple[bytes, str]":
        self.drops[name] += 1
        return b"", why


def entropy(frame: bytes) -> int:
    """Return a number of 6 bits for the source port, so that routers with several paths spread the flows in the tunnel (RFC 7348 5).

    It is made of both MAC addresses, and of the addresses and ports of an IPv4 packet.
    """
    total = 0
    data: Any = frame[:12]
    if frame[12:14] == b"\x08\x00" and len(frame) >= 38:
        data = frame[:12] + frame[26:38]
    for byte in data:
        total = (total * 31 + byte) & 0xFFFFFF
    return (total ^ total >> 6 ^ total >> 12) & 63
