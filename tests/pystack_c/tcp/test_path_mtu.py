"""Path MTUs that ICMP tells: the floor under them (min_pmtu), IP_MTU_DISCOVER, IP_MTU and TCP_MAXSEG of streams and datagrams."""

import errno

import pytest

from pystack.testing.peer import S, mss_option
from pystack_c.sockets import udp
from pystack_c.tcp import sockopt
from tests import frames as f
from tests.pystack_c.tcp.test_recovery import icmp
from tests.support.peer import Peer as IpPeer

SOL_IP, SOL_TCP = 0, 6
IP_MTU_DISCOVER, IP_MTU, TCP_MAXSEG = 10, 14, 2
DONT, WANT, DO, PROBE, INTERFACE, OMIT = range(6)


def sending(make, mode=None, **settings):
    """A connection with 4,380 bytes out, in three segments."""
    conn = make(**settings).established(options=mss_option(1460))
    if mode is not None:
        conn.set(SOL_IP, IP_MTU_DISCOVER, mode)
    conn.send(bytes(4380))
    return conn


# -- the floor: who lies about the path MTU must not cost us a header for each few bytes (RFC 5927 7) ------------------------


@pytest.mark.parametrize(
    ("told", "size", "df"), [(552, 512, True), (551, 512, False), (296, 512, False), (68, 512, False)]
)
def test_below_min_pmtu_segments_stay_and_df_goes(make, told, size, df):
    conn = sending(make)
    out = icmp(conn, 3, 4, conn.ack, told)
    assert {len(seg) for seg in out[:-1]} == {size} and conn.tcb.mss == size
    assert {seg.df for seg in out} == {df}


def test_control_the_rfc_has_68_bytes_for_its_floor(make):
    conn = sending(make, min_pmtu=68)
    out = icmp(conn, 3, 4, conn.ack, 68)
    assert conn.tcb.mss == 28 and all(seg.df for seg in out)


def test_a_small_interface_is_no_lie(make):
    conn = make(mtu=300).established(options=mss_option(1460))
    assert {len(seg) for seg in conn.send(bytes(1040))} == {260}
    out = icmp(conn, 3, 4, conn.ack, 200)
    assert conn.tcb.mss == 260 and not any(seg.df for seg in out)  # the floor is what the link carries


def test_df_is_back_when_the_path_mtu_is_old(make):
    conn = sending(make)
    icmp(conn, 3, 4, conn.ack, 100)
    conn.has(4380)
    conn.rx()
    assert not conn.send(b"x")[0].df
    conn.has(1)
    conn.rx()
    conn.peer.advance(601 * S)
    assert conn.send(b"x")[0].df and conn.tcb.mss == 1460


@pytest.mark.parametrize("settings", [{}, {"min_pmtu": 68}])
def test_datagrams_have_the_same_floor(settings):
    peer = IpPeer(**settings)
    ep = peer.call(udp.udp_open, peer.stack)
    peer.call(udp.setsockopt, ep, SOL_IP, IP_MTU_DISCOVER, WANT)
    peer.call(udp.connect, ep, peer.me, 9)
    peer.call(udp.sendto, ep, bytes(100), 0, 0, 0)
    assert peer.seen[-1].ip.df
    peer.send(f.icmp(3, 4, (100).to_bytes(4, "big"), peer.seen[-1].packet), 1)
    assert udp.getsockopt(ep, SOL_IP, IP_MTU, peer.now) == (100 if settings else 552)
    ep.take_error()
    peer.call(udp.sendto, ep, bytes(60), 0, 0, 0)
    assert peer.seen[-1].ip.df == bool(settings)  # DF stays where the path MTU is believed, and it fits


# -- IP_MTU_DISCOVER --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [PROBE, INTERFACE, OMIT])
def test_a_stream_may_ask_not_to_believe_path_mtus(make, mode):
    conn = sending(make, mode)
    assert icmp(conn, 3, 4, conn.ack, 1000) == [] and conn.tcb.mss == 1460
    assert conn.peer.dropped("icmp-mtu-ignored") == 1
    trusting = conn.peer.established(options=mss_option(1460))
    trusting.send(bytes(3000))
    icmp(trusting, 3, 4, trusting.ack, 1000)  # (that it believes it changes nothing for the other)
    conn.has(4380)
    conn.rx()
    (seg,) = conn.send(bytes(1460))
    assert len(seg) == 1460 and seg.df == (mode == PROBE)
    assert sockopt.getsockopt(trusting.tcb, SOL_IP, IP_MTU, 0) == 1000


def test_control_the_others_believe_them(make):
    for mode in (WANT, DO):
        conn = sending(make, mode)
        assert icmp(conn, 3, 4, conn.ack, 1000) and conn.tcb.mss == 960


def test_a_stream_without_df_cannot_have_caused_it(make):
    conn = sending(make, DONT)
    assert icmp(conn, 3, 4, conn.ack, 1000) == [] and conn.tcb.mss == 1460
    assert conn.peer.dropped("icmp-mtu-ignored") == 1


def test_a_mode_that_is_set_late_counts_at_once(make):
    conn = sending(make)
    icmp(conn, 3, 4, conn.ack, 1000)
    conn.set(SOL_IP, IP_MTU_DISCOVER, INTERFACE)
    assert conn.tcb.mss == 1460
    conn.set(SOL_IP, IP_MTU_DISCOVER, WANT)
    assert conn.tcb.mss == 960


@pytest.mark.parametrize(
    ("mode", "small", "large"),
    [(DONT, (1, False), 3), (WANT, (1, True), 3), (DO, (1, True), errno.EMSGSIZE), (PROBE, (1, True), (1, True)),
     (INTERFACE, (1, False), (1, False)), (OMIT, (1, False), (1, False))],
)  # fmt: skip
def test_datagrams_by_mode_on_a_path_of_600(mode, small, large):
    peer = IpPeer()
    ep = peer.call(udp.udp_open, peer.stack)
    peer.call(udp.connect, ep, peer.me, 9)
    peer.call(udp.setsockopt, ep, SOL_IP, IP_MTU_DISCOVER, DO)
    peer.call(udp.sendto, ep, bytes(1400), 0, 0, 0)
    peer.send(f.icmp(3, 4, (600).to_bytes(4, "big"), peer.seen[-1].packet), 1)
    ep.take_error()
    peer.call(udp.setsockopt, ep, SOL_IP, IP_MTU_DISCOVER, mode)
    assert sent(peer, ep, 500) == small
    got = sent(peer, ep, 1400)
    assert got == large or got == (large, False)


def sent(peer, ep, size):
    """(packets that a datagram went in, DF of the first), or the errno."""
    del peer.seen[:]
    try:
        peer.call(udp.sendto, ep, bytes(size), 0, 0, 0)
    except OSError as error:
        return error.errno
    return len(peer.seen), peer.seen[0].ip.df


@pytest.mark.parametrize(
    ("mode", "result"), [(DONT, 2), (PROBE, errno.EMSGSIZE), (INTERFACE, errno.EMSGSIZE), (OMIT, 2)]
)
def test_datagrams_larger_than_the_link(mode, result):
    peer = IpPeer()
    ep = peer.call(udp.udp_open, peer.stack)
    peer.call(udp.connect, ep, peer.me, 9)
    peer.call(udp.setsockopt, ep, SOL_IP, IP_MTU_DISCOVER, mode)
    got = sent(peer, ep, 2000)
    assert got == result or got == (result, False)


def test_there_are_six_modes():
    peer = IpPeer()
    ep = peer.call(udp.udp_open, peer.stack)
    for value in (-1, 6):
        with pytest.raises(OSError) as caught:
            peer.call(udp.setsockopt, ep, SOL_IP, IP_MTU_DISCOVER, value)
        assert caught.value.errno == errno.EINVAL


# -- IP_MTU, TCP_MAXSEG ----------------------------------------------------------------------------------------------------------


def test_ip_mtu_is_the_path_mtu_of_a_connected_stream(make):
    peer = make()
    listener = peer.listener()
    with pytest.raises(OSError) as caught:
        sockopt.getsockopt(listener, SOL_IP, IP_MTU, 0)
    assert caught.value.errno == errno.ENOTCONN
    conn = peer.established(options=mss_option(1460))
    assert sockopt.getsockopt(conn.tcb, SOL_IP, IP_MTU, 0) == 1500
    conn.send(bytes(3000))
    icmp(conn, 3, 4, conn.ack, 1300)
    assert sockopt.getsockopt(conn.tcb, SOL_IP, IP_MTU, 0) == 1300


def test_tcp_maxseg_bounds_what_is_sent_and_announced(make):
    conn = make().established(options=mss_option(1460))
    conn.set(SOL_TCP, TCP_MAXSEG, 500)
    assert [len(seg) for seg in conn.send(bytes(1000))] == [500, 500]
    conn.has(1000)
    conn.rx()
    conn.set(SOL_TCP, TCP_MAXSEG, 0)  # no bound any more
    assert [len(seg) for seg in conn.send(bytes(1460))] == [1460]
    for value in (87, 32768, -1):
        with pytest.raises(OSError) as caught:
            conn.set(SOL_TCP, TCP_MAXSEG, value)
        assert caught.value.errno == errno.EINVAL
    _, syn = make().connecting(user_mss=700)
    assert syn.mss == 700
