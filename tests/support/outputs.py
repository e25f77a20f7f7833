"""Each frame that the stack sends, looked at by other code than the stack's: lengths, checksums, ports, payload, windows."""

from collections.abc import Callable
from typing import Any

import pystack_c.const as C
from pystack_c.base.address import v4
from tests.support.build import fold, pseudo


class OutputCheck:
    """The oracle of what goes out. AssertionError says what is wrong with a frame.

    `pattern(offset, n)` is what the applications write at a stream offset. Per connection it remembers the first sequence
    number and the right edge of the window that was announced, which must never move left by a whole window unit.
    """

    def __init__(self, stack: Any, pattern: Callable[[int, int], bytes]):
        self.stack = stack
        self.pattern = pattern
        self.iss: dict[tuple[int, ...], int] = {}
        self.edge: dict[int, int] = {}
        # the protocols of which raw sockets have sent: theirs are any bytes
        self.raw_sent: list[int] = []

    def frame(self, tx: Any, frame: bytes) -> None:
        """Look at one Transmit and its bytes."""
        at = 0
        if tx.iface.kind == C.LINK_ETHERNET:
            assert frame[6:12] == tx.iface.mac.to_bytes(6, "big"), "sent with another's MAC address"
            kind = frame[12] << 8 | frame[13]
            if kind == 0x0806:
                assert len(frame) == 42, "an ARP frame's length"
                return
            at = 14
            if kind == 0x8100:
                vid = (frame[14] << 8 | frame[15]) & 0xFFF
                assert tx.iface.vlans is not None and vid in tx.iface.vlans, f"a tag of VLAN {vid}"
                kind = frame[16] << 8 | frame[17]
                at = 18
                if kind == 0x0806:
                    return
            assert kind == 0x0800, f"EtherType {kind:#x}"
        ip = frame[at:]
        hlen = (ip[0] & 15) * 4
        assert ip[0] >> 4 == 4 and 20 <= hlen <= len(ip), "IPv4 header length"
        assert fold(ip[:hlen]) == 0xFFFF, "IP header checksum"
        assert ip[2] << 8 | ip[3] == len(ip), f"total length {ip[2] << 8 | ip[3]}, the packet has {len(ip)}"
        if tx.gso_size:
            assert len(ip) - hlen > tx.gso_size and tx.csum_start == at + hlen, "offload fields"
        else:
            assert len(ip) <= tx.iface.mtu, f"{len(ip)} bytes on a link with MTU {tx.iface.mtu}"
        if (ip[6] & 0x3F) | ip[7]:
            return
        src, dst = int.from_bytes(ip[12:16], "big"), int.from_bytes(ip[16:20], "big")
        own = self.stack.local_addr(v4(src)) is not None
        body = self._transport(tx, ip[hlen:], at + hlen, ip[9], src, dst, own)
        if own and ip[9] == 6 and 6 not in self.raw_sent:
            self._segment(body, src, dst)

    def _transport(self, tx: Any, body: bytes, start: int, proto: int, src: int, dst: int, own: bool) -> bytes:
        """The checksum, finished first where that is left to the device. A forwarded packet keeps its own."""
        at = {1: 2, 6: 16, 17: 6}.get(proto)
        if at is None or not own or proto in self.raw_sent:
            return body
        acc = 0 if proto == 1 else pseudo(src, dst, proto, len(body))
        if tx.csum_start:
            assert tx.csum_start == start and tx.csum_offset == at, "the device would write elsewhere"
            assert body[at] << 8 | body[at + 1] == acc, "the checksum field must hold the pseudo-header's sum"
            return body
        if proto == 17 and body[6:8] == b"\0\0":
            return body
        assert fold(body, acc) == 0xFFFF, f"checksum of protocol {proto}"
        return body

    def _segment(self, seg: bytes, src: int, dst: int) -> None:
        sport, dport = seg[0] << 8 | seg[1], seg[2] << 8 | seg[3]
        seq, ack = int.from_bytes(seg[4:8], "big"), int.from_bytes(seg[8:12], "big")
        hlen, flags = (seg[12] >> 4) * 4, seg[13]
        assert 20 <= hlen <= len(seg), "TCP header length"
        assert not (flags & C.SYN and flags & (C.FIN | C.RST)), f"flags {flags:#x}"
        payload = seg[hlen:]
        four = (src, sport, dst, dport)
        if flags & C.RST:
            assert not payload
            return
        if flags & C.SYN:
            self.iss[four] = seq
            return
        assert flags & C.ACK, "a segment without ACK"
        if payload and four in self.iss:
            offset = seq - self.iss[four] - 1 & 0xFFFFFFFF
            n = min(len(payload), 1 << 16)
            assert payload[:n] == self.pattern(offset, n), f"payload at offset {offset} is not what was written"
        tcb = self.stack.tcp.find(v4(src), sport, v4(dst), dport)
        if tcb is not None:
            scale = tcb.rcv_wscale
            self._window(tcb.ident, ack + ((seg[14] << 8 | seg[15]) << scale) & 0xFFFFFFFF, 1 << scale)

    def _window(self, ident: int, edge: int, unit: int) -> None:
        """SHLD-14: the right edge never comes back, but for what rounding to the window's unit takes (RFC 7323 2.4)."""
        old = self.edge.get(ident, edge)
        moved = (edge - old + 0x80000000 & 0xFFFFFFFF) - 0x80000000
        assert moved > -unit, f"the window shrank by {-moved} (unit {unit})"
        if moved > 0 or ident not in self.edge:
            self.edge[ident] = edge
