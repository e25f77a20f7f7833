"""`queue`: a packet waits until the application decides about it (Linux nft_queue, nfnetlink_queue). Its calls are in ingress/queued.py."""

from collections import OrderedDict
from typing import Any

import pystack_c.const as C
from pystack_c.filter.hooks import NAMES
from pystack_c.filter.nft.chains import FilterPackets
from pystack_c.filter.nft.statements import Statement
from pystack_c.filter.nft.view import View

#: the most packets that wait in one queue, if the application names no number (Linux NFQNL_QMAX_DEFAULT), and the most that it may name
LENGTH, LENGTH_MAX = 1024, 65536
_LINUX = "Linux nfnetlink_queue"


class QueuedPacket:
    """A packet that waits: what is necessary to let it go on. `hook` is the chain that queued it."""

    def __init__(self, ident: int, number: int, view: View, hook: Any, priority: int) -> None:
        pkt = view.packet
        self.ident = ident
        self.number = number
        self.place = view.place
        self.iface = view.iif
        self.oif = view.oif
        self.frame = pkt.frame
        self.offsets = (pkt.l2_off, pkt.ip_off, pkt.end)
        self.flags = pkt.flags
        self.gso_size = pkt.gso_size
        self.link = (pkt.l2_group, pkt.eth_dst, pkt.eth_src, pkt.eth_type, pkt.dst_kind)
        self.packet = pkt.frame[pkt.ip_off : pkt.ip_off + pkt.total_len]
        self.mark = view.mark
        self.trace = view.trace
        ct = view.core.conntrack
        self.tracked = None if ct is None else (ct.entry, ct.direction, ct.state, ct.fragment_size, ct.fragment_sizes)
        self.untracked = ct is not None and ct.untracked
        self.hook = hook
        self.priority = priority
        #: the application has it
        self.taken = False


class Queues:
    """The queues of one stack. A number has a queue while an application listens to it."""

    def __init__(self) -> None:
        self.lengths: dict[int, int] = {}
        self.waiting: OrderedDict[int, QueuedPacket] = OrderedDict()
        self.counts: dict[int, int] = {}
        self.next_ident = 1
        #: called with the number of a queue that got a packet; a driver sets it
        self.notify: Any = None

    def listen(self, number: int, length: int) -> None:
        """Open a queue for at most `length` packets, or close it (0). Packets that wait in a closed queue are dropped."""
        if length > 0:
            self.lengths[number] = length
            return
        self.lengths.pop(number, None)
        for ident in [one.ident for one in self.waiting.values() if one.number == number]:
            self.take(ident)

    def take(self, ident: int) -> QueuedPacket | None:
        """Remove a packet from its queue."""
        found = self.waiting.pop(ident, None)
        if found is not None:
            self.counts[found.number] -= 1
        return found


class Queue(Statement):
    """Let the packet wait in one of the queues from `low` to `high`: the same two hosts always get the same queue."""

    def __init__(self, packets: FilterPackets, low: int, high: int, bypass: bool) -> None:
        self.packets = packets
        self.low = low
        self.high = high
        self.bypass = bypass

    def run(self, view: View) -> int:  # inherited
        """Take over the packet, or drop it if nobody listens (with `bypass`, accept it then)."""
        core = view.core
        queues = self.packets.queues
        number = self.low
        if self.high > self.low:
            number += core.rng.keyed_flow(view.src, 0, view.dst, 0, 0) % (self.high - self.low + 1)
        if number not in queues.lengths:
            if self.bypass:
                return C.NF_ACCEPT
            core.drop("nft-queue-closed", view.subject(), f"no application listens to queue {number}", _LINUX)
            return C.NF_COUNTED
        if queues.counts.get(number, 0) >= queues.lengths[number]:
            core.drop("nft-queue-full", view.subject(), f"queue {number} is full", _LINUX)
            return C.NF_COUNTED
        base = view.base
        found = QueuedPacket(queues.next_ident, number, view, base, base.priority)
        queues.next_ident += 1
        queues.waiting[found.ident] = found
        queues.counts[number] = queues.counts.get(number, 0) + 1
        if core.probe is not None:
            fields = {"number": number, "ident": found.ident, "place": NAMES[view.place], "length": view.length}
            core.emit("nft.queue", view.subject(), 0, "a rule says queue, so the application decides", _LINUX, fields)
        if queues.notify is not None:
            queues.notify(number)
        return C.NF_STOLEN
