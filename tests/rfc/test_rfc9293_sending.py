"""RFC 9293, sections 3.7 and 3.9.1.2: segment sizes, Nagle, PUSH, merged writes."""

import pytest

from pystack.testing.peer import MS, S, mss_option, ts_option
from pystack.testing.segments import ACK, FIN, PSH, SYN

SOL_TCP, TCP_NODELAY, TCP_MAXSEG = 6, 1, 2


def sizes(segs):
    return [len(seg) for seg in segs]


def test_must_14_mss_is_sent_and_understood(make):
    peer = make(mtu=1400)
    _, syn = peer.connecting()
    peer.listener()
    (syn_ack,) = peer.segment(SYN, 1)
    assert syn.mss == syn_ack.mss == 1360
    for active in (False, True):
        conn = make().established(active=active, options=mss_option(700))
        assert sizes(conn.send(bytes(1400))) == [700, 700]


def test_must_15_without_the_option_the_mss_is_536(make):
    for active in (False, True):
        conn = make().established(active=active, options=b"")
        assert sizes(conn.send(bytes(536 * 3))) == [536] * 3


@pytest.mark.parametrize(("announced", "mtu", "size"), [(1000, 1500, 1000), (9000, 1500, 1460), (1460, 600, 560)])
def test_must_16_segments_fit_the_peer_the_path_and_the_options(make, announced, mtu, size):
    conn = make(mtu=mtu).established(options=mss_option(announced))
    assert sizes(conn.send(bytes(size * 3))) == [size] * 3
    conn = make(mtu=mtu, tcp_timestamps=True).established(options=mss_option(announced) + ts_option(1))
    conn.ts = (1, 0)
    assert sizes(conn.send(bytes((size - 12) * 3))) == [size - 12] * 3


@pytest.mark.parametrize("mtu", [1500, 1400, 576, 9000])
def test_must_67_the_mss_announced_is_what_ip_can_receive(make, mtu):
    peer = make(mtu=mtu)
    _, syn = peer.connecting()
    peer.listener()
    (syn_ack,) = peer.segment(SYN, 1, options=mss_option(536))  # whatever the peer's own is
    assert syn.mss == syn_ack.mss == mtu - 40


def test_shld_5_every_syn_has_an_mss(make):
    peer = make()
    _, syn = peer.connecting()
    again = peer.advance(4 * S)
    assert len(again) == 2 and [seg.mss for seg in (syn, *again)] == [1460] * 3


def test_may_3_even_where_it_says_536(make):
    _, syn = make(mtu=576).connecting()
    assert syn.mss == 536


def test_must_17_nagle_can_be_turned_off(make):
    conn = make().established()
    conn.set(SOL_TCP, TCP_NODELAY, 1)
    assert [seg.payload for text in (b"one", b"two", b"three") for seg in conn.send(text)] == [b"one", b"two", b"three"]
    other = make(tcp_minshall=False).established()  # for one connection only
    assert [sizes(other.send(b"x")) for _ in range(2)] == [[1], []]


def test_shld_7_nagle_holds_small_segments_while_data_is_out(make):
    conn = make(tcp_minshall=False).established()
    assert [seg.payload for seg in conn.send(b"one")] == [b"one"]
    assert conn.send(b"two") == conn.send(b"three") == []
    assert conn.peer.advance(10 * MS) == []
    conn.has(3)
    assert [seg.payload for seg in conn.rx()] == [b"twothree"]


def test_must_60_data_is_not_held_for_ever(make):
    for flags in (0, 0x8000):  # MSG_MORE
        conn = make().established()
        out = conn.send(b"a", flags) + conn.peer.advance(S)
        assert b"a" in [seg.payload for seg in out]
    conn = make().established()
    conn.send(b"a")
    assert conn.send(b"b") == []  # Nagle: until the acknowledgement
    conn.has(1)
    assert [seg.payload for seg in conn.rx()] == [b"b"]


def test_must_61_the_last_segment_queued_has_psh(make):
    conn = make().established()
    assert [bool(seg.flags & PSH) for seg in conn.send(bytes(3 * 1460 + 10))] == [False, False, False, True]
    conn.has(3 * 1460 + 10)
    conn.rx()
    assert [bool(seg.flags & PSH) for seg in conn.send(b"x")] == [True]


def test_shld_27_pushes_are_merged(make):
    conn = make().established()
    conn.send(b"first")
    assert conn.send(bytes(1000)) == conn.send(bytes(300)) == []
    conn.has(5)
    out = conn.rx()
    assert sizes(out) == [1300] and out[0].flags & PSH


def test_shld_28_full_segments_are_preferred(make):
    conn = make().established()
    conn.send(b"first")
    sent = [size for _ in range(30) for size in sizes(conn.send(bytes(500)))]
    assert len(sent) >= 8 and set(sent) == {1460}


def test_may_16_unpushed_sends_are_gathered(make):
    conn = make().established()
    assert [sizes(conn.send(bytes(500), 0x8000)) for _ in range(3)] == [[], [], [1460]]
    assert conn.shutdown()[-1].has(FIN | ACK)


def test_may_15_send_has_no_push_flag_of_its_own(make):
    # What PUSH was for is said by TCP_NODELAY, TCP_CORK and MSG_MORE.
    conn = make().established()
    conn.send(b"held", 0x8000)
    (seg,) = conn.set(SOL_TCP, TCP_NODELAY, 1) or conn.send(b"", 0)
    assert seg.payload == b"held" and seg.flags & PSH


def test_may_17_a_received_psh_changes_nothing(make):
    for flags in (ACK, ACK | PSH):
        conn = make().established()
        conn.rx(flags, b"abc")
        assert conn.recv(2) == b"ab" and conn.recv() == b"c" and conn.recv() is None
