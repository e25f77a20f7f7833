"""pystack.aio: asyncio on a loop that serves the stack itself."""

import asyncio
import errno
import os
import select
import selectors
import signal
import threading
import time

import pytest

from pystack import aio, socket
from pystack.patching import kernel_socket
from pystack.sockets.handles import lookup
from tests.support.patience import PATIENCE

pytestmark = pytest.mark.usefixtures("local")


def pair():
    """Two ends of one connection, neither of them blocking."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname(), timeout=PATIENCE)
        conn, _ = server.accept()
    client.setblocking(False)
    conn.setblocking(False)
    return client, conn


def test_streams_both_ways_at_the_same_time():
    async def echo(reader, writer):
        writer.write(await reader.readexactly(100_000))
        await writer.drain()
        writer.close()

    async def one(address, i):
        sock = socket.socket()
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, address)
        reader, writer = await asyncio.open_connection(sock=sock)
        writer.write(bytes([i]) * 100_000)
        data = await reader.read(-1)
        writer.close()
        return data == bytes([i]) * 100_000

    async def main():
        listener = socket.create_server(("127.0.0.1", 0))
        async with await asyncio.start_server(echo, sock=listener):
            return await asyncio.wait_for(asyncio.gather(*(one(listener.getsockname(), i) for i in range(10))), 20)

    assert aio.run(main()) == [True] * 10


def test_datagrams():
    class Echo(asyncio.DatagramProtocol):
        def connection_made(self, transport):
            self.transport = transport

        def datagram_received(self, data, addr):
            self.transport.sendto(data[::-1], addr)

    async def main():
        loop = asyncio.get_running_loop()
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        server.bind(("127.0.0.1", 0))
        server.setblocking(False)
        transport, _ = await loop.create_datagram_endpoint(Echo, sock=server)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.setblocking(False)
            await loop.sock_sendto(client, b"abc", server.getsockname())
            data, _ = await loop.sock_recvfrom(client, 100)
        transport.close()
        return data

    assert aio.run(asyncio.wait_for(main(), PATIENCE)) == b"cba"


def test_sockets_of_the_kernel_processes_threads_and_timers_in_one_loop():
    async def main():
        loop = asyncio.get_running_loop()
        client, conn = pair()
        reading = asyncio.ensure_future(loop.sock_recv(conn, 10))
        listener, caller = kernel_socket(socket.AF_INET), kernel_socket(socket.AF_INET)
        listener.bind(("127.0.0.1", 0))
        kernel = await asyncio.start_server(lambda r, w: w.close(), sock=listener)
        caller.setblocking(False)
        await loop.sock_connect(caller, listener.getsockname())
        reader, writer = await asyncio.open_connection(sock=caller)
        assert await reader.read() == b""
        writer.close()
        kernel.close()
        process = await asyncio.create_subprocess_exec("echo", "hi", stdout=asyncio.subprocess.PIPE)
        assert (await process.communicate())[0] == b"hi\n"
        assert await asyncio.to_thread(lambda: 7) == 7
        before = loop.time()
        await asyncio.sleep(0.05)
        assert 0.04 < loop.time() - before < PATIENCE
        assert not reading.done()
        await loop.sock_sendall(client, b"x")
        assert await reading == b"x"
        client.close()
        conn.close()

    aio.run(asyncio.wait_for(main(), PATIENCE))


def test_a_thread_that_blocks_and_a_loop_share_the_stack():
    """Whoever leads serves the other; a thread may also wake the loop."""

    async def main(client, conn):
        loop = asyncio.get_running_loop()
        for i in range(50):
            await loop.sock_sendall(conn, b"%d" % i)
            assert await loop.sock_recv(conn, 10) == b"<%d>" % i
        woken = asyncio.Event()
        threading.Timer(0.1, loop.call_soon_threadsafe, [woken.set]).start()
        await asyncio.wait_for(woken.wait(), PATIENCE)
        client.shutdown(socket.SHUT_RDWR)

    client, conn = pair()
    client.setblocking(True)

    def answer():
        while data := client.recv(10):
            client.sendall(b"<" + data + b">")

    thread = threading.Thread(target=answer)
    thread.start()
    aio.run(asyncio.wait_for(main(client, conn), 20))
    thread.join(PATIENCE)
    assert not thread.is_alive()
    client.close()
    conn.close()


def test_two_loops_in_two_threads():
    async def talk(sock, first):
        loop = asyncio.get_running_loop()
        if first:
            await loop.sock_sendall(sock, b"\0")
        for _ in range(100):
            data = await loop.sock_recv(sock, 1)
            await loop.sock_sendall(sock, data)
        return True

    results = []
    ends = pair()
    threads = [
        threading.Thread(target=lambda i=i: results.append(aio.run(asyncio.wait_for(talk(ends[i], i == 0), 20))))
        for i in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert results == [True, True]
    for end in ends:
        end.close()


def test_readers_are_told_again_and_again_and_writers_while_there_is_room():
    """Level-triggered, as every selector; an empty end is not readable, a full one not writable."""
    client, conn = pair()
    selector = aio.Selector()
    key = selector.register(conn, selectors.EVENT_READ, "data")
    assert selector.get_key(conn) == key and list(selector.get_map()) == [conn.fileno()]
    assert selector.select(0) == []
    client.send(b"x")
    for _ in range(3):
        assert selector.select(1) == [(key, selectors.EVENT_READ)]
    both = selector.modify(conn, selectors.EVENT_READ | selectors.EVENT_WRITE, "more")
    assert selector.select(1) == [(both, selectors.EVENT_READ | selectors.EVENT_WRITE)]
    assert conn.recv(10) == b"x"
    assert selector.select(1) == [(both, selectors.EVENT_WRITE)]
    with pytest.raises(BlockingIOError):
        while True:
            conn.send(bytes(1 << 20))
    assert selector.select(0.05) == []
    with pytest.raises(KeyError):
        selector.register(conn, selectors.EVENT_READ)
    with pytest.raises(ValueError):
        selector.modify(conn, 0)
    assert selector.unregister(conn) == both
    with pytest.raises(KeyError):
        selector.unregister(conn)
    client.close()
    conn.close()
    selector.close()


def test_what_is_registered_is_known_by_its_key_and_nothing_else_is():
    client, conn = pair()
    ends = os.pipe()
    selector = aio.Selector()
    with client, conn:
        for fileobj, events in ((conn, selectors.EVENT_READ), (ends[0], selectors.EVENT_READ)):
            fd = fileobj if isinstance(fileobj, int) else fileobj.fileno()
            with pytest.raises(KeyError):
                selector.get_key(fd)
            with pytest.raises(KeyError):
                selector.unregister(fd)
            made = selector.register(fileobj, events, "data")
            assert selector.get_key(fd) == selector.get_key(fileobj) == made == (fileobj, fd, events, "data")
            changed = selector.modify(fileobj, events, "other")
            assert selector.get_key(fd) == selector.get_map()[fileobj] == changed == (fileobj, fd, events, "other")
            assert len(selector.get_map()) == 1
            assert selector.unregister(fileobj) == changed
            assert selector.get_map().get(fileobj) is None and fileobj not in selector.get_map()
        selector.close()
    for fd in ends:
        os.close(fd)


def test_the_descriptor_shows_its_readiness_also_while_it_is_registered():
    client, conn = pair()
    poll = select.poll()
    poll.register(conn, select.POLLIN)
    selector = aio.Selector()
    selector.register(conn, selectors.EVENT_READ)
    assert poll.poll(0) == []
    client.send(b"x")
    assert len(selector.select(1)) == 1
    assert poll.poll(1000) == [(conn.fileno(), select.POLLIN)]
    assert conn.recv(1) == b"x"
    assert poll.poll(0) == []
    selector.unregister(conn)
    client.send(b"y")
    assert poll.poll(1000) == [(conn.fileno(), select.POLLIN)]
    selector.close()
    client.close()
    conn.close()


def test_a_signal_handler_of_the_loop_and_one_of_python():
    async def main():
        loop = asyncio.get_running_loop()
        got = asyncio.Event()
        loop.add_signal_handler(signal.SIGUSR1, got.set)
        threading.Timer(0.05, os.kill, [os.getpid(), signal.SIGUSR1]).start()
        await asyncio.wait_for(got.wait(), PATIENCE)
        loop.remove_signal_handler(signal.SIGUSR1)
        threading.Timer(0.05, os.kill, [os.getpid(), signal.SIGINT]).start()
        await asyncio.sleep(PATIENCE)

    before = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        aio.run(main())
    assert time.monotonic() - before < PATIENCE


def test_without_a_stack_there_is_no_loop(local):
    local.close()
    with pytest.raises(OSError) as caught:
        aio.EventLoop()
    assert caught.value.errno == errno.ENETDOWN


@pytest.mark.parametrize("run", [aio.run, asyncio.run], ids=["pystack.aio", "asyncio"])
def test_what_the_readme_says_of_asyncio(run):
    """Calls that get the socket use the stack. Calls with a host and a port do so in pystack.aio, and use the kernel in asyncio.run."""

    async def answer(reader, writer):
        writer.write(await reader.readexactly(5))
        await writer.drain()
        writer.close()

    async def ask(sock_or_none, *where):
        reader, writer = await asyncio.open_connection(*where, sock=sock_or_none)
        writer.write(b"hello")
        data = await reader.read(-1)
        writer.close()
        return data

    async def main():
        loop = asyncio.get_running_loop()
        ours = await asyncio.start_server(answer, sock=socket.create_server(("127.0.0.1", 0)))
        other = await asyncio.start_server(answer, "127.0.0.1", 0)
        sock = socket.socket()
        sock.setblocking(False)
        await loop.sock_connect(sock, ours.sockets[0].getsockname())
        of_stack = [lookup(server.sockets[0].fileno()) is not None for server in (ours, other)]
        answers = [await ask(sock), await ask(None, *other.sockets[0].getsockname())]
        ours.close()
        other.close()
        return of_stack, answers

    of_stack, answers = run(asyncio.wait_for(main(), PATIENCE))
    assert of_stack == [True, run is aio.run] and answers == [b"hello", b"hello"]
