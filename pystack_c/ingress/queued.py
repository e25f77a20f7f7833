"""The application's calls for packets in the queues of the packet filter (`queue`): listen, take, verdict."""

import errno
from typing import Any

import pystack_c.const as C
from pystack_c.core import Core
from pystack_c.filter.nft.queueing import LENGTH, LENGTH_MAX, QueuedPacket, Queues
from pystack_c.ingress import ipv4
from pystack_c.ip import forward
from pystack_c.wire import ipv4 as wire

_COUNTED = ("IpInReceives", "IpExtInOctets", "IpExtInNoECTPkts", "IpExtInECT1Pkts", "IpExtInECT0Pkts", "IpExtInCEPkts")
_LINUX = "Linux nfnetlink_queue"


def _queues(core: Core) -> Queues:
    if core.nftables is None:
        raise OSError(errno.ENOENT, "this host has no packet filter")
    found: Queues = core.nftables.packets.queues
    return found


def listen(core: Core, number: int, length: int, now: int) -> None:
    """Open a queue for at most `length` packets (0: the default), or close it (-1); its packets are dropped then.

    Raises OSError: ENOENT without a packet filter, EINVAL for a number or length that is out of range.
    """
    if not 0 <= number <= 65535 or not -1 <= length <= LENGTH_MAX:
        raise OSError(errno.EINVAL, f"a queue has a number in 0..65535 and a length in -1..{LENGTH_MAX}")
    core.now = now
    _queues(core).listen(number, LENGTH if length == 0 else max(0, length))


def take(core: Core, number: int, now: int) -> Any:
    """Return the oldest packet of a queue that has not been taken, as (ident, IPv4 packet, place, name of the interface), or None.

    The packet waits for its verdict.
    """
    core.now = now
    for one in _queues(core).waiting.values():
        if one.number == number and not one.taken:
            one.taken = True
            return one.ident, one.packet, one.place, one.iface.name
    return None


def verdict(core: Core, ident: int, accept: bool, packet: bytes, now: int) -> None:
    """Let a packet go on at the next hook, or drop it. `packet` takes its place, unless it is empty.

    Raises OSError: ENOENT if no packet with this number waits, EINVAL if `packet` is no IPv4 packet.
    """
    core.now = now
    queues = _queues(core)
    if ident not in queues.waiting:
        raise OSError(errno.ENOENT, "no packet with this number waits")
    one = queues.waiting[ident]
    if accept and packet and not _is_packet(packet):
        raise OSError(errno.EINVAL, "this is no IPv4 packet")
    queues.take(ident)
    if not accept:
        core.drop("nft-queue-verdict", f"queue {one.number}", "the application refused the packet", _LINUX)
        return
    _resume(core, one, packet)


def _is_packet(packet: bytes) -> bool:
    hlen = (packet[0] & 15) * 4 if len(packet) >= 20 else 0
    return 20 <= hlen <= len(packet) and packet[0] >> 4 == 4 and int.from_bytes(packet[2:4], "big") == len(packet)


def _resume(core: Core, one: QueuedPacket, packet: bytes) -> None:
    """Put a packet back where it was taken from. It passes the hooks behind the one that queued it."""
    pkt = core.packet
    pkt.frame = one.frame
    pkt.l2_off, pkt.ip_off, pkt.end = one.offsets
    pkt.flags, pkt.gso_size, pkt.mark = one.flags, one.gso_size, one.mark
    pkt.l2_group, pkt.eth_dst, pkt.eth_src, pkt.eth_type, pkt.dst_kind = one.link
    if packet:
        pkt.frame, pkt.l2_off, pkt.ip_off, pkt.end = packet, 0, 0, len(packet)
        pkt.flags = 0
    ct = core.conntrack
    if ct is not None and one.tracked is not None:
        ct.entry, ct.direction, ct.state, ct.fragment_size, ct.fragment_sizes = one.tracked
    hooks = core.hooks
    if hooks is None:
        _go_on(core, one)
        return
    view = core.nftables.packets.view()
    view.begin(False, one.iface)
    view.mark, view.trace = one.mark, one.trace
    if ct is not None:
        ct.untracked = one.untracked
    before = hooks.items(one.place)
    at = [i for i, item in enumerate(before) if item.hook is one.hook]
    left = before[at[0] + 1 :] if at else [item for item in before if item.priority > one.priority]
    # These are the last of the place's items, so the way from each to the next stays as it is.
    hooks.begin(one.place, left[0] if left else None)
    try:
        _go_on(core, one)
    finally:
        hooks.begin(one.place, before[0] if before else None)


def _go_on(core: Core, one: QueuedPacket) -> None:
    pkt = core.packet
    if one.place == C.HOOK_PREROUTING:
        # The packet was counted when it arrived.
        counters = core.counters
        before = [getattr(counters, name) for name in _COUNTED]
        ipv4.input(core, one.iface, pkt)
        for name, value in zip(_COUNTED, before, strict=True):
            setattr(counters, name, value)
        return
    if wire.parse(pkt) != 0:
        core.drop("nft-queue-packet", f"queue {one.number}", "the header that the application wrote is wrong", _LINUX)
        return
    pkt.dst_kind = one.link[4]
    if one.place == C.HOOK_INPUT:
        ipv4.deliver(core, one.iface, pkt)
    else:
        forward.forward(core, one.iface, pkt)
