"""Path MTU discovery: what is not among the values of lab 16, whose experiment this is. Most of it is RFC 4821."""

import errno

import pytest

from pystack.labs.lab_16_mtu.experiment import NARROW, RTO0, SIZE, black_hole, chain_of, errors_at, upload
from pystack.phy.match import is_icmp
from pystack.sim.network import S
from pystack.sim.programs import sleep, spawn, stream
from pystack.testing.lab import pattern
from pystack_c.probe import Probe
from pystack_c.tcp.sockopt import tcp_info

#: a window that stays small: time for a whole search
SLOW = {"tcp_init_ssthresh": 20 * 1460}


def sizes_of(log, side="a"):
    return [len(seg) for seg in log.data(side)]


@pytest.mark.parametrize("clamping", [True, False])
def test_counters_of_discovery_and_clamping(clamping):
    chain, _ = chain_of(*NARROW)
    router = chain.nodes[1].stack
    if clamping:
        router.config.ip_forward_mss = -1
    upload(chain)
    assert router.counters.drops.get("forward-too-big", 0) == (0 if clamping else 10)
    assert router.counters.IpForwMssClamped == (2 if clamping else 0)  # the SYN and the SYN,ACK
    assert chain.a.counters.TcpExtTCPTimeouts == 0


def test_counters_of_a_black_hole():
    assert black_hole(SIZE)[0].a.counters.TcpExtTCPTimeouts == 16
    chain, _, _ = black_hole(72_000, tcp_mtu_probing=1, tcp_tlp=False)
    assert chain.a.counters.TcpExtTCPTimeouts == 4


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
    chain, log, end = black_hole(20_000, 600, tcp_mtu_probing=1, tcp_tlp=False)
    sizes = sizes_of(log)
    assert 1024 in sizes and sizes[-2] <= 560 and end != errno.ETIMEDOUT
    small = next(seg for seg in log.data("a") if len(seg) == 512)
    assert small.time - log.data("a")[0].time == 31 * RTO0  # half of the base, one timeout later


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
    told = errors_at(chain)
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
