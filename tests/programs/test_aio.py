"""pystack.aio: all of asyncio's calls with a host and a port use the stack, and never the kernel."""

import asyncio
import contextlib
import socket
import threading
from contextvars import Context, ContextVar

import pytest

from pystack import aio
from pystack.patching import held, kernel_socket
from pystack.running import up
from pystack.sockets.handles import lookup
from tests.programs.test_tls import contexts

pytestmark = pytest.mark.usefixtures("local")


def ours(transport) -> bool:
    return lookup(transport.get_extra_info("socket").fileno()) is not None


async def echo(reader, writer):
    while data := await reader.read(1000):
        writer.write(data)
    writer.close()


async def streams():
    """Connect a client to a server by host and port. Return whether the socket of each end is the stack's."""
    async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
        listener = server.sockets[0]
        reader, writer = await asyncio.open_connection("localhost", listener.getsockname()[1])
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        mine = ours(writer.transport)
        writer.close()
        await writer.wait_closed()
        return lookup(listener.fileno()) is not None, mine


async def datagrams():
    """Send a datagram between two endpoints that were made by host and port. Return the same as `streams`."""
    got = asyncio.get_running_loop().create_future()

    class Keep(asyncio.DatagramProtocol):
        def datagram_received(self, data, addr):
            got.set_result(data)

    loop = asyncio.get_running_loop()
    server, _ = await loop.create_datagram_endpoint(Keep, local_addr=("127.0.0.1", 0))
    client, _ = await loop.create_datagram_endpoint(
        asyncio.DatagramProtocol, remote_addr=server.get_extra_info("sockname")
    )
    client.sendto(b"datagram")
    assert await got == b"datagram"
    result = ours(server), ours(client)
    server.close(), client.close()
    return result


def plain(main):
    """Run on the loop with asyncio's own runner."""
    with asyncio.Runner(loop_factory=aio.EventLoop) as runner:
        return runner.run(main)


@pytest.mark.parametrize("program", [streams, datagrams])
@pytest.mark.parametrize("run", [aio.run, plain], ids=["run", "Runner"])
def test_a_host_and_a_port_mean_the_stack(run, program):
    original = socket.socket
    assert run(asyncio.wait_for(program(), 20)) == (True, True)
    assert socket.socket is original and held() == []


def test_a_replacement_of_the_programs_resolves_names(monkeypatch):
    """The loop looks socket.getaddrinfo up when it is called, as asyncio's does. So a test of the program may replace it."""

    async def main():
        loop = asyncio.get_running_loop()
        monkeypatch.setattr(socket, "getaddrinfo", lambda host, *args: [(2, 1, 6, "", (f"{host}!", args[0]))])
        monkeypatch.setattr(socket, "getnameinfo", lambda address, flags: (address, flags))
        return await loop.getaddrinfo("a", 80), await loop.getnameinfo(("b", 1), 2)

    assert aio.run(main()) == ([(2, 1, 6, "", ("a!", 80))], (("b", 1), 2))


def test_a_library_that_opens_its_own_socket_gets_the_stacks():
    """aiohttp's client, anyio and hypercorn use socket.socket and loop.sock_connect."""

    async def main():
        loop = asyncio.get_running_loop()
        with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as client:
            listener.setblocking(False)
            client.setblocking(False)
            asking = asyncio.ensure_future(loop.sock_connect(client, listener.getsockname()))
            conn, _ = await loop.sock_accept(listener)
            await asking
            with conn:
                await loop.sock_sendall(client, b"x")
                assert await loop.sock_recv(conn, 10) == b"x"
            return [lookup(sock.fileno()) is not None for sock in (listener, client)]

    assert aio.run(asyncio.wait_for(main(), 20)) == [True, True]


def test_other_families_raise_errors_and_unix_sockets_are_the_kernels(tmp_path):
    async def main():
        with pytest.raises(OSError, match="speaks IPv4"):
            await asyncio.open_connection("::1", 7, family=socket.AF_INET6)
        with pytest.raises(OSError, match="speaks IPv4|could not bind"):
            await asyncio.start_server(echo, "::1", 7)
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as packets:
            assert lookup(packets.fileno()) is not None
        path = str(tmp_path / "socket")
        async with await asyncio.start_unix_server(echo, path):
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(b"unix")
            assert await reader.readexactly(4) == b"unix"
            assert not ours(writer.transport)
            writer.close()
            await writer.wait_closed()

    aio.run(asyncio.wait_for(main(), 20))


def test_a_loop_for_one_stack_and_another_stack_beside_it():
    """Two threads run a loop each, for two stacks. The sockets of each task belong to the stack of its own loop."""
    both, results = threading.Barrier(2, timeout=20), {}

    async def main(name):
        await asyncio.to_thread(both.wait)
        names = []
        for _ in range(20):
            listener = socket.create_server(("127.0.0.1", 4000))
            names.append(lookup(listener.fileno()).description.host.name)
            await asyncio.sleep(0)
            names.append(await asyncio.to_thread(socket.gethostname))
            names += [
                addr[4][0] for addr in await asyncio.get_running_loop().getaddrinfo("me", 80, type=socket.SOCK_STREAM)
            ]
            listener.close()
        await asyncio.to_thread(both.wait)
        return names

    def work(stack):
        with asyncio.Runner(loop_factory=lambda: aio.EventLoop(stack.host)) as runner:
            results[stack.name] = runner.run(asyncio.wait_for(main(stack.name), 30))

    with contextlib.ExitStack() as undo:
        stacks = [undo.enter_context(up(tap=None, name=name, default=False)) for name in ("one", "two")]
        for number, stack in enumerate(stacks):
            stack.host.names.table["me"] = [f"192.0.2.{number}"]
        threads = [threading.Thread(target=work, args=(stack,)) for stack in stacks]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert results == {"one": ["one", "one", "192.0.2.0"] * 20, "two": ["two", "two", "192.0.2.1"] * 20}
    assert held() == []


def test_a_context_that_the_program_gives_to_tasks_is_theirs():
    """Also an empty one, and one that a task passes on to the next while it runs in it."""
    number = ContextVar("number", default=0)

    async def count():
        number.set(number.get() + 1)
        return number.get(), socket.gethostname()

    async def through(context):
        return await asyncio.create_task(count(), context=context)

    async def main():
        context = Context()
        return await asyncio.create_task(through(context), context=context)

    def in_an_empty_context(host):
        with asyncio.Runner(loop_factory=lambda: aio.EventLoop(host)) as runner:
            return [runner.run(count()), runner.run(count()), runner.run(main())]

    with up(tap=None, name="one", default=False) as one, up(tap=None, name="two"):
        assert Context().run(in_an_empty_context, one.host) == [(1, "one"), (2, "one"), (1, "one")]


def test_a_program_can_still_make_a_socket_of_the_kernel():
    async def main():
        with kernel_socket(socket.AF_INET) as sock:
            return lookup(sock.fileno())

    assert aio.run(main()) is None


def test_tls_by_host_and_port_start_tls_and_sendfile(tmp_path):
    server_context, client_context = contexts()
    path = tmp_path / "file"
    path.write_bytes(bytes(range(256)) * 1000)

    positions = []

    async def answer(reader, writer):
        with path.open("rb") as file:
            await asyncio.get_running_loop().sendfile(writer.transport, file, fallback=True)
            positions.append(file.tell())
        writer.close()

    async def upgrade(reader, writer):
        assert await reader.readline() == b"STARTTLS\n"
        writer.write(b"go\n")
        await writer.start_tls(server_context)
        writer.write(await reader.readline())
        await writer.drain()
        writer.close()

    async def read_all(port, ssl):
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=ssl, server_hostname="localhost" if ssl else None
        )
        data = await reader.read()
        writer.close()
        return data

    async def main():
        async with (
            await asyncio.start_server(answer, "127.0.0.1", 443, ssl=server_context),
            await asyncio.start_server(answer, "127.0.0.1", 80),
            await asyncio.start_server(upgrade, "127.0.0.1", 25),
        ):
            files = [await read_all(443, client_context), await read_all(80, None)]
            reader, writer = await asyncio.open_connection("127.0.0.1", 25)
            writer.write(b"STARTTLS\n")
            assert await reader.readline() == b"go\n"
            await writer.start_tls(client_context, server_hostname="localhost")
            writer.write(b"hello\n")
            line = await reader.readline()
            writer.close()
            return files, line

    data = path.read_bytes()
    assert aio.run(asyncio.wait_for(main(), 30)) == ([data, data], b"hello\n")
    assert positions == [len(data)] * 2
