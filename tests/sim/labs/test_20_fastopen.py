"""Lab 20 (Fast Open), the cookie part of lab 21, and urgent data: exact times in virtual time."""

import errno

import pytest

import pystack_c.const as C
from pystack.sim.network import MS
from pystack.testing.lab import lab_net, pattern
from pystack_c.base.address import v4
from pystack_c.tcp import sockopt, user
from tests.support import build

R = 100 * MS
B_ADDR = 0x0A000002
TCP_FASTOPEN = 23


def fastopen_lab(server=3, client=3):
    lab = lab_net(R // 2, client={"tcp_fastopen": client}, server={"tcp_fastopen": server})
    listener = lab.b.call(user.tcp_open, lab.b.stack)
    lab.b.call(user.bind, listener, 0, 80)
    lab.b.call(sockopt.setsockopt, listener, 6, TCP_FASTOPEN, 5)
    lab.b.call(user.listen, listener, 5)
    return lab, listener


def exchange(lab, listener):
    """One request of 100 bytes with MSG_FASTOPEN, an answer of 100: the time, and what the server read."""
    net, a, b = lab.net, lab.a, lab.b
    started = net.now
    sock = a.call(user.tcp_open, a.stack)
    taken = a.call(user.connect_fastopen, sock, b"q" * 100, B_ADDR, 80)
    if taken == 0:
        net.run_until(lambda: sock.state == C.ESTABLISHED, limit=net.now + 40 * R)
        assert a.call(user.send, sock, b"q" * 100, 0) == 100
    net.run_until(lambda: bool(listener.listener.accept_queue), limit=net.now + 40 * R)
    child = b.call(user.accept, listener)
    net.run_until(lambda: child.recvbuf.used >= 100, limit=net.now + 40 * R)
    got = b.call(user.recv, child, 1000, 0)
    assert b.call(user.send, child, b"a" * 100, 0) == 100
    net.run_until(lambda: sock.recvbuf.used >= 100, limit=net.now + 40 * R)
    elapsed = net.now - started
    a.call(user.close, sock)
    b.call(user.close, child)
    net.run(net.now + 5 * R)
    return elapsed, got


def test_fast_open_saves_one_round_trip_once_a_cookie_is_known():
    lab, listener = fastopen_lab()
    times = [exchange(lab, listener) for _ in range(3)]
    assert [t for t, _ in times] == [2 * R, R, R]
    assert all(got == b"q" * 100 for _, got in times)
    assert lab.b.stack.counters.TcpExtTCPFastOpenPassive == 2
    assert lab.b.stack.counters.TcpExtTCPFastOpenCookieReqd == 1


def test_control_a_server_without_fast_open_costs_two_round_trips_always():
    lab, listener = fastopen_lab(server=1)
    assert [exchange(lab, listener)[0] for _ in range(3)] == [2 * R, 2 * R, 2 * R]


def test_a_forged_cookie_falls_back_and_data_comes_once():
    lab, listener = fastopen_lab()
    exchange(lab, listener)
    known = lab.a.stack.tcp.fastopen_cache[v4(B_ADDR)]
    known.cookie = bytes(byte ^ 0xFF for byte in known.cookie)
    elapsed, got = exchange(lab, listener)
    assert (elapsed, got) == (2 * R, b"q" * 100)
    assert lab.b.stack.counters.TcpExtTCPFastOpenPassiveFail == 1
    # The server handed out a good one again.
    assert exchange(lab, listener)[0] == R


def test_a_lost_fast_open_syn_is_repeated_plain():
    lab, listener = fastopen_lab()
    exchange(lab, listener)
    before = len(lab.log.sent["a"])
    lab.link.ab.drop(1)
    elapsed, got = exchange(lab, listener)
    syns = [segment for segment in lab.log.sent["a"][before:] if "S" in str(segment.flags) or segment.flags & C.SYN]
    assert got == b"q" * 100
    assert elapsed >= 1000 * MS and len(syns) == 2
    # RFC 7413 4.1.3.1: for a while, no data in SYNs to that peer.
    assert exchange(lab, listener)[0] == 2 * R


@pytest.mark.parametrize("how", ["the SYN arrives twice", "the SYN-ACK is lost"])
def test_a_syn_that_repeats_is_delivered_once(how):
    lab, listener = fastopen_lab()
    exchange(lab, listener)
    before = len(lab.log.got["b"])
    if how == "the SYN arrives twice":
        lab.link.ab.repeat(1, extra=5 * MS)
    else:
        lab.link.ba.drop(1)
    elapsed, got = exchange(lab, listener)
    assert got == b"q" * 100
    syns = [len(seg) for seg in lab.log.got["b"][before:] if seg.flags & C.SYN]
    if how == "the SYN arrives twice":
        assert syns == [100, 100] and elapsed == R
    else:
        # It goes again without data after a second; then the answer, which was thrown away without a SYN, after its own timeout.
        assert syns == [100, 0] and elapsed == 1000 * MS + R + 2000 * MS + R
    assert not listener.listener.accept_queue
    counters = lab.b.stack.counters
    assert counters.TcpExtTCPFastOpenPassive == 1 and counters.TcpPassiveOpens == 2


def test_control_without_a_cookie_a_repeated_syn_brings_nothing():
    """The first SYN, which asks for a cookie, carries no data: sent twice or not, it takes 2 R."""
    lab, listener = fastopen_lab()
    lab.link.ab.repeat(1, extra=5 * MS)
    assert exchange(lab, listener) == (2 * R, b"q" * 100)
    assert lab.b.stack.counters.TcpExtTCPFastOpenPassive == 0


def flood(lab, count=256):
    """SYNs from `count` hosts that do not exist, thrown into b; its answers are thrown away."""
    stack = lab.b.stack
    iface = stack.iface("eth0")
    for i in range(count):
        src = 0x0A000064 + i % 100
        segment = build.tcp(src, 1000 + i, B_ADDR, 80, C.SYN, i, 0, options=b"\x02\x04\x05\xb4")
        frame = build.ether(build.ipv4(src, B_ADDR, 6, segment), src=0x02FF00000001, dst=iface.mac)
        stack.receive(iface, frame, lab.net.now)
        while stack.poll_transmit(lab.net.now) is not None:
            pass


@pytest.mark.parametrize("timestamps", [False, True], ids=["plain", "timestamps"])
def test_with_syn_cookies_a_real_client_connects_in_one_round_trip(timestamps):
    lab = lab_net(5 * MS, tcp_timestamps=timestamps, server={"tcp_max_syn_backlog": 128})
    listener = lab.listener(80)
    flood(lab)
    queue = lab.b.stack.tcp.listeners[80][0].listener
    assert len(queue.syn_queue) == 128
    started = lab.net.now

    def dial():
        sock = yield from lab.client()
        return sock, lab.net.now - started

    def accept():
        return (yield listener.accept())

    (client, elapsed), server = lab.run(dial(), accept(), limit=lab.net.now + 3600 * 1000 * MS)
    assert elapsed == 10 * MS  # R; the listener has it half a round trip later
    assert lab.net.now - started == 15 * MS
    assert len(queue.syn_queue) == 128  # the real client took no place
    counters = lab.b.stack.counters
    assert counters.TcpExtSyncookiesSent == 129 and counters.TcpExtSyncookiesRecv == 1
    # Window scale and SACK come back only through timestamps.
    assert (server.endpoint.snd_wscale > 0) is timestamps
    assert server.endpoint.sack_ok is timestamps
    assert server.endpoint.peer_mss == 1460
    lab.upload(pattern(200_000), client, server)


def test_control_without_cookies_the_client_waits():
    lab = lab_net(5 * MS, server={"tcp_max_syn_backlog": 128, "tcp_syncookies": False})
    lab.listener(80)
    flood(lab)
    sock = lab.a.call(user.tcp_open, lab.a.stack)
    lab.a.call(user.connect, sock, B_ADDR, 80)
    lab.net.run(lab.net.now + 900 * MS)
    assert sock.state == C.SYN_SENT
    assert lab.b.stack.counters.TcpExtTCPReqQFullDrop == 129


def test_a_forged_cookie_opens_nothing():
    lab = lab_net(5 * MS, server={"tcp_max_syn_backlog": 1})
    lab.listener(80)
    flood(lab, 3)
    stack = lab.b.stack
    iface = stack.iface("eth0")
    segment = build.tcp(0x0A000001, 5000, B_ADDR, 80, C.ACK, 100, 0x12345678)
    stack.receive(iface, build.ether(build.ipv4(0x0A000001, B_ADDR, 6, segment), dst=iface.mac), lab.net.now)
    assert stack.counters.TcpExtSyncookiesFailed == 1 and stack.counters.TcpExtSyncookiesRecv == 0


def test_urgent_byte_leaves_the_stream_and_marks_its_place():
    lab = lab_net(5 * MS)
    client, server = lab.connected()
    net, a, b = lab.net, lab.a, lab.b
    mine, theirs = client.endpoint, server.endpoint
    a.call(user.send, mine, b"abc", 0)
    net.run(net.now + R)
    with pytest.raises(OSError) as caught:
        b.call(user.recv, theirs, 1, 1)
    assert caught.value.errno == errno.EINVAL
    a.call(user.send, mine, b"defX", 1)
    net.run(net.now + R)
    a.call(user.send, mine, b"ghi", 0)
    net.run(net.now + R)
    assert theirs.readiness() & C.EV_PRI
    # One read stops at the mark, though more is there.
    assert b.call(user.recv, theirs, 100, 0) == b"abcdef"
    assert b.call(user.at_mark, theirs)
    assert b.call(user.recv, theirs, 1, 1) == b"X"
    assert b.call(user.recv, theirs, 100, 0) == b"ghi"
    assert not b.call(user.at_mark, theirs)


def test_urgent_byte_stays_inline_when_asked():
    lab = lab_net(5 * MS)
    client, server = lab.connected()
    net, a, b = lab.net, lab.a, lab.b
    b.call(sockopt.setsockopt, server.endpoint, 1, sockopt.SO_OOBINLINE, 1)
    a.call(user.send, client.endpoint, b"abcX", 1)
    net.run(net.now + R)
    assert b.call(user.recv, server.endpoint, 100, 0) == b"abc"
    assert b.call(user.recv, server.endpoint, 100, 0) == b"X"
