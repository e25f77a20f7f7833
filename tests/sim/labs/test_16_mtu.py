"""Lab 16: MSS, MTU and path MTU discovery: A -1500- r1 -1400- r2 -1500- B, 5 ms a link."""

import errno

import pytest

from pystack.phy.match import is_icmp
from pystack.sim.network import MS, S
from pystack.sim.programs import sleep, spawn, stream
from pystack.testing.lab import pattern
from pystack.testing.routed import Chain
from pystack.testing.segments import WireLog
from pystack_c.probe import Probe
from pystack_c.tcp.sockopt import tcp_info


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
    end = upload(chain, SIZE)
    assert told == [] and {len(seg) for seg in log.data("a")} == {1460}
    # No stall: the handshake, three rounds (10, 20, 20 segments), and the way there, at 30 ms a round trip.
    assert end == 30 * MS + 2 * 30 * MS + 15 * MS
    assert chain.a.counters.TcpRetransSegs == chain.a.counters.TcpExtTCPTimeouts == 0


def black_hole(size, **settings):
    return black_hole_of(1400, size, **settings)


def black_hole_of(mtu, size, **settings):
    chain, log = chain_of(1500, mtu, 1500, **settings)
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


# -- black holes, found out by TCP itself (RFC 4821) ----------------------------------------------------------------------

#: R is 30 ms, so the handshake leaves SRTT 30 and RTTVAR 15 ms: the 4 * RTTVAR term is at its least, 200 ms
RTO0 = 230 * MS
#: a window that stays small: time for a whole search
SLOW = {"tcp_init_ssthresh": 20 * 1460}


def sizes_of(log, side="a"):
    return [len(seg) for seg in log.data(side)]


def test_black_hole_with_probing_goes_on_with_the_base_mss():
    chain, log, end = black_hole(72_000, tcp_mtu_probing=1, tcp_tlp=False)
    data = log.data("a")
    first = data[0]
    assert [seg.time - first.time for seg in data if seg.seq == first.seq] == [n * RTO0 for n in (0, 1, 3, 7, 15)]
    small = next(seg for seg in data if len(seg) < 1460)
    assert len(small) == 1024 and small.seq == first.seq and small.time - first.time == 15 * RTO0
    assert end < small.time + S  # and the transfer ends
    assert chain.a.counters.TcpExtTCPTimeouts == 4


@pytest.mark.parametrize("settings", [{"tcp_mtu_probing": 0}, {"tcp_mtu_probing": 1, "tcp_retries1": 16}])
def test_control_without_probing_nothing_comes_through(settings):
    chain, log, end = black_hole(72_000, **settings)
    assert end == errno.ETIMEDOUT and set(sizes_of(log)) == {1460}
    assert chain.a.counters.TcpExtTCPMTUPSuccess == chain.a.counters.TcpExtTCPMTUPFail == 0


def test_probing_without_a_black_hole_changes_nothing():
    runs = []
    for probing in (0, 1):
        chain, log = chain_of(1500, 1500, 1500, tcp_mtu_probing=probing)
        runs.append((upload(chain, SIZE), [(seg.time, seg.seq, len(seg)) for seg in log.data("a")]))
    assert runs[0] == runs[1]


def bisection(low, high, path, largest):
    """What a search that knows `low` and `high` sends over a path: (sizes that arrived, sizes that did not, where it ends)."""
    passed, failed = [], []
    while high - low >= 8:
        size = high if largest and not passed + failed else (low + high) // 2
        if size <= path:
            low = size
            passed.append(size)
        else:
            high = size - 1
            failed.append(size)
    return passed, failed, low


@pytest.mark.parametrize("sack", [True, False])
@pytest.mark.parametrize("largest", [True, False])
@pytest.mark.parametrize("path", [1400, 1500, 1100])
def test_the_search_from_the_base_mss_upwards(path, largest, sack):
    chain, log = chain_of(1500, path, 1500, tcp_mtu_probing=2, tcp_mtu_probe_largest=largest, tcp_sack=sack, **SLOW)
    chain.links[0].ba.drop_if(is_icmp)
    told = []
    chain.a.stack.probe = Watch("tcp.mtu", told)
    upload(chain, 600_000)
    passed, failed, found = bisection(1064, 1500, path, largest)
    counters = chain.a.counters
    assert (counters.TcpExtTCPMTUPSuccess, counters.TcpExtTCPMTUPFail) == (len(passed), len(failed))
    assert [fields["size"] for fields in told if fields["action"] == "success"] == passed
    assert [fields["size"] for fields in told if fields["action"] == "failed"] == failed
    assert sizes_of(log)[-20] == found - 40
    assert counters.TcpExtTCPTimeouts == 0


def test_a_lost_probe_is_no_congestion():
    chain, log = chain_of(1500, 1400, 1500, tcp_mtu_probing=2, **SLOW)
    chain.links[0].ba.drop_if(is_icmp)
    told = []
    chain.a.stack.probe = Watch("tcp.cwnd", told)
    upload(chain, 600_000)
    assert chain.a.counters.TcpExtTCPMTUPFail == 4
    assert all(fields["new"] > fields["old"] for fields in told)  # cwnd never went down
    lossy, _ = chain_of(1500, 1500, 1500, tcp_mtu_probing=2, **SLOW)  # the control: a loss that is none of a probe's
    lossy.links[0].ab.drop_if(Nth(30))
    told = []
    lossy.a.stack.probe = Watch("tcp.cwnd", told)
    upload(lossy, 600_000)
    assert any(fields["new"] < fields["old"] for fields in told)


class Nth:
    """True for the n-th full-sized packet."""

    def __init__(self, n):
        self.left = n

    def __call__(self, frame):
        if len(frame) > 1000:
            self.left -= 1
            return self.left == 0
        return False


class Watch(Probe):
    """Keeps the fields of all events of one kind."""

    def __init__(self, kind, told):
        self.kind, self.told = kind, told

    def event(self, event):
        if event.kind == self.kind:
            self.told.append(event.fields)


def test_tcp_info_tells_what_was_found():
    chain, log = chain_of(1500, 1400, 1500, tcp_mtu_probing=2, **SLOW)
    chain.links[0].ba.drop_if(is_icmp)
    upload(chain, 600_000)
    (tcb,) = [tcb for tcb in chain.a.stack.tcp.all() if tcb.rport == 80]
    info = tcp_info(tcb, chain.net.now)
    assert info["tcpi_pmtu"] == bisection(1064, 1500, 1400, True)[2] == info["tcpi_snd_mss"] + 40


def test_a_search_that_is_over_begins_anew_after_the_interval():
    chain, log = chain_of(1500, tcp_mtu_probing=2, tcp_probe_interval=20 * S, **SLOW)
    chain.links[0].ab.set(mtu=1400)  # (a channel that drops what is longer, and says nothing)
    half = pattern(600_000)
    listener = stream(chain.b)
    listener.bind("", 80)
    listener.listen()

    def take():
        sock = yield listener.accept()
        yield sock.recv_exactly(3 * len(half))
        return chain.net.now

    def put():
        sock = stream(chain.a)
        yield sock.connect(chain.addr, 80)
        for pause in (10 * S, 20 * S, 0):
            yield sock.sendall(half)
            yield sleep(pause)
            chain.links[0].ab.set(mtu=1500)

    taker = spawn(chain.net, take())
    spawn(chain.net, put())
    chain.net.run_until(lambda: taker.done, limit=60 * S)
    sizes = sizes_of(log)
    found = bisection(1064, 1500, 1400, True)[2] - 40
    at = [seg.time for seg in log.data("a")]
    second = [size for size, time in zip(sizes, at) if 9 * S < time < 25 * S]
    assert set(second[:-1]) == {found}  # the path is wide again, but nobody asks it yet
    assert sizes[-20:-1] == [1460] * 19


def test_a_path_that_does_not_even_carry_the_base_mss():
    chain, log, end = black_hole_of(600, 20_000, tcp_mtu_probing=1, tcp_tlp=False)
    sizes = sizes_of(log)
    assert 1024 in sizes and sizes[-2] <= 560 and end != errno.ETIMEDOUT
    small = next(seg for seg in log.data("a") if len(seg) == 512)
    assert small.time - log.data("a")[0].time == 31 * RTO0  # half of the base, one timeout later


# -- (d): the router lowers the MSS of the SYNs that it forwards ------------------------------------------------------------------


@pytest.mark.parametrize("clamping", [True, False])
def test_mss_clamping_spares_icmp(clamping):
    chain, log = chain_of(1500, 1400, 1500)
    if clamping:
        chain.nodes[1].stack.config.ip_forward_mss = -1
    told = icmp_of(chain, chain.a.port())
    upload(chain, SIZE)
    sizes = set(sizes_of(log)[:-1])
    assert told == ([] if clamping else [1400] * 10)
    assert sizes == ({1360} if clamping else {1460, 1360, 1000})
    assert chain.nodes[1].stack.counters.drops.get("forward-too-big", 0) == (0 if clamping else 10)
    assert chain.nodes[1].stack.counters.IpForwMssClamped == (2 if clamping else 0)  # the SYN and the SYN,ACK


def test_mss_clamping_where_icmp_is_lost():
    chain, log = chain_of(1500, 1400, 1500)
    chain.nodes[1].stack.config.ip_forward_mss = -1
    chain.links[0].ba.drop_if(is_icmp)
    assert upload(chain, SIZE) < S  # (the control is the black hole above: ETIMEDOUT)
    assert chain.a.counters.TcpExtTCPTimeouts == 0


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
