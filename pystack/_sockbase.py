"""The half of the socket class that carries data, compiled: what every recv and send runs through. See _sockobj.py."""

import errno
from typing import Any

from pystack import _current, _resolve
from pystack._dgram import Datagrams
from pystack._handles import Description, Handle, error, token
from pystack._stream import Stream
from pystack_c.datagram import Datagram


def immutable(data: Any) -> bytes:
    """bytes-like to bytes."""
    view = bytes_view(data)
    return view if isinstance(view, bytes) else bytes(view)


def bytes_view(data: Any) -> "bytes | memoryview":
    """bytes-like to bytes, or to a view of bytes: a stream copies what it sends piece by piece."""
    if type(data) is bytes:
        return data
    try:
        view = memoryview(data)
    except TypeError:
        raise TypeError(f"a bytes-like object is required, not '{type(data).__name__}'") from None
    return view.cast("B") if view.c_contiguous else bytes(view)


def _writable(buffer: Any, nbytes: int, what: str) -> tuple[memoryview, int]:
    view = memoryview(buffer).cast("B")
    if view.readonly:
        raise TypeError(f"{what}() argument 1 must be read-write bytes-like object, not {type(buffer).__name__}")
    if nbytes < 0:
        raise ValueError(f"negative buffersize in {what}")
    if nbytes > len(view):
        raise ValueError("buffer too small for requested bytes")
    return view, nbytes or len(view)


class SocketBase:
    """The attributes of a socket object, and its calls that carry data or connections; `socket.socket`'s documentation holds."""

    __slots__ = ("_family", "_handle", "_proto", "_timeout", "_type")

    def __init__(self, handle: Handle, timeout: float | None, family: int, kind: int, proto: int):
        self._handle: Handle | None = handle
        self._timeout = timeout
        self._family = family
        self._type = kind
        self._proto = proto

    def _open_description(self) -> Any:
        handle = self._handle
        if handle is None or handle.description is None:
            raise error(errno.EBADF)
        return handle.description

    def _accept(self) -> Any:  # python
        """A Token of the new connection, and its peer's (host, port)."""
        description: Description = self._open_description()
        if not isinstance(description, Stream):
            raise error(errno.EOPNOTSUPP)
        stream: Stream = description
        handle, (addr, port) = stream.accept(self._timeout)  # object
        return token(handle), (_resolve.text(addr), port)

    # -- receiving ---------------------------------------------------------------------------------------------

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:  # python
        """Receive up to bufsize bytes."""
        if bufsize < 0:
            raise ValueError("negative buffersize in recv")
        return self._recv(bufsize, flags)

    def _recv(self, n: int, flags: int) -> bytes:
        description: Description = self._open_description()
        if isinstance(description, Stream):
            stream: Stream = description
            return stream.recv(n, flags, self._timeout)
        datagrams: Datagrams = description  # type: ignore[assignment]
        return datagrams.recv(n, flags, self._timeout)

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:  # python
        """Receive into a buffer; returns the number of bytes."""
        view, n = _writable(buffer, nbytes, "recv_into")  # object
        data = self._recv(n, flags)  # object
        view[: len(data)] = data
        return len(data)

    def recvfrom(self, bufsize: int, flags: int = 0, /) -> tuple[bytes, Any]:  # python
        """Receive a datagram and its sender's address (None for TCP)."""
        if bufsize < 0:
            raise ValueError("negative buffersize in recvfrom")
        return self._recvfrom(bufsize, flags)

    def _recvfrom(self, n: int, flags: int) -> tuple[bytes, Any]:
        description: Description = self._open_description()
        if isinstance(description, Stream):
            stream: Stream = description
            return stream.recv(n, flags, self._timeout), None
        datagrams: Datagrams = description  # type: ignore[assignment]
        got: Datagram = datagrams.recvfrom(flags, self._timeout)
        data = got.data
        return data if len(data) <= n else data[:n], (_resolve.text(got.src), got.sport)

    def recvfrom_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> tuple[int, Any]:  # python
        """recvfrom into a buffer."""
        view, n = _writable(buffer, nbytes, "recvfrom_into")  # object
        data, address = self._recvfrom(n, flags)  # object
        view[: len(data)] = data
        return len(data), address

    # -- sending -----------------------------------------------------------------------------------------------

    def send(self, data: Any, flags: int = 0, /) -> int:  # python
        """Send; returns how many bytes were taken."""
        if type(data) is not bytes:
            data = bytes_view(data)
        return self._send(data, flags)

    def _send(self, data: Any, flags: int) -> int:
        description: Description = self._open_description()
        if isinstance(description, Stream):
            stream: Stream = description
            return stream.send(data, flags, self._timeout)
        datagrams: Datagrams = description  # type: ignore[assignment]
        return datagrams.send(data, flags, self._timeout)

    def sendall(self, data: Any, flags: int = 0, /) -> None:  # python
        """Send all of it."""
        if type(data) is not bytes:
            data = bytes_view(data)
        self._sendall(data, flags)

    def _sendall(self, data: Any, flags: int) -> None:
        description: Description = self._open_description()
        if isinstance(description, Stream):
            stream: Stream = description
            stream.sendall(data, flags, self._timeout)
        else:
            datagrams: Datagrams = description  # type: ignore[assignment]
            datagrams.sendall(data, flags, self._timeout)

    def sendto(self, data: Any, *args: Any) -> int:  # python
        """sendto(data, [flags,] address)."""
        if not 1 <= len(args) <= 2:
            raise TypeError(f"sendto() takes 2 or 3 arguments ({len(args) + 1} given)")
        flags, address = (0, args[0]) if len(args) == 1 else args  # object
        if not isinstance(flags, int):
            raise TypeError(f"'{type(flags).__name__}' object cannot be interpreted as an integer")
        return self._sendto(immutable(data), flags, address)

    def _sendto(self, data: bytes, flags: int, address: Any) -> int:
        description: Description = self._open_description()
        addr, port = _resolve.sockaddr(_current.names_of(description.host), address, "sendto")
        if isinstance(description, Stream):
            stream: Stream = description
            return stream.send_to(data, addr, port, flags, self._timeout)
        datagrams: Datagrams = description  # type: ignore[assignment]
        return datagrams.sendto(data, addr, port, flags, self._timeout)
