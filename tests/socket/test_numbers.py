"""Which calls make a descriptor of the kernel, which do not, and what happens if the process may have no more of them."""

import asyncio
import errno
import gc
import os
import resource
import select
import threading

import pytest

from pystack import aio, socket
from pystack.running import up
from pystack.sockets.handles import FIRST_ALIAS, lookup
from tests.socket.test_descriptors import pair

pytestmark = pytest.mark.usefixtures("local")


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def at_rest() -> int:
    """Count them without those of earlier tests' garbage, which may go at any time."""
    gc.collect()
    return descriptors()


def test_blocking_use_costs_no_descriptor():
    before = at_rest()
    client, conn = pair()
    for text in (b"hello", b"again"):
        client.sendall(text)
        assert conn.recv(100) == text
    repr(client)
    twin = client.dup()
    twin.sendall(b"from the twin")
    assert conn.makefile("rb").read(13) == b"from the twin"
    assert descriptors() == before
    assert twin.gettimeout() == client.gettimeout() and twin.family == client.family
    twin.close()
    client.sendall(b"still open")
    assert conn.recv(100) == b"still open"
    client.close()
    conn.close()


async def echo(reader, writer):
    while data := await reader.read(100):
        writer.write(data)
    writer.close()
    await writer.wait_closed()


async def served(*writers):
    """Close all clients' ends, and wait until the server has closed its own."""
    for writer in writers:
        writer.close()
        await writer.wait_closed()
    tasks = [task for task in asyncio.all_tasks() if task.get_coro().__name__ == "echo"]
    await asyncio.gather(*tasks)


def test_connections_of_an_event_loop_cost_no_descriptor():
    """Of the stack's own loop. asyncio's needs two for each socket."""
    count = 20

    async def main():
        before = at_rest()
        async with await asyncio.start_server(echo, sock=socket.create_server(("127.0.0.1", 0))) as server:
            where = server.sockets[0].getsockname()
            found = []
            for index in range(count):
                sock = socket.socket()
                sock.setblocking(False)
                await asyncio.get_running_loop().sock_connect(sock, where)
                reader, writer = await asyncio.open_connection(sock=sock)
                writer.write(b"%3d" % index)
                assert await reader.readexactly(3) == b"%3d" % index
                found.append(writer)
            used = descriptors() - before
            await served(*found)
            return used

    assert aio.run(asyncio.wait_for(main(), 20)) == 0
    assert asyncio.run(asyncio.wait_for(main(), 20)) >= 4 * count


def test_a_program_gets_a_descriptor_of_a_transports_socket():
    """It shows the readiness, as on any other socket, and the loop knows the socket by it."""

    async def main():
        loop = asyncio.get_running_loop()
        client, conn = pair()
        conn.setblocking(False)
        client.fileno()  # with the first one of a stack, it makes an epoll, too
        before = at_rest()
        transport, _ = await loop.create_connection(asyncio.Protocol, sock=conn)
        transport.pause_reading()
        assert descriptors() == before
        number = transport.get_extra_info("socket").fileno()
        assert descriptors() > before and os.fstat(number)
        assert conn.fileno() == number
        assert number < FIRST_ALIAS <= conn._handle.alias
        assert lookup(number) is lookup(conn._handle.alias) is conn._handle
        poll = select.poll()
        poll.register(number, select.POLLIN)
        assert poll.poll(0) == []
        client.sendall(b"x")
        assert poll.poll(5000) == [(number, select.POLLIN)]
        for name in (number, conn):
            with pytest.raises(RuntimeError, match="is used by transport"):
                loop.add_reader(name, print)
        transport.abort()
        await asyncio.sleep(0)
        assert conn.fileno() == -1 and lookup(number) is None
        assert descriptors() == before
        client.close()

    aio.run(asyncio.wait_for(main(), 20))


def test_a_reader_is_found_by_each_number_of_its_socket():
    async def main():
        loop = asyncio.get_running_loop()
        client, conn = pair()
        conn.setblocking(False)
        first, second = asyncio.Event(), asyncio.Event()
        loop.add_reader(conn, first.set)
        client.sendall(b"x")
        await first.wait()
        number = conn.fileno()
        assert loop._selector.get_key(number) == loop._selector.get_key(conn)
        loop.add_reader(number, second.set)  # it replaces the first one
        await second.wait()
        assert loop.remove_reader(number) and not loop.remove_reader(conn)
        loop.add_reader(number, print)
        assert loop.remove_reader(conn) and not loop.remove_reader(number)
        assert len(loop._selector.get_map()) == 1  # asyncio's own pipe
        client.close()
        conn.close()

    aio.run(asyncio.wait_for(main(), 20))


def test_an_alias_is_no_descriptor():
    """A foreign call on it fails at once and loses nothing."""
    client, conn = pair()
    conn.sendall(b"data")
    alias = client._known_number()
    assert alias == client._known_number() >= FIRST_ALIAS
    for call in (lambda: os.read(alias, 10), lambda: os.write(alias, b"x"), lambda: os.fstat(alias)):
        with pytest.raises(OSError) as caught:
            call()
        assert caught.value.errno == errno.EBADF
    again = socket.socket(fileno=alias)  # the stack knows it
    assert again.recv(100) == b"data"
    again.detach()
    client.close()
    assert lookup(alias) is None
    conn.close()


def test_two_loops_in_two_threads_on_two_stacks(local):
    """A loop knows the sockets of its own stack by their aliases. The other stack's sockets have descriptors there."""
    found = {}

    async def look(name, own, other):
        for what, running in (("own", own), ("other", other)):
            server = running.socket()
            server.bind(("127.0.0.1", 0))
            server.listen()
            server.setblocking(False)
            before = at_rest()
            waiting = asyncio.ensure_future(asyncio.get_running_loop().sock_accept(server))
            await asyncio.sleep(0)
            handle = server._handle
            found[name, what] = handle.number < 0 <= handle.alias, descriptors() > before
            client = running.socket()
            client.setblocking(False)
            await asyncio.get_running_loop().sock_connect(client, server.getsockname())
            (await waiting)[0].close()
            client.close()
            server.close()

    def run(name, own, other):
        with asyncio.Runner(loop_factory=lambda: aio.EventLoop(own.host)) as runner:
            runner.run(asyncio.wait_for(look(name, own, other), 20))

    with up(tap=None, name="second", default=False) as second:
        run("a", local, second)
        thread = threading.Thread(target=run, args=("b", second, local))
        thread.start()
        thread.join(30)
    assert found == {(name, what): (what == "own", what == "other") for name in "ab" for what in ("own", "other")}


def test_no_more_descriptors():
    """EMFILE comes from the call that needs a descriptor, and from no other. It goes away when there is room again."""
    client, conn = pair()
    file = client.makefile("rb")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = [os.open("/dev/null", os.O_RDONLY)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (taken[0] + 64, before[1]))
    try:
        with pytest.raises(OSError) as caught:
            while True:
                taken.append(os.open("/dev/null", os.O_RDONLY))
        assert caught.value.errno == errno.EMFILE
        for _ in range(2):  # a readiness descriptor needs two numbers
            for call in (client.fileno, lambda: select.select([client], [], [], 0), file.fileno):
                with pytest.raises(OSError) as caught:
                    call()
                assert caught.value.errno == errno.EMFILE
            client.sendall(b"without a descriptor")
            assert conn.recv(100) == b"without a descriptor"
            third, fourth = pair()
            third.close()
            fourth.close()
            os.close(taken.pop())
        for _ in range(3):
            os.close(taken.pop())
        number = client.fileno()
        conn.sendall(b"x")
        assert select.select([client], [], [], 5)[0] == [client] and client.fileno() == number
        assert client.recv(10) == b"x"
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        for fd in taken:
            os.close(fd)
    file.close()
    client.close()
    conn.close()


def test_an_event_loop_serves_while_there_are_no_descriptors():
    async def main():
        async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
            where = server.sockets[0].getsockname()
            writer = (await asyncio.open_connection(*where))[1]  # what is imported or made once is there
            await served(writer)
            before = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (3, before[1]))
            try:
                for _ in range(10):
                    reader, writer = await asyncio.open_connection(*where)
                    writer.write(b"hello")
                    assert await reader.readexactly(5) == b"hello"
                    await served(writer)
                with pytest.raises(OSError) as caught:
                    writer = (await asyncio.open_connection(*where))[1]
                    writer.get_extra_info("socket").fileno()
                assert caught.value.errno == errno.EMFILE
                await served(writer)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, before)

    aio.run(asyncio.wait_for(main(), 20))


def test_asyncios_own_loop_without_room_for_another_descriptor():
    """accept() raises EMFILE, as in the kernel. asyncio waits for a second, and then serves the connection."""
    told = []

    def ask(where):
        with socket.create_connection(where, timeout=10) as client:
            client.sendall(b"hello")
            return client.recv(10)

    async def main():
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context["exception"].errno))
        async with await asyncio.start_server(echo, sock=socket.create_server(("127.0.0.1", 0))) as server:
            where = server.sockets[0].getsockname()
            assert await asyncio.to_thread(ask, where) == b"hello"
            await served()
            before = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (3, before[1]))
            try:
                asking = asyncio.ensure_future(asyncio.to_thread(ask, where))
                while not told:
                    await asyncio.sleep(0.01)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, before)
            assert await asking == b"hello"
            await served()

    asyncio.run(asyncio.wait_for(main(), 20))
    assert set(told) == {errno.EMFILE}
