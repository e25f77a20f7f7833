"""The bound on all buffers together (tcp_mem): pressure, what goes first, what is refused; orphans; frames kept for a few bytes."""

import copy
import errno
import gc
import sys
from contextlib import suppress

import pytest

from pystack.sim.network import MS, S
from pystack.sim.programs import sleep
from pystack.testing.lab import lab_net, pattern
from pystack.testing.peer import HOST, HOST_ADDR, PEER, PEER_ADDR, SACK_OK, SERVICE, build, mss_option, sack_option
from pystack.testing.segments import ACK, FIN, RST, SYN
from pystack_c.probe import ListProbe
from pystack_c.services import serve
from pystack_c.tcp import user
from pystack_c.tcp.queues import memory
from pystack_c.tcp.queues.recvbuf import RecvBuf
from pystack_c.tcp.queues.sendbuf import SendBuf
from pystack_c.tcp.tcb import Tcb
from tests.support import invariants

KB = 1024
# (One peer stands for all: it may have everything.)
SCARCE = {"tcp_mem_low": 64 * KB, "tcp_mem_pressure": 128 * KB, "tcp_mem_high": 256 * KB, "tcp_mem_share": 100}


def writes(sock, size):
    """A program that writes so much."""
    yield sock.sendall(bytes(size))


def flood(count, **server):
    """`count` connections push at a server that reads none of them, and one at a server that reads: (lab, its time)."""
    lab = lab_net(5 * MS, profile="linux", server={"tcp_rmem": 64 * KB, **server}, link={"rate": 100_000_000})
    most = [0]

    def push(client):
        with suppress(ConnectionResetError):
            while True:
                yield client.sendall(bytes(64 * KB))

    def watch():
        while True:
            most[0] = max(most[0], lab.b.stack.tcp_memory)
            invariants.check_memory(lab.b.stack)
            yield sleep(MS)

    lab.spawn(watch())
    client, server = lab.connected(80)
    for hog, _ in [lab.connected(1000 + number) for number in range(count)]:
        lab.spawn(push(hog))
    lab.net.run(until=lab.net.now + 2 * S)
    elapsed = lab.upload(pattern(200_000), client, server)
    return lab, elapsed, most[0]


def test_connections_that_nobody_reads_do_not_take_all_memory():
    lab, elapsed, most = flood(12, **SCARCE)
    counters = lab.b.counters
    assert most <= SCARCE["tcp_mem_high"] + 13 * memory.LEAST
    assert counters.TcpExtTCPMemoryPressures >= 1 and lab.b.stack.tcp_pressure
    # The one that is read goes on, and those that are not are alive: closed windows, probed, no resets.
    assert elapsed < 3 * S
    assert counters.TcpCurrEstab == 13 and counters.TcpEstabResets == 0 == counters.TcpOutRsts
    lab.net.run(until=lab.net.now + 60 * S)
    assert counters.TcpCurrEstab == 13


def test_control_without_the_bound_they_do():
    lab, elapsed, most = flood(12)
    assert most > 12 * 60 * KB and lab.b.counters.TcpExtTCPMemoryPressures == 0 and elapsed < S


def test_pressure_ends_and_says_how_long_it_was():
    lab, _, _ = flood(12, **SCARCE)
    probe = lab.b.stack.probe = ListProbe()
    since = lab.b.stack.tcp_pressure_at
    for tcb in lab.b.stack.tcp.all():
        lab.b.call(user.close, tcb)
    # (Of the one that was read a FIN is out, and its record counts.)
    assert not lab.b.stack.tcp_pressure and lab.b.stack.tcp_memory == memory.RECORD
    assert lab.b.counters.TcpExtTCPMemoryPressuresChrono == (lab.net.now - since) // MS
    assert [event.fields["action"] for event in probe.events if event.kind == "tcp.memory"] == ["relief"]
    # As before: a buffer is filled to its size.
    client, server = lab.connected(81)
    lab.run(writes(client, 40_000), limit=lab.net.now + 10 * S)
    lab.net.run(until=lab.net.now + S)
    assert server.endpoint.recvbuf.used == 40_000


def scarce(peer, other=200 * KB):
    """Another connection's unread data holds so much; that connection."""
    conn = peer.established(options=mss_option(1460))
    for _ in range(other // 1000):
        conn.rx(data=bytes(1000))
    return conn


def test_windows_of_what_nobody_reads_stay_small_under_pressure(make):
    settings = {"tcp_rmem": 60_000, "tcp_wscale": 0}
    windows = {}
    for name, bounds in (("scarce", SCARCE), ("plenty", {})):
        peer = make(**settings, **bounds)
        for _ in range(3):
            scarce(peer, 58 * KB)
        conn = peer.established()
        for _ in range(20):
            conn.rx(data=bytes(1000))
        edges = []
        for _ in range(20):
            out = conn.rx(data=bytes(1000)) or peer.advance(500 * MS)
            edges.append(out[-1].window)
        windows[name] = edges
        conn.recv(1 << 20)
        out = peer.take()
        # Read, it has all its room again.
        if name == "scarce":
            assert peer.stack.tcp_pressure and out and out[-1].window > 30_000
        assert peer.dropped("tcp-zero-window") == 0
    # The edge never moves left: the window shrinks as data comes; then it is four segments at most.
    assert windows["plenty"][0] - windows["plenty"][5] == 5000
    assert all(window <= 60_000 - 21_000 - 1000 * i for i, window in enumerate(windows["scarce"]))
    assert windows["scarce"][-1] <= windows["plenty"][-1]


def test_buffers_do_not_grow_under_pressure():
    def sizes(**bounds):
        lab = lab_net(20 * MS, profile="linux", tcp_rmem=32 * KB, tcp_wmem=32 * KB, **bounds)
        hog, idle = lab.connected(79)
        lab.run(writes(hog, 30_000), limit=lab.net.now + 10 * S)
        client, server = lab.connected(80)
        lab.upload(pattern(2_000_000), client, server)
        return server.endpoint.recvbuf.size, client.endpoint.sndbuf_size

    bounds = {"tcp_mem_low": 1, "tcp_mem_pressure": 8 * KB}
    assert sizes(**bounds) == (32 * KB, 32 * KB)
    receive, send = sizes()
    assert receive > 64 * KB and send > 64 * KB


def test_out_of_order_data_goes_first(make):
    """At the bound a hole's rest is forgotten, all of it, and no SACK tells of it any more; data in order is taken."""
    peer = make(tcp_rmem=400 * KB, tcp_wscale=3, **SCARCE)
    options = mss_option(1460) + SACK_OK + b"\x01\x03\x03\x03"
    conn = peer.established(options=options)
    for number in range(100):
        out = conn.rx(data=bytes(1000), seq=1000 + 1000 * number)
    assert out[-1].sack and conn.tcb.recvbuf.ooo_bytes == 100_000
    hog = peer.established(options=options)
    probe = peer.stack.probe = ListProbe()
    for _ in range(165):
        hog.rx(data=bytes(1000))
        invariants.check_memory(peer.stack)
    assert peer.counters.TcpExtOfoPruned == 1 and conn.tcb.recvbuf.ooo is None
    assert peer.counters.TcpExtPruneCalled == 1 and peer.dropped("tcp-no-memory") == 0
    assert hog.tcb.recvbuf.used == 165_000
    (pruned,) = (event for event in probe.events if event.fields.get("action") == "pruned")
    assert pruned.endpoint == conn.tcb.ident and pruned.rfc == "RFC 2018 8"
    # The hole is filled: the peer sends the rest again, and every byte is there once.
    out = conn.rx(data=b"a" * 1000) or peer.advance(500 * MS)
    assert out[-1].ack == conn.seq and not out[-1].sack
    conn.rx(data=b"b" * 1000)
    assert conn.recv() == b"a" * 1000 + b"b" * 1000


def test_control_with_enough_memory_it_is_kept(make):
    peer = make(tcp_rmem=400 * KB, tcp_wscale=3)
    conn = peer.established(options=mss_option(1460) + SACK_OK + b"\x01\x03\x03\x03")
    for number in range(100):
        conn.rx(data=bytes(1000), seq=1000 + 1000 * number)
    scarce(peer, 165 * KB)
    assert conn.tcb.recvbuf.ooo_bytes == 100_000
    conn.rx(data=bytes(1000))
    assert conn.tcb.recvbuf.used == 101_000


def test_what_arrives_at_the_bound_is_dropped_and_the_window_closes(make):
    peer = make(tcp_rmem=400 * KB, tcp_wscale=3, **SCARCE)
    options = mss_option(1460) + b"\x01\x03\x03\x03"
    hog = peer.established(options=options)
    for _ in range(262):
        out = hog.rx(data=bytes(1000))
    assert peer.dropped("tcp-no-memory") == 0 and peer.stack.tcp_memory == 262_000
    out = hog.rx(data=bytes(1000), seq=0)
    assert peer.dropped("tcp-no-memory") == 1 == peer.counters.TcpExtTCPRcvQDrop and hog.tcb.recvbuf.used == 262_000
    assert out[-1].window == 0
    # Another connection has its least share, and no more.
    hog.seq -= 1000
    conn = hog
    peer.now += S
    assert conn.rx(data=b"x")[-1].window == 0 and conn.tcb.recvbuf.used == 262_000
    conn.seq -= 1
    # What is read makes room for what comes.
    assert len(conn.recv(1 << 20)) == 262_000 and peer.take()[-1].window > 0
    conn.rx(data=b"y" * 1000)
    assert conn.recv() == b"y" * 1000


def test_every_connection_has_its_least_share(make):
    peer = make(tcp_rmem=400 * KB, tcp_wscale=3, **SCARCE)
    conn = peer.established(options=mss_option(1460) + b"\x01\x03\x03\x03")
    hog = peer.established(options=mss_option(1460) + b"\x01\x03\x03\x03")
    for _ in range(262):
        hog.rx(data=bytes(1000))
    for number in range(10):
        conn.rx(data=bytes([number]) * 1000)
        conn.seq = conn.tcb.rcv_nxt
    assert conn.tcb.recvbuf.used == memory.LEAST
    # (Of the fifth nothing was taken, and the window closed to what is left; the sixth fills it.)
    assert conn.recv() == b"".join(bytes([n]) * 1000 for n in (0, 1, 2, 3, 5))[: memory.LEAST]
    conn.rx(data=b"z" * 1000)
    assert conn.recv() == b"z" * 1000


def test_new_connections_are_refused_at_the_bound(make):
    peer = make(tcp_rmem=400 * KB, tcp_wscale=3, **SCARCE)
    hog = peer.established(options=mss_option(1460) + b"\x01\x03\x03\x03")
    tcb = peer.call(user.tcp_open, peer.stack)
    for _ in range(263):
        hog.rx(data=bytes(1000))
    assert peer.segment(SYN, 1, sport=999) == []
    assert peer.dropped("tcp-no-memory") == 2 and peer.counters.TcpExtListenDrops == 1
    with pytest.raises(OSError) as caught:
        peer.call(user.connect, tcb, 0x0A000002, 7)
    assert caught.value.errno == errno.ENOBUFS
    # Control: with room again, both.
    hog.recv(1 << 20)
    peer.take()
    (answer,) = peer.segment(SYN, 1, sport=999)
    assert answer.has(SYN | ACK)
    peer.call(user.connect, tcb, 0x0A000002, 7)
    assert peer.take()[-1].has(SYN)


def test_no_cookie_is_redeemed_at_the_bound(make):
    peer = make(tcp_rmem=400 * KB, tcp_wscale=3, tcp_max_syn_backlog=0, **SCARCE)
    peer.listener()
    (cookie,) = peer.segment(SYN, 1, sport=999, options=mss_option(1460))
    hog = peer.established(options=mss_option(1460))
    while not memory.over(peer.stack, 0):
        hog.rx(data=bytes(1000))
        hog.seq = hog.tcb.rcv_nxt
        peer.stack.config.tcp_mem_high -= 1000
    # (Without a RST, as Linux: it comes again with the client's first data.)
    assert not any(seg.sport == 80 and seg.dport == 999 for seg in peer.segment(ACK, 2, cookie.end, sport=999))
    assert peer.counters.TcpExtListenDrops == 1 and peer.stack.tcp.find(HOST_ADDR, 80, PEER_ADDR, 999) is None


def test_a_writer_has_half_a_buffer_under_pressure_and_a_page_at_the_bound(make):
    peer = make(tcp_wmem=100 * KB, tcp_rmem=400 * KB, tcp_wscale=3, tcp_init_cwnd=200, **SCARCE)
    options = mss_option(1000) + b"\x01\x03\x03\x03"
    hog = peer.established(options=options)
    conn = peer.established(options=options)
    write = lambda: peer.call(user.send, conn.tcb, bytes(200 * KB), 0)  # noqa: E731
    for _ in range(140):
        hog.rx(data=bytes(1000))
    assert peer.stack.tcp_pressure and write() == 50 * KB and write() == 0
    assert not conn.tcb.readiness() & 4
    peer.take()
    # Acknowledged little by little, it becomes writable when a third of that is free.
    taken = 0
    while not conn.tcb.readiness() & 4:
        conn.has(1000)
        taken += 1000
        conn.rx()
        assert taken < 100_000
    assert 50 * KB // 3 <= taken <= 50 * KB // 3 + 1000
    for _ in range(120):
        hog.rx(data=bytes(1000))
        hog.seq = hog.tcb.rcv_nxt
    assert memory.over(peer.stack, 1000) and write() == 0
    conn.has((conn.tcb.snd_nxt - conn.ack) & 0xFFFFFFFF)
    conn.rx()
    assert len(conn.tcb.sendbuf) == 0
    peer.stack.config.tcp_mem_high = 1
    assert write() == memory.LEAST
    # Control: without pressure, the whole buffer.
    peer = make(tcp_wmem=100 * KB)
    conn = peer.established(options=options, window=20)
    assert peer.call(user.send, conn.tcb, bytes(200 * KB), 0) == 100 * KB


def test_a_writer_that_waited_for_memory_is_woken():
    """The stream is whole, and its end comes, with memory for nothing but every connection's least share."""
    lab = lab_net(10 * MS, profile="linux", tcp_mem_low=1, tcp_mem_pressure=1, tcp_mem_high=1)
    client, server = (None, None)
    lab.a.stack.config.tcp_mem_high = lab.b.stack.config.tcp_mem_high = 1 << 20
    client, server = lab.connected()
    lab.a.stack.config.tcp_mem_high = lab.b.stack.config.tcp_mem_high = 1
    size = 100_000
    # (A page a round trip, and no more.)
    assert size / memory.LEAST * 20 * MS * 0.5 < lab.upload(pattern(size), client, server) < 20 * S
    lab.net.run(until=lab.net.now + S)
    assert lab.a.stack.tcp_memory == 0 == lab.b.stack.tcp_memory


def test_a_lossy_path_and_little_memory():
    """Out-of-order data is given up now and then; nothing is lost for good."""
    bounds = {"tcp_mem_low": 20 * KB, "tcp_mem_pressure": 30 * KB, "tcp_mem_high": 40 * KB}
    lab = lab_net(10 * MS, profile="linux", server=bounds, link={"ab": {"loss": 0.02, "rate": 50_000_000}})
    pairs = [lab.connected(port) for port in (80, 81, 82)]
    data = pattern(300_000)

    def put(sock):
        yield sock.sendall(data)

    def take(sock):
        return (yield sock.recv_exactly(len(data)))

    got = lab.run(*(put(c) for c, _ in pairs), *(take(s) for _, s in pairs), limit=600 * S)
    assert all(part == data for part in got[3:])
    assert lab.b.counters.TcpExtOfoPruned > 0 and lab.b.stack.tcp_memory == 0


def test_too_many_orphans_are_reset(make):
    peer = make(tcp_max_orphans=3)
    conns = [peer.established(window=0) for _ in range(5)]
    ends = []
    for conn in conns:
        peer.call(user.send, conn.tcb, b"never taken", 0)
        ends.append(conn.close())
    assert [len(out) for out in ends[:3]] == [0, 0, 0] and all(out[-1].flags & RST for out in ends[3:])
    assert peer.counters.TcpExtTCPAbortOnMemory == 2 and peer.stack.tcp_orphans == 3
    # One that is over makes room.
    conns[0].rx(RST | ACK)
    assert peer.stack.tcp_orphans == 2
    sixth = peer.established(window=0)
    peer.call(user.send, sixth.tcb, b"x", 0)
    assert sixth.close() == [] and peer.stack.tcp_orphans == 3
    # TIME-WAIT counts by itself (tcp_max_tw_buckets).
    seventh = peer.established()
    seventh.close()
    assert peer.counters.TcpExtTCPAbortOnMemory == 3
    peer.config.tcp_max_orphans = 10
    eighth = peer.established()
    (fin,) = eighth.close()
    assert peer.stack.tcp_orphans == 4
    eighth.has(1)
    eighth.rx(FIN | ACK)
    assert eighth.state == "TIME-WAIT" and peer.stack.tcp_orphans == 3


def test_orphans_with_data_go_at_the_bound(make):
    peer = make(tcp_wmem=100 * KB, **SCARCE)
    conn, small = peer.established(window=0), peer.established(window=0)
    peer.call(user.send, conn.tcb, bytes(50 * KB), 0)
    peer.call(user.send, small.tcb, bytes(1 * KB), 0)
    peer.config.tcp_mem_high = 1
    assert small.close() == []
    assert conn.close()[-1].flags & RST and peer.counters.TcpExtTCPAbortOnMemory == 1


def test_a_few_bytes_do_not_keep_a_whole_frame():
    """Frames of 64 KiB with one new byte each (offload): what is kept is about what is counted."""
    frame = bytes(65000)

    def kept(buf):
        pieces = list(buf.pieces[buf.first :]) + [piece for run in buf.ooo or () for piece in run.pieces]
        return sum({id(p.data): sys.getsizeof(p.data) for p in pieces}.values())

    buf = RecvBuf(1 << 20)
    for number in range(100):
        buf.insert(frame, 100, 102, 1000 + 4 * number)
    assert buf.ooo_bytes == 200 and kept(buf) < 100 * memory.PIECE
    buf = RecvBuf(1 << 20)
    for _ in range(20):
        buf.put(frame, 0, 2000)
    assert kept(buf) < 2 * buf.used
    # Control: a frame that is mostly wanted is kept as it came, without a copy.
    buf = RecvBuf(1 << 20)
    buf.put(frame, 54, 65000)
    assert buf.pieces[0].data is frame


@pytest.mark.parametrize("end", ["LAST-ACK", "TIME-WAIT", "reset"])
def test_the_block_of_a_connection_that_is_over_goes_without_the_garbage_collector(make, end):
    """A timer knows its owner, and the owner its timers: a circle, which is broken when the connection is over."""

    def blocks():
        return sum(type(thing) is Tcb for thing in gc.get_objects())

    def life(peer):
        conn = peer.established()
        assert len(conn.send(bytes(100))) == 1  # the retransmission timer is made
        conn.has(100)
        conn.rx(data=b"x")  # and that of delayed ACKs
        assert conn.tcb.rto_timer is not None and conn.recv() == b"x"
        if end == "reset":
            conn.rx(RST | ACK)
            conn.close()
        elif end == "LAST-ACK":
            conn.rx(FIN | ACK)
            conn.close()
            conn.has(1)
            conn.rx()
        else:
            conn.close()
            conn.has(1)
            conn.rx(FIN | ACK)
            assert conn.state == "TIME-WAIT" and conn.tcb.wait_timer.deadline > 0
            peer.advance(10 * 60 * S)
        assert conn.state == "CLOSED"

    peer = make()
    life(peer)
    gc.collect()
    gc.disable()
    try:
        before = blocks()
        for _ in range(3):
            life(peer)
        assert blocks() == before
    finally:
        gc.enable()


def test_joined_pieces_keep_little_more_than_their_bytes(make):
    """A run of 4,000 bytes that came one by one, forwards and backwards: few pieces, and about as much memory as bytes."""
    for step in (1, -1):
        conn = make(tcp_rmem=1 << 20).established(options=mss_option(1460) + SACK_OK)
        for number in range(4000):
            conn.rx(data=b"x", seq=10_000 + step * number)
        buf = conn.tcb.recvbuf
        (run,) = buf.ooo
        assert buf.ooo_bytes == 4000 and len(run.pieces) == buf.ooo_pieces <= 8
        assert sum(sys.getsizeof(piece.data) for piece in run.pieces) < 1.2 * 4000
        assert invariants.held(conn.tcb) == 4000 + memory.PIECE * buf.ooo_pieces
        invariants.check(conn.peer.stack)


def test_one_lost_frame_costs_one_retransmission():
    """1 Gbit/s and 100 ms, 6,000 small segments behind the hole, more than `tcp_max_ooo`: one goes again, no other."""
    lab = lab_net(50 * MS, profile="linux", link={"rate": 1_000_000_000}, tcp_congestion="fixed(7000)", tcp_mss=536)
    assert lab.b.stack.config.tcp_max_ooo == 4096
    for host in (lab.a, lab.b):
        host.stack.config.tcp_rmem = host.stack.config.tcp_wmem = 6 << 20
    client, server = lab.connected(80)
    lab.link.ab.drop(20)
    lab.upload(pattern(6500 * 524), client, server)
    assert client.endpoint.total_retrans == 1 and "tcp-ooo-full" not in lab.b.counters.drops


# What is counted, and each peer's share of it.


def test_a_block_that_all_send_is_not_counted_for_each():
    """Connections to chargen that nobody reads: what is counted is what the buffers keep, each object once."""
    lab = lab_net(5 * MS, profile="linux", client={"tcp_rmem": 64 * KB}, server={"tcp_wmem": 150_000})
    lab.b.call(serve.stream, lab.b.stack, "chargen", 0, 19)
    clients = [lab.run(lab.client(19), limit=lab.net.now + S)[0] for _ in range(20)]
    lab.net.run(until=lab.net.now + 2 * S)
    tcbs = [tcb for tcb in lab.b.stack.tcp.all() if tcb.service is not None and tcb.sendbuf.tail > 0]
    assert len(tcbs) == len(clients) == 20
    objects = {id(chunk): len(chunk) for tcb in tcbs for chunk in tcb.sendbuf.chunks[tcb.sendbuf.first :]}
    real = sum(objects.values())
    written = sum(len(tcb.sendbuf) for tcb in tcbs)
    records = sum(len(tcb.rtxq) for tcb in tcbs) * memory.RECORD
    assert written > 1.3 * real  # (or there was nothing to see)
    block = len(tcbs[0].sendbuf.constant)
    assert real > 10 * block and lab.b.stack.tcp_memory == real - block + records
    # The peers read on: in the end all is counted back.
    for client in clients:
        lab.a.call(user.abort, client.endpoint)
    lab.net.run(until=lab.net.now + S)
    assert lab.b.stack.tcp_memory == 0 and all(tcb.sendbuf.shared == 0 for tcb in tcbs)


def test_a_shared_block_in_a_send_buffer():
    """`own` is what chunks beside the shared ones hold, wherever the acknowledgement is."""
    block, buf = bytes(10_000), SendBuf()
    buf.constant = block
    for data in (block, bytes(5000), block, block[:6000]):
        buf.append(data)
    assert (len(buf), buf.own()) == (31_000, 11_000)
    sizes = [
        (4000, 11_000),
        (10_000, 11_000),
        (12_000, 11_000),
        (14_999, 11_000),
        (15_000, 6000),
        (24_999, 6000),
        (25_000, 6000),
    ]
    sizes += [(30_999, 6000), (31_000, 0)]
    for offset, own in sizes:
        buf.ack(offset)
        assert buf.own() == own, offset
    assert buf.shared == 0


def test_records_of_segments_are_counted(make):
    """Segments in flight cost more than their bytes; what a peer's SACK blocks cut counts, too."""
    peer = make(tcp_sack_whole=False, tcp_init_cwnd=40)
    conn = peer.established(options=mss_option(1000) + SACK_OK)
    conn.send(bytes(20_000))
    assert peer.stack.tcp_memory == 20_000 + 20 * memory.RECORD
    for at in range(1000, 20_000, 100):
        conn.rx(options=sack_option((conn.ack + at, conn.ack + at + 1)))
        invariants.check_memory(peer.stack)
    records = len(conn.tcb.rtxq)
    assert records > 100 and peer.stack.tcp_memory == 20_000 + records * memory.RECORD
    conn.has(20_000)
    conn.rx()
    assert peer.stack.tcp_memory == 0


def another(peer, number=1):
    """The same stack and time, and a neighbour with another address."""
    other = copy.copy(peer)

    def segment(flags, seq, ack=0, sport=9, dport=SERVICE, **fields):
        return other.packet(build(PEER + number, HOST, sport, dport, seq, ack, flags, **fields))

    other.segment, other.sent = segment, []
    return other


@pytest.mark.parametrize("share", [50, 100], ids=["a share", "control: all of it"])
def test_one_peer_may_not_take_all_memory(make, share):
    """Under pressure what the peer that holds most sends is refused, and others go on and connect."""
    peer = make(tcp_rmem=400 * KB, tcp_wscale=3, **{**SCARCE, "tcp_mem_share": share})
    other = another(peer)
    options = mss_option(1460) + b"\x01\x03\x03\x03"
    hogs = [peer.established(options=options) for _ in range(3)]
    for hog in hogs:
        for _ in range(120):
            hog.rx(data=bytes(1000), seq=0 if hog.tcb.rcv_wnd() >= 1000 else 1)
            invariants.check_memory(peer.stack)
    stack = peer.stack
    if share == 100:
        assert stack.tcp_memory > 250 * KB
        assert other.segment(SYN, 5000, sport=4000, options=options) == []
        return
    assert stack.tcp_pressure and stack.tcp_memory <= 128 * KB + 3 * memory.LEAST
    assert peer.dropped("tcp-no-memory") > 0
    assert peer.segment(SYN, 5000, sport=4000, options=options) == []
    good = other.established(options=options)
    before = peer.dropped("tcp-no-memory")
    for _ in range(40):
        good.rx(data=bytes(1000))
    assert good.recv() == bytes(40_000) and peer.dropped("tcp-no-memory") == before
    assert len(good.send(bytes(40_000))) > 0 and len(good.tcb.sendbuf) == 40_000
    # A hog's own writes are small now; and when it is read, everything is as before.
    assert peer.call(user.send, hogs[0].tcb, bytes(40_000), 0) <= memory.LEAST
    for hog in hogs:
        hog.recv()
    assert not stack.tcp_pressure and stack.tcp_peers is None
    assert peer.segment(SYN, 6000, sport=4001, options=options)[-1].has(SYN | ACK)


def test_many_greedy_peers_leave_room_for_others(make):
    """The share is divided among those that hold much."""
    peer = make(tcp_rmem=400 * KB, tcp_wscale=3, **{**SCARCE, "tcp_mem_share": 75})
    options = mss_option(1460) + b"\x01\x03\x03\x03"
    for number in range(6):
        conn = another(peer, number).established(options=options)
        for _ in range(200):
            conn.rx(data=bytes(1000), seq=0 if conn.tcb.rcv_wnd() >= 1000 else 1)
        invariants.check_memory(peer.stack)
    assert peer.stack.tcp_memory <= (192 + 256) // 2 * KB + 6 * memory.LEAST
    assert another(peer, 9).established(options=options).state == "ESTABLISHED"
