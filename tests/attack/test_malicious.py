"""The malicious peer: a few seeds here, as many as you like with `python -m tools.attack` (make attack: 10,000)."""

import pytest

import pystack_c.tcp.output
from pystack.sim.network import MS, S
from pystack_c.base.address import v4
from pystack_c.ip.pmtu import lower_mtu
from tests.attack import malicious
from tests.attack.malicious import CHECKS, MANNERS, Siege, Work

COMPILED = not pystack_c.tcp.output.__file__.endswith(".py")
SEEDS = range(40 if COMPILED else 8)
#: lines of the core for each packet, on average; an honest upload costs about 1,000
LINES = 2500


@pytest.mark.parametrize("seed", SEEDS)
def test_random_manners(seed):
    Siege(seed).run()


@pytest.mark.parametrize("manner", MANNERS, ids=lambda manner: manner.__name__)
def test_each_manner_alone(manner):
    for seed in (3, 8):
        Siege(seed, manners=(manner,)).run()


@pytest.mark.skipif(COMPILED, reason="lines can be counted only where the core is not compiled")
@pytest.mark.parametrize("manner", MANNERS, ids=lambda manner: manner.__name__)
def test_no_manner_costs_more_work_for_each_packet_than_its_share(manner):
    siege = Siege(8, (), (manner,))
    work = Work(siege.arena)
    siege.run()
    assert sum(work.lines) <= LINES * len(work.lines), f"{sum(work.lines) // len(work.lines)} lines for each packet"


@pytest.mark.skipif(COMPILED, reason="lines can be counted only where the core is not compiled")
def test_control_of_the_count_of_work():
    siege = Siege(8, (), (malicious.silent,))
    work = Work(siege.arena)
    count = work._line

    def twice(frame, event, arg):
        work.count += 3 * (event == "line")
        count(frame, event, arg)
        return twice

    work._line = twice
    siege.run()
    assert sum(work.lines) > LINES * len(work.lines)


# Controls: each check fails when what it forbids is so.


def under_way(seed=3, manners=(malicious.silent,), until=300 * MS, **settings):
    """A siege that has begun."""
    siege = Siege(seed, (), manners, **settings)
    siege.exchange.start()
    for peer in siege.peers:
        peer.open()
    siege.arena.run(until)
    assert siege.victims()
    return siege


def too_much_memory(siege, monkeypatch):
    siege.arena.b.stack.config.tcp_mem_high = 0


def too_many_records(siege, monkeypatch):
    monkeypatch.setattr(malicious, "GIFT", -10_000)


def too_large_a_window(siege, monkeypatch):
    siege.victims()[0].cwnd = 1 << 20


def too_much_kept(siege, monkeypatch):
    siege.victims()[0].recvbuf.size = -70_000


def anothers_path(siege, monkeypatch):
    stack = siege.arena.b.stack
    lower_mtu(stack, stack.dst_cache[v4(0x0A000001)], 600)


def too_much_sent(siege, monkeypatch):
    monkeypatch.setattr(malicious, "GIFT", 0)
    siege.received = 1


CONTROLS = {
    "bounds": (too_much_memory, "more memory"),
    "records": (too_many_records, "records"),
    "growth": (too_large_a_window, "cwnd"),
    "pieces": (too_much_kept, "bytes kept"),
    "others": (anothers_path, "path MTU"),
    "work": (too_much_sent, "bytes sent"),
}


@pytest.mark.parametrize("name", CHECKS)
def test_control_each_check_can_fail(name, monkeypatch):
    siege = under_way()
    CHECKS[name](siege)
    spoil, says = CONTROLS[name]
    spoil(siege, monkeypatch)
    with pytest.raises(AssertionError, match=says):
        CHECKS[name](siege)


def test_control_ack_division_works_where_acks_are_counted():
    """Without Appropriate Byte Counting each of many small ACKs opens the window by a segment: the check sees it."""
    for seed in range(20):
        try:
            Siege(seed, ("growth",), (malicious.divide,), tcp_abc_l=0, tcp_congestion="reno", tcp_sack=False).run()
        except AssertionError as error:
            assert "cwnd" in str(error)
            return
    pytest.fail("it did not")


@pytest.mark.parametrize("stop", [True, False])
def test_control_a_connection_that_is_stalled_or_reset_is_noticed(stop):
    siege = under_way(until=45 * MS)
    if stop:
        siege.arena.lab.link.down()
    else:
        siege.exchange.client.core.tcp.find(v4(0x0A000001), siege.exchange.sport, v4(0x0A000002), 8000).fail(104)
    siege.arena.run(10 * S)
    with pytest.raises(AssertionError, match="stalled" if stop else "failed"):
        siege.exchange.took()
