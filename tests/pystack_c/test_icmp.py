"""ICMP errors sent and received (RFC 1122 3.2.2, RFC 1812 4.3.2; LABS section 3)."""

import errno

import pytest

import pystack_c.const as C
from pystack_c.base.address import addr_bytes
from pystack_c.ip.routing import route_output
from pystack_c.sockets import raw, udp
from tests import frames as f
from tests.support.peer import Peer, S, ip_packet

ECHO = f.icmp(8, 0, b"\0\1\0\1", b"ping")


def closed(peer: Peer, **header) -> list:
    """A datagram to a closed port."""
    return peer.udp(1000, 9, b"x" * 20, **header)


def test_port_unreachable_quotes_the_offender():
    peer = Peer()
    [error] = closed(peer)
    assert (error.icmp.type, error.icmp.code, error.icmp.rest, error.icmp.csum_ok) == (3, 3, 0, True)
    assert error.icmp.data == ip_packet(payload=f.udp("10.0.0.2", 1000, "10.0.0.1", 9, b"x" * 20))
    assert (error.ip.src, error.ip.dst, error.ip.tos) == (peer.addr, peer.me, 0xC0)
    assert peer.drops == {"udp-no-port": 1}


def test_an_error_is_no_longer_than_576_bytes():
    """RFC 1812 4.3.2.3."""
    peer = Peer()
    [error] = peer.udp(1000, 9, bytes(1400))
    assert error.ip.total == 576


def test_precedence_and_tos_of_an_error():
    """RFC 1812 4.3.2.5: the offender's TOS, precedence 6."""
    peer = Peer()
    [error] = closed(peer, tos=0x28 | 0x08 | 3)
    assert error.ip.tos == 0xC8


@pytest.mark.parametrize(
    "header",
    [
        {"dst": "10.0.0.255"},
        {"dst": "255.255.255.255"},
        {"dst": "224.0.0.1"},
        {"dst": "10.0.0.255", "eth_dst": 0xFFFFFFFFFFFF},
        {"dst": "255.255.255.255", "src": "0.0.0.0"},
    ],
)
def test_no_error_about_broadcasts_and_sources_that_are_nobody(header):
    peer = Peer()
    assert closed(peer, **header) == []
    assert peer.drops == {"udp-no-port": 1}


@pytest.mark.parametrize("kind", [3, 4, 5, 11, 12])
def test_100_injected_errors_cause_no_reply(kind):
    """RFC 1122 3.2.2: never an error about an error, whatever is wrong with it."""
    peer = Peer()
    quote = ip_packet("10.0.0.1", "10.0.0.2", 17, f.udp("10.0.0.1", 5, "10.0.0.2", 6, b"x"))
    for code in range(20):
        for data in (quote, quote[:24], b"", quote[:20] + b"x", b"\xff" * 40):
            assert peer.send(f.icmp(kind, code, bytes(4), data), 1) == []
    assert sum(peer.drops.values()) == 100


def test_an_error_with_a_bad_option_is_not_answered_either():
    peer = Peer()
    assert peer.send(f.icmp(3, 1, bytes(4), b""), 1, options=b"\x07\0\0\0") == []
    assert peer.send(ECHO, 1, options=b"\x07\0\0\0") != []  # control


def test_no_error_about_a_later_fragment():
    peer = Peer(ip_forward=True)
    late = {"dst": "192.0.2.1", "offset": 800}
    assert peer.send(bytes(100), 17, **late) == []
    [error] = peer.send(bytes(100), 17, dst="192.0.2.1", mf=True)  # control: about the first one
    assert (error.icmp.type, error.icmp.code) == (3, 0)


def test_errors_to_one_host_are_rate_limited():
    """RFC 1812 4.3.2.8, with Linux's numbers: a burst of 6, then one a second; another host has its own."""
    peer = Peer()
    assert sum(len(closed(peer)) for _ in range(200)) == 6
    assert peer.drops["icmp-ratelimit"] == 194
    assert peer.stack.counters.IcmpOutRateLimitHost == 194
    peer.stack.add_route(0, 0, peer.me)
    assert sum(len(closed(peer, src="192.0.2.1")) for _ in range(200)) == 6
    peer.now += S
    assert sum(len(closed(peer)) for _ in range(200)) == 1
    peer.now += 100 * S
    assert sum(len(closed(peer)) for _ in range(200)) == 6


def test_errors_to_all_hosts_are_rate_limited_by_a_number_that_nobody_knows():
    """About 1,000 a second (Linux icmp_msgs_per_sec), drawn anew for each period."""
    peer = Peer()
    peer.stack.add_route(0, 0, peer.me)
    sent = []
    for _ in range(20):
        peer.now += 2 * S
        sent.append(sum(len(closed(peer, src=f"20.{n >> 8}.{n & 255}.1")) for n in range(1600)))
    assert peer.stack.counters.IcmpOutRateLimitGlobal == 20 * 1600 - sum(sent)
    assert all(500 <= count <= 1500 for count in sent) and len(set(sent)) == 20
    assert len(peer.stack.icmp_peers.by_addr) == len(peer.stack.icmp_peers.places) == 1024


def test_errors_without_limits():
    """icmp_ratelimit 0; on loopback there is never one (as on Linux)."""
    peer = Peer(icmp_ratelimit=0)
    assert sum(len(closed(peer)) for _ in range(200)) == 200
    peer = Peer()
    lo = peer.stack.lo
    packet = ip_packet(payload=f.udp("127.0.0.1", 1000, "127.0.0.1", 9, b"x"), src="127.0.0.1", dst="127.0.0.1")
    for _ in range(200):
        peer.stack.receive(lo, packet, peer.now)
        peer.drain()
    assert peer.drops["udp-no-port"] == 200 == peer.stack.counters.IcmpOutDestUnreachs
    assert "icmp-ratelimit" not in peer.drops


def test_echo_is_not_rate_limited():
    peer = Peer()
    assert sum(len(peer.send(ECHO, 1)) for _ in range(500)) == 500


def test_broadcast_ping_is_answered_if_configured():
    """RFC 1122 3.2.2.6: an own address is the source then."""
    peer = Peer(icmp_echo_ignore_broadcasts=False)
    [reply] = peer.send(ECHO, 1, dst="10.0.0.255", eth_dst=0xFFFFFFFFFFFF)
    assert (reply.icmp.type, reply.ip.src) == (0, peer.addr)


@pytest.mark.parametrize("size", [0, 1, 56, 1472])
def test_echo_of_any_size(size):
    peer = Peer()
    data = bytes(i & 255 for i in range(size))
    [reply] = peer.send(f.icmp(8, 0, b"\x12\x34\x56\x78", data), 1)
    assert reply.icmp == (0, 0, True, 0x12345678, data)


@pytest.mark.parametrize(
    "message, name",
    [
        (ECHO[:7], "icmp-truncated"),
        (ECHO[:-1] + b"x", "icmp-bad-checksum"),
        (f.icmp(0, 0, b"\0\1\0\1", b""), "icmp-unwanted"),
        (f.icmp(13, 0, bytes(4), bytes(12)), "icmp-unknown-type"),
        (f.icmp(17, 0, bytes(4), bytes(4)), "icmp-unknown-type"),
        (f.icmp(255, 255, bytes(4)), "icmp-unknown-type"),
        (f.icmp(5, 1, bytes((10, 0, 0, 9)), ip_packet("10.0.0.1", "10.0.0.2")), "icmp-redirect"),
        (f.icmp(4, 0, bytes(4), ip_packet("10.0.0.1", "10.0.0.2")), "icmp-source-quench"),
        (f.icmp(3, 3, bytes(4), ip_packet("10.0.0.9", "10.0.0.2", 17, bytes(8))), "icmp-foreign-quote"),
        (f.icmp(3, 3, bytes(4), ip_packet("10.0.0.1", "10.0.0.2", 17, bytes(8))), "icmp-no-socket"),
        (f.icmp(3, 3, bytes(4), ip_packet("10.0.0.1", "10.0.0.2", 17, bytes(7))), "icmp-bad-quote"),
        (f.icmp(3, 3, bytes(4), ip_packet("10.0.0.1", "10.0.0.2", 17, bytes(8), offset=8)), "icmp-fragment-quote"),
        (f.icmp(3, 3, bytes(4), ip_packet("10.0.0.1", "10.0.0.2", 6, bytes(8))), "icmp-no-connection"),
    ],
)
def test_refused_in_silence(message, name):
    peer = Peer()
    assert peer.send(message, 1) == []
    assert peer.drops == {name: 1}


# Errors received


def told(peer: Peer, ep, kind: int, code: int, rest: bytes = bytes(4)):
    """The peer (or a router) complains about ep's last datagram; the errno that the socket then has."""
    peer.send(f.icmp(kind, code, rest, peer.seen[-1].packet), 1)
    return ep.take_error()


def connected(peer: Peer):
    ep = peer.call(udp.udp_open, peer.stack)
    peer.call(udp.connect, ep, peer.me, 9)
    peer.call(udp.sendto, ep, b"hello", 0, 0, 0)
    return ep


@pytest.mark.parametrize(
    "code, error",
    list(
        enumerate([
            errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENOPROTOOPT, errno.ECONNREFUSED, errno.EMSGSIZE,
            errno.EOPNOTSUPP, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENONET, errno.ENETUNREACH,
            errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EHOSTUNREACH, errno.EHOSTUNREACH,
            errno.EHOSTUNREACH,
        ])
    ),
)  # fmt: skip
def test_unreachable_reaches_the_connected_socket(code, error):
    """RFC 1122 4.1.3.3, 3.2.2.1."""
    peer = Peer()
    ep = connected(peer)
    if code == C.ICMP_FRAG_NEEDED:
        peer.call(udp.setsockopt, ep, 0, 10, 2)
        peer.call(udp.sendto, ep, bytes(600), 0, 0, 0)
    assert told(peer, ep, 3, code, (560).to_bytes(4, "big")) == error
    assert peer.drops == {}


def test_refused_at_the_first_call_after_the_answer():
    """LABS section 8."""
    peer = Peer()
    ep = connected(peer)
    peer.send(f.icmp(3, 3, bytes(4), peer.seen[-1].packet[:28]), 1)
    assert ep.readiness() & C.EV_ERR
    with pytest.raises(ConnectionRefusedError):
        udp.sendto(ep, b"again", 0, 0, 0, peer.now)
    udp.sendto(ep, b"again", 0, 0, 0, peer.now)  # told once


def test_parameter_problem_and_time_exceeded():
    peer = Peer()
    assert told(peer, connected(peer), 12, 0) == errno.EPROTO
    assert told(peer, connected(peer), 11, 0) == 0  # a routing loop passes by: soft


def test_an_unconnected_socket_hears_nothing_but_by_recverr():
    """As on Linux; the error queue then tells all."""
    peer = Peer()
    ep = peer.call(udp.udp_open, peer.stack)
    peer.call(udp.sendto, ep, b"hello", peer.me, 9, 0)
    assert told(peer, ep, 3, 3) == 0
    peer.call(udp.setsockopt, ep, 0, 11, 1)
    assert told(peer, ep, 11, 0) == errno.EHOSTUNREACH
    record = udp.recvfrom(ep, 0x2000, 0)
    assert (record.error, record.icmp, record.offender) == (errno.EHOSTUNREACH, (11, 0), peer.me)
    assert (record.src, record.sport, record.data) == (peer.me, 9, b"hello")
    assert udp.recvfrom(ep, 0x2000, 0) is None


@pytest.mark.parametrize("mtu, length, want", [(1400, 1500, 1400), (0, 1500, 1492), (0, 1492, 1006), (5, 1500, 68)])
def test_next_hop_mtu(mtu, length, want):
    """RFC 1191 section 5: an old router says 0, the plateaus help."""
    peer = Peer()
    ep = peer.call(udp.udp_open, peer.stack)
    peer.call(udp.setsockopt, ep, 0, 11, 1)
    peer.call(udp.setsockopt, ep, 0, 10, 2)
    peer.call(udp.sendto, ep, bytes(length - 28), peer.me, 9, 0)
    told(peer, ep, 3, 4, mtu.to_bytes(4, "big"))
    assert udp.recvfrom(ep, 0x2000, 0).info == want


def test_error_about_another_sockets_datagram_is_not_ours():
    peer = Peer()
    first, second = connected(peer), connected(peer)
    assert told(peer, second, 3, 3) == errno.ECONNREFUSED
    assert first.so_error == 0


def test_raw_socket_sees_errors_about_its_packets():
    peer = Peer()
    ep = peer.call(raw.raw_open, peer.stack, 1)
    peer.call(raw.connect, ep, peer.me, 0)
    peer.call(raw.sendto, ep, ECHO, 0, 0, 0)
    assert told(peer, ep, 3, 1) == errno.EHOSTUNREACH


def test_record_route_comes_back_with_our_address():
    """RFC 1122 3.2.2.6, what `ping -R` shows; a full one comes back as it is, a timestamp option with our time."""
    peer = Peer()
    seen_by_router = f.bits("10.0.0.254").to_bytes(4, "big")
    option = bytes((7, 15, 8)) + seen_by_router + bytes(8)
    [reply] = peer.send(ECHO, 1, options=option + b"\0")
    own = addr_bytes(peer.addr)
    assert reply.ip.options == bytes((7, 15, 12)) + seen_by_router + own + bytes(4) + b"\0"
    assert reply.ip.csum_ok and reply.icmp.data == b"ping"
    full = bytes((7, 7, 8)) + seen_by_router + b"\0"
    [reply] = peer.send(ECHO, 1, options=full)
    assert reply.ip.options == full
    peer.now = 5_000_000
    [reply] = peer.send(ECHO, 1, options=b"\x44\x0c\x05\x00" + bytes(8))
    assert reply.ip.options == b"\x44\x0c\x09\x00\x80\0\0\x05" + bytes(4)


def test_path_mtu_is_learnt_for_ten_minutes():
    """RFC 1191 6.3: a datagram with DF that was too big; the next one fails at once, until the age is over."""
    peer = Peer()
    ep = peer.call(udp.udp_open, peer.stack)
    peer.call(udp.setsockopt, ep, 0, 10, 2)
    peer.call(udp.connect, ep, peer.me, 9)
    peer.call(udp.sendto, ep, bytes(1400), 0, 0, 0)
    assert told(peer, ep, 3, 4, (1000).to_bytes(4, "big")) == errno.EMSGSIZE
    assert udp.getsockopt(ep, 0, 14, peer.now) == 1000
    with pytest.raises(OSError):
        peer.call(udp.sendto, ep, bytes(1400), 0, 0, 0)
    peer.now += 601 * S
    fresh = peer.call(udp.udp_open, peer.stack)
    peer.call(udp.connect, fresh, peer.me, 9)
    assert udp.getsockopt(fresh, 0, 14, peer.now) == 1500


def test_a_forged_mtu_does_not_go_below_552():
    peer = Peer()
    ep = connected(peer)
    peer.call(udp.setsockopt, ep, 0, 10, 2)
    peer.call(udp.sendto, ep, bytes(600), 0, 0, 0)
    told(peer, ep, 3, 4, (68).to_bytes(4, "big"))
    assert udp.getsockopt(ep, 0, 14, peer.now) == 552


def forged(peer: Peer, quoted: int = 1500, df: bool = True, mtu: int = 560, sport: int = 53):
    """Fragmentation Needed about a datagram of that size from 10.0.0.1:sport to the peer's port 9."""
    payload = f.udp("10.0.0.1", sport, "10.0.0.2", 9, bytes(quoted - 28))
    quote = ip_packet(src="10.0.0.1", dst="10.0.0.2", payload=payload, df=df)
    return peer.send(f.icmp(3, 4, mtu.to_bytes(4, "big"), quote[:28]), 1)


@pytest.mark.parametrize("connects", [False, True])
@pytest.mark.parametrize("mode, size", [(0, 1400), (1, 0), (2, 500), (4, 1400), (5, 1400)])
def test_a_path_mtu_is_not_believed_of_datagrams_that_never_had_df(mode, size, connects):
    """What cannot have caused an error causes nothing: a forger needs no more than the port of a server that answers anyone."""
    peer = Peer()
    ep = peer.call(udp.udp_open, peer.stack)
    peer.call(udp.bind, ep, 0, 53)
    peer.call(udp.setsockopt, ep, 0, 11, 1)
    peer.call(udp.setsockopt, ep, 0, 10, mode)
    if connects:
        peer.call(udp.connect, ep, peer.me, 9)
    if size:
        peer.call(udp.sendto, ep, bytes(size), peer.me, 9, 0)
    forged(peer)
    assert route_output(peer.stack, peer.me).mtu == 1500 and ep.so_error == 0 and not ep.errqueue
    assert peer.drops == {"icmp-impossible-mtu": 1}


def test_control_a_path_mtu_of_datagrams_that_had_df_is_believed():
    peer = Peer()
    ep = peer.call(udp.udp_open, peer.stack)
    peer.call(udp.bind, ep, 0, 53)
    peer.call(udp.setsockopt, ep, 0, 10, 2)
    peer.call(udp.sendto, ep, bytes(1400), peer.me, 9, 0)
    forged(peer)
    assert route_output(peer.stack, peer.me).mtu == 560 and peer.drops == {}


@pytest.mark.parametrize("quoted, df, mtu", [(1500, False, 560), (560, True, 560), (100, True, 560), (60, True, 0)])
def test_a_quote_that_fits_its_own_mtu_is_not_believed(quoted, df, mtu):
    peer = Peer()
    ep = peer.call(udp.udp_open, peer.stack)
    peer.call(udp.bind, ep, 0, 53)
    peer.call(udp.setsockopt, ep, 0, 10, 2)
    peer.call(udp.sendto, ep, bytes(1400), peer.me, 9, 0)
    forged(peer, quoted, df, mtu)
    assert route_output(peer.stack, peer.me).mtu == 1500 and peer.drops == {"icmp-impossible-mtu": 1}
