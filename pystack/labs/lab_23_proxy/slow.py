"""A client uploads slowly, through a proxy that passes on each piece at once, or reads the whole request first."""

import asyncio
from typing import Any

from pystack.sim.network import MS, Network, S

PIECES, SIZE, GAP = 10, 1000, 100 * MS
HEAD = b"POST / HTTP/1.1\r\nHost: server\r\nContent-Length: %d\r\n\r\n" % (PIECES * SIZE)
DONE = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


def busy(net: Network, proxy: str, buffer: int) -> int:
    """Upload ten pieces of 1,000 bytes, 100 ms apart. Returns how long the server is busy with the request (ns): from its head to its last byte."""
    from pystack.proxies import HttpProxy, ProxySettings, Upstream

    found: list[int] = []
    program = HttpProxy(("", 80), [Upstream("10.0.2.2", 80)], settings=ProxySettings(request_buffer=buffer))

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        began = net.now
        await reader.readexactly(PIECES * SIZE)
        found.append(round(net.now - began, -3))  # asyncio counts in fractions of a second, which are some ns off
        writer.write(DONE)
        writer.close()

    async def serve() -> None:
        async with await asyncio.start_server(answer, "", 80) as listener:
            await listener.serve_forever()

    async def upload() -> Any:
        await asyncio.sleep(1)
        reader, writer = await asyncio.open_connection(proxy, 80)
        writer.write(HEAD)
        for _ in range(PIECES):
            writer.write(bytes(SIZE))
            await asyncio.sleep(GAP / S)
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    hosts = net.hosts
    background = {hosts["server"]: serve, hosts["proxy"]: program}
    net.run({hosts["client"]: upload}, background=background, limit=60 * S)
    return found[0]
