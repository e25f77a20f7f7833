"""RFC 9293, sections 3.5, 3.6, 3.9.1.1 and 3.9.2.3: opening, closing, resets, addresses."""

import errno

import pytest

import pystack_c.const as C
from pystack.testing.peer import HOST, PEER, Peer, S, build, mss_option, ts_option
from pystack.testing.segments import ACK, FIN, M32, RST, SYN
from pystack_c.tcp import user


def test_must_10_both_ends_open_at_the_same_time(make):
    peer = make()
    tcb, syn = peer.connecting()
    (syn_ack,) = peer.segment(SYN, peer.irs, 0, syn.dport, syn.sport, options=mss_option(1000))
    assert (syn_ack.flags, syn_ack.seq, syn_ack.ack) == (SYN | ACK, syn.seq, (peer.irs + 1) & M32)
    out = peer.segment(SYN | ACK, peer.irs, syn.end, syn.dport, syn.sport)
    assert tcb.state == 1 and not any(seg.has(RST) for seg in out)
    assert peer.call(user.send, tcb, b"x", 0) == 1 and peer.take()[0].payload == b"x"


def test_must_11_a_passive_open_remembers_that_it_was_one(make):
    peer = make()
    listener = peer.listener()
    peer.segment(SYN, 1)
    peer.segment(RST, 2)  # SYN-RECEIVED of a passive open: back to LISTEN, nobody hears of it
    assert listener.state == 10 and listener.so_error == 0 and len(peer.segment(SYN, 500)) == 1
    tcb, syn = peer.connecting()  # of an active open: refused
    peer.segment(SYN, 300, 0, syn.dport, syn.sport)
    peer.segment(RST, 301, 0, syn.dport, syn.sport)
    assert tcb.state == 7 and tcb.so_error == errno.ECONNREFUSED


@pytest.mark.parametrize("abort", [False, True])
def test_must_12_the_application_can_tell_close_from_abort(make, abort):
    conn = make().established()
    conn.rx(RST) if abort else conn.rx(FIN | ACK)
    if abort:
        with pytest.raises(OSError) as caught:
            conn.recv()
        assert caught.value.errno == errno.ECONNRESET
    else:
        assert conn.recv() == b""


@pytest.mark.parametrize(("profile", "msl2"), [("linux", 60 * S), ("lab", 60 * S), ("rfc", 240 * S)])
def test_must_13_the_active_closer_waits_for_two_msl(profile, msl2):
    conn = Peer(profile).established().to("TIME-WAIT")
    conn.peer.advance(msl2 - 1)
    assert conn.state == "TIME-WAIT"
    conn.peer.advance(1)
    assert conn.state == "CLOSED"
    passive = Peer(profile).established().to("LAST-ACK")  # the control
    passive.has(1)
    passive.rx()
    assert passive.state == "CLOSED"


def test_shld_2_a_reset_may_carry_data(make):
    conn = make().established()
    assert conn.rx(RST | ACK, b"because") == [] and conn.state == "CLOSED"


def test_shld_3_closing_that_loses_data_resets(make):
    conn = make().established()
    conn.rx(data=b"unread")
    (rst,) = conn.close()
    assert rst.flags == RST | ACK and conn.state == "CLOSED"
    late = make().established()
    late.close()
    (rst,) = late.rx(data=b"too late")
    assert rst.has(RST) and late.state == "CLOSED"
    read = make().established()  # the control
    read.rx(data=b"read")
    read.recv()
    assert read.close()[-1].flags & (FIN | RST) == FIN


def test_shld_4_timestamps_shorten_time_wait(make):
    peer = make(tcp_timestamps=True)
    conn = peer.established(options=mss_option(1460) + ts_option(100))
    conn.ts = (200, 0)
    conn.to("TIME-WAIT")
    conn.ts = None
    (out,) = conn.rx(SYN, seq=-50_000, options=ts_option(199))  # an older timestamp: an old duplicate
    assert out.flags == ACK and conn.state == "TIME-WAIT"
    (out,) = conn.rx(SYN, seq=-50_000, options=ts_option(201))
    assert out.flags == SYN | ACK and conn.state == "CLOSED"


@pytest.mark.parametrize(("off", "opens"), [(1, True), (100_000, True), (0, False), (-5, False)])
def test_may_2_a_new_syn_reopens_a_connection_in_time_wait(make, off, opens):
    conn = make().established().to("TIME-WAIT")
    (out,) = conn.rx(SYN, seq=off)
    assert out.flags == (SYN | ACK if opens else ACK)
    assert (conn.state == "CLOSED") == opens


def reopened(make, active=False, **settings):
    """SND.NXT of a connection that sent 100,000 bytes and closed first, and the first segment of the one in its place."""
    peer = make(tcp_tw_reuse=1, tcp_timestamps=active, **settings)
    conn = peer.established(active, options=mss_option(1460) + ts_option(1000))
    conn.ts = (1000, 0) if active else None
    sent = conn.send(bytes(100_000))
    while sent:
        conn.has(sum(len(seg.payload) for seg in sent))
        sent = conn.rx()
    assert conn.tcb.bytes_acked == 100_000
    conn.to("TIME-WAIT")
    last = conn.tcb.snd_nxt
    if not active:
        (segment,) = conn.rx(SYN, seq=1)
        return last, segment
    peer.now += 2 * S
    tcb = peer.call(user.tcp_open, peer.stack)
    tcb.reuseaddr = conn.tcb.reuseaddr = True
    peer.call(user.bind, tcb, 0, conn.tcb.lport)
    peer.call(user.connect, tcb, PEER, conn.tcb.rport)
    (segment,) = peer.take()
    return last, segment


@pytest.mark.parametrize("active", [False, True])
@pytest.mark.parametrize("settings", [{}, {"tcp_isn": -1}, {"tcp_syncookies": 2}, {"tcp_max_syn_backlog": 0}])
def test_may_2_the_new_connection_begins_beyond_the_old_one(make, active, settings):
    # RFC 1122 4.2.2.13 (1): ISS is larger than the largest sequence number of the old incarnation, so nothing of that can be taken.
    last, segment = reopened(make, active, **settings)
    assert segment.flags == (SYN if active else SYN | ACK)
    assert 0 < (segment.seq - last) & M32 < 1 << 31


def test_may_2_time_wait_goes_on_where_nothing_is_opened(make):
    peer = make()
    conn = peer.established().to("TIME-WAIT")
    listener = next(iter(peer.stack.tcp.listeners.values()))[0]
    peer.call(user.listen, listener, 0)
    (syn_ack,) = peer.segment(SYN, 1, sport=1)
    peer.segment(ACK, 2, syn_ack.end, sport=1)
    assert conn.rx(SYN, seq=1) == [] and conn.state == "TIME-WAIT"  # the accept queue is full
    peer.call(user.accept, listener)
    (syn_ack,) = conn.rx(SYN, seq=1)
    assert syn_ack.flags == SYN | ACK and conn.state == "CLOSED"
    assert (syn_ack.seq - conn.tcb.snd_nxt) & M32 < 1 << 31


def test_may_1_close_ends_reading_too(make):
    conn = make().established()
    conn.close()
    conn.has(1)
    conn.rx()
    (rst,) = conn.rx(data=b"x")
    assert rst.has(RST)


def test_must_41_a_passive_open_leaves_connections_alone(make):
    peer = make()
    conn = peer.established(active=True)
    conn.tcb.reuseaddr = True
    listener = peer.call(user.tcp_open, peer.stack)
    listener.reuseaddr = True
    peer.call(user.bind, listener, 0, conn.tcb.lport)
    peer.call(user.listen, listener, 5)
    conn.rx(data=b"still here")
    assert conn.state == "ESTABLISHED" and conn.recv() == b"still here"
    again = peer.call(user.tcp_open, peer.stack)  # a second OPEN of the listener's port fails, and changes nothing
    with pytest.raises(OSError):
        peer.call(user.bind, again, 0, conn.tcb.lport)
    assert listener.state == 10 and conn.send(b"x")[0].payload == b"x"


def test_must_42_one_port_listens_and_connects(make):
    peer = make()
    opening, syn = peer.connecting()  # SYN-SENT
    opening.reuseaddr = True
    listener = peer.call(user.tcp_open, peer.stack)
    listener.reuseaddr = True
    peer.call(user.bind, listener, 0, syn.sport)
    peer.call(user.listen, listener, 5)
    (syn_ack,) = peer.segment(SYN, 1, sport=99, dport=syn.sport)
    assert syn_ack.has(SYN | ACK)
    peer.segment(SYN | ACK, 50, syn.end, syn.dport, syn.sport)
    assert opening.state == 1


def two_addresses(make):
    peer = make()
    peer.stack.add_addr(peer.iface, HOST + 7, 24)
    return peer


def test_must_43_open_takes_a_local_address(make):
    peer = two_addresses(make)
    for source in (HOST, HOST + 7):
        tcb = peer.call(user.tcp_open, peer.stack)
        peer.call(user.bind, tcb, source, 0)
        peer.call(user.connect, tcb, PEER, 7)
        assert [seg.src for seg in peer.take()] == [source]
    listener = peer.call(user.tcp_open, peer.stack)
    peer.call(user.bind, listener, HOST + 7, 80)
    peer.call(user.listen, listener, 5)
    assert peer.packet(build(PEER, HOST, 9, 80, 1, 0, SYN))[0].has(RST)
    assert peer.packet(build(PEER, HOST + 7, 9, 80, 1, 0, SYN))[0].has(SYN | ACK)


def test_must_44_without_one_ip_is_asked(make):
    peer = make()
    other = peer.stack.add_iface("tun1", C.LINK_IP, 0, 1500)
    peer.stack.add_addr(other, 0x0B000001, 24)
    for there, source in ((PEER, HOST), (0x0B000009, 0x0B000001)):
        tcb = peer.call(user.tcp_open, peer.stack)
        peer.call(user.connect, tcb, there, 7)
        assert [seg.src for seg in peer.take()] == [source]


def test_must_45_a_connection_keeps_its_local_address(make):
    conn = two_addresses(make).established(active=True)
    peer = conn.peer
    peer.stack.del_addr(peer.iface, HOST + 7)
    peer.stack.add_addr(peer.iface, HOST + 8, 24)  # routes are chosen anew
    assert {seg.src for seg in [*conn.send(b"x"), *peer.advance(S)]} == {HOST}


@pytest.mark.parametrize("addr", [0xFFFFFFFF, 0xE0000001, 0x0A0000FF, 0x0B000001])
def test_must_46_open_to_an_address_that_is_no_host_is_refused(make, addr):
    peer = make()
    tcb = peer.call(user.tcp_open, peer.stack)
    with pytest.raises(OSError) as caught:
        peer.call(user.connect, tcb, addr, 7)
    assert caught.value.errno == errno.ENETUNREACH and peer.take() == []


@pytest.mark.parametrize("dst", [0x0A0000FF, 0xFFFFFFFF, 0xE0000001])
def test_must_57_a_syn_to_a_group_is_ignored(dst):
    peer = Peer()
    peer.listener()
    assert peer.packet(build(PEER, dst, 9, 80, 1, 0, SYN)) == [] and peer.other == []
    assert len(peer.packet(build(PEER, HOST, 9, 80, 1, 0, SYN))) == 1  # the control


@pytest.mark.parametrize("src", [0x0A0000FF, 0xFFFFFFFF, 0xE0000001, 0x7F000001, 0, HOST])
def test_must_63_a_syn_from_an_impossible_address_is_ignored(src):
    peer = Peer()
    listener = peer.listener()
    assert peer.packet(build(src, HOST, 9, 80, 1, 0, SYN)) == [] and peer.other == []
    assert not listener.listener.syn_queue
    assert len(peer.packet(build(PEER, HOST, 9, 80, 1, 0, SYN))) == 1  # the control
