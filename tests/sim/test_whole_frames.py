"""Network(whole=True): frames of up to 64 KB on links that only delay. The bytes that arrive, and what captures show, are as ever."""

import pytest

from pystack.sim.boxes import NatTimeout
from pystack.sim.network import MS, Network, S
from pystack.sim.programs import spawn, stream
from pystack.trace.pcapng import INBOUND, OUTBOUND
from pystack.trace.replay import replay
from tests.sim.hostile import pattern, talk
from tests.support.natbox import sums_right
from tools.bench.simulator import Homes

SIZE = 400_000


class Run:
    """Two hosts that exchange `SIZE` bytes each way; `between` joins them (a link by default)."""

    def __init__(self, whole=True, between=None, prepare=lambda net: None, **link):
        self.net = net = Network(seed=7, whole=whole)
        prepare(net)
        self.a, self.b = net.host("a", offload=True), net.host("b", offload=True)
        if between is None:
            self.link = net.link(self.a, self.b, addrs=("10.0.0.1/24", "10.0.0.2/24"), **{"delay": 5 * MS, **link})
        else:
            between(net, self.a, self.b)
        self.data = pattern(7, "a", SIZE), pattern(7, "b", SIZE)
        self.taps = []

        def server():
            listener = stream(self.b)
            listener.bind("", 80)
            listener.listen()
            sock = yield listener.accept()
            return (yield from talk(sock, net, self.data[1], False))

        def client():
            sock = stream(self.a)
            yield sock.connect(self.b.addresses()[0], 80)
            return (yield from talk(sock, net, self.data[0], True))

        self.programs = spawn(net, server()), spawn(net, client())

    def tap(self, *hosts):
        for host in hosts:
            host.ports[0].taps.append(lambda *seen, name=host.name: self.taps.append((name, *seen)))
        return self

    def run(self):
        self.net.run_until(lambda: all(one.done for one in self.programs), limit=3600 * S)
        assert [one.value for one in self.programs] == list(self.data)
        self.net.run_until_idle()
        return self

    def result(self):
        """All that must not depend on observers."""
        counters = [host.stack.counters.nonzero() for host in (self.a, self.b)]
        return self.net.now, self.net.steps, counters, [one.stats.as_dict() for one in self.link.channels()]


def frames(run, name, direction):
    return [frame for host, _, way, frame in run.taps if host == name and way == direction]


def test_far_fewer_frames_travel_and_the_link_counts_those_of_the_wire():
    plain, whole = Run(whole=False).run(), Run().run()
    assert whole.net.steps < plain.net.steps / 4
    for one in (plain, whole):
        assert one.link.ab.stats.delivered_bytes > SIZE and one.link.ab.stats.frames >= SIZE // 1448
        assert one.link.ab.stats.bytes >= SIZE + 66 * (SIZE // 1448)


def test_a_capture_shows_finished_frames_and_changes_nothing():
    without, taped = Run().run(), Run()
    taped.tap(taped.a, taped.b).run()
    assert taped.result() == without.result()
    sent, came = frames(taped, "a", OUTBOUND), frames(taped, "b", INBOUND)
    assert sent == came and len(sent) == taped.link.ab.stats.frames
    assert sum(map(len, sent)) == taped.link.ab.stats.bytes
    assert max(map(len, sent)) == 1514
    packets = [frame[14:] for frame in sent if frame[12:14] == b"\x08\x00"]
    assert len(packets) > SIZE // 1448 and all(sums_right(packet) for packet in packets)
    start = int.from_bytes(packets[0][24:28], "big")  # of the SYN
    data = bytearray()
    for packet in packets:
        head = 20 + (packet[32] >> 4) * 4
        at = (int.from_bytes(packet[24:28], "big") - start - 1) & 0xFFFFFFFF
        if len(packet) > head:
            data[at : at + len(packet) - head] = packet[head:]
    assert data == taped.data[0]


def test_a_watched_network_does_the_same():
    without, watched, seen = Run().run(), None, []
    watched = Run(prepare=lambda net: net.watch(seen.append)).run()
    assert watched.result() == without.result() and len(seen) > 50


def test_a_recording_changes_nothing_and_replays(tmp_path):
    without = Run().run()
    paths = [str(tmp_path / name) for name in ("one", "two")]
    for path in paths:
        recorded = Run(prepare=lambda net, path=path: net.record(path)).run()
        assert recorded.result() == without.result()
        recorded.net.close()
        assert replay(path).frames > 50
    with open(paths[0], "rb") as one, open(paths[1], "rb") as two:
        assert one.read() == two.read()


@pytest.mark.parametrize(
    "link",
    [
        {"rate": 50_000_000, "queue": 40},
        {"loss": 0.02},
        {"reorder": 0.1, "reorder_delay": 3 * MS},
        {"duplicate": 0.1},
        {"corrupt": 0.01},
        {"jitter": MS},
        {"qdisc": "fq_codel"},
        {"ab": {"loss": 0.01}, "ba": {"rate": 10_000_000}},
    ],
    ids=lambda link: next(iter(link)),
)
def test_a_link_that_does_more_gets_single_frames(link):
    """There, every frame and every time is as without `whole`."""
    plain, whole = Run(whole=False, **link), Run(**link)
    for one in (plain, whole):
        one.net.introduce()
        one.tap(one.a, one.b).run()
    assert whole.taps == plain.taps and whole.link.ab.stats.as_dict() == plain.link.ab.stats.as_dict()


def test_a_middlebox_gets_single_frames():
    plain, whole = Run(whole=False), Run()
    for one in (plain, whole):
        one.link.middlebox(NatTimeout(300 * S), near=one.b)
        one.net.introduce()
        one.tap(one.a, one.b).run()
    assert whole.taps == plain.taps and whole.net.steps == plain.net.steps


def test_a_rule_and_a_link_that_goes_down_hold_at_once():
    run = Run()
    run.net.after(30 * MS, run.link.down)
    run.net.after(800 * MS, run.link.restore)
    run.net.after(900 * MS, run.link.ab.drop, 3)
    run.run()
    assert run.link.ab.stats.drops["down"] >= 1


def test_a_smaller_mtu_behind_a_router_still_counts():
    def routed(net, a, b):
        router = net.router("r")
        net.link(a, router, delay=MS, addrs=("10.0.0.1/24", "10.0.0.2/24"))
        net.link(router, b, delay=MS, mtu=1000, addrs=("10.1.0.1/24", "10.1.0.2/24"))
        a.route("default", via="10.0.0.2")
        b.route("default", via="10.1.0.1")

    run = Run(between=routed)
    run.tap(run.b).run()
    assert max(len(frame) for _, _, _, frame in run.taps) == 1014


@pytest.mark.parametrize("kind", ["switch", "bridge"])
def test_switches_and_bridges(kind):
    def switched(net, a, b):
        middle = getattr(net, kind)("s")
        net.link(a, middle, delay=MS, addrs=("10.0.0.1/24", None))
        net.link(b, middle, delay=MS, addrs=("10.0.0.2/24", None))

    run = Run(between=switched).run()
    assert run.a.stack.counters.drops == {} == run.b.stack.counters.drops


def test_homes_behind_nats():
    plain, whole = Homes(3, 5), Homes(3, 5, whole=True)
    for one in (plain, whole):
        assert one.move(50_000) == [50_000] * 15
        assert all(len(nat.stack.conntrack.all()) == 5 and nat.counters.drops == {} for nat in one.nats)
    assert whole.net.steps < plain.net.steps / 3


def test_a_host_that_crashes_gets_nothing():
    run = Run()
    run.net.after(20 * MS, run.b.crash)
    run.net.run(2 * S)
    assert not run.programs[0].done and run.link.ab.stats.delivered > 5
