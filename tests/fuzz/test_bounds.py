"""What an attacker can make a stack keep is bounded, each by its setting; and what is given up is counted."""

import pystack_c.const as C
from pystack_c.base.address import v4
from tests.support import build, invariants
from tests.support.hostile import HOST, PEER
from tests.support.world import World, peer_bytes


def world(**config) -> World:
    """A host with a listener on port 80 and a UDP socket on 53."""
    made = World({"seed": 1, "config": config})
    for step in (
        ("iface", "eth0", C.LINK_ETHERNET, build.MAC_HOST, 1500, False, 0),
        ("setup", "add_addr", "eth0", HOST, 24),
        ("setup", "add_neighbor", "eth0", PEER, build.MAC_PEER),
        ("open", "tcp", 1),
        ("call", "bind", 1, 0, 80),
        ("call", "listen", 1, 5),
        ("open", "udp", 3),
        ("call", "bind", 3, 0, 53),
    ):
        made.apply(step)
    return made


def rx(made: World, packet: bytes) -> list:
    return made.apply(("rx", "eth0", build.ether(packet), 0, 0))[1]


def test_arp_flood():
    made = world(neigh_max_entries=16)
    iface = made.ifaces["eth0"]
    for i in range(200):
        made.apply(("rx", "eth0", build.arp(1, 0x020000010000 + i, 0x0A000000 + 3 + i, 0, HOST), 0, 0))
        assert len(iface.neighbors) <= 16
    assert iface.neighbors[v4(PEER)].state == C.NUD_PERMANENT
    made.finish()


def test_syn_flood():
    made = world(tcp_max_syn_backlog=8)
    for i in range(100):
        rx(made, build.ipv4(0x0A000003 + i, HOST, 6, build.tcp(0x0A000003 + i, 5, HOST, 80, C.SYN, 1, 0)))
    half_open = [tcb for tcb in made.stack.tcp.all() if tcb.state == C.SYN_RECEIVED]
    assert len(half_open) <= 8
    made.finish()


def test_fragments_that_never_end():
    made = world(ipfrag_high_thresh=50_000)
    for i in range(200):
        rx(made, build.ipv4(PEER, HOST, 17, bytes(1400), ident=i, frag=0x2000))
        assert made.stack.reasm.held <= 50_000
    assert made.stack.counters.drops["ip-reassembly-evicted"] > 100
    made.apply(("run", 31_000_000_000))
    assert made.stack.reasm.held == 0 and made.stack.poll_timeout() is None


def test_a_datagram_in_more_pieces_than_allowed():
    made = world(ipfrag_max_fragments=10)
    for i in range(30):
        rx(made, build.ipv4(PEER, HOST, 17, bytes(8), frag=0x2000 | i * 2))
    assert made.stack.counters.drops["ip-fragment-too-many"] == 1
    assert made.stack.counters.drops["ip-fragment-poisoned"] == 19


def test_udp_that_nobody_reads():
    made = world(udp_rmem=5000)
    for _ in range(50):
        rx(made, build.ipv4(PEER, HOST, 17, build.udp(PEER, 9, HOST, 53, bytes(500))))
    assert made.stack.counters.drops["udp-queue-full"] >= 40
    assert made.endpoints[3].queued_bytes <= 5000 + 500 + 256


def established(made: World):
    """A connection whose peer announces a window scale of 0, and SACK."""
    options = build.opt_wscale(0) + build.OPT_SACK_OK
    rx(made, build.ipv4(PEER, HOST, 6, build.tcp(PEER, 5, HOST, 80, C.SYN, 0, 0, b"", options)))
    tcb = made.stack.tcp.all()[1]
    rx(made, build.ipv4(PEER, HOST, 6, build.tcp(PEER, 5, HOST, 80, C.ACK, 1, tcb.snd_nxt)))
    assert tcb.state == C.ESTABLISHED
    return tcb


def test_a_sender_that_fills_each_rounding_of_the_window_meets_its_end():
    """RFC 7323 2.3: windows are shown in units; what rounding adds must not add up, byte after byte."""
    made = world(tcp_rmem=4000, tcp_wscale=7)
    tcb = established(made)
    assert tcb.rcv_wscale == 7
    for _ in range(9000):
        seq = tcb.rcv_nxt
        rx(made, build.ipv4(PEER, HOST, 6, build.tcp(PEER, 5, HOST, 80, C.ACK, seq, tcb.snd_nxt, peer_bytes(seq, 1))))
    # (The SYN's own window is 4,000 here; each check in between says that no more than a unit is added.)
    assert 4000 <= tcb.recvbuf.used < 4000 + 128
    assert tcb.rcv_wnd() < 128


def test_out_of_order_crumbs():
    made = world(tcp_max_ooo=20)
    tcb = established(made)
    for i in range(200):
        seq = tcb.rcv_nxt + 10 + 2 * i
        rx(made, build.ipv4(PEER, HOST, 6, build.tcp(PEER, 5, HOST, 80, C.ACK, seq, tcb.snd_nxt, peer_bytes(seq, 1))))
    assert len(tcb.recvbuf.ooo) <= 20
    assert made.stack.counters.drops["tcp-ooo-full"] == 180


def test_urgent_bytes_do_not_crumble_the_buffer():
    """Each segment's middle byte is urgent and leaves the stream: the pieces left must not be one for each."""
    made = world()
    tcb = established(made)
    for i in range(3000):
        segment = build.tcp(
            PEER, 5, HOST, 80, C.ACK | C.URG, tcb.rcv_nxt, tcb.snd_nxt, bytes((i & 255, 7, i & 255)), urg=2
        )
        rx(made, build.ipv4(PEER, HOST, 6, segment))
    assert tcb.recvbuf.used == 6000
    assert len(tcb.recvbuf.pieces) <= 20
    made.honest = False
    assert made.apply(("recv", 1, 10, 0))[0] == -107  # the listener has nothing
    made.apply(("accept", 1, 2))
    got = b""
    while len(got) < 6000:
        got += made.apply(("recv", 2, 6000, 0))[0]
    assert got == b"".join(bytes((i & 255, i & 255)) for i in range(3000))


def test_time_wait_is_bounded():
    made = world(tcp_max_tw_buckets=3)
    for port in range(1000, 1020):
        rx(made, build.ipv4(PEER, HOST, 6, build.tcp(PEER, port, HOST, 80, C.SYN, 0, 0)))
        tcb = made.stack.tcp.all()[-1]
        rx(made, build.ipv4(PEER, HOST, 6, build.tcp(PEER, port, HOST, 80, C.ACK, 1, tcb.snd_nxt)))
        made.apply(("accept", 1, port))
        made.apply(("call", "close", port))
        rx(made, build.ipv4(PEER, HOST, 6, build.tcp(PEER, port, HOST, 80, C.ACK | C.FIN, 1, tcb.snd_nxt)))
    assert made.stack.tcp.time_wait == 3
    assert made.stack.counters.TcpExtTCPTimeWaitOverflow == 17
    made.finish()


def test_an_idle_world_says_so():
    """Control of the last oracle: a connection left open is seen."""
    made = world()
    established(made)
    try:
        invariants.idle(made.stack)
    except AssertionError as exc:
        assert "left" in str(exc)
    else:
        raise AssertionError("idle() saw nothing")


def test_a_path_too_narrow_for_sack_beside_data():
    """An ICMP error with the smallest MTU (68) and SACK blocks to tell of: data still goes, in segments of its own size."""
    made = world(min_pmtu=68)
    options = build.opt_wscale(0) + build.OPT_SACK_OK + build.opt_ts(1, 0)
    rx(made, build.ipv4(PEER, HOST, 6, build.tcp(PEER, 5, HOST, 80, C.SYN, 0, 0, b"", options)))
    tcb = made.stack.tcp.all()[1]
    stamps = build.opt_ts(1, 0)
    rx(made, build.ipv4(PEER, HOST, 6, build.tcp(PEER, 5, HOST, 80, C.ACK, 1, tcb.snd_nxt, b"", stamps)))
    made.apply(("accept", 1, 2))
    for at in (100, 300, 500):
        data = build.tcp(PEER, 5, HOST, 80, C.ACK, at, tcb.snd_nxt, peer_bytes(at, 50), stamps)
        rx(made, build.ipv4(PEER, HOST, 6, data))
    [sent] = made.apply(("send", 2, 100, 0))[1]
    rx(made, build.ipv4(PEER, HOST, 1, build.icmp(3, 4, 68, sent[1][14:42])))
    assert tcb.mss == 16 and len(tcb.sacks) == 3
    for _ in range(20):
        frames = made.apply(("run", 1_000_000_000))[0]
        assert all(len(frame[1]) <= 14 + 68 for frame in frames)
        rx(made, build.ipv4(PEER, HOST, 6, build.tcp(PEER, 5, HOST, 80, C.ACK, 1, tcb.snd_nxt, b"", stamps)))
    assert tcb.snd_una == tcb.iss + 101 and tcb.unsent() == 0
