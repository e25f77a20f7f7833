"""A packet as rules see it: the same fields for a packet that arrived and for one that leaves."""

from typing import Any

import pystack_c.const as C
from pystack_c.base.address import addr_text, v4_bits
from pystack_c.core import Core
from pystack_c.filter.conntrack_table import Conntrack
from pystack_c.filter.flow import PROTOCOLS
from pystack_c.iface import Iface
from pystack_c.packet import Outgoing, Packet
from pystack_c.wire import checksum

#: how many bytes behind the network header of a packet that leaves are read
WINDOW = 256
#: View.rejected
REJECTED, UNANSWERED = 1, 2


class View:
    """The packet that is on its way through the hooks. `data[th:end]` is its transport header, with what follows.

    `mark`, `trace`, `own` and `first_iif` stay for all hooks that the packet passes; `load` sets the rest for one hook.
    """

    def __init__(self, core: Core) -> None:
        self.core = core
        self.place = 0
        self.arrived = False
        #: this host sends the packet
        self.own = False
        #: the chain runs before connection tracking
        self.blind = False
        self.packet: Any = None
        self.out: Any = None
        self.iif: Any = None
        self.oif: Any = None
        self.data = b""
        self.th = 0
        self.end = 0
        self.src = 0
        self.dst = 0
        self.proto = 0
        self.ttl = 0
        self.tos = 0
        self.length = 0
        #: the packet is a fragment, and not the first one
        self.later = False
        self.mark = 0
        self.trace = False
        #: the chain to which a rule jumps, the rule and chain of the verdict, and the translation that a rule chose
        self.target: Any = None
        self.rule: Any = None
        self.chain: Any = None
        self.nat: Any = None
        self.first_iif: Any = None
        #: the base chain that judges the packet
        self.base: Any = None
        #: a rule rejects the packet: REJECTED, or UNANSWERED if it is not a packet to answer
        self.rejected = 0

    def begin(self, own: bool, iface: Iface) -> None:
        """Start with a new packet, which arrived on `iface`, or which this host sends."""
        self.own = own
        self.first_iif = None if own else iface
        self.mark = 0
        self.trace = False
        ct: Conntrack | None = self.core.conntrack
        if ct is not None:
            # The packet before may have been dropped between its rule notrack and connection tracking.
            ct.untracked = False

    def load(self, place: int, iface: Iface, packet: Any) -> None:
        """Read the packet at a place. `iface` is the interface of the hook."""
        self.place = place
        self.rejected = 0
        if place == C.HOOK_OUTPUT or place == C.HOOK_POSTROUTING:
            out: Outgoing = packet
            self.arrived = False
            self.out = out
            self.iif = None if self.own else self.first_iif
            self.oif = iface
            self._leaving(out)
            return
        pkt: Packet = packet
        self.arrived = True
        self.packet = pkt
        self.iif = iface
        self.oif = self.core.out.dst.iface if place == C.HOOK_FORWARD else None
        self.data = pkt.frame
        self.th = pkt.l4_off
        self.end = pkt.l4_end
        self.src = pkt.src
        self.dst = pkt.dst
        self.proto = pkt.proto
        # Linux decrements the TTL before FORWARD.
        self.ttl = pkt.ttl - 1 if place == C.HOOK_FORWARD else pkt.ttl
        self.tos = pkt.tos
        self.length = pkt.total_len
        self.later = pkt.frag_off != 0

    def _leaving(self, out: Outgoing) -> None:
        self.data = bytes(self.core.scratch[C.L4_OFF : C.L4_OFF + out.l4_len])
        self.length = 20 + out.l4_len + len(out.options)
        if out.payload is not None:
            self.length += len(out.payload)
            if out.l4_len < WINDOW:
                self.data += bytes(out.payload[:WINDOW])
        if not self.own:
            # The header of a forwarded packet is that of the packet that arrived.
            self.length += self.core.packet.ip_hlen - 20
        self.th = 0
        self.end = len(self.data)
        self.src = out.src
        self.dst = out.daddr
        self.proto = out.proto
        self.ttl = out.ttl
        self.tos = out.tos
        self.later = out.frag_off != 0 if self.own else self.core.packet.frag_off != 0

    def entry(self) -> Any:
        """Return the tracked connection of the packet, or None."""
        ct: Conntrack | None = self.core.conntrack
        return None if ct is None or self.blind else ct.entry

    def ct_bit(self) -> int:
        """Return nft's bit of the packet's state in connection tracking (Linux nft_ct)."""
        ct: Conntrack | None = self.core.conntrack
        if ct is None or self.blind:
            return 64 if ct is not None and ct.untracked else 1
        if ct.state == C.CT_ESTABLISHED:
            return 2
        if ct.state == C.CT_NEW:
            return 8
        if ct.state == C.CT_RELATED:
            return 4
        return 64 if ct.state == C.CT_UNTRACKED else 1

    def transport(self, offset: int, size: int) -> int:
        """Return `size` bytes of the transport header as a number, or -1 if the packet has too few. At most 4 bytes."""
        at = self.th + offset
        if offset < 0 or at + size > self.end:
            return -1
        p = self.data
        number = 0
        for i in range(size):
            number = (number << 8) | p[at + i]
        return number

    def sealed(self) -> bool:
        """Return True if the transport header has its checksum, or the protocol has none there."""
        least = 0
        if self.proto == C.IPPROTO_TCP:
            least = 18
        elif self.proto == C.IPPROTO_UDP:
            least = 8
        elif self.proto == C.IPPROTO_ICMP:
            least = 4
        return self.end - self.th >= least

    def option(self, kind: int) -> int:
        """Return the offset in `data` of a TCP option, or -1 if there is none (Linux nft_exthdr)."""
        begin = self.th
        if self.proto != C.IPPROTO_TCP or self.later or self.end - begin < 20:
            return -1
        p = self.data
        end = begin + (p[begin + 12] >> 4) * 4
        if end > self.end:
            return -1
        at = begin + 20
        while at < end:
            size = 1
            if p[at] > 1:
                size = p[at + 1] if at + 1 < end else 0
                if size < 2:
                    size = 1
            if p[at] == kind:
                return at if at + size <= end else -1
            at += size
        return -1

    def header(self) -> bytes:
        """Return the network header as it is at this place."""
        if self.arrived:
            pkt: Packet = self.packet
            return pkt.frame[pkt.ip_off : pkt.ip_off + pkt.ip_hlen]
        out: Outgoing = self.out
        head = bytearray(20)
        ident, flags = out.dst.ident, 0x4000 if out.df & C.DONT_FRAGMENT else 0
        if not self.own:
            pkt = self.core.packet
            ident = pkt.ident
            flags = (0x4000 if pkt.df else 0) | (0x2000 if pkt.mf else 0) | pkt.frag_off >> 3
        head[0] = 0x45
        head[1] = self.tos
        head[2:4] = self.length.to_bytes(2, "big")
        head[4:6] = ident.to_bytes(2, "big")
        head[6:8] = flags.to_bytes(2, "big")
        head[8] = self.ttl
        head[9] = self.proto
        head[12:16] = int(v4_bits(self.src)).to_bytes(4, "big")
        head[16:20] = int(v4_bits(self.dst)).to_bytes(4, "big")
        csum = checksum.sum_scratch(head, 0, 20, 0) ^ 0xFFFF
        head[10] = csum >> 8
        head[11] = csum & 0xFF
        return bytes(head)

    def subject(self) -> str:
        """Return a short name for events."""
        name = PROTOCOLS.get(self.proto, self.proto)
        if self.proto == C.IPPROTO_TCP or self.proto == C.IPPROTO_UDP:
            sport, dport = self.transport(0, 2), self.transport(2, 2)
            return f"{name} {addr_text(self.src)}:{sport}-{addr_text(self.dst)}:{dport}"
        return f"{name} {addr_text(self.src)}-{addr_text(self.dst)}"
