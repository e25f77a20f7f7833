"""What socket options do, beyond being told back (tests/socket/test_contract.py compares those with the kernel's)."""

import pytest

import pystack_c.const as C
from pystack.sim.network import MS, S
from pystack.testing.peer import HOST, PEER, build, mss_option
from pystack.testing.segments import ACK, FIN, RST
from pystack_c.tcp import sockopt, user

SOL_SOCKET, SOL_IP, SOL_TCP = 1, 0, 6
SO_SNDBUF, SO_RCVBUF, SO_RCVLOWAT, SO_PRIORITY, SO_MAX_PACING_RATE = 7, 8, 18, 12, 47
TCP_LINGER2, TCP_WINDOW_CLAMP, TCP_NOTSENT_LOWAT, IP_MINTTL = 8, 10, 25, 21
EV_OUT = 4


def test_a_buffer_holds_what_was_asked_for_and_tells_twice_that(make):
    """socket(7). The window is the data that fits, and so is what send() takes."""
    conn = make(tcp_wscale=0).established(window=0)
    conn.set(SOL_SOCKET, SO_RCVBUF, 8000)
    conn.set(SOL_SOCKET, SO_SNDBUF, 9000)
    told = [conn.peer.call(sockopt.getsockopt, conn.tcb, SOL_SOCKET, name) for name in (SO_RCVBUF, SO_SNDBUF)]
    assert told == [16000, 18000]
    assert conn.peer.call(user.send, conn.tcb, bytes(20_000), 0) == 9000


def test_a_clamped_window_never_tells_more(make):
    for clamp, most in ((2000, 2000), (100, 1152), (0, 65535)):
        peer = make(tcp_wscale=0)
        listener = peer.listener()
        peer.call(sockopt.setsockopt, listener, SOL_TCP, TCP_WINDOW_CLAMP, clamp or 1 << 20)
        conn = peer.established()
        assert conn.tcb.window_clamp == (max(clamp, 1152) if clamp else 1 << 20)  # (inherited)
        windows = []
        for _ in range(100):
            out = conn.rx(data=bytes(500)) or peer.advance(500 * MS)
            windows.append(out[-1].window)
            conn.recv()
        assert max(windows[5:]) <= most and (not clamp or max(windows[60:]) > most // 2 - 500)


@pytest.mark.parametrize("setting", [True, False])
def test_little_unsent_makes_writable_again(make, setting):
    """TCP_NOTSENT_LOWAT, by option or by the setting of all sockets: 1,000 bytes unsent, however large the buffer."""
    peer = make(tcp_notsent_lowat=1000) if setting else make()
    conn = peer.established(window=3000, options=mss_option(1000))
    if not setting:
        conn.set(SOL_TCP, TCP_NOTSENT_LOWAT, 1000)
    assert peer.call(user.send, conn.tcb, bytes(8000), 0) == 8000  # (it stops no write, it says when to write)
    assert len(peer.take()) == 3 and not conn.tcb.readiness() & EV_OUT
    for _ in range(4):
        conn.has(1000)
        conn.rx()
        assert not conn.tcb.readiness() & EV_OUT
    conn.has(1000)
    conn.rx(window=4000)
    assert conn.tcb.unsent() < 1000 and conn.tcb.readiness() & EV_OUT
    # Control: without it, there is room all the time.
    conn = make().established(window=3000, options=mss_option(1000))
    conn.peer.call(user.send, conn.tcb, bytes(8000), 0)
    assert conn.tcb.readiness() & EV_OUT


def test_a_writer_wakes_after_the_setting_of_the_write_queue_changed(make):
    """The write queue stays as MSG_EOR made it. So the ACK that makes room wakes the writer, whatever the setting is now."""
    for after in (False, True):
        peer = make(tcp_wmem=8000, tcp_moderate_sndbuf=False)
        conn = peer.established(window=8000, options=mss_option(1000))
        assert peer.call(user.send, conn.tcb, bytes(20_000), C.MSG_EOR) == 8000
        assert len(peer.take()) == 8 and conn.tcb.no_space
        peer.config.update({"tcp_linux_queue": after})
        conn.tcb.take_pending()
        conn.has(8000)
        conn.rx()
        assert conn.tcb.take_pending() == EV_OUT and not conn.tcb.no_space


def test_linger2_is_how_long_an_orphan_waits_for_the_peers_fin(make):
    for seconds, lasts in ((5, 5), (0, 60), (None, 60), (1000, 120)):
        conn = make().established()
        if seconds is not None:
            conn.set(SOL_TCP, TCP_LINGER2, seconds)
        conn.close()
        conn.has(1)
        conn.rx()
        assert conn.state == "FIN-WAIT-2"
        conn.peer.advance(lasts * S - MS)
        assert conn.state == "FIN-WAIT-2", seconds
        conn.peer.advance(2 * MS)
        assert conn.state == "CLOSED", seconds


@pytest.mark.parametrize("when", ["before", "after"])
def test_no_linger2_at_all_resets(make, when):
    conn = make().established()
    conn.set(SOL_TCP, TCP_LINGER2, -1)
    if when == "before":
        conn.close()
        conn.has(1)
        out = conn.rx()
    else:
        conn.shutdown()
        conn.has(1)
        conn.rx()
        assert conn.state == "FIN-WAIT-2"  # (not yet an orphan)
        out = conn.close()
    assert [seg.flags & (RST | FIN) for seg in out] == [RST] and conn.state == "CLOSED"
    assert conn.peer.counters.TcpExtTCPAbortOnLinger == 1


def test_segments_from_afar_are_dropped(make):
    """IP_MINTTL (RFC 5082): a neighbour's packets arrive with 255; a forger two routers away cannot make such."""
    conn = make().established()

    def arrives(ttl):
        packet = bytearray(build(PEER, HOST, conn.sport, conn.dport, conn.seq, conn.ack, ACK, data=b"x"))
        old = packet[8]
        packet[8] = ttl
        total = (packet[10] << 8 | packet[11]) + ((old - ttl) << 8)
        total = (total & 0xFFFF) + (total >> 16)
        packet[10:12] = total.to_bytes(2, "big")
        conn.peer.packet(bytes(packet))
        got = conn.recv() == b"x"
        conn.seq += got
        return got

    assert arrives(1) and arrives(255)  # (control: the default takes all)
    conn.set(SOL_IP, IP_MINTTL, 255)
    assert not arrives(254) and not arrives(1) and arrives(255)
    assert conn.peer.counters.TcpExtTCPMinTTLDrop == 2 == conn.peer.dropped("tcp-min-ttl")


def test_what_an_accepted_socket_takes_over(make):
    peer = make()
    listener = peer.listener()
    options = [
        (SOL_SOCKET, SO_RCVLOWAT, 77),
        (SOL_SOCKET, SO_PRIORITY, 5),
        (SOL_SOCKET, SO_MAX_PACING_RATE, 1_000_000),
        (SOL_SOCKET, SO_RCVBUF, 20_000),
        (SOL_TCP, TCP_LINGER2, 7),
        (SOL_TCP, TCP_WINDOW_CLAMP, 5000),
        (SOL_TCP, TCP_NOTSENT_LOWAT, 9000),
        (SOL_IP, IP_MINTTL, 3),
    ]
    for level, name, value in options:
        peer.call(sockopt.setsockopt, listener, level, name, value)
    conn = peer.established()
    for level, name, value in options:
        told = peer.call(sockopt.getsockopt, conn.tcb, level, name)
        assert told == (2 * value if (level, name) == (SOL_SOCKET, SO_RCVBUF) else value), (level, name)
    # Its own from now on.
    conn.set(SOL_SOCKET, SO_PRIORITY, 1)
    assert peer.call(sockopt.getsockopt, listener, SOL_SOCKET, SO_PRIORITY) == 5


def test_a_keepinit_of_0_is_the_settings_time_as_on_freebsd(make):
    """TCP_KEEPINIT bounds the time of an opening. Without the option, or with 0, the setting tcp_keepinit is the bound."""
    peer = make(tcp_keepinit=15 * S, tcp_syn_retries=20)
    for own, seconds in ((None, 15), (5, 5), (0, 15)):
        tcb = peer.call(user.tcp_open, peer.stack)
        if own is not None:
            peer.call(sockopt.setsockopt, tcb, SOL_TCP, sockopt.TCP_KEEPINIT, own)
        assert peer.call(sockopt.getsockopt, tcb, SOL_TCP, sockopt.TCP_KEEPINIT) == seconds
        peer.call(user.connect, tcb, PEER, 7)
        peer.advance(seconds * S - MS)
        assert tcb.state == C.SYN_SENT
        peer.advance(2 * S)
        assert tcb.state == C.CLOSED and tcb.so_error == 110
    peer = make(tcp_syn_retries=20)
    tcb = peer.call(user.tcp_open, peer.stack)
    assert peer.call(sockopt.getsockopt, tcb, SOL_TCP, sockopt.TCP_KEEPINIT) == 0
    peer.call(user.connect, tcb, PEER, 7)
    peer.advance(17 * S)
    assert tcb.state == C.SYN_SENT
