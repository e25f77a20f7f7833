"""The counters of IP, ICMP, UDP and ARP, by the names of nstat; and which of Linux's names there are."""

import re
from pathlib import Path

import pytest

from pystack_c.counters import NAMES
from pystack_c.sockets import raw, udp
from tests import frames as f
from tests.support.counting import Cases, check
from tests.support.peer import PEER_MAC, STACK_MAC, Peer, ip_packet

ROOT = Path(__file__).parents[2]
ECHO = f.icmp(8, 0, b"\0\1\0\1", b"ping")
GROUP, GROUP_MAC = "224.0.0.1", 0x01005E000001
BROADCAST_MAC = 0xFFFFFFFFFFFF

cases = Cases()


# IP, in


@cases.counts(IpInReceives=1, IpInDelivers=1, IpExtInOctets=32, IpExtInNoECTPkts=1, IcmpInEchos=1, IcmpInMsgs=1)
def a_packet_for_us(cause):
    peer = Peer()
    yield peer
    if cause:
        peer.send(ECHO, 1)


@cases.counts(IpExtInNoECTPkts=1, IpExtInECT1Pkts=2, IpExtInECT0Pkts=3, IpExtInCEPkts=4)
def packets_with_each_codepoint(cause):
    peer = Peer()
    yield peer
    for codepoint in (0, 1, 1, 2, 2, 2, 3, 3, 3, 3) if cause else ():
        peer.udp(9, 9, b"", tos=0x40 | codepoint)


@cases.counts(IpExtInTruncatedPkts=1, IpInHdrErrors=0)
def a_packet_shorter_than_it_says(cause):
    peer = Peer()
    yield peer
    peer.send(ECHO, 1, total=100 if cause else None)


@cases.counts(IpExtInCsumErrors=1, IpInHdrErrors=1)
def a_header_with_a_wrong_checksum(cause):
    peer = Peer()
    yield peer
    peer.send(ECHO, 1, csum=1 if cause else None)


@cases.counts(IpExtInMcastPkts=1, IpExtInMcastOctets=32)
def a_packet_for_a_group(cause):
    peer = Peer()
    yield peer
    peer.send(ECHO, 1, dst=GROUP if cause else "10.0.0.1", eth_dst=GROUP_MAC if cause else STACK_MAC)


@cases.counts(IpExtInBcastPkts=1, IpExtInBcastOctets=32)
def a_packet_for_everybody(cause):
    peer = Peer()
    yield peer
    peer.send(ECHO, 1, dst="10.0.0.255" if cause else "10.0.0.1", eth_dst=BROADCAST_MAC if cause else STACK_MAC)


@cases.counts(IpInAddrErrors=1)
def a_packet_for_somebody_else(cause):
    peer = Peer()
    yield peer
    peer.send(ECHO, 1, dst="10.0.0.9" if cause else "10.0.0.1")


@cases.counts(IpInUnknownProtos=1, IcmpOutDestUnreachs=1)
def a_packet_of_a_protocol_that_is_not_here(cause):
    peer = Peer()
    if not cause:
        peer.call(raw.raw_open, peer.stack, 89)
    yield peer
    peer.send(b"routing", 89)


# Fragments


@cases.counts(IpReasmReqds=2, IpReasmFails=1, IpExtReasmOverlaps=1)
def fragments_that_overlap(cause):
    peer = Peer()
    yield peer
    if cause:
        peer.send(bytes(32), 17, mf=True)
        peer.send(bytes(32), 17, offset=24)


@cases.counts(IpReasmTimeout=1, IpReasmFails=1, IcmpOutTimeExcds=1)
def a_fragment_that_is_missing(cause):
    peer = Peer()
    yield peer
    if cause:
        peer.send(bytes(32), 17, mf=True)
    peer.run(60)


@cases.counts(IpFragOKs=1, IpFragCreates=3, IpOutRequests=1, IpOutTransmits=3, IpExtOutOctets=4000 + 8 + 60)
def a_datagram_larger_than_the_link(cause):
    peer, ep = opened()
    yield peer
    if cause:
        peer.call(udp.sendto, ep, bytes(4000), peer.me, 9, 0)


def opened():
    peer = Peer(mtu=1500)
    ep = peer.call(udp.udp_open, peer.stack)
    peer.call(udp.bind, ep, 0, 53)
    return peer, ep


# IP, out


@cases.counts(IpOutRequests=1, IpOutTransmits=1, IpExtOutOctets=32, UdpOutDatagrams=1, IpExtOutMcastPkts=0)
def a_datagram(cause):
    peer, ep = opened()
    yield peer
    if cause:
        peer.call(udp.sendto, ep, b"four", peer.me, 9, 0)


@cases.counts(IpExtOutMcastPkts=1, IpExtOutMcastOctets=32)
def a_datagram_to_a_group(cause):
    peer, ep = opened()
    yield peer
    peer.call(udp.sendto, ep, b"four", f.addr(GROUP) if cause else peer.me, 9, 0)


@cases.counts(IpExtOutBcastPkts=1, IpExtOutBcastOctets=32)
def a_datagram_to_everybody(cause):
    peer, ep = opened()
    peer.call(udp.setsockopt, ep, 1, 6, 1)
    yield peer
    peer.call(udp.sendto, ep, b"four", f.addr("10.0.0.255") if cause else peer.me, 9, 0)


@cases.counts(IpOutNoRoutes=1, UdpOutDatagrams=0, IpExtInNoRoutes=0)
def a_datagram_without_a_way(cause):
    peer, ep = opened()
    yield peer
    if cause:
        with pytest.raises(OSError, match="route"):
            peer.call(udp.sendto, ep, b"four", f.addr("192.0.2.9"), 9, 0)


@cases.counts(IpFragFails=1, UdpOutDatagrams=0)
def a_datagram_that_must_not_be_cut(cause):
    peer, ep = opened()
    peer.call(udp.setsockopt, ep, 0, 10, 2)
    yield peer
    if cause:
        with pytest.raises(OSError, match="sent"):
            peer.call(udp.sendto, ep, bytes(4000), peer.me, 9, 0)


@cases.counts(IpOutDiscards=1)
def a_packet_longer_than_ip_allows(cause):
    peer = Peer()
    ep = peer.call(raw.raw_open, peer.stack, 89)
    yield peer
    if cause:
        with pytest.raises(OSError, match="sent"):
            peer.call(raw.sendto, ep, bytes(65_530), peer.me, 0, 0)


# Forwarding


@cases.counts(IpForwDatagrams=1, IpOutTransmits=1, IpOutRequests=0)
def a_packet_on_its_way(cause):
    # It leaves by the interface on which it came, which is worth a redirect.
    peer = Peer(ip_forward=True, send_redirects=False)
    yield peer
    if cause:
        peer.stack.add_neighbor(peer.iface, f.addr("10.0.0.9"), 0x0200000000DD)
        peer.send(ECHO, 1, dst="10.0.0.9")


@cases.counts(IpExtInNoRoutes=1, IpOutNoRoutes=0)
def a_packet_to_forward_without_a_way(cause):
    peer = Peer(ip_forward=True)
    yield peer
    if cause:
        peer.send(ECHO, 1, dst="192.0.2.9")


# ICMP


@cases.counts(
    IcmpInSrcQuenchs=1, IcmpInTimestamps=1, IcmpInTimestampReps=1, IcmpInAddrMasks=1, IcmpInAddrMaskReps=1, IcmpInMsgs=5
)
def messages_that_are_of_no_use_here(cause):
    peer = Peer()
    yield peer
    for kind in (4, 13, 14, 17, 18) if cause else ():
        peer.send(f.icmp(kind, 0, bytes(4), bytes(28)), 1)


@cases.counts(
    IcmpOutSrcQuenchs=1, IcmpOutRedirects=1, IcmpOutTimestamps=1, IcmpOutTimestampReps=1, IcmpOutAddrMasks=1,
    IcmpOutAddrMaskReps=1, IcmpOutEchos=1, IcmpOutMsgs=7,
)  # fmt: skip
def messages_of_a_raw_socket(cause):
    peer = Peer()
    ep = peer.call(raw.raw_open, peer.stack, 1)
    yield peer
    for kind in (4, 5, 13, 14, 17, 18, 8) if cause else ():
        peer.call(raw.sendto, ep, f.icmp(kind, 0, bytes(4), bytes(28)), peer.me, 0, 0)


@cases.counts(IcmpInEchos=1, IcmpOutEchoReps=1)
def a_ping(cause):
    peer = Peer()
    yield peer
    peer.send(ECHO if cause else f.icmp(0, 0, b"\0\1\0\1", b"ping"), 1)


@cases.counts(IcmpInEchoReps=1)
def a_pong(cause):
    peer = Peer()
    yield peer
    peer.send(f.icmp(0, 0, b"\0\1\0\1", b"pong") if cause else ECHO, 1)


@cases.counts(IcmpInErrors=1, IcmpInCsumErrors=1)
def a_message_with_a_wrong_checksum(cause):
    peer = Peer()
    yield peer
    peer.send(ECHO[:-1] + bytes([ECHO[-1] ^ cause]), 1)


@cases.counts(IcmpInDestUnreachs=1, IcmpInTimeExcds=1, IcmpInParmProbs=1)
def errors_about_what_we_sent(cause):
    peer, ep = opened()
    yield peer
    quote = ip_packet("10.0.0.1", "10.0.0.2", 17, f.udp("10.0.0.1", 53, "10.0.0.2", 9, b""))
    for kind in (3, 11, 12) if cause else ():
        peer.send(f.icmp(kind, 0, bytes(4), quote), 1)


@cases.counts(IcmpOutParmProbs=1)
def an_option_that_is_wrong(cause):
    peer = Peer()
    yield peer
    peer.send(ECHO, 1, options=b"\x07\x20\x04\0" if cause else b"")


@cases.counts(IcmpOutErrors=1)
def an_error_that_finds_no_way_back(cause):
    peer = Peer()
    yield peer
    peer.udp(9, 9, b"", src="192.0.2.9" if cause else "10.0.0.2")


def test_messages_by_their_types():
    peer = Peer()
    peer.send(ECHO, 1)
    peer.send(f.icmp(99, 0, bytes(4)), 1)
    peer.send(ECHO[:-1] + b"!", 1)  # the control: what is damaged has no type
    by_type = {"IcmpMsgInType8": 1, "IcmpMsgOutType0": 1, "IcmpMsgInType99": 1}
    assert peer.stack.counters.icmp_msg == by_type
    assert by_type.items() <= peer.stack.counters.nonzero().items()


# UDP and ARP


@cases.counts(UdpIgnoredMulti=1, UdpNoPorts=0)
def a_broadcast_that_nobody_wants(cause):
    peer, _ = opened()
    yield peer
    peer.udp(9, 54 if cause else 53, b"", dst="10.0.0.255", eth_dst=BROADCAST_MAC)


@cases.counts(UdpInErrors=1, UdpInCsumErrors=1)
def a_datagram_with_a_wrong_checksum(cause):
    peer, _ = opened()
    yield peer
    data = f.udp("10.0.0.2", 9, "10.0.0.1", 53, b"data")
    peer.send(data[:-1] + b"!" if cause else data, 17)


@cases.counts(ArpInRequests=1, ArpOutReplies=1)
def a_question_for_our_address(cause):
    peer = Peer()
    yield peer
    if cause:
        peer.arp(1, PEER_MAC, "10.0.0.2", 0, "10.0.0.1")


@cases.counts(ArpInReplies=1)
def an_answer_to_our_question(cause):
    peer = Peer(known=False)
    ep = peer.call(udp.udp_open, peer.stack)
    peer.call(udp.sendto, ep, b"four", peer.me, 9, 0)
    yield peer
    if cause:
        peer.arp(2, PEER_MAC, "10.0.0.2", STACK_MAC, "10.0.0.1")


@pytest.mark.parametrize(("case", "expected"), cases.all)
def test_counted(case, expected):
    check(case, expected, True)


@pytest.mark.parametrize(("case", "expected"), cases.all)
def test_control_not_counted_without_the_cause(case, expected):
    check(case, expected, False)


# The names

#: ours alone
OURS = {"IpForwMssClamped", "ArpInRequests", "ArpInReplies", "ArpOutRequests", "ArpOutReplies", "ArpTableOverflow"}


def linux():
    """The names of Linux 6.18's /proc/net/snmp and /proc/net/netstat, as nstat writes them."""
    rows = (ROOT / "tests" / "pystack_c" / "linux_counters.txt").read_text().splitlines()
    return {group + name for group, *names in map(str.split, rows) for name in names}


def test_every_name_is_in_a_test():
    # The experiments of the labs are tests, too (tests/labs/test_labs.py runs them).
    paths = [*(ROOT / "tests").rglob("test_*.py"), *(ROOT / "pystack" / "labs").glob("lab_*/experiment.py")]
    text = "\n".join(path.read_text() for path in paths)
    silent = [name for name in NAMES if not re.search(rf"\b{name}\b", text)]
    assert silent == []


def test_every_name_of_linux_is_here_or_in_the_table_of_those_that_are_not():
    page = (ROOT / "docs" / "reference" / "counters.md").read_text()
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    absent = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert absent & set(NAMES) == set()
    assert linux() == absent | set(NAMES) - OURS
    assert len(linux()) > 200
