"""Lab 16: MSS, MTU and path MTU discovery: A -1500- r1 -1400- r2 -1500- B, 5 ms a link."""

import errno

import pytest

from pystack.phy.match import is_icmp
from pystack.runtime.procs import spawn, stream
from pystack.runtime.simulated import MS, S
from tests.support.lab import pattern
from tests.support.routed import Chain
from tests.support.segments import WireLog


def chain_of(*mtus, **settings):
    chain = Chain([{"delay": 5 * MS, "mtu": mtu} for mtu in mtus], **settings)
    return chain, WireLog(chain.a.port(), chain.b.port())


def upload(chain, size, limit=1000 * S):
    """Connect and send `size` bytes: when the last one is there, or the sender's errno."""
    listener = stream(chain.b)
    listener.bind("", 80)
    listener.listen()

    def take():
        sock = yield listener.accept()
        got = yield sock.recv_exactly(size)
        assert got == pattern(size)
        return chain.net.now

    def put():
        sock = stream(chain.a)
        yield sock.connect(chain.addr, 80)
        yield sock.sendall(pattern(size))
        try:
            yield sock.recv()
        except OSError as error:
            return error.errno

    taker, sender = spawn(chain.net, take()), spawn(chain.net, put())
    chain.net.run_until(lambda: taker.done or sender.done, limit=limit)
    return taker.value if taker.done else sender.value


def icmp_of(chain, ports):
    """Fragmentation needed, as it comes to A: the next-hop MTUs."""
    found = []

    def tap(time, direction, frame):
        if direction == 1 and is_icmp(frame) and frame[34:36] == b"\x03\x04":
            found.append(int.from_bytes(frame[40:42], "big"))

    ports.taps.append(tap)
    return found


SIZE = 50 * 1460


def test_discovery():
    chain, log = chain_of(1500, 1400, 1500)
    told = icmp_of(chain, chain.a.port())
    end = upload(chain, SIZE)
    assert told == [1400] * 10  # one for each segment of the first flight
    sizes = [len(seg) for seg in log.data("a")]
    # The first flight, and the same 14,600 bytes again: 10 x 1360 and what is left; from then on 1360 to the end.
    assert sizes[:21] == [1460] * 10 + [1360] * 10 + [1000] and set(sizes[21:-1]) == {1360}
    assert all(seg.df for seg in log.sent["a"])
    narrow, _ = chain_of(1400, 1400, 1500)  # the same path, its MTU known from the start
    assert end - upload(narrow, SIZE) == 10 * MS
    assert chain.a.counters.TcpExtTCPTimeouts == 0


def test_discovery_with_a_router_that_limits_its_errors():
    chain, log = chain_of(1500, 1400, 1500, icmp_burst=1, icmp_ratelimit=1)
    told = icmp_of(chain, chain.a.port())
    end = upload(chain, SIZE)
    assert told == [1400]
    narrow, _ = chain_of(1400, 1400, 1500)
    assert end - upload(narrow, SIZE) == 10 * MS


def test_a_second_narrower_hop_corrects_again():
    chain, log = chain_of(1500, 1400, 1300, 1500)
    told = icmp_of(chain, chain.a.port())
    upload(chain, SIZE)
    assert set(told) == {1400, 1300}
    assert [len(seg) for seg in log.data("a")][-2] == 1260


def test_control_no_narrow_hop():
    chain, log = chain_of(1500, 1500, 1500)
    told = icmp_of(chain, chain.a.port())
    upload(chain, SIZE)
    assert told == [] and {len(seg) for seg in log.data("a")} == {1460}


def black_hole(size, **settings):
    chain, log = chain_of(1500, 1400, 1500, **settings)
    chain.links[0].ba.drop_if(is_icmp)  # r1's errors never come back
    return chain, log, upload(chain, size, limit=3000 * S)


def test_black_hole_lets_small_requests_through():
    chain, log, end = black_hole(1000)
    assert end == 45 * MS and log.resent("a") == []  # connect 30, data 15


def test_black_hole_swallows_full_segments_until_etimedout():
    chain, log, end = black_hole(SIZE)
    assert end == errno.ETIMEDOUT
    first = log.data("a")[0]
    again = [seg for seg in log.data("a") if seg.seq == first.seq]
    assert len(again) == 16 and {seg.payload for seg in again} == {first.payload}
    assert not log.data("b") and chain.a.counters.TcpExtTCPTimeouts == 16


@pytest.mark.parametrize("isn", [2**32 - 20_000, 2**32 - 5 * 1460])
def test_discovery_across_sequence_zero(isn):
    chain, log = chain_of(1500, 1400, 1500, tcp_isn=isn)
    upload(chain, SIZE)
    assert [len(seg) for seg in log.data("a")][10:21] == [1360] * 10 + [1000]


def test_other_connections_learn_it_too():
    chain, log = chain_of(1500, 1400, 1500)
    upload(chain, SIZE)
    told = icmp_of(chain, chain.a.port())
    before = len(log.data("a"))
    listener = stream(chain.b)
    listener.bind("", 81)
    listener.listen()

    def put(port):
        sock = stream(chain.a)
        yield sock.connect(chain.addr, port)
        yield sock.sendall(pattern(SIZE))

    spawn(chain.net, put(81))
    chain.net.run(until=chain.net.now + S)
    assert told == [] and {len(seg) for seg in log.data("a")[before:-1]} == {1360}
