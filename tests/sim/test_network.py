"""The simulator by itself, with a stack that has no protocols in it."""

import time

import pytest

from pystack.sim.network import MS, Network, S
from pystack.sim.programs import sleep, spawn
from pystack.sim.scheduler import Scheduler, SimError
from pystack_c.base.address import v4
from tests.sim.fakes import FakeStack, arm, send

BROADCAST = b"\xff" * 6


def pair(**settings):
    net = Network(seed=1, stack_class=FakeStack)
    a, b = net.host("a"), net.host("b")
    link = net.link(a, b, addrs=("10.0.0.1/24", "10.0.0.2/24"), **settings)
    return net, a, b, link


def frame(dst: int, src: int, text: bytes = b"") -> bytes:
    return dst.to_bytes(6, "big") + src.to_bytes(6, "big") + b"\x12\x34" + text


def test_two_frames_back_to_back_arrive_in_order_at_exactly_now_plus_delay():
    net, a, b, _ = pair(delay=5 * MS)
    net.at(7, a.call, send, a.stack, b"one", b"two")
    net.run(until=S)
    assert b.stack.got == [(5 * MS + 7, b"one"), (5 * MS + 7, b"two")]
    assert net.now == S


def test_an_event_born_now_comes_after_those_that_were_there():
    sched = Scheduler()
    order = []

    def first():
        order.append("first")
        sched.at(10, order.append, "born")
        sched.after(0, order.append, "born too")

    sched.at(10, first)
    sched.at(10, order.append, "second")
    sched.at(5, order.append, "early")
    sched.run(10)
    assert order == ["early", "first", "second", "born", "born too"]
    with pytest.raises(ValueError, match="already passed"):
        sched.at(9, order.append, "late")


def test_timers_fire_at_their_time_and_stale_wake_ups_do_not():
    net, a, _, _ = pair()
    a.call(arm, a.stack, 3 * S, 2 * S)
    a.stack.deadlines.remove(2 * S)  # cancelled behind the simulator's back, as an ACK would do
    a.call(arm, a.stack, 5 * S)
    net.run(until=10 * S)
    assert a.stack.fired == [(3 * S, 3 * S), (5 * S, 5 * S)]


def test_ten_idle_minutes_pass_in_milliseconds():
    net, a, b, _ = pair(delay=MS)
    a.call(arm, a.stack, *(second * S for second in range(0, 600, 10)))
    before = time.process_time()
    net.run(until=600 * S)
    # Milliseconds on most machines, and Python's garbage collector may come between.
    assert time.process_time() - before < 5
    assert len(a.stack.fired) == 60


def test_switch_floods_then_learns():
    net = Network(stack_class=FakeStack)
    switch = net.switch("s")
    hosts = [net.host(name) for name in "abc"]
    for host in hosts:
        net.link(host, switch, delay=MS)
    a, b, c = hosts
    mac_a, mac_b = a.port().iface.mac, b.port().iface.mac
    a.call(send, a.stack, frame(mac_b, mac_a))
    net.run(until=10 * MS)
    assert (len(b.stack.got), len(c.stack.got), len(a.stack.got)) == (1, 1, 0)  # unknown: flooded, but not back
    assert b.stack.got[0][0] == 2 * MS
    b.call(send, b.stack, frame(mac_a, mac_b))
    a.call(send, a.stack, frame(mac_b, mac_a))
    net.run(until=20 * MS)
    assert (len(a.stack.got), len(b.stack.got), len(c.stack.got)) == (1, 2, 1)
    c.call(send, c.stack, BROADCAST + bytes(8))
    net.run(until=30 * MS)
    assert (len(a.stack.got), len(b.stack.got), len(c.stack.got)) == (2, 3, 1)
    assert len(switch.fdb.entries) == 3 and switch.flooded == 2


def test_directions_may_differ_and_statistics_tell():
    net, a, b, link = pair(delay=MS, ab={"delay": 3 * MS}, ba={"loss": 1.0})
    b.stack.echo = True
    a.call(send, a.stack, frame(1, 2), frame(3, 4))
    net.run(until=S)
    assert [when for when, _ in b.stack.got] == [3 * MS, 3 * MS] and a.stack.got == []
    assert link.ab.stats.delivered == 2 and link.ba.stats.drops == {"loss": 2}
    link.set(loss=0.0)
    a.call(send, a.stack, frame(1, 2))
    net.run(until=2 * S)
    assert [when for when, _ in a.stack.got] == [S + 4 * MS]


def test_down_restore_and_crash():
    net, a, b, link = pair(delay=MS)
    link.down()
    a.call(send, a.stack, b"lost")
    link.restore()
    a.call(send, a.stack, b"there")
    net.run(until=S)
    assert [data for _, data in b.stack.got] == [b"there"]
    b.crash()
    a.call(send, a.stack, b"nobody home")
    net.run(until=2 * S)
    assert len(b.stack.got) == 1


def test_a_link_with_a_wrong_setting_leaves_no_port():
    net = Network()
    a, b = net.host("a"), net.host("b")
    for settings in ({"delay": 0.05}, {"ab": {"loss": 3}}, {"profile": "warp"}):
        with pytest.raises(ValueError):
            net.link(a, b, **settings)
    assert a.ports == b.ports == [] and net.links == {}


def test_run_until_and_its_limit():
    net, a, b, _ = pair(delay=MS)
    a.call(send, a.stack, b"x")
    assert net.run_until(lambda: b.stack.got, limit=S) == MS
    with pytest.raises(SimError, match="not met until 5.0"):
        net.run_until(lambda: False, limit=5 * S)
    b.stack.echo = a.stack.echo = True  # for ever
    a.call(send, a.stack, bytes(14))
    with pytest.raises(SimError, match="not idle after 1000 steps"):
        net.run_until_idle(max_steps=1000)


def test_names_and_addresses_are_checked():
    net, a, _, _ = pair()
    with pytest.raises(ValueError, match="already a node named 'a'"):
        net.switch("a")
    with pytest.raises(ValueError):
        a.addr("10.0.0.300/24")
    with pytest.raises(KeyError, match="no interface 'eth7'"):
        a.addr("10.0.0.3/24", iface="eth7")
    with pytest.raises(ValueError, match="no setting named"):
        net.host("c", tcp_nope=1)
    with pytest.raises(TypeError, match="links give addresses"):
        net.host("d", "10.0.0.1/24")


def test_hosts_have_seeds_of_their_own_from_the_networks():
    net, a, b, _ = pair()
    again = Network(seed=1, stack_class=FakeStack).host("a")
    other = Network(seed=2, stack_class=FakeStack).host("a")
    assert a.stack.seed == again.stack.seed != b.stack.seed
    assert other.stack.seed != a.stack.seed


def test_introduce_makes_permanent_neighbours():
    net, a, b, _ = pair()
    net.introduce()
    assert a.port().iface.neighbors == {v4(0x0A000002): b.port().iface.mac}
    assert b.port().iface.neighbors == {v4(0x0A000001): a.port().iface.mac}


def test_programs_sleep_join_and_fail():
    net, *_ = pair()
    log = []

    def worker(delay):
        yield sleep(delay)
        log.append(net.now)
        return delay

    def main():
        children = [spawn(net, worker(3 * S)), spawn(net, worker(1 * S))]
        results = []
        for child in children:
            results.append((yield child))
        return results

    proc = spawn(net, main())
    assert net.run_until(proc.finished, limit=10 * S) == 3 * S
    assert proc.value == [3 * S, 1 * S] and log == [1 * S, 3 * S]

    def bad():
        yield sleep(1)
        raise RuntimeError("as it should")

    spawn(net, bad())
    with pytest.raises(RuntimeError, match="as it should"):
        net.run(until=20 * S)
