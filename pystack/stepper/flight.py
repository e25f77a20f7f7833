"""Finds which arrived frame is which sent frame. A recording does not say it, so the frames are matched by their bytes.

If several frames on the way have the same bytes (ARP requests, duplicate ACKs), the match is the one whose time on the
way is nearest to that of the previous frame between the same hosts. A frame that arrived with one bit changed is found,
too. A frame that is sent to a host of the recording and never arrives was lost.
"""

from array import array
from collections import OrderedDict
from typing import Any

import pystack_c.const as C
from pystack.phy.segmenter import finish_checksum, segments
from pystack.stepper.ways import Ways
from pystack_c.packet import Transmit

#: how many frames on the way are remembered
PENDING = 8192
#: how many of these are compared with a frame that arrived with a changed bit
RECENT = 64
#: receivers that are no host: all hosts, and the world outside the recording
EVERYBODY, OUTSIDE = -2, -1


class _Iface:
    """The attributes of an interface that the segmenter needs."""

    def __init__(self, kind: int):
        self.kind = kind


class Flights:
    """The frames that were sent and have not arrived."""

    def __init__(self, ways: Ways) -> None:
        self.ways = ways
        self.pending: OrderedDict[bytes, list[tuple[int, int, int]]] = OrderedDict()  # (frame, sender, time)
        self.count = 0
        self.arrival = array("q")
        self.event = array("q")
        self.receiver = array("l")
        self.meant = array("l")
        self.copies: dict[int, list[tuple[int, int, int]]] = {}
        self.altered: dict[int, bool] = {}
        self.delay: dict[tuple[int, int], int] = {}
        self.macs: dict[bytes, int] = {}
        self.known = 0

    def sent(
        self, number: int, sender: int, hosts: "dict[str, Any]", data: bytes, kind: int, gso: int, time: int
    ) -> int:
        """Remember a frame that a host sent. Return the receiver, which is found by its MAC address."""
        to = self._sent(number, sender, hosts, data, kind, gso, time)
        self.meant.append(to)
        return to

    def _sent(
        self, number: int, sender: int, hosts: "dict[str, Any]", data: bytes, kind: int, gso: int, time: int
    ) -> int:
        self._append(-1, -1, -1)
        if len(hosts) == 1 and kind != C.LINK_LOOPBACK:
            return OUTSIDE
        pieces = on_the_wire(data, kind, gso)
        self.ways.sent(number, pieces)
        for piece in pieces:
            self.pending.setdefault(piece, []).append(
                (number, -1 - sender if kind == C.LINK_LOOPBACK else sender, time)
            )
            self.count += 1
        while self.count > PENDING:
            _, old = self.pending.popitem(last=False)
            self.count -= len(old)
        if kind == C.LINK_LOOPBACK:
            return sender
        if kind != C.LINK_ETHERNET:
            return self._by_address(data, sender, hosts)
        return self._by_mac(data, sender, hosts)

    def _by_mac(self, data: bytes, sender: int, hosts: "dict[str, Any]") -> int:
        if data[:1] and data[0] & 1:
            return 1 - sender if len(hosts) == 2 else EVERYBODY
        found = self.macs.get(data[:6])
        if found is None:
            for host in hosts.values():
                for iface in host.stack.ifaces:
                    self.macs[iface.mac.to_bytes(6, "big")] = host.number
            found = self.macs.get(data[:6], OUTSIDE)
        return found

    def _by_address(self, data: bytes, sender: int, hosts: "dict[str, Any]") -> int:
        """Find the receiver without MAC addresses: the host that has the destination address, or else the only other
        host.
        """
        dst = int.from_bytes(data[16:20], "big")
        for host in hosts.values():
            if dst in host.stack.local:
                return int(host.number)
        return 1 - sender if len(hosts) == 2 else EVERYBODY

    def arrived(
        self, event: int, receiver: int, data: bytes, kind: int, time: int, box: bool = False, due: int = -1
    ) -> int:
        """Return the number of the frame that arrived, or -1 if it is from outside.

        `box`: the receiver is a middlebox, which takes frames that are for others. `due`: the links say that it is this frame.
        """
        mine = -1 - receiver
        candidates = [
            one
            for one in self.pending.get(data, ())
            if (one[1] == mine if kind == C.LINK_LOOPBACK else one[1] != receiver and one[1] >= 0)
        ]
        if not candidates:
            return self._changed(event, receiver, data, time) if self.pending and kind != C.LINK_LOOPBACK else -1
        fresh = [one for one in candidates if self.arrival[one[0]] < 0] or candidates
        chosen = fresh[-1]
        noted = [one for one in candidates if one[0] == due]
        if noted:
            chosen = noted[0]
        elif len(fresh) > 1:
            usual = self.delay.get((chosen[1], receiver))
            if usual is not None:
                chosen = min(fresh, key=lambda one: abs(time - one[2] - usual))
        if box:
            self.meant[chosen[0]] = receiver
        self._arrive(chosen, event, receiver, time)
        return chosen[0]

    def _arrive(self, chosen: tuple[int, int, int], event: int, receiver: int, time: int) -> None:
        number, sender, sent = chosen
        # A switch floods a frame to other hosts, too. Only the arrival at the addressed host counts.
        if self.arrival[number] >= 0 or (self.meant[number] >= 0 and self.meant[number] != receiver):
            self.copies.setdefault(number, []).append((time, receiver, event))
            return
        self.arrival[number], self.event[number], self.receiver[number] = time, event, receiver
        self.delay[sender, receiver] = time - sent

    def _changed(self, event: int, receiver: int, data: bytes, time: int) -> int:
        """Return the number of the frame of which one bit was changed on the way, or -1."""
        value = int.from_bytes(data, "big")
        for seen, (other, sent) in enumerate(reversed(self.pending.items())):
            if seen >= RECENT:
                break
            if len(other) == len(data) and (int.from_bytes(other, "big") ^ value).bit_count() == 1:
                fresh = [one for one in sent if one[1] != receiver and self.arrival[one[0]] < 0]
                if fresh:
                    self._arrive(fresh[0], event, receiver, time)
                    self.altered[fresh[0][0]] = True
                    self.pending[data] = [fresh[0]]  # its copy will arrive with the same bit changed
                    self.count += 1
                    return fresh[0][0]
        return -1

    def outside(self, number: int, event: int, receiver: int, time: int) -> None:
        """Note a frame that arrived from outside."""
        self._append(time, event, receiver)
        self.meant.append(receiver)

    def _append(self, arrival: int, event: int, receiver: int) -> None:
        self.arrival.append(arrival)
        self.event.append(event)
        self.receiver.append(receiver)


def on_the_wire(data: bytes, kind: int, gso: int) -> "list[bytes]":
    """Return the frames that the device makes of one that a stack gives it."""
    ip = C.ETH_HLEN if kind == C.LINK_ETHERNET else 0
    if not gso:
        return [finish_checksum(data, ip) if kind != C.LINK_LOOPBACK else data]
    l4 = ip + (data[ip] & 15) * 4
    tx = Transmit(_Iface(kind), data)
    tx.gso_size, tx.csum_start, tx.csum_offset = gso, l4, 16
    return list(segments(tx))
