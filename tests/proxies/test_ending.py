"""A proxy that ends at any moment of a request closes all its sockets, over the kernel's loopback."""

import asyncio
import contextlib

import pytest

from pystack.proxies import HttpProxy, ProxySettings, TcpRelay, Upstream, conn
from pystack.proxies.server import running

REQUEST = b"PUT / HTTP/1.1\r\nHost: site\r\nContent-Length: 3\r\n\r\nabc"


async def answer(reader, writer):
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
        while await reader.readuntil(b"abc"):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    writer.close()


@pytest.mark.parametrize("kind", [HttpProxy, TcpRelay])
def test_no_socket_stays_open(kind, monkeypatch):
    made = []
    init = conn.ProxyConn.__init__

    def watched(self, sock):
        init(self, sock)
        made.append(self)

    monkeypatch.setattr(conn.ProxyConn, "__init__", watched)
    stages = set()

    async def once(steps):
        """Cancel the proxy so many steps of the loop after the request."""
        del made[:]
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        async with server:
            upstream = Upstream(*server.sockets[0].getsockname())
            settings = ProxySettings(request_buffer=0, response_buffer=0)
            proxy = kind(("127.0.0.1", 0), [upstream], settings=settings)
            async with running(proxy):
                reader, writer = await asyncio.open_connection(*proxy.address)
                writer.write(REQUEST)
                for _ in range(steps):
                    await asyncio.sleep(0)
            stages.add((len(made), upstream.opened))
            assert all(one.closed and one.sock.fileno() == -1 for one in made)
            assert upstream.active == 0 and not upstream.idle
            writer.close()
            await asyncio.sleep(0.001)

    async def main():
        for steps in range(40):
            await once(steps)

    asyncio.run(main())
    assert stages >= {(1, 0), (2, 1)}  # before the connection to the upstream, and after it
