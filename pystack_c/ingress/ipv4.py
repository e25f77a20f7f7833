"""IPv4 input: checks, options, delivery or forwarding, and reassembly (RFC 1122 section 3.2, RFC 791).

The stack delivers, answers, forwards or holds every packet, or counts it as a drop.
"""

import pystack_c.const as C
from pystack_c.base.address import (
    addr_text,
    is_broadcast,
    is_group,
    is_loopback,
    is_multicast,
    is_this_network,
    key,
    v4,
)
from pystack_c.core import Core
from pystack_c.counters import Counters
from pystack_c.filter.conntrack_table import Conntrack
from pystack_c.filter.hooks import verdict_of
from pystack_c.iface import Iface
from pystack_c.ingress import icmpv4 as icmp_input
from pystack_c.ip import forward, icmpv4, igmp, reassembly, source_route
from pystack_c.packet import Packet
from pystack_c.route import Accepted, slot
from pystack_c.sockets import raw, udp
from pystack_c.tcp import input as tcp_input
from pystack_c.tcp import tunnel
from pystack_c.wire import ipv4 as wire

# two results of the codec that have counters of their own
_BAD_CHECKSUM = -4
_TRUNCATED = -6
#: RFC 1112 4: 224.0.0.1
_ALL_HOSTS = 0xE0000001


def input(core: Core, iface: Iface, pkt: Packet) -> None:
    """Process an IPv4 packet that arrived on `iface`. Its header is at pkt.ip_off."""
    counters = core.counters
    counters.IpInReceives += 1
    counters.IpExtInOctets += pkt.end - pkt.ip_off
    code = wire.parse(pkt)
    if code != 0:
        if code == _TRUNCATED:
            # RFC 4293 ipSystemStatsInTruncatedPkts: the header is valid.
            counters.IpExtInTruncatedPkts += 1
        else:
            counters.IpInHdrErrors += 1
        if code == _BAD_CHECKSUM:
            counters.IpExtInCsumErrors += 1
        error = wire.ERRORS[-code]
        core.drop(error[0], "ip " + iface.name, error[1], error[2])
        return
    _count_ecn(counters, pkt)
    if core.hooks is not None and not _prerouting(core, iface, pkt):
        return
    at = slot(pkt.src, pkt.dst)
    known: Accepted | None = core.accepted[at]
    if (
        known is not None
        and pkt.src == known.src
        and pkt.dst == known.dst
        and iface is known.iface
        and known.epoch == core.route_epoch
    ):
        # A packet before came from and went to the same hosts, and
        # no address changed since, so the checks have the same result.
        pkt.dst_kind = known.kind
    else:
        if not _check_addresses(core, iface, pkt):
            return
        pkt.dst_kind = classify(core, iface, pkt.dst)
        if not _count_group(counters, pkt):
            _accept(core, iface, pkt, at)
    if pkt.ip_hlen > 20 and not _check_options(core, iface, pkt):
        return
    if core.mrouter is not None and is_multicast(pkt.dst) and core.mrouter.input(iface, pkt):
        return
    if pkt.dst_kind == C.DST_OTHER:
        if core.config.ip_forward:
            forward.forward(core, iface, pkt)
            return
        core.counters.IpInAddrErrors += 1
        core.drop("ip-not-for-us", _subject(pkt), "the packet is not for this host", "RFC 1122 3.2.1.3")
        return
    if pkt.l2_group and pkt.dst_kind == C.DST_UNICAST:
        core.drop("ip-l2-broadcast", _subject(pkt), "a link-layer broadcast had a unicast target", "RFC 1122 3.3.6")
        return
    if pkt.mf or pkt.frag_off != 0:
        if not reassembly.input(core, iface, pkt):
            return
    deliver(core, iface, pkt)


def _prerouting(core: Core, iface: Iface, pkt: Packet) -> bool:
    """Run the hooks at PREROUTING. Returns False if the packet goes no further.

    Connection tracking needs the ports of every packet. So it sees only whole datagrams, as on Linux.
    """
    tracked: Conntrack | None = core.conntrack
    if tracked is not None:
        tracked.fragment_size = 0
        if (pkt.mf or pkt.frag_off != 0) and not reassembly.whole(core, iface, pkt):
            return False
    return verdict_of(core, C.HOOK_PREROUTING, iface, pkt) == C.NF_ACCEPT


def _accept(core: Core, iface: Iface, pkt: Packet, at: int) -> None:
    """Remember at this place that the packet passed all checks of its addresses."""
    known: Accepted | None = core.accepted[at]
    if known is None:
        known = Accepted()
        core.accepted[at] = known
    known.src = pkt.src
    known.dst = pkt.dst
    known.iface = iface
    known.epoch = core.route_epoch
    known.kind = pkt.dst_kind


def _count_group(counters: Counters, pkt: Packet) -> bool:
    """Count a packet to a group or to all hosts (RFC 4293). Returns False if its destination is neither."""
    if pkt.dst_kind == C.DST_MULTICAST:
        counters.IpExtInMcastPkts += 1
        counters.IpExtInMcastOctets += pkt.total_len
    elif pkt.dst_kind == C.DST_BROADCAST:
        counters.IpExtInBcastPkts += 1
        counters.IpExtInBcastOctets += pkt.total_len
    else:
        # Whether this host is a member of a group can change without a change of addresses.
        return is_multicast(pkt.dst)
    return True


def _count_ecn(counters: Counters, pkt: Packet) -> None:
    """Count the ECN field of received packets (RFC 3168 5), as they were on the wire."""
    count = 1
    if pkt.gso_size > 0:
        count = (pkt.l4_end - pkt.l4_off + pkt.gso_size - 1) // pkt.gso_size  # not 0: it is above 0 here
    codepoint = pkt.tos & 3
    if codepoint == 0:
        counters.IpExtInNoECTPkts += count
    elif codepoint == 1:
        counters.IpExtInECT1Pkts += count
    elif codepoint == 2:
        counters.IpExtInECT0Pkts += count
    else:
        counters.IpExtInCEPkts += count


def _subject(pkt: Packet) -> str:
    return "ip " + addr_text(pkt.src) + "-" + addr_text(pkt.dst)


def _drop_martian(core: Core, pkt: Packet, name: str, reason: str, rfc: str) -> bool:
    core.counters.IpInAddrErrors += 1
    core.drop(name, _subject(pkt), reason, rfc)
    return False


def _check_addresses(core: Core, iface: Iface, pkt: Packet) -> bool:
    """Drop the datagram silently, and return False, if its addresses are impossible on a wire (RFC 1122 3.2.1.3)."""
    src = pkt.src
    loopback = iface.kind == C.LINK_LOOPBACK
    if is_group(src):
        return _drop_martian(core, pkt, "ip-martian-source", "the source is not a unicast address", "RFC 1122 3.2.1.3")
    if is_loopback(src) and not loopback:
        return _drop_martian(core, pkt, "ip-martian-source", "the loopback source is not local", "RFC 1122 3.2.1.3 (g)")
    if is_loopback(pkt.dst) and not loopback:
        return _drop_martian(
            core, pkt, "ip-martian-destination", "the loopback destination is not local", "RFC 1122 3.2.1.3 (g)"
        )
    if is_this_network(src):
        # RFC 1122 3.2.1.3 (a): only a host that is about to learn its address may use the source 0.0.0.0, in a
        # broadcast or multicast.
        if src != 0 or not (is_broadcast(pkt.dst) or is_multicast(pkt.dst)):
            return _drop_martian(core, pkt, "ip-martian-source", "no host can have this source", "RFC 1122 3.2.1.3 (a)")
    if pkt.dst == 0:
        return _drop_martian(
            core, pkt, "ip-martian-destination", "0.0.0.0 is not a valid destination", "RFC 1122 3.2.1.3 (a)"
        )
    if not loopback and core.local.get(key(src)) is not None:
        if src == pkt.dst:
            return _drop_martian(
                core, pkt, "ip-land", "the source and the destination are both our own address", "RFC 1122 3.2.1.3"
            )
        return _drop_martian(
            core, pkt, "ip-martian-source", "a packet from another host has our source address", "RFC 1122 3.2.1.3"
        )
    if not loopback and _is_broadcast(core, src):
        return _drop_martian(core, pkt, "ip-martian-source", "the source is a broadcast address", "RFC 1122 3.2.1.3")
    return True


def _is_broadcast(core: Core, src: int) -> bool:
    """Return True if it is the broadcast address of one of our networks, on any interface.

    An answer would go to all hosts there.
    """
    for iface in core.ifaces:
        for own in iface.addrs:
            if own.broadcast == src:
                return True
    return False


def _check_options(core: Core, iface: Iface, pkt: Packet) -> bool:
    """Parse the options (RFC 1122 3.2.1.8): ignore unknown ones, and report malformed ones as a parameter problem."""
    options = pkt.frame[pkt.ip_off + 20 : pkt.ip_off + pkt.ip_hlen]
    wrong = wire.check_options(options)
    if wrong >= 0:
        core.counters.IpInHdrErrors += 1
        core.drop("ip-bad-option", _subject(pkt), "an option's length or pointer is wrong", "RFC 1122 3.2.1.8")
        if pkt.dst_kind == C.DST_UNICAST or core.config.ip_forward:
            why = "an option's length or pointer is wrong"
            rest = (20 + wrong) << 24
            icmpv4.send_error(core, pkt, iface, C.ICMP_PARAMETER_PROBLEM, 0, rest, why, "RFC 1122 3.2.2.5")
        return False
    at = 0
    for kind, option in wire.options_list(options):
        if kind == wire.IPOPT_LSRR or kind == wire.IPOPT_SSRR:
            return source_route.arrived(core, iface, pkt, at)
        at += len(option)
    return True


def classify(core: Core, iface: Iface, dst: int) -> int:
    """Return the kind of a destination address, DST_* (RFC 1122 3.2.1.3, 3.3.6)."""
    if core.local_addr(dst) is not None:
        return C.DST_UNICAST
    if is_broadcast(dst):
        return C.DST_BROADCAST
    if is_multicast(dst):
        # RFC 1112 7.2: every host is a member of 224.0.0.1.
        if dst == v4(_ALL_HOSTS) or dst in iface.groups:
            return C.DST_MULTICAST
        return C.DST_OTHER
    for own in iface.addrs:
        if own.broadcast == dst:
            return C.DST_BROADCAST
    return C.DST_OTHER


def looped(core: Core, iface: Iface, packet: bytes) -> None:
    """Receive a copy of our own broadcast or group datagram (ip.output.loop_back)."""
    pkt: Packet = core.packet
    reassembly.load(pkt, packet)
    pkt.flags = C.RX_CSUM_OK
    pkt.dst_kind = classify(core, iface, pkt.dst)
    if core.conntrack is not None:
        # The original was tracked when it was sent.
        core.conntrack.entry = None
        core.conntrack.state = C.CT_UNTRACKED
    if pkt.dst_kind == C.DST_OTHER:
        core.drop(
            "ip-not-a-member", _subject(pkt), "this host is not a member of the destination group", "RFC 1112 7.2"
        )
        return
    deliver(core, iface, pkt)


def deliver(core: Core, iface: Iface, pkt: Packet) -> None:
    """Pass a whole packet for this host to its protocol (the end of RFC 1122 3.2.1)."""
    if core.hooks is not None and verdict_of(core, C.HOOK_INPUT, iface, pkt) != C.NF_ACCEPT:
        return
    if core.probe is not None:
        fields = {"proto": pkt.proto, "length": pkt.l4_end - pkt.l4_off, "ttl": pkt.ttl}
        core.emit("ip.in", _subject(pkt), 0, "the packet is for this host", "RFC 1122 3.2.1.3", fields)
    taken = core.raw is not None and raw.deliver(core, iface, pkt)
    if pkt.proto == C.IPPROTO_TCP:
        core.counters.IpInDelivers += 1
        tcp_input.segment_arrives(core, pkt)
    elif pkt.proto == C.IPPROTO_UDP:
        core.counters.IpInDelivers += 1
        if core.config.tcp_udp_port != 0 and tunnel.unwrap(core, pkt):
            tcp_input.segment_arrives(core, pkt)
            core.tunnel = None
        else:
            udp.input(core, iface, pkt)
    elif pkt.proto == C.IPPROTO_ICMP:
        core.counters.IpInDelivers += 1
        icmp_input.input(core, iface, pkt, taken)
    elif pkt.proto == C.IPPROTO_IGMP:
        core.counters.IpInDelivers += 1
        refused = igmp.input(core, iface, pkt)
        if refused:
            core.drop("igmp-refused", _subject(pkt), refused, "RFC 3376 4")
    elif taken:
        core.counters.IpInDelivers += 1
    else:
        core.counters.IpInUnknownProtos += 1
        why = "this host does not implement the protocol"
        core.drop("ip-unknown-protocol", _subject(pkt), why, "RFC 1122 3.2.2.1")
        icmpv4.send_error(core, pkt, iface, C.ICMP_UNREACHABLE, C.ICMP_PROT_UNREACH, 0, why, "RFC 1122 3.2.2.1")
