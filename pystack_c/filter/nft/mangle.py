"""Statements of nftables that change a packet, its mark, its connection, or its addresses (Linux nft_payload, nft_meta, nft_ct, nft_nat)."""

from typing import Any

import pystack_c.const as C
from pystack_c.base.address import v4
from pystack_c.filter.conntrack_table import Conntrack
from pystack_c.filter.flow import Tracked
from pystack_c.filter.nat_rules import NatRule, Range
from pystack_c.filter.nft import exprs
from pystack_c.filter.nft.exprs import Expr
from pystack_c.filter.nft.statements import Statement
from pystack_c.filter.nft.view import View
from pystack_c.packet import Outgoing, Packet
from pystack_c.wire import checksum, rewrite


class SetMark(Statement):
    """`meta mark set`."""

    def __init__(self, number: Expr) -> None:
        self.number = number

    def run(self, view: View) -> int:  # inherited
        """Set the mark of the packet. The rules of routing read it after PREROUTING, and after a chain of the type route."""
        found = self.number.value(view)
        if found is None:
            return C.NFT_BREAK
        view.mark = found & 0xFFFFFFFF
        if view.arrived:
            pkt: Packet = view.packet
            pkt.mark = view.mark
        else:
            out: Outgoing = view.out
            out.mark = view.mark
        return C.NFT_CONTINUE


class SetTrace(Statement):
    """`meta nftrace set`."""

    def __init__(self, on: bool) -> None:
        self.on = on

    def run(self, view: View) -> int:  # inherited
        """Begin or end the tracing of the packet."""
        view.trace = self.on
        return C.NFT_CONTINUE


class SetCtMark(Statement):
    """`ct mark set`."""

    def __init__(self, number: Expr) -> None:
        self.number = number

    def run(self, view: View) -> int:  # inherited
        """Set the mark of the connection. Without a connection, nothing happens."""
        found = self.number.value(view)
        if found is None:
            return C.NFT_BREAK
        entry: Tracked | None = view.entry()
        if entry is not None:
            entry.mark = found & 0xFFFFFFFF
        return C.NFT_CONTINUE


class Notrack(Statement):
    """`notrack`: connection tracking leaves the packet alone."""

    def run(self, view: View) -> int:  # inherited
        """Mark the packet as untracked, unless it is tracked already."""
        ct: Conntrack = view.core.conntrack
        if view.blind:
            ct.untracked = True
        return C.NFT_CONTINUE


class SetNet(Statement):
    """Set a field of the network header: an address, the TTL, DSCP or ECN."""

    def __init__(self, code: int, number: Expr) -> None:
        self.code = code
        self.number = number

    def run(self, view: View) -> int:  # inherited
        """Set the field, and update the checksums."""
        found = self.number.value(view)
        if found is None:
            return C.NFT_BREAK
        code = self.code  # object
        if code == exprs.SADDR or code == exprs.DADDR:
            addr = v4(found)
            _set_addr(view, code == exprs.SADDR, addr)
        elif code == exprs.TTL:
            view.ttl = found
            # The stack decrements the TTL after FORWARD, Linux before it.
            _set_byte(view, 8, min(found + 1, 255) if view.place == C.HOOK_FORWARD else found)
        else:
            view.tos = (view.tos & 3) | (found << 2) if code == exprs.DSCP else (view.tos & 0xFC) | found
            _set_byte(view, 1, view.tos)
        return C.NFT_CONTINUE


class SetTransport(Statement):
    """Set a field of the transport header, as TransportField reads it. `mask` is that of the field, before the shift."""

    def __init__(self, proto: int, offset: int, size: int, shift: int, mask: int, number: Expr) -> None:
        self.proto = proto
        self.offset = offset
        self.size = size
        self.shift = shift
        self.mask = mask
        self.number = number

    def run(self, view: View) -> int:  # inherited
        """Set the field, and update the checksum."""
        if (self.proto != 0 and view.proto != self.proto) or view.later:
            return C.NFT_BREAK
        found = self.number.value(view)
        old = view.transport(self.offset, self.size)
        if found is None or old < 0:
            return C.NFT_BREAK
        if not view.sealed():
            # Linux does not change a header that ends before its checksum.
            return C.NFT_BREAK
        new = (old & ~(self.mask << self.shift)) | ((found & self.mask) << self.shift)
        patch(view, self.offset, int(new).to_bytes(self.size, "big"))
        return C.NFT_CONTINUE


class SetTcpOption(Statement):
    """Set a field of a TCP option. The MSS only becomes smaller, as on Linux."""

    def __init__(self, kind: int, offset: int, size: int, number: Expr) -> None:
        self.kind = kind
        self.offset = offset
        self.size = size
        self.number = number

    def run(self, view: View) -> int:  # inherited
        """Set the field, and update the checksum."""
        found = self.number.value(view)
        at = view.option(self.kind)
        if found is None or view.proto != C.IPPROTO_TCP:
            return C.NFT_BREAK
        if at < 0:
            return C.NFT_CONTINUE
        if self.offset + self.size > view.data[at + 1]:
            return C.NFT_BREAK
        old = int.from_bytes(view.data[at + self.offset : at + self.offset + self.size], "big")
        if old != found and (self.kind != 2 or found < old):
            patch(view, at + self.offset - view.th, int(found).to_bytes(self.size, "big"))
        return C.NFT_CONTINUE


class Translate(Statement):
    """`snat`, `dnat`, `masquerade`, `redirect`: choose the translation of a new connection. The expressions may be None."""

    def __init__(self, action: int, addr: Any, port: Any, pair: bool) -> None:
        self.action = action
        #: expressions, or None; their value is a number, or the first and the last number of a range
        self.addr = addr
        self.port = port
        #: `addr` gives the address and the port
        self.pair = pair
        self.fully_random = False
        self.persistent = False

    def run(self, view: View) -> int:  # inherited
        """Accept the packet, with the translation in view.nat."""
        found: Any = 0 if self.addr is None else self.addr.value(view)
        port: Any = 0 if self.port is None else self.port.value(view)
        if found is None or port is None:
            return C.NFT_BREAK
        if self.pair:
            # A map gave both, as a concatenation.
            found, port = found
        low, high = found if type(found) is tuple else (found, found)
        first, last = port if type(port) is tuple else (port, port)
        choice = Range(v4(low), v4(high), first, last, self.fully_random)
        choice.persistent = self.persistent
        view.nat = NatRule(self.action, choice)
        return C.NF_ACCEPT


# Changing a packet in both of its forms.


def patch(view: View, offset: int, data: bytes) -> None:
    """Overwrite bytes of the transport header, and update its checksum (RFC 1624)."""
    partial = False
    if view.arrived:
        pkt: Packet = view.packet
        q = bytearray(pkt.frame)
        at = pkt.l4_off
        end = pkt.l4_end
        proto = pkt.proto
    else:
        out: Outgoing = view.out
        partial = out.csum_offset > 0
        proto = out.proto
        if out.l4_len >= 8:
            q = view.core.scratch
            at = C.L4_OFF
            end = C.L4_OFF + out.l4_len
        else:
            q = out.payload if type(out.payload) is bytearray else bytearray(out.payload)
            out.payload = q
            at = 0
            end = len(q)
    csum_at = rewrite.checksum_at(q, at, end, proto, partial)
    word = at + (offset & ~1)
    flip = 0xFFFF if partial else 0
    i = 0
    # An unfinished checksum covers only the addresses.
    while csum_at >= 0 and not partial and word < at + offset + len(data) and word + 1 < end:
        old = (q[word] << 8) | q[word + 1]
        new = old
        if at + offset <= word < at + offset + len(data):
            new = (new & 0xFF) | (data[word - at - offset] << 8)
        if at + offset <= word + 1 < at + offset + len(data):
            new = (new & 0xFF00) | data[word + 1 - at - offset]
        csum = checksum.update(((q[csum_at] << 8) | q[csum_at + 1]) ^ flip, old, new) ^ flip
        q[csum_at] = csum >> 8
        q[csum_at + 1] = csum & 0xFF
        word += 2
    for i in range(len(data)):
        q[at + offset + i] = data[i]
    if view.arrived:
        pkt = view.packet
        pkt.frame = bytes(q)
        view.data = pkt.frame
    else:
        view.data = view.data[: view.th + offset] + data + view.data[view.th + offset + len(data) :]


def _set_byte(view: View, offset: int, number: int) -> None:
    """Set the TOS or the TTL, and update the checksum of the header."""
    if not view.arrived:
        # The stack writes the header of a packet that leaves after the hooks.
        out: Outgoing = view.out
        if offset == 1:
            out.tos = number
        else:
            out.ttl = number
        return
    pkt: Packet = view.packet
    q = bytearray(pkt.frame)
    old = (q[pkt.ip_off + (offset & ~1)] << 8) | q[pkt.ip_off + (offset | 1)]
    q[pkt.ip_off + offset] = number
    new = (q[pkt.ip_off + (offset & ~1)] << 8) | q[pkt.ip_off + (offset | 1)]
    csum = checksum.update((q[pkt.ip_off + 10] << 8) | q[pkt.ip_off + 11], old, new)
    q[pkt.ip_off + 10] = csum >> 8
    q[pkt.ip_off + 11] = csum & 0xFF
    pkt.frame = bytes(q)
    view.data = pkt.frame
    if offset == 1:
        pkt.tos = number
    else:
        pkt.ttl = number


def _set_addr(view: View, source: bool, addr: int) -> None:
    """Set an address, and update the checksums of both headers."""
    before = view.src if source else view.dst
    # The port stays: it is the identifier for ICMP.
    port = view.transport(4 if view.proto == C.IPPROTO_ICMP else 0 if source else 2, 2)
    if view.arrived:
        pkt: Packet = view.packet
        q = bytearray(pkt.frame)
        rewrite.network(q, pkt.ip_off, source, addr)
        if not view.later and port >= 0:
            rewrite.transport(q, pkt.l4_off, pkt.l4_end, pkt.proto, source, before, addr, port, False)
        pkt.frame = bytes(q)
        view.data = pkt.frame
        if source:
            pkt.src = addr
        else:
            pkt.dst = addr
    else:
        out: Outgoing = view.out
        partial = out.csum_offset > 0
        scratch = out.l4_len >= 8
        if scratch:
            q, at, end = view.core.scratch, C.L4_OFF, C.L4_OFF + out.l4_len
        else:
            q = out.payload if type(out.payload) is bytearray else bytearray(out.payload or b"")
            at, end = 0, len(q)
            if out.payload is not None:
                out.payload = q
        if not view.later and port >= 0:
            rewrite.transport(q, at, end, out.proto, source, before, addr, port, partial)
        if source:
            out.src = addr
        else:
            out.daddr = addr
    if source:
        view.src = addr
    else:
        view.dst = addr
