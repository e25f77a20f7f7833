"""What a base chain decided about the packets of a connection, so that the same decision is not computed again.

A memo is kept if the chain accepted the packet, and if all that its rules looked at is the same for the next packet: the addresses, the
first four bytes of the transport header (the ports), the interfaces, the protocol, the direction, no mark, and the state established.
`recall` compares them, so it does not matter why one of them changed. The memo has the counters that the packet passed, and they
count on. Each load of rules makes all memos old.
"""

from typing import Any

import pystack_c.const as C
from pystack_c.core import Core
from pystack_c.filter.conntrack_table import Conntrack
from pystack_c.filter.flow import Half, Tracked
from pystack_c.filter.nft.statements import Counter, Step
from pystack_c.filter.nft.view import View
from pystack_c.packet import Packet

#: the most memos of one direction of a connection: one for each base chain
MEMOS = 8


class Hit:
    """A counter that the packets of a memo pass."""

    def __init__(self, counter: Counter, following: Any) -> None:
        self.counter = counter
        self.following = following


class Memo:
    """The decision of one chain about one direction of a connection. Without `holds`, it cannot be remembered."""

    def __init__(self, chain: Any, following: Any) -> None:
        self.chain = chain
        self.following = following
        self.epoch = -1
        self.holds = False
        self.src = 0
        self.dst = 0
        self.ports = 0
        self.iif: Any = None
        self.oif: Any = None
        self.first: Any = None


def _half(core: Core, view: View, pkt: Packet) -> Any:
    """Return the direction of the packet's connection, or None if nothing about the packet may be remembered."""
    ct: Conntrack | None = core.conntrack
    if ct is None or ct.state != C.CT_ESTABLISHED or view.mark != 0 or view.trace or pkt.l4_end - pkt.l4_off < 8:
        return None
    entry: Tracked | None = ct.entry
    return None if entry is None else entry.half(ct.direction)


def _ports(pkt: Packet) -> int:
    p = pkt.frame
    at = pkt.l4_off
    high = (p[at] << 8) | p[at + 1]
    return high << 16 | p[at + 2] << 8 | p[at + 3]


def _memo(half: Half, chain: Any) -> Any:
    memo: Memo | None = half.memo
    while memo is not None and memo.chain is not chain:
        memo = memo.following
    return memo


def recall(core: Core, chain: Any, epoch: int, view: View, place: int, iface: Any, pkt: Packet) -> bool:
    """Return True if the chain accepts the packet as it accepted others of its connection. The packet is counted then."""
    # Nearly every packet of a router with a filter comes here, so this is `_half` and `_memo` in one function.
    ct: Conntrack | None = core.conntrack
    if ct is None or ct.state != C.CT_ESTABLISHED or view.mark != 0 or view.trace or pkt.l4_end - pkt.l4_off < 8:
        return False
    if ct.entry is None:
        return False
    memo: Memo | None = ct.entry.original.memo if ct.direction == C.CT_ORIGINAL else ct.entry.reply.memo
    while memo is not None and memo.chain is not chain:
        memo = memo.following
    if memo is None or memo.epoch != epoch or not memo.holds:
        return False
    if memo.src != pkt.src or memo.dst != pkt.dst or memo.iif is not iface or memo.ports != _ports(pkt):
        return False
    if place == C.HOOK_FORWARD and core.out.dst.iface is not memo.oif:
        return False
    hit: Hit | None = memo.first
    while hit is not None:
        hit.counter.packets += 1
        hit.counter.octets += pkt.total_len
        hit = hit.following
    return True


def remember(core: Core, chain: Any, rules: list[Any], accepts: bool, epoch: int, view: View, pkt: Packet) -> None:
    """Keep what the chain decided about a packet that it has just accepted. `accepts` is its policy.

    Three packets of the direction pass before, because to make a memo costs as much as to judge three packets.
    """
    half: Half | None = _half(core, view, pkt)
    if half is None or half.packets <= 3:
        return
    memo: Memo | None = _memo(half, chain)
    if memo is None:
        count = 0
        memo = half.memo
        while memo is not None:
            count += 1
            memo = memo.following
        if count >= MEMOS:
            return
        memo = Memo(chain, half.memo)
        half.memo = memo
    if memo.epoch == epoch:
        return
    memo.epoch = epoch
    memo.first = None
    memo.src = pkt.src
    memo.dst = pkt.dst
    memo.ports = _ports(pkt)
    memo.iif = view.iif
    memo.oif = view.oif
    memo.holds = _walk(memo, rules, accepts, view)


def _walk(memo: Memo, rules: list[Any], accepts: bool, view: View) -> bool:
    """Go through the rules again, and note the counters. Returns False if they depend on more than a memo compares."""
    for rule in rules:
        step: Step | None = rule.first
        verdict = C.NFT_CONTINUE
        while step is not None:
            if not step.statement.steady():
                return False
            if isinstance(step.statement, Counter):
                memo.first = Hit(step.statement, memo.first)
            else:
                verdict = step.statement.run(view)
                if verdict != C.NFT_CONTINUE:
                    break
            step = step.following
        if verdict != C.NFT_CONTINUE and verdict != C.NFT_BREAK:
            return verdict == C.NF_ACCEPT
    return accepts
