"""Sleeping, and looking before a sleep (busy polling)."""

import ctypes
import functools
import operator
import os
import signal
import threading

import pytest

import pystack
from pystack import socket
from pystack.runtime.lock import Gate
from pystack.runtime.realtime import RealtimeHost
from pystack.runtime.sleep import Sleeper, calm, monotonic, poke
from pystack_c.stack import Stack
from tests.support.patience import PATIENCE, until

US = 1_000


@pytest.fixture
def eventfd():
    fd = os.eventfd(0, os.EFD_NONBLOCK)
    yield fd
    os.close(fd)


def sleeper_on(fd: int, busy_poll: int = 0, looking: int = 0) -> Sleeper:
    sleeper = Sleeper()
    sleeper.add(fd)
    sleeper.busy_poll = busy_poll
    sleeper.looking = looking
    return sleeper


def test_while_sleeps_are_short_it_looks_longer_each_time():
    sleeper = Sleeper()
    sleeper.busy_poll = 100 * US
    seen = []
    for _ in range(6):
        sleeper.learn(90 * US)
        seen.append(sleeper.looking // US)
    assert seen == [10, 20, 40, 80, 100, 100]


def test_what_was_found_by_looking_changes_nothing():
    sleeper = sleeper_on(-1, 100 * US, 40 * US)
    sleeper.learn(30 * US)
    assert sleeper.looking == 40 * US
    sleeper.learn(41 * US)  # control
    assert sleeper.looking == 80 * US


@pytest.mark.parametrize(("busy_poll", "slept", "looking"), [(100, 101, 0), (100, 100, 80), (0, 1, 0)])
def test_after_a_long_sleep_it_does_not_look(busy_poll, slept, looking):
    sleeper = sleeper_on(-1, busy_poll * US, 40 * US)
    sleeper.learn(slept * US)
    assert sleeper.looking == looking * US


def test_where_others_need_the_processor_the_pauses_grow():
    sleeper = Sleeper()
    for k in [*range(8), 7, 7]:
        sleeper.rest(5 * US)
        assert sleeper.rests_until == 5 * US + (1_000 * US << k)


@pytest.mark.skipif(not any(pystack.compiled().values()), reason="only the compiled sleeper looks")
@pytest.mark.parametrize(
    ("looking", "rests_until", "resting"),
    [(100 * US, 0, 4_000 * US), (0, 0, 8_000 * US), (100 * US, 1 << 62, 8_000 * US)],
)
def test_a_look_that_finds_something_halves_the_next_pause(eventfd, looking, rests_until, resting):
    """And in a pause it does not look."""
    sleeper = sleeper_on(eventfd, 100 * US, looking)
    sleeper.resting = 8_000 * US
    sleeper.rests_until = rests_until
    poke(eventfd)
    assert sleeper.sleep(-1, Gate()) == 1
    assert sleeper.resting == resting


@pytest.mark.parametrize("looking", [0, 50 * US])
def test_a_readable_descriptor_is_found(eventfd, looking):
    sleeper = sleeper_on(eventfd, 100 * US, looking)
    assert sleeper.sleep(0, Gate()) == 0
    assert not sleeper.ready(0)
    poke(eventfd)
    for timeout in (0, 1_000_000_000, -1):
        assert sleeper.sleep(timeout, Gate()) == 1
        assert sleeper.ready(0)


@pytest.mark.parametrize("looking", [0, 1_000 * US, 60_000_000 * US])
def test_the_timeout_holds_whether_it_looks_or_not(eventfd, looking):
    sleeper = sleeper_on(eventfd, looking, looking)
    before = monotonic()
    assert sleeper.sleep(20_000 * US, Gate()) == 0
    assert monotonic() - before >= 19_000 * US
    assert sleeper.looking == looking  # a timer is no news


@pytest.mark.parametrize("looking", [0, 10_000 * US])
def test_a_signal_ends_it_while_it_looks_too(eventfd, looking):
    """Its handler runs when the look is over, at the latest. (Thirty times: a look that a signal interrupts in the kernel ends anyway.)"""
    sleeper = sleeper_on(eventfd, looking, looking)
    old = signal.signal(signal.SIGALRM, lambda *_: poke(eventfd))
    before = monotonic()
    try:
        for _ in range(30):
            # (A signal right before it sleeps does not wake it. The next one does.)
            signal.setitimer(signal.ITIMER_REAL, 0.002, 0.5)
            while not sleeper.sleep(60_000_000 * US, Gate()):
                pass
            calm(eventfd)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    assert monotonic() - before < 30_000_000 * US


def signalled(call, *args):
    """Call a compiled function right after a signal arrived, with no Python code between, in which its handler would run."""
    kill = functools.partial(ctypes.CDLL(None).kill, os.getpid(), int(signal.SIGUSR1))
    return list(map(operator.call, (kill, functools.partial(call, *args))))[1]


@pytest.mark.parametrize("follower", [False, True])
def test_a_signal_that_arrived_before_the_sleep_is_handled_before_it(follower):
    """Otherwise the handler would run after the sleep, which may be one without an end. A follower sleeps at a gate."""
    with pystack.up(tap=None) as running, socket.create_server(("127.0.0.1", 0)) as server:
        pairs = [(socket.create_connection(server.getsockname()), server.accept()[0]) for _ in range(2)]
        (client, conn), (other, leading) = pairs
        thread = threading.Thread(target=leading.recv, args=(1,))
        if follower:
            thread.start()
            assert until(lambda: running.host.waiting)
        conn.settimeout(PATIENCE)
        old = signal.signal(signal.SIGUSR1, lambda *_: client.sendall(b"x"))
        try:
            assert signalled(conn.recv, 1) == b"x"  # and no TimeoutError
        finally:
            signal.signal(signal.SIGUSR1, old)
            other.sendall(b"x")
        if follower:
            thread.join(PATIENCE)
        for sock in (sock for pair in pairs for sock in pair):
            sock.close()


def test_a_host_tells_its_sleepers():
    host = RealtimeHost(Stack(1))
    try:
        assert [sleeper.busy_poll for sleeper in host.sleepers] == [0, 0]
        host.set_busy_poll(70)
        loop = host.loop_waiter(-1)
        assert [sleeper.busy_poll for sleeper in host.sleepers] == [70 * US] * 3
        assert loop.following.busy_poll == 0  # who follows does not poll devices
        host.end_loop(loop)
        for wrong in (-1, 1_000_001, 1 << 70):
            with pytest.raises(ValueError, match="busy_poll"):
                host.set_busy_poll(wrong)
    finally:
        host.close()
