"""The same services on asyncio: protocols on the loop's own transports."""

import asyncio
from collections.abc import Callable
from typing import Any

from tools.bench.servers.blocking import CHUNK, PAGE


class Echo(asyncio.Protocol):
    """Echo (RFC 862)."""

    transport: Any = None

    def connection_made(self, transport: Any) -> None:
        """Note a new connection."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Send the data back."""
        self.transport.write(data)


class Discard(Echo):
    """Discard (RFC 863)."""

    def data_received(self, data: bytes) -> None:
        """Ignore the data."""


class Chargen(Discard):
    """Chargen (RFC 864), with zeros."""

    def connection_made(self, transport: Any) -> None:
        """Send until the transport has enough."""
        super().connection_made(transport)
        self.full = False
        self.resume_writing()

    def pause_writing(self) -> None:
        """Stop sending."""
        self.full = True

    def resume_writing(self) -> None:
        """Continue sending."""
        self.full = False
        while not self.full and not self.transport.is_closing():
            self.transport.write(CHUNK)


class Http(Echo):
    """Returns the same page for each request. The benchmark's clients send one request per segment."""

    def data_received(self, data: bytes) -> None:
        """Send the page."""
        if b"\r\n\r\n" in data:
            self.transport.write(PAGE)


class Datagrams(asyncio.DatagramProtocol):
    """Echo (RFC 862) over UDP."""

    transport: Any = None

    def connection_made(self, transport: Any) -> None:
        """Note the transport."""
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """Send the datagram back."""
        self.transport.sendto(data, addr)


SERVICES: dict[int, type[asyncio.Protocol]] = {7: Echo, 9: Discard, 19: Chargen, 80: Http, 99: Echo}


async def _serve(socket: Any, address: str) -> None:
    loop = asyncio.get_running_loop()
    for port, protocol in SERVICES.items():
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(1024)
        listener.setblocking(False)
        await loop.create_server(protocol, sock=listener, backlog=1024)
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.bind((address, 7))
    datagrams.setblocking(False)
    await loop.create_datagram_endpoint(Datagrams, sock=datagrams)
    print("ready", flush=True)
    await asyncio.Event().wait()


def main(socket: Any, address: str, run: Callable[[Any], Any] = asyncio.run) -> None:
    """Serve with this module `socket` until killed. `run` is asyncio.run, or that of another loop."""
    run(_serve(socket, address))
