"""The poller: many sockets, one thread."""

import threading
import time

import pytest

from pystack import socket
from pystack.running import up
from pystack.runtime.poller import Poller
from pystack.runtime.waiting import Waiter, Watch
from tests.support.patience import PATIENCE


@pytest.fixture
def running():
    with up(tap=None, name="local") as made:
        yield made
        assert made.host.failure is None


@pytest.fixture
def pairs(running):
    made = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        for _ in range(10):
            client = socket.create_connection(server.getsockname(), timeout=PATIENCE)
            conn, _ = server.accept()
            conn.setblocking(False)
            made.append((client, conn))
    yield made
    for client, conn in made:
        client.close()
        conn.close()


def test_reports_exactly_the_readable_ones(running, pairs):
    poller = Poller(running.host)
    for i, (_, conn) in enumerate(pairs):
        poller.register(conn, i)
    assert poller.poll(0) == []
    pairs[3][0].sendall(b"x")
    pairs[7][0].sendall(b"y")
    assert sorted(poller.poll(PATIENCE)) == [3, 7]
    assert pairs[3][1].recv(10) == b"x"
    assert poller.poll(0) == []  # 7 was told, and nothing new came
    pairs[7][0].sendall(b"z")
    assert poller.poll(PATIENCE) == [7]
    assert pairs[7][1].recv(10) == b"yz"


def test_what_was_readable_before_is_reported(running, pairs):
    pairs[0][0].sendall(b"x")
    poller = Poller(running.host)
    poller.register(pairs[0][1], "first")
    assert poller.poll(PATIENCE) == ["first"]


def test_part_read_is_reported_again(running, pairs):
    poller = Poller(running.host)
    poller.register(pairs[0][1], 0)
    pairs[0][0].sendall(b"abc")
    assert poller.poll(PATIENCE) == [0]
    assert pairs[0][1].recv(1) == b"a"
    assert poller.poll(PATIENCE) == [0]


def test_unregistered_is_silent(running, pairs):
    poller = Poller(running.host)
    poller.register(pairs[0][1], 0)
    poller.unregister(pairs[0][1])
    pairs[0][0].sendall(b"x")
    assert poller.poll(0.05) == []
    poller.unregister(pairs[0][1])


def test_a_sleeping_poller_is_woken(running, pairs):
    poller = Poller(running.host)
    poller.register(pairs[0][1], 0)
    start = time.monotonic()
    timer = threading.Timer(0.1, pairs[0][0].sendall, [b"x"])
    timer.start()
    assert poller.poll(PATIENCE) == [0]
    assert time.monotonic() - start < PATIENCE
    timer.join()
    timer = threading.Timer(0.1, poller.wake)
    timer.start()
    start = time.monotonic()
    poller.poll(PATIENCE)
    assert time.monotonic() - start < PATIENCE
    timer.join()


def test_end_of_stream_is_readable(running, pairs):
    poller = Poller(running.host)
    poller.register(pairs[0][1], 0)
    pairs[0][0].close()
    assert poller.poll(PATIENCE) == [0]
    assert pairs[0][1].recv(1) == b""


def test_the_thread_that_waits_last_takes_a_vacant_lead(running):
    """A thread that closes a connection may end with it. Another one leads then: the one that had something to do last."""
    host = running.host
    waits = [Waiter() for _ in range(4)]
    with host.lock:
        assert host.waiting == {}
        leader, host.leader = host.leader, None
        try:
            for waiter in waits:
                host.waiting[waiter] = Watch(host)
                waiter.parked = True
            waits[3].parked = False  # it is about to wait
            waits[2].fired = True  # it is about to return
            host.wake(Watch(host))
            assert [waiter.promoted for waiter in waits] == [False, True, False, False]
        finally:
            host.waiting.clear()
            host.leader = leader
