"""The selector of pystack.aio, over a stack's loopback."""

import os
from time import monotonic, monotonic_ns

import pytest

import pystack
from pystack import socket
from pystack.aio import Selector
from pystack.runtime.waiting import READ


@pytest.fixture
def selector():
    with pystack.up(tap=None):
        made = Selector()
        yield made
        made.close()


@pytest.fixture
def readable(selector):
    """A connection with something to read, for ever."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with socket.create_connection(listener.getsockname()) as client:
            conn, _ = listener.accept()
            with conn:
                client.sendall(b"x")
                conn.setblocking(False)
                yield conn


@pytest.fixture
def pipe():
    ends = os.pipe()
    yield ends
    for fd in ends:
        os.close(fd)


@pytest.mark.parametrize(("written", "stopped"), [(True, False), (True, True), (False, False)])
def test_what_is_always_ready_does_not_hide_the_kernels_descriptors(selector, readable, pipe, written, stopped):
    """Not every call looks at them where something is ready anyway, but soon one does; also where the stack's clock stands."""
    if stopped:
        now = monotonic_ns()
        selector._host.source = lambda: now
    selector.register(readable, READ, "stack")
    selector.register(pipe[0], READ, "kernel")
    selector.select(0)  # a first look, which finds nothing there
    if written:
        os.write(pipe[1], b"x")
    limit = monotonic() + (10 if written else 0.05)
    found = set()
    while "kernel" not in found and monotonic() < limit:
        ready = {key.data for key, _ in selector.select(0)}
        assert "stack" in ready
        found |= ready
    assert ("kernel" in found) == written
