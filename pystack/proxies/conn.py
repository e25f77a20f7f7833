"""A connection of a proxy: a socket that is read and written in pieces of bounded size, with or without TLS.

The proxies use no transports of asyncio, because a transport reads up to 256 KiB ahead. Here nothing is read before somebody asks for it.
"""

import asyncio
import contextlib
import socket
import ssl
import struct
from typing import Any

#: SO_LINGER for a reset
_RESET = struct.pack("ii", 1, 0)
#: the bytes of a TLS record with everything around it
_RECORD = 16_384 + 512
#: for how many seconds, and for how many bytes, a connection that ends is still read
_LINGER, _LINGER_BYTES = 2.0, 1 << 20


class ProxyConn:
    """One connection. All its sockets are non-blocking.

    `peer` and `local` are (address, port). A PROXY header replaces `peer` and `local` by the addresses that it names.
    """

    def __init__(self, sock: Any):
        self.sock = sock
        self.peer: tuple[str, int] = _pair(sock.getpeername)
        self.local: tuple[str, int] = _pair(sock.getsockname)
        self.tls: ssl.SSLObject | None = None
        self.closed = False
        self._ahead = b""
        self._in = ssl.MemoryBIO()
        self._out = ssl.MemoryBIO()
        self._writing = asyncio.Lock()

    async def recv(self, size: int) -> bytes:
        """Up to `size` bytes; b"" at the end of the stream. OSError if the connection failed."""
        if self._ahead:
            data, self._ahead = self._ahead[:size], self._ahead[size:]
            return data
        if self.tls is None:
            return bytes(await asyncio.get_running_loop().sock_recv(self.sock, size))
        while True:
            try:
                return self.tls.read(size)
            except ssl.SSLWantReadError:
                await self._flush()
                await self._feed()
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                return b""

    def unread(self, data: bytes) -> None:
        """Put back bytes that were read, in front of those that come next."""
        self._ahead = data + self._ahead

    async def exactly(self, size: int) -> bytes:
        """`size` bytes. EOFError if the stream ends before."""
        data = b""
        while len(data) < size:
            piece = await self.recv(size - len(data))
            if not piece:
                raise EOFError(f"the stream ended after {len(data)} of {size} bytes")
            data += piece
        return data

    async def send(self, data: bytes) -> None:
        """Send all of it: it waits until the socket has taken the last byte. OSError if the connection failed."""
        if self.tls is None:
            await asyncio.get_running_loop().sock_sendall(self.sock, data)
            return
        view = memoryview(data)
        while view:
            view = view[self.tls.write(view[:16_384]) :]
            await self._flush()

    async def start_tls(self, context: ssl.SSLContext, server_side: bool, name: str | None = None) -> None:
        """Make the handshake of TLS. Bytes that were put back with `unread` are part of it. OSError if it fails."""
        tls = context.wrap_bio(self._in, self._out, server_side, None if server_side else name)
        self._in.write(self._ahead)
        self._ahead = b""
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                await self._flush()
                await self._feed()
            except ssl.SSLError:
                with contextlib.suppress(OSError):
                    await self._flush()  # the alert
                raise
        await self._flush()
        self.tls = tls

    async def _feed(self) -> None:
        data = await asyncio.get_running_loop().sock_recv(self.sock, _RECORD)
        if data:
            self._in.write(data)
        else:
            self._in.write_eof()

    async def _flush(self) -> None:
        """Send what TLS has written. Two tasks may do this at the same time, and records must not be mixed."""
        async with self._writing:
            if data := self._out.read():
                await asyncio.get_running_loop().sock_sendall(self.sock, data)

    async def send_end(self) -> None:
        """End our direction, and leave the other one open."""
        if self.tls is not None:
            with contextlib.suppress(ssl.SSLError):
                self.tls.unwrap()  # this writes close_notify, and then needs the peer's
            await self._flush()
        self.sock.shutdown(socket.SHUT_WR)

    def stale(self) -> bool:
        """Whether an idle connection has ended, or has sent something that nobody asked for."""
        if self.closed or self._ahead or self._in.pending:
            return True
        try:
            self.sock.recv(1, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            pass
        return True

    def close(self) -> None:
        """Close it. What the socket has taken is still sent."""
        if not self.closed:
            self.closed = True
            self.sock.close()

    async def linger(self) -> None:
        """End our direction, and read until the peer ends its own, for a bounded time and size. Then close.

        If bytes are unread when a socket closes, the peer gets a reset, which can destroy the answer before it is read (RFC 9112 9.6).
        """
        most = _LINGER_BYTES
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(_LINGER):
                await self.send_end()
                while most > 0 and (data := await self.recv(16_384)):
                    most -= len(data)
        self.close()

    def reset(self) -> None:
        """Close it with a reset, which tells the peer that the data is not complete."""
        if not self.closed:
            with contextlib.suppress(OSError):
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self.close()


def _pair(name: Any) -> tuple[str, int]:
    try:
        address = name()
        return str(address[0]), int(address[1])
    except (OSError, IndexError, TypeError, ValueError):
        return "", 0


async def dial(address: tuple[str, int], timeout: float) -> ProxyConn:
    """A new connection to a host and port. OSError if that fails, TimeoutError (also an OSError) if it takes longer than `timeout`."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(timeout):
        found = await loop.getaddrinfo(address[0], address[1], type=socket.SOCK_STREAM)
        error: OSError = OSError(f"{address[0]} has no address")
        for family, kind, proto, _, where in found[:4]:
            sock = None
            try:
                sock = socket.socket(family, kind, proto)
                sock.setblocking(False)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                await loop.sock_connect(sock, where)
                return ProxyConn(sock)
            except OSError as failed:
                error = failed
                if sock is not None:
                    sock.close()
            except BaseException:
                if sock is not None:
                    sock.close()
                raise
        raise error
