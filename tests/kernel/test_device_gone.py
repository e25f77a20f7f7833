"""The TAP is deleted, or its link goes down, while programs wait in every way there is."""

import asyncio
import errno
import select
import selectors
import threading
import time

import pytest

from pystack import aio
from pystack.kernel.netns import Namespace
from pystack.running import up
from pystack.runtime.poller import Poller
from tests.kernel.conftest import KERNEL
from tests.support.patience import PATIENCE


@pytest.fixture
def doomed():
    """A stack whose device a test deletes, and a connection to the kernel."""
    with Namespace.new() as space:
        space.quiet()
        running = up(netns=space)
        server = space.call(_server)
        client = running.socket()
        client.settimeout(PATIENCE)
        client.connect(server.getsockname())
        conn, _ = server.accept()
        client.settimeout(None)
        yield space, running, client
        client.close()
        conn.close()
        server.close()
        running.close(flush=0)


def _server():
    import socket

    return socket.create_server((KERNEL, 0))


def delete(space, running):
    space.run(["ip", "link", "del", running.device.name], check=True, timeout=10)


def refused(call):
    """The errno of a call."""
    with pytest.raises(OSError) as caught:
        call()
    return caught.value.errno


def wait_recv(client):
    return refused(lambda: client.recv(1))


def wait_select(client):
    assert select.select([client], [], [], PATIENCE)[0] == [client]
    return refused(lambda: client.recv(1))


def wait_poll(client):
    poll = select.poll()
    poll.register(client, select.POLLIN)
    assert poll.poll(PATIENCE * 1000)
    return refused(lambda: client.recv(1))


def wait_edge(client):
    with select.epoll() as epoll:
        epoll.register(client, select.EPOLLIN | select.EPOLLET)
        assert epoll.poll(PATIENCE)
        return refused(lambda: client.recv(1))


def wait_selectors(client):
    with selectors.DefaultSelector() as selector:
        selector.register(client, selectors.EVENT_READ)
        assert selector.select(PATIENCE)
        return refused(lambda: client.recv(1))


def wait_poller(client):
    poller = Poller(client._open_description().host)
    poller.register(client, None)
    return refused(lambda: poller.poll(PATIENCE))


def wait_loop(client, factory):
    async def main():
        client.setblocking(False)
        await asyncio.get_running_loop().sock_recv(client, 1)

    with asyncio.Runner(loop_factory=factory) as runner:
        return refused(lambda: runner.run(asyncio.wait_for(main(), PATIENCE)))


WAITS = {
    "recv": wait_recv,
    "select": wait_select,
    "poll": wait_poll,
    "epoll-edge": wait_edge,
    "selectors": wait_selectors,
    "poller": wait_poller,
    "asyncio": lambda client: wait_loop(client, asyncio.SelectorEventLoop),
    "aio": lambda client: wait_loop(client, aio.EventLoop),
}


@pytest.mark.parametrize("how", WAITS)
def test_whoever_waits_hears_that_the_device_is_gone(doomed, how):
    space, running, client = doomed
    timer = threading.Timer(0.3, delete, [space, running])
    timer.start()
    began = time.monotonic()
    assert WAITS[how](client) == errno.ENETDOWN
    assert time.monotonic() - began < PATIENCE - 1
    timer.join()
    assert isinstance(running.host.failure, OSError)
    # A descriptor that is made, or looked at, only now is ready as well.
    late = client.dup()
    for sock in (client, late):
        assert select.select([sock], [sock], [], 0)[:2] == ([sock], [sock])
    late.close()


def test_a_link_that_goes_down_and_up_again_loses_nothing(doomed):
    space, running, client = doomed
    for _ in range(2):
        space.run(["ip", "link", "set", running.device.name, "down"], check=True, timeout=10)
        client.sendall(b"while it is down")
        with pytest.raises(TimeoutError):
            client.settimeout(0.2)
            client.recv(1)
        space.run(["ip", "link", "set", running.device.name, "up"], check=True, timeout=10)
    assert running.host.failure is None
    client.settimeout(PATIENCE)
    limit = time.monotonic() + PATIENCE
    while client._open_description().info()["tcpi_unacked"] and time.monotonic() < limit:
        time.sleep(0.05)
    assert client._open_description().info()["tcpi_unacked"] == 0


def test_after_the_device_is_gone_a_program_brings_it_back(doomed):
    """Its old sockets stay dead, and say so at once. New ones are on the new stack, which has the same name, device and address."""
    space, running, client = doomed
    address = client.getpeername()
    delete(space, running)
    assert wait_recv(client) == errno.ENETDOWN
    running.close()
    with up(running.device.name, netns=space) as again:
        assert again.host.failure is None and again.device.name == running.device.name
        assert refused(lambda: client.send(b"x")) == errno.ENETDOWN
        with again.socket() as fresh:
            fresh.settimeout(PATIENCE)
            fresh.connect(address)
            assert fresh.getpeername() == address
