"""Fast Open beyond what lab 20 measures, SYN cookies, and urgent data: exact times in virtual time."""

import errno

import pytest

import pystack_c.const as C
from pystack.labs.lab_20_fastopen.experiment import R, World
from pystack.sim.network import MS
from pystack.testing.lab import lab_net, pattern
from pystack_c.tcp import sockopt, user
from tests.support import build

B_ADDR = 0x0A000002


def test_a_lost_fast_open_syn_is_repeated_plain():
    world = World()
    lab = world.lab
    world.exchange()
    before = len(lab.log.sent["a"])
    lab.link.ab.drop(1)
    elapsed, got = world.exchange()
    syns = [segment for segment in lab.log.sent["a"][before:] if "S" in str(segment.flags) or segment.flags & C.SYN]
    assert got == b"q" * 100
    assert elapsed >= 1000 * MS and len(syns) == 2
    # RFC 7413 4.1.3.1: for a while, no data in SYNs to that peer.
    assert world.exchange()[0] == 2 * R


def test_a_fast_open_syn_whose_answer_is_lost_is_delivered_once():
    world = World()
    lab = world.lab
    world.exchange()
    before = len(lab.log.got["b"])
    lab.link.ba.drop(1)
    elapsed, got = world.exchange()
    assert got == b"q" * 100
    # It goes again without data after a second; then the answer, which was thrown away without a SYN, after its own timeout.
    assert [len(seg) for seg in lab.log.got["b"][before:] if seg.flags & C.SYN] == [100, 0]
    assert elapsed == 1000 * MS + R + 2000 * MS + R
    assert not world.listener.listener.accept_queue
    counters = lab.b.stack.counters
    assert counters.TcpExtTCPFastOpenPassive == 1 and counters.TcpPassiveOpens == 2


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
