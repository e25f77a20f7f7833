"""The output of one HTTP/2 connection, for both sides of the proxy: what h2 has written, until the socket has taken it."""

import asyncio

import h2.connection

from pystack.proxies.conn import ProxyConn


class Http2Output:
    """Bytes on their way to the socket. `write` runs as a task, so a request that is cancelled does not stop in the middle of a frame."""

    def __init__(self, conn: ProxyConn, connection: h2.connection.H2Connection, size: int, timeout: float):
        self.conn = conn
        self.h2 = connection
        #: the most bytes of one write, and the seconds that it may take
        self.size, self.timeout = size, timeout
        #: the bytes that the socket has not taken yet
        self.waiting = bytearray()
        self._wake = asyncio.Event()
        #: set while nothing waits
        self.drained = asyncio.Event()

    def take(self) -> None:
        """Take what h2 has written, and let `write` send it."""
        self.waiting += self.h2.data_to_send()
        if self.waiting:
            self.drained.clear()
            self._wake.set()

    async def write(self) -> None:
        """Write to the socket for ever. OSError if the connection fails, or if it does not take up to `size` bytes in time."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self.waiting:
                data = bytes(self.waiting[: self.size])
                async with asyncio.timeout(self.timeout):
                    await self.conn.send(data)
                del self.waiting[: len(data)]
            self.drained.set()
