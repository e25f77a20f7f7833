"""RFC 9293, section 3.9.2.1: source routes of TCP, and the IP options beside them."""

import errno
import struct

import pytest

from pystack.testing.peer import HOST, PEER, S, build, mss_option, ts_option, with_ip_options
from pystack.testing.segments import ACK, RST, SYN
from pystack_c.tcp import sockopt, user
from tests.rfc import quoting

SOL_IP, IP_OPTIONS = 0, 4
LSRR, SSRR = 131, 137
G1, G2, G3 = (0x0A000000 + n for n in (71, 72, 73))


def route(*hops, kind=LSRR, done=False, at=4):
    """A source route option; `done`: its end is reached."""
    length = 3 + 4 * len(hops)
    return bytes((kind, length, length + 1 if done else at)) + struct.pack(f">{len(hops)}I", *hops)


def padded(options):
    return options + bytes(-len(options) % 4)


def on_wire(*hops, kind=LSRR):
    """What a packet over these hops carries, the last of them being its destination."""
    return padded(route(*hops, kind=kind))


def routed_syn(peer, options, sport=9):
    """A SYN that came along a source route; the answers."""
    syn = build(PEER, HOST, sport, 80, 5000, 0, SYN, options=mss_option(1460))
    return peer.packet(with_ip_options(syn, options))


class Opened:
    """A connection whose SYN came with IP options."""

    def __init__(self, peer, options):
        self.peer = peer
        listener = peer.listener()
        (self.syn_ack,) = routed_syn(peer, options)
        self.arrives()
        self.tcb = peer.call(user.accept, listener)
        self.tcb.nodelay = True

    def arrives(self, options=b"", data=b"", seq=5001):
        """A segment, with IP options; the answers."""
        packet = build(PEER, HOST, 9, 80, seq, self.syn_ack.end, ACK, data=data)
        return self.peer.packet(with_ip_options(packet, options) if options else packet)

    def give(self, options):
        """The application gives IP options."""
        self.peer.call(sockopt.setsockopt, self.tcb, SOL_IP, IP_OPTIONS, options)

    def sends(self):
        """A segment that the application makes it send."""
        self.peer.call(user.send, self.tcb, b"y", 0)
        (seg,) = self.peer.take()
        return seg


def asked(tcb):
    return sockopt.getsockopt(tcb, SOL_IP, IP_OPTIONS, tcb.core.now)


@pytest.mark.parametrize("kind", [LSRR, SSRR])
def test_must_51_the_application_gives_a_source_route(make, kind):
    peer = make()
    tcb = peer.call(user.tcp_open, peer.stack)
    given = route(G1, G2, kind=kind)
    peer.call(sockopt.setsockopt, tcb, SOL_IP, IP_OPTIONS, given)
    assert asked(tcb) == given
    peer.call(user.connect, tcb, PEER, 7)
    (syn,) = peer.take()
    assert (syn.dst, syn.ip_options) == (G1, on_wire(G2, PEER, kind=kind))
    peer.packet(build(PEER, HOST, 7, syn.sport, 5000, syn.end, SYN | ACK, options=mss_option(1460)))
    for data in (b"a", b"b"):
        peer.call(user.send, tcb, data, 0)
        assert all((s.dst, s.ip_options) == (G1, on_wire(G2, PEER, kind=kind)) for s in peer.take())
    again = peer.advance(S)[0]  # the retransmission, too
    assert (again.dst, again.payload) == (G1, b"a")
    control, syn = make().connecting()
    assert (syn.dst, syn.ip_options) == (PEER, b"") and asked(control) == b""


def test_must_51_and_its_reset_goes_along(make):
    conn = make().established(active=True)
    conn.set(SOL_IP, IP_OPTIONS, route(G1))
    conn.peer.call(user.abort, conn.tcb)
    (reset,) = conn.peer.take()
    assert reset.has(RST) and (reset.dst, reset.ip_options) == (G1, on_wire(PEER))


@pytest.mark.parametrize(
    "wrong",
    [route(G1) + route(G2), route(G1, at=8), route(), b"\x83\x06\x04\x0a\0\0", b"\x83\x07\x04\xe0\0\0\1", bytes(41), 7,
     b"\x83\x0b\x04\x0a\0\0\1"],
)  # fmt: skip
def test_must_51_what_is_no_source_route_is_refused(make, wrong):
    tcb = make().connecting()[0]
    with pytest.raises(OSError) as caught:
        sockopt.setsockopt(tcb, SOL_IP, IP_OPTIONS, wrong, tcb.core.now)
    assert caught.value.errno == errno.EINVAL and asked(tcb) == b""


def test_must_51_a_strict_route_begins_on_the_link(make):
    peer = make()
    far = 0xC0000201
    peer.stack.add_route(0, 0, G3)
    for kind, fails in ((LSRR, False), (SSRR, True)):
        tcb = peer.call(user.tcp_open, peer.stack)
        peer.call(sockopt.setsockopt, tcb, SOL_IP, IP_OPTIONS, route(far, kind=kind))
        if fails:
            with pytest.raises(OSError) as caught:
                peer.call(user.connect, tcb, PEER, 7)
            assert caught.value.errno == errno.EHOSTUNREACH
        else:
            peer.call(user.connect, tcb, PEER, 7)
            assert peer.take()[0].dst == far


def test_must_52_the_given_route_beats_the_received_one(make):
    conn = Opened(make(accept_source_route=True), route(G2, G1, done=True))
    assert conn.syn_ack.dst == conn.sends().dst == G1
    conn.give(route(G3))
    assert (conn.sends().dst, asked(conn.tcb)) == (G3, route(G3))
    conn.arrives(route(G2, done=True))
    assert conn.sends().dst == G3
    conn.give(b"")  # the control: without a given one, the received one rules
    assert conn.sends().dst == PEER
    conn.arrives(route(G2, done=True))
    assert conn.sends().dst == G2


def test_must_52_an_active_side_keeps_its_own(make):
    conn = make(accept_source_route=True).established(active=True)
    packet = build(PEER, HOST, conn.sport, conn.dport, conn.seq, conn.ack, ACK, data=b"x")
    conn.peer.packet(with_ip_options(packet, route(G2, done=True)))
    assert conn.recv() == b"x" and conn.send(b"y")[0].dst == PEER


@pytest.mark.parametrize(
    ("recorded", "back"),
    [
        ((G1, G2, G3), (G3, G2, G1)),
        ((G1,), (G1,)),
        ((PEER, G1, G2), (G2, G1)),
    ],  # the last: the source itself, at the head
)
@pytest.mark.parametrize("kind", [LSRR, SSRR])
def test_must_53_the_passive_side_answers_along_the_route(make, recorded, back, kind):
    conn = Opened(make(accept_source_route=True), route(*recorded, kind=kind, done=True))
    for seg in (conn.syn_ack, conn.sends(), conn.sends()):
        assert (seg.dst, seg.ip_options) == (back[0], on_wire(*back[1:], PEER, kind=kind))
    assert asked(conn.tcb) == route(*back, kind=kind)


@pytest.mark.parametrize("options", [b"", route(PEER, done=True), b"\x07\x0b\x04" + bytes(8)])
def test_must_53_no_route_no_detour(make, options):
    conn = Opened(make(accept_source_route=True), options)
    for seg in (conn.syn_ack, conn.sends()):
        assert (seg.dst, seg.ip_options) == (PEER, b"")


def test_must_53_it_is_off_by_default(make):
    peer = make()
    peer.listener()
    assert routed_syn(peer, route(G1, done=True)) == [] and peer.other == []
    assert peer.dropped("ip-source-route") == 1
    assert len(routed_syn(peer, b"")) == 1  # the control


def test_must_53_a_cookie_goes_along_and_comes_back(make):
    peer = make(accept_source_route=True, tcp_max_syn_backlog=1)
    peer.listener()
    peer.segment(SYN, 77, sport=11)
    (cookie,) = routed_syn(peer, route(G1, done=True))
    assert cookie.dst == G1 and peer.counters.TcpExtSyncookiesSent == 1
    back = build(PEER, HOST, 9, 80, 5001, cookie.end, ACK, data=b"x")
    peer.packet(with_ip_options(back, route(G2, done=True)))
    assert [seg.dst for seg in peer.advance(S // 10)] == [G2]


def test_shld_24_a_later_route_replaces_the_earlier(make):
    conn = Opened(make(accept_source_route=True), route(G1, done=True))
    assert conn.sends().dst == G1
    conn.arrives(route(G2, done=True), b"x")
    assert (conn.sends().dst, asked(conn.tcb)) == (G2, route(G2))
    conn.arrives(route(G3, done=True), b"x", seq=1 << 30)  # outside of the window: anyone may have sent it
    assert conn.sends().dst == G2


@pytest.mark.parametrize("stamps", [False, True])
def test_must_16_segments_are_smaller_by_the_ip_options(make, stamps):
    peer = make(tcp_timestamps=stamps, tcp_init_cwnd=10)
    options = mss_option(1460) + (ts_option(1) if stamps else b"")
    conn = peer.established(options=options)
    if stamps:
        conn.ts = (1, 0)
    plain = 1448 if stamps else 1460
    assert len(conn.send(bytes(1460 * 2))[0]) == plain
    conn.set(SOL_IP, IP_OPTIONS, route(G1, G2))
    sizes = {len(seg) for seg in conn.send(bytes(14_600))}
    assert max(sizes) == plain - 12 and conn.peer.counters.IpFragFails == 0


def test_may_10_the_ip_timestamp_option_is_sent_and_passed_over(make):
    conn = make().established()
    packet = build(PEER, HOST, conn.sport, conn.dport, conn.seq, conn.ack, ACK, data=b"hi")
    conn.peer.packet(with_ip_options(packet, b"\x44\x08\x05" + bytes(5)))
    assert conn.recv() == b"hi"
    conn.set(SOL_IP, IP_OPTIONS, b"\x44\x0c\x05\x01" + bytes(8))
    (seg,) = conn.send(b"x")
    ms = 0x80000000 | conn.peer.now // 1_000_000  # no UT: the high bit says so
    assert seg.ip_options == b"\x44\x0c\x0d\x01" + struct.pack(">II", HOST, ms)


def test_may_11_the_record_route_option_is_sent_and_passed_over(make):
    conn = make().established()
    packet = build(PEER, HOST, conn.sport, conn.dport, conn.seq, conn.ack, ACK, data=b"hi")
    conn.peer.packet(with_ip_options(packet, b"\x07\x0b\x04" + bytes(9)))
    assert conn.recv() == b"hi"
    conn.set(SOL_IP, IP_OPTIONS, b"\x07\x0b\x04" + bytes(8))
    (seg,) = conn.send(b"x")
    assert seg.ip_options == b"\x07\x0b\x08" + struct.pack(">IIx", HOST, 0)


def test_must_54_errors_about_routed_segments_reach_their_connection(make):
    conn = make().established(active=True)
    conn.set(SOL_IP, IP_OPTIONS, route(G1, G2))
    (seg,) = conn.send(b"x")
    quote = with_ip_options(build(HOST, G1, seg.sport, seg.dport, seg.seq, seg.ack, ACK), seg.ip_options)
    body = quote[: (quote[0] & 15) * 4 + 8]
    conn.peer.packet(quoting.icmp(3, 5, 0, body, src=G1))
    assert conn.tcb.soft_error == errno.EOPNOTSUPP
