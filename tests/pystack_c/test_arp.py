"""Address resolution (RFC 826, RFC 1122 2.3.2, RFC 4861 7.3, RFC 5227; LABS section 4)."""

import errno

import pytest

import pystack_c.const as C
from pystack_c.base.address import addr_text
from pystack_c.link import acd, neighbor
from pystack_c.sockets import raw, udp
from tests import frames as f
from tests.support.peer import PEER_MAC, STACK_MAC, Peer, S

MS = 1_000_000
OTHER_MAC = 0x0200000000CC
ECHO = f.icmp(8, 0, b"\0\1\0\1", b"ping")
BROADCAST = 0xFFFFFFFFFFFF


def entry(peer: Peer, text: str = "10.0.0.2"):
    """The neighbour entry, or None."""
    return peer.iface.neighbors.get(f.addr(text))


def talk(peer: Peer, text: str = "10.0.0.2", data: bytes = b"x"):
    """A UDP socket that has just sent a datagram there."""
    ep = peer.call(udp.udp_open, peer.stack)
    peer.call(udp.sendto, ep, data, f.addr(text), 9, 0)
    return ep


def test_request_for_our_address_is_answered_and_teaches_us_the_asker():
    peer = Peer(known=False)
    [reply] = peer.arp(1, PEER_MAC, "10.0.0.2", 0, "10.0.0.1")
    assert reply.eth_dst == PEER_MAC
    assert reply.arp == (2, STACK_MAC, peer.addr, PEER_MAC, peer.me)
    assert entry(peer).state == C.NUD_STALE
    [pong] = peer.send(ECHO, 1)
    assert pong.icmp.type == 0 and pong.eth_dst == PEER_MAC


def test_a_probe_for_our_address_is_answered_but_teaches_nothing():
    """RFC 5227 1.1: sender address 0."""
    peer = Peer(known=False)
    [reply] = peer.arp(1, PEER_MAC, "0.0.0.0", 0, "10.0.0.1")
    assert (reply.arp.op, reply.arp.tpa, reply.eth_dst) == (2, 0, PEER_MAC)
    assert not peer.iface.neighbors


def test_requests_at_0_1_2_s_and_unreachable_at_3_s():
    peer = Peer(known=False)
    ep = talk(peer)
    peer.run(10)
    assert [(s.time, s.arp.op, s.eth_dst, s.arp.tpa) for s in peer.seen] == [
        (n * S, 1, BROADCAST, peer.me) for n in range(3)
    ]
    failed = [e.time for e in peer.events("arp.state") if e.fields["new"] == "FAILED"]
    assert failed == [3 * S]
    with pytest.raises(OSError) as caught:
        udp.recvfrom(ep, 0, peer.now)
    assert caught.value.errno == errno.EHOSTUNREACH
    assert peer.drops == {"arp-failed": 1}
    assert peer.stack.poll_timeout() is None


def test_an_answer_at_2_999_s_still_delivers():
    """Control to the above."""
    peer = Peer(known=False)
    talk(peer)
    peer.run(2.999)
    [sent] = peer.arp(2, PEER_MAC, "10.0.0.2", STACK_MAC, "10.0.0.1")
    assert sent.udp.data == b"x" and sent.eth_dst == PEER_MAC
    assert entry(peer).state == C.NUD_REACHABLE
    assert peer.run(20) == [] and peer.drops == {}


@pytest.mark.parametrize("length", [1, 3, 5])
def test_a_queue_of_n_delivers_exactly_the_last_n_of_ten(length):
    """RFC 1122 2.3.2.2: at least the latest one is kept."""
    peer = Peer(known=False, neigh_queue_len=length)
    ep = peer.call(udp.udp_open, peer.stack)
    for number in range(10):
        peer.call(udp.sendto, ep, bytes([number]), peer.me, 9, 0)
    sent = peer.arp(2, PEER_MAC, "10.0.0.2", STACK_MAC, "10.0.0.1")
    assert [s.udp.data[0] for s in sent] == list(range(10 - length, 10))
    assert peer.drops == {"arp-queue-full": 10 - length}
    assert len([s for s in peer.seen if s.arp]) == 1  # one request for all of them


def test_a_datagram_in_many_fragments_to_a_cold_neighbour_arrives_whole():
    """The queue takes 101 packets, as on Linux. A queue of three would lose the first fragments."""
    for settings, whole in (({}, True), ({"neigh_queue_len": 3}, False)):
        peer = Peer(known=False, **settings)
        ep = peer.call(udp.udp_open, peer.stack)
        peer.call(udp.sendto, ep, bytes(20_000), peer.me, 9, 0)
        sent = [s for s in peer.arp(2, PEER_MAC, "10.0.0.2", STACK_MAC, "10.0.0.1") if s.ip]
        assert (sum(len(s.l4) for s in sent) == 20_008) is whole
        assert (peer.drops == {}) is whole


def test_the_packets_that_wait_are_bounded_in_bytes_too():
    """The bound is Linux's unres_qlen_bytes. The queue keeps the latest packet, however large it is."""
    for most, kept in ((212992, 10), (3000, 2), (1, 1)):
        peer = Peer(known=False, neigh_queue_bytes=most)
        for state in (C.NUD_FAILED, C.NUD_INCOMPLETE):  # the second queue of an entry has the same bound
            ep = peer.call(udp.udp_open, peer.stack)
            for _ in range(10):
                peer.call(udp.sendto, ep, bytes(1400), peer.me, 9, 0)
            assert len(entry(peer).queue) == kept
            assert entry(peer).queued == kept * (20 + 8 + 1400)
            if state == C.NUD_FAILED:
                peer.run(5)
            assert entry(peer).state == state
        sent = [s for s in peer.arp(2, PEER_MAC, "10.0.0.2", STACK_MAC, "10.0.0.1") if s.udp]
        assert len(sent) == kept


def test_after_failure_the_next_packet_asks_again():
    peer = Peer(known=False)
    ep = talk(peer)
    peer.run(5)
    with pytest.raises(OSError):
        peer.call(udp.sendto, ep, b"y", peer.me, 9, 0)
    peer.call(udp.sendto, ep, b"y", peer.me, 9, 0)
    assert peer.seen[-1].arp.op == 1 and peer.seen[-1].time == 5 * S
    assert entry(peer).state == C.NUD_INCOMPLETE


def reachable(peer: Peer) -> None:
    """Resolve the peer's address."""
    talk(peer)
    peer.arp(2, PEER_MAC, "10.0.0.2", STACK_MAC, "10.0.0.1")
    assert entry(peer).state == C.NUD_REACHABLE


def test_stale_delay_probe_failed():
    """RFC 4861 7.3.3: unicast requests after reachable time and delay; no answer, and it is asked for by broadcast."""
    peer = Peer(known=False)
    reachable(peer)
    peer.run(30.5)
    assert neighbor.current_state(entry(peer), peer.now) == C.NUD_STALE
    talk(peer)
    assert entry(peer).state == C.NUD_DELAY and peer.seen[-1].udp
    start = peer.now
    frames = peer.run(20)
    assert [((s.time - start) / S, s.eth_dst) for s in frames] == [(t, PEER_MAC) for t in (5, 6, 7)]
    assert entry(peer).state == C.NUD_FAILED
    talk(peer)
    assert peer.seen[-1].eth_dst == BROADCAST


def test_a_hint_from_the_transport_saves_the_probe():
    """RFC 4861 7.3.1: forward progress."""
    peer = Peer(known=False)
    reachable(peer)
    peer.run(31)
    talk(peer)
    peer.run(4)
    peer.stack.now = peer.now
    neighbor.confirm(entry(peer))
    assert entry(peer).state == C.NUD_REACHABLE
    assert peer.run(20) == []


def test_an_answered_unicast_probe_makes_it_reachable():
    peer = Peer(known=False)
    reachable(peer)
    peer.run(31)
    talk(peer)
    [request] = peer.run(5)
    assert request.arp.op == 1 and request.eth_dst == PEER_MAC
    peer.arp(2, PEER_MAC, "10.0.0.2", STACK_MAC, "10.0.0.1")
    assert entry(peer).state == C.NUD_REACHABLE
    assert peer.run(20) == []


# What is believed


@pytest.mark.parametrize("op, tpa", [(2, "10.0.0.1"), (2, "10.0.0.2"), (1, "10.0.0.2"), (1, "10.0.0.9")])
def test_nobody_makes_us_create_an_entry_but_by_asking_for_us(op, tpa):
    """No cache poisoning by unsolicited replies, announcements or overheard requests."""
    peer = Peer(known=False)
    assert peer.arp(op, PEER_MAC, "10.0.0.2", 0, tpa, eth_dst=BROADCAST) == []
    assert not peer.iface.neighbors
    assert peer.drops == {"arp-not-for-us": 1}


def test_a_sender_outside_our_subnets_is_answered_but_not_kept():
    peer = Peer(known=False)
    assert len(peer.arp(1, PEER_MAC, "192.0.2.7", 0, "10.0.0.1")) == 1
    assert not peer.iface.neighbors


@pytest.mark.parametrize(
    "sha, spa", [(0x010000000001, "10.0.0.2"), (0, "10.0.0.2"), (PEER_MAC, "224.0.0.1"), (PEER_MAC, "255.255.255.255")]
)
def test_senders_that_cannot_be_are_refused(sha, spa):
    peer = Peer(known=False)
    assert peer.arp(1, sha, spa, 0, "10.0.0.1") == []
    assert peer.drops == {"arp-bad-sender": 1}


def test_gratuitous_arp_moves_a_known_address_at_once():
    peer = Peer(known=False)
    reachable(peer)
    peer.now += 10 * MS
    peer.arp(1, OTHER_MAC, "10.0.0.2", 0, "10.0.0.2")
    assert (entry(peer).mac, entry(peer).state) == (OTHER_MAC, C.NUD_STALE)
    talk(peer)
    assert peer.seen[-1].eth_dst == OTHER_MAC


def test_a_second_answer_within_a_second_is_not_believed():
    peer = Peer(known=False)
    reachable(peer)
    peer.now += 500 * MS
    peer.arp(2, OTHER_MAC, "10.0.0.2", STACK_MAC, "10.0.0.1")
    assert entry(peer).mac == PEER_MAC and peer.drops == {"arp-locked": 1}
    peer.now += 600 * MS
    peer.arp(2, OTHER_MAC, "10.0.0.2", STACK_MAC, "10.0.0.1")
    assert entry(peer).mac == OTHER_MAC


def test_a_permanent_entry_is_never_overridden():
    peer = Peer()
    peer.arp(1, OTHER_MAC, "10.0.0.2", 0, "10.0.0.2")
    peer.arp(2, OTHER_MAC, "10.0.0.2", STACK_MAC, "10.0.0.1")
    assert (entry(peer).mac, entry(peer).state) == (PEER_MAC, C.NUD_PERMANENT)
    talk(peer)
    assert peer.run(100) == []


@pytest.mark.parametrize(
    "change, name",
    [
        (lambda p: p[:27], "arp-truncated"),
        (lambda p: b"\0\2" + p[2:], "arp-bad-type"),
        (lambda p: p[:2] + b"\x86\xdd" + p[4:], "arp-bad-type"),
        (lambda p: p[:4] + b"\x08\x04" + p[6:], "arp-bad-type"),
        (lambda p: p[:6] + b"\0\3" + p[8:], "arp-bad-op"),
    ],
)
def test_malformed_arp_is_counted(change, name):
    peer = Peer(known=False)
    packet = change(f.arp(1, PEER_MAC, "10.0.0.2", 0, "10.0.0.1"))
    assert peer.frame(f.ether(packet, 0x0806, PEER_MAC, STACK_MAC)) == []
    assert peer.drops == {name: 1}


def test_the_table_is_bounded():
    """A thousand askers: the table stays at its size, and those in use stay in."""
    peer = Peer(known=False, addr="10.0.0.1/16", neigh_max_entries=16)
    reachable(peer)
    for number in range(1000):
        peer.now += 10 * MS
        peer.arp(1, 0x020000010000 + number, f"10.0.{1 + number // 200}.{1 + number % 200}", 0, "10.0.0.1")
        talk(peer)  # keeps 10.0.0.2 in use
        assert len(peer.iface.neighbors) <= 16
    assert entry(peer) is not None


def forged_senders(peer: Peer, count: int, network: str = "10.0.4.0") -> None:
    """TCP SYNs to a closed port from `count` addresses of the link: each is answered with a RST, if its sender can be found."""
    for number in range(count):
        src = addr_text(f.addr(network) + number + 1)
        peer.send(f.tcp(src, 999, "10.0.0.1", 81, C.SYN, 1, 0), 6, src=src)


def gateway(peer: Peer) -> None:
    """10.0.0.2 is the way to everywhere, and was found by ARP."""
    peer.stack.add_route(0, 0, peer.me)
    reachable(peer)


@pytest.mark.parametrize("quiet", [0, 2, 20, 50])
def test_forged_senders_do_not_push_the_gateway_out(quiet):
    """1,100 of them did: what is valid gave way, and what was asked for in vain stayed. Linux's order is the other one."""
    peer = Peer(known=False, addr="10.0.0.1/16")
    gateway(peer)
    peer.run(quiet)
    forged_senders(peer, 1100)
    assert entry(peer) is not None and entry(peer).state & (C.NUD_REACHABLE | C.NUD_STALE)
    assert len(peer.iface.neighbors) == 1 + len(peer.iface.asked) + len(peer.iface.failed) == 1 + 256
    before = len(peer.seen)
    talk(peer, "192.0.2.1")
    assert [s.eth_dst for s in peer.seen[before:]] == [PEER_MAC]
    peer.run(5)
    assert entry(peer) is not None and len(peer.iface.failed) == 256 and not peer.iface.asked
    # And what is really there is found at once, beside all of them.
    talk(peer, "10.0.0.9")
    peer.arp(2, OTHER_MAC, "10.0.0.9", STACK_MAC, "10.0.0.1")
    assert entry(peer, "10.0.0.9").state == C.NUD_REACHABLE and len(peer.iface.neighbors) <= 1 + 256


def test_forged_announcers_do_not_push_the_gateway_out():
    """As many hosts that ask us by ARP, and are answered a ping: used, but never asked by us; the gateway answered once."""
    peer = Peer(known=False, addr="10.0.0.1/16")
    gateway(peer)
    peer.run(20)
    for number in range(1500):
        src = f.addr("10.0.4.0") + number + 1
        peer.arp(1, 0x020000010000 + number, addr_text(src), 0, "10.0.0.1")
        peer.send(ECHO, 1, src=src)
        assert len(peer.iface.neighbors) <= 1024
    assert entry(peer) is not None and entry(peer).mac == PEER_MAC


def test_what_is_asked_in_vain_gives_way_to_newer_questions():
    """A scan of absent addresses holds no more than its bound, and what is known stays."""
    peer = Peer(known=False, neigh_max_entries=8, neigh_max_unresolved=4)
    reachable(peer)
    for number in range(6):
        talk(peer, f"10.0.0.{100 + number}")
    assert list(peer.iface.asked) == [f.addr(f"10.0.0.{100 + number}") for number in (2, 3, 4, 5)]
    assert peer.drops == {"arp-removed": 2} and entry(peer).state == C.NUD_REACHABLE
    peer.run(4)
    assert not peer.iface.asked and len(peer.iface.failed) == 4
    # A FAILED one that is asked for again takes no other's place; a new one takes the oldest FAILED one's.
    talk(peer, "10.0.0.104")
    assert list(peer.iface.asked) == [f.addr("10.0.0.104")] and len(peer.iface.failed) == 3
    talk(peer, "10.0.0.200")
    assert list(peer.iface.failed) == [f.addr("10.0.0.103"), f.addr("10.0.0.105")]


def test_a_table_full_of_permanent_entries_refuses_more():
    peer = Peer(known=False, neigh_max_entries=2)
    for number in range(2):
        peer.stack.add_neighbor(peer.iface, f.addr(f"10.0.0.{50 + number}"), OTHER_MAC)
    talk(peer)
    assert peer.drops == {"arp-table-full": 1} and peer.stack.counters.ArpTableOverflow == 1


def test_packets_for_another_subnet_ask_for_the_gateway():
    peer = Peer(known=False)
    peer.stack.add_route(0, 0, f.addr("10.0.0.254"))
    talk(peer, "192.0.2.1")
    assert peer.seen[-1].arp.tpa == f.addr("10.0.0.254")


def test_fragments_wait_together():
    """A datagram of three fragments fits the default queue of three."""
    peer = Peer(known=False)
    talk(peer, data=bytes(4000))
    sent = peer.arp(2, PEER_MAC, "10.0.0.2", STACK_MAC, "10.0.0.1")
    assert [s.ip.offset for s in sent] == [0, 1480, 2960]


def test_local_failure_reaches_a_raw_socket():
    peer = Peer(known=False)
    ep = peer.call(raw.raw_open, peer.stack, 1)
    peer.call(raw.sendto, ep, ECHO, peer.me, 0, 0)
    peer.run(3)
    with pytest.raises(OSError) as caught:
        raw.recvfrom(ep, 0, peer.now)
    assert caught.value.errno == errno.EHOSTUNREACH


# RFC 5227


def test_address_probe_of_a_free_address():
    """2.1.1: three probes with sender 0, then silence for ANNOUNCE_WAIT; 2.3: two announcements, 2 s apart."""
    peer = Peer(known=False)
    addr = f.addr("10.0.0.50")
    probe = acd.start(peer.stack, peer.iface, addr, peer.now)
    frames = peer.run(12)
    assert [(s.arp.op, s.arp.spa, s.arp.tpa, s.eth_dst) for s in frames] == [(1, 0, addr, BROADCAST)] * 3
    gaps = [b.time - a.time for a, b in zip(frames, frames[1:])]
    assert all(S <= gap <= 2 * S for gap in gaps) and frames[0].time <= S
    assert probe.done and probe.conflict == 0
    peer.stack.add_addr(peer.iface, addr, 24)
    start = peer.now
    acd.announce_twice(peer.stack, peer.iface, addr, peer.now)
    frames = peer.drain() + peer.run(10)
    assert [(s.time - start, s.arp.spa, s.arp.tpa) for s in frames] == [(0, addr, addr), (2 * S, addr, addr)]


@pytest.mark.parametrize("spa, op", [("10.0.0.50", 2), ("10.0.0.50", 1), ("0.0.0.0", 1)])
def test_address_probe_finds_the_owner_or_another_prober(spa, op):
    peer = Peer(known=False)
    probe = acd.start(peer.stack, peer.iface, f.addr("10.0.0.50"), peer.now)
    peer.run(1)
    peer.arp(op, OTHER_MAC, spa, 0, "10.0.0.50")
    assert probe.done and probe.conflict == OTHER_MAC
    assert peer.drops == {"arp-conflict": 1}
    assert peer.run(20) == []


def test_our_address_is_defended_once_in_ten_seconds():
    """2.4 (b)."""
    peer = Peer(known=False)
    [defence] = peer.arp(1, OTHER_MAC, "10.0.0.1", 0, "10.0.0.1")
    assert (defence.arp.spa, defence.arp.tpa, defence.eth_dst) == (peer.addr, peer.addr, BROADCAST)
    peer.now += 9 * S
    assert peer.arp(1, OTHER_MAC, "10.0.0.1", 0, "10.0.0.1") == []
    peer.now += 2 * S
    assert len(peer.arp(2, OTHER_MAC, "10.0.0.1", 0, "10.0.0.9")) == 1
    assert peer.drops == {"arp-conflict": 3}
    assert not peer.iface.neighbors
