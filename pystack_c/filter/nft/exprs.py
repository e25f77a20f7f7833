"""Expressions of nftables: what a rule reads from a packet, and what it computes from that (Linux nft_payload, nft_meta, nft_ct, ...).

`value` returns a number, a text (names of interfaces), or a tuple of them (concatenations). None means that the packet has no
such value, and then the rule does not match. An expression that is `narrow` has the same value as a `number` of at most 62 bits, or -1
for None. A concatenation has its parts one after the other there, so that no object is made for a packet.
"""

from typing import Any

import pystack_c.const as C
from pystack_c.base.address import v4_bits
from pystack_c.filter.flow import Half, Tracked
from pystack_c.filter.nft.view import View
from pystack_c.iface import Iface
from pystack_c.packet import Packet
from pystack_c.route import Dst

# NetField.code
SADDR, DADDR, PROTOCOL, TTL, DSCP, ECN, LENGTH, ID, FRAG_OFF, VERSION, HDRLENGTH, CHECKSUM = range(12)
# Meta.code
M_LENGTH, M_NFPROTO, M_L4PROTO, M_PROTOCOL, M_MARK, M_IIFNAME, M_OIFNAME, M_PKTTYPE, M_RANDOM = range(9)
# Ct.code
CT_STATE, CT_STATUS, CT_MARK, CT_DIRECTION, CT_EXPIRATION, CT_PACKETS, CT_BYTES, CT_L3PROTO, CT_PROTOCOL = range(9)
# CtTuple.code
T_SADDR, T_DADDR, T_SPORT, T_DPORT, T_PACKETS, T_BYTES = range(6)
# Binary.code
AND, OR, XOR, LEFT, RIGHT = range(5)
# Linux's link-layer packet types (PACKET_*)
HOST, BROADCAST, MULTICAST, OTHERHOST = range(4)


class Expr:
    """The base of all expressions."""

    def value(self, view: View) -> Any:
        """Return the value for a packet, or None if the packet has none."""
        raise NotImplementedError

    def narrow(self) -> bool:
        """Return True if `number` has the value."""
        return False

    def number(self, view: View) -> int:
        """Return the value of a narrow expression, or -1 if the packet has none."""
        raise NotImplementedError

    def steady(self) -> bool:
        """Return True if the value depends only on what a memo compares (filter/nft/memos.py)."""
        return False


class Const(Expr):
    """A value that the ruleset gives."""

    def __init__(self, constant: Any) -> None:
        self.constant = constant

    def value(self, view: View) -> Any:  # inherited
        """Return the value."""
        return self.constant

    def steady(self) -> bool:  # inherited
        """It is the same for all packets."""
        return True


class NetField(Expr):
    """A field of the IPv4 header."""

    def __init__(self, code: int) -> None:
        self.code = code

    def value(self, view: View) -> Any:  # inherited
        """Return the field."""
        return _net(view, self.code)

    def narrow(self) -> bool:  # inherited
        """All fields are small."""
        return True

    def number(self, view: View) -> int:  # inherited
        """Return the field."""
        return _net(view, self.code)

    def steady(self) -> bool:  # inherited
        """The addresses and the protocol belong to the connection."""
        return self.code in (SADDR, DADDR, PROTOCOL, VERSION)


def _net(view: View, code: int) -> int:
    """Return a field of the IPv4 header."""
    # The numbers are those above; a comparison with a name of this module costs much more.
    if code == 0:
        return v4_bits(view.src)
    if code == 1:
        return v4_bits(view.dst)
    if code == 2:
        return view.proto
    if code == 3:
        return view.ttl
    if code == 4:
        return view.tos >> 2
    if code == 5:
        return view.tos & 3
    if code == 6:
        return view.length
    if code == 9:
        return 4
    head = view.header()
    if code == 10:
        return head[0] & 15
    at = 4 if code == 7 else 6 if code == 8 else 10
    return (head[at] << 8) | head[at + 1]


class TransportField(Expr):
    """A field of a transport header: `size` bytes at `offset`, shifted and masked. `proto` 0 means any protocol.

    `types` are the ICMP types that have the field, or None if all have it.
    """

    def __init__(self, proto: int, offset: int, size: int, shift: int = 0, mask: int = -1, types: Any = None) -> None:
        self.proto = proto
        self.offset = offset
        self.size = size
        self.shift = shift
        self.mask = mask
        self.types = types

    def value(self, view: View) -> Any:  # inherited
        """Return the field."""
        if self.proto != 0 and self.proto != view.proto:
            return None
        if self.types is not None and view.transport(0, 1) not in self.types:
            return None
        number = view.transport(self.offset, self.size)  # object
        return None if number < 0 else (number >> self.shift) & self.mask

    def narrow(self) -> bool:  # inherited
        """All fields are small."""
        return True

    def number(self, view: View) -> int:
        """Return the field, or -1."""
        if self.proto != 0 and self.proto != view.proto:
            return -1
        if self.types is not None and view.transport(0, 1) not in self.types:
            return -1
        number = view.transport(self.offset, self.size)
        return -1 if number < 0 else (number >> self.shift) & self.mask

    def steady(self) -> bool:  # inherited
        """A memo compares the first four bytes."""
        return self.offset + self.size <= 4 and self.types is None


class RawField(Expr):
    """Bits at an offset in bits, from the start of the network header or of the transport header."""

    def __init__(self, network: bool, offset: int, bits: int) -> None:
        self.network = network
        self.offset = offset
        self.bits = bits

    def value(self, view: View) -> Any:  # inherited
        """Return the bits."""
        begin, end = self.offset >> 3, (self.offset + self.bits + 7) >> 3  # object
        if self.network:
            data = view.header() + view.data[view.th : view.end]  # object
        else:
            data = view.data[view.th : view.end]  # object
        if end > len(data):
            return None
        number = int.from_bytes(data[begin:end], "big") >> (end * 8 - self.offset - self.bits)  # object
        return number & ((1 << self.bits) - 1)


class EtherField(Expr):
    """A field of the Ethernet header of a packet that arrived: 0 the source, 1 the destination, 2 the type."""

    def __init__(self, code: int) -> None:
        self.code = code

    def value(self, view: View) -> Any:  # inherited
        """Return the field."""
        if not view.arrived or view.iif.kind != C.LINK_ETHERNET:
            return None
        pkt: Packet = view.packet
        if self.code == 2:
            return pkt.eth_type
        return pkt.eth_src if self.code == 0 else pkt.eth_dst


class OptionField(Expr):
    """A field of a TCP option: `size` bytes at `offset` from the start of the option."""

    def __init__(self, kind: int, offset: int, size: int) -> None:
        self.kind = kind
        self.offset = offset
        self.size = size

    def value(self, view: View) -> Any:  # inherited
        """Return the field."""
        at = view.option(self.kind)  # object
        if at < 0 or (self.kind > 1 and self.offset + self.size > view.data[at + 1]):
            return None
        return int.from_bytes(view.data[at + self.offset : at + self.offset + self.size], "big")


class HasTcpOption(Expr):
    """1 if the packet has a TCP option. Otherwise, and for other protocols, it is 0."""

    def __init__(self, kind: int) -> None:
        self.kind = kind

    def value(self, view: View) -> Any:  # inherited
        """Return 1 or 0."""
        return 1 if view.option(self.kind) >= 0 else 0


class Meta(Expr):
    """What the stack knows about a packet beside its bytes (Linux nft_meta)."""

    def __init__(self, code: int) -> None:
        self.code = code

    def value(self, view: View) -> Any:  # inherited
        """Return it."""
        code = self.code  # object
        if code == M_L4PROTO:
            return view.proto
        if code == M_IIFNAME or code == M_OIFNAME:
            iface: Iface | None = view.iif if code == M_IIFNAME else view.oif
            return "" if iface is None else iface.name
        if code == M_MARK:
            return view.mark
        if code == M_LENGTH:
            return view.length
        if code == M_NFPROTO:
            return 2
        if code == M_PROTOCOL:
            return C.ETH_P_IP
        if code == M_RANDOM:
            return view.core.rng.u32()
        return _pkttype(view)

    def narrow(self) -> bool:  # inherited
        """Return True for the two most frequent numbers."""
        return self.code in (M_L4PROTO, M_MARK)

    def number(self, view: View) -> int:  # inherited
        """Return the protocol or the mark."""
        return view.proto if self.code == M_L4PROTO else view.mark

    def steady(self) -> bool:  # inherited
        """A memo compares the interfaces, and that there is no mark."""
        return self.code in (M_L4PROTO, M_MARK, M_NFPROTO, M_PROTOCOL, M_IIFNAME, M_OIFNAME)


def _pkttype(view: View) -> int:
    """Return the packet type of Linux. For a packet that leaves, and on loopback, Linux looks at the destination address."""
    if view.arrived and not view.iif.kind == C.LINK_LOOPBACK:
        pkt: Packet = view.packet
        if not pkt.l2_group or view.iif.kind != C.LINK_ETHERNET:
            return HOST
        return BROADCAST if pkt.eth_dst == 0xFFFFFFFFFFFF else MULTICAST
    bits = v4_bits(view.dst)
    if bits >> 28 == 14:
        return MULTICAST
    return BROADCAST if view.arrived and bits == 0xFFFFFFFF else HOST


class Ct(Expr):
    """The state of the packet's connection (Linux nft_ct)."""

    def __init__(self, code: int) -> None:
        self.code = code

    def value(self, view: View) -> Any:  # inherited
        """Return it."""
        code = self.code  # object
        if code == CT_STATE:
            return view.ct_bit()
        entry: Tracked | None = view.entry()
        if entry is None:
            return None
        if code == CT_STATUS:
            # The numbers of the bits are Linux's, except for our bit of entries in the middle of a removal.
            return entry.status
        if code == CT_MARK:
            return entry.mark
        if code == CT_DIRECTION:
            return view.core.conntrack.direction
        if code == CT_L3PROTO:
            return 2
        if code == CT_PROTOCOL:
            return entry.original.proto
        if code == CT_EXPIRATION:
            # The time of a new connection has not begun.
            if not entry.status & C.IPS_CONFIRMED:
                return 0
            return max(0, (entry.timer.deadline - view.core.now) // 1_000_000)
        if code == CT_PACKETS:
            return entry.original.packets + entry.reply.packets
        return entry.original.octets + entry.reply.octets

    def narrow(self) -> bool:  # inherited
        """Return True for the state."""
        return self.code == CT_STATE

    def number(self, view: View) -> int:  # inherited
        """Return the state."""
        return view.ct_bit()

    def steady(self) -> bool:  # inherited
        """A memo is about one direction, and about the state established."""
        return self.code in (CT_STATE, CT_DIRECTION)


class CtTuple(Expr):
    """A number of one direction of the packet's connection."""

    def __init__(self, code: int, direction: int) -> None:
        self.code = code
        self.direction = direction

    def value(self, view: View) -> Any:  # inherited
        """Return it."""
        entry: Tracked | None = view.entry()
        if entry is None:
            return None
        half: Half = entry.half(self.direction)
        code = self.code  # object
        if code == T_SADDR:
            return v4_bits(half.src)
        if code == T_DADDR:
            return v4_bits(half.dst)
        if code == T_SPORT:
            return half.sport
        if code == T_DPORT:
            return half.dport
        return half.packets if code == T_PACKETS else half.octets


class Rt(Expr):
    """The route of a packet: the largest MSS for its path, or the next hop (Linux nft_rt)."""

    def __init__(self, mtu: bool) -> None:
        self.mtu = mtu

    def value(self, view: View) -> Any:  # inherited
        """Return it."""
        dst: Dst = view.core.out.dst
        if view.place not in (C.HOOK_FORWARD, C.HOOK_OUTPUT, C.HOOK_POSTROUTING):
            return None
        if not self.mtu:
            return v4_bits(dst.next_hop)
        most = dst.mtu  # object
        if view.iif is not None and view.iif.mtu < most:
            # Linux asks for the route back to the sender. Here, that is the link on which the packet arrived.
            most = view.iif.mtu  # object
        return most - 40 if 40 < most <= 65535 else 536


class Binary(Expr):
    """An operation on the bits of two values."""

    def __init__(self, code: int, left: Expr, right: Expr) -> None:
        self.code = code
        self.left = left
        self.right = right

    def value(self, view: View) -> Any:  # inherited
        """Return the result."""
        one, two = self.left.value(view), self.right.value(view)  # object
        if one is None or two is None:
            return None
        code = self.code  # object
        if code == AND:
            return one & two
        if code == OR:
            return one | two
        if code == XOR:
            return one ^ two
        return (one << two) & 0xFFFFFFFF if code == LEFT else one >> two

    def steady(self) -> bool:  # inherited
        """Return True if both sides are."""
        return self.left.steady() and self.right.steady()


class Part:
    """A part of a concatenation. `following` is the next one, or None, and all parts behind this one have `below` bits together."""

    def __init__(self, expr: Expr, below: int, following: Any) -> None:
        self.expr = expr
        self.below = below
        self.following = following


class Concat(Expr):
    """Several values, one after the other. `sizes` are their bytes."""

    def __init__(self, parts: Any, sizes: Any) -> None:
        self.parts = tuple(parts)
        self.small = 8 * sum(sizes) <= 62 and all(part.narrow() for part in parts)
        self.first: Any = None
        below = 0  # object
        for part, size in zip(reversed(parts), reversed(sizes)):  # noqa: B905  # object
            self.first = Part(part, below, self.first)
            below += 8 * size  # object

    def value(self, view: View) -> Any:  # inherited
        """Return the values as a tuple."""
        found = []  # object
        for part in self.parts:  # object
            expr: Expr = part
            one = expr.value(view)  # object
            if one is None:
                return None
            found.append(one)
        return tuple(found)

    def narrow(self) -> bool:  # inherited
        """Return True if all parts fit into one number."""
        return self.small

    def number(self, view: View) -> int:
        """Return the values as one number, or -1."""
        number = 0
        part: Part | None = self.first
        while part is not None:
            one = part.expr.number(view)
            if one < 0:
                return -1
            number |= one << part.below
            part = part.following
        return number

    def steady(self) -> bool:  # inherited
        """Return True if all parts are."""
        for part in self.parts:  # object
            if not part.steady():
                return False
        return True
