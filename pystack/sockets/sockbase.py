"""The compiled half of the socket class, with the calls of every connection and of every recv and send. See sockets/sockobj.py."""

import errno
import sys
from typing import Any

import pystack_c.const as C
from pystack.sockets import current as _current
from pystack.sockets import resolve as _resolve
from pystack.sockets import sockopt as opt
from pystack.sockets.dgram import Datagrams
from pystack.sockets.handles import Description, Handle, error, in_loop, token
from pystack.sockets.resolve import literal, text
from pystack.sockets.stream import Stream
from pystack_c.base.address import key
from pystack_c.sockets.record import Datagram

#: the module of asyncio that registers sockets; on a loop of `pystack.aio` it gets numbers that cost no descriptor
ASYNCIO = "asyncio.selector_events"
#: the modules that hand descriptors to other processes
_TO_PROCESSES = ("subprocess", "multiprocessing.reduction")


def immutable(data: Any) -> bytes:
    """bytes-like to bytes."""
    view = bytes_view(data)
    return view if isinstance(view, bytes) else bytes(view)


def bytes_view(data: Any) -> "bytes | memoryview":
    """bytes-like to bytes, or to a view of bytes, because a stream copies its data piece by piece."""
    if type(data) is bytes:
        return data
    try:
        view = memoryview(data)
    except TypeError:
        raise TypeError(f"a bytes-like object is required, not '{type(data).__name__}'") from None
    return view.cast("B") if view.c_contiguous else bytes(view)


def _let_go(view: Any) -> None:  # python
    """Release a view from bytes_view(): the traceback of an exception would keep it, and asyncio clears its buffer (a bytearray) then."""
    if type(view) is memoryview:
        view.release()


def _writable(buffer: Any, nbytes: int, what: str) -> tuple[memoryview, int]:
    view = memoryview(buffer).cast("B")
    if view.readonly:
        raise TypeError(f"{what}() argument 1 must be read-write bytes-like object, not {type(buffer).__name__}")
    if nbytes < 0:
        raise ValueError(f"negative buffersize in {what}")
    if nbytes > len(view):
        raise ValueError("buffer too small for requested bytes")
    return view, nbytes or len(view)


def _sockaddr(description: Description, address: Any) -> tuple[int, int]:
    """The address argument of sendto() as (host, port). Usually it came from recvfrom(), and then no name has to be looked up."""
    if type(address) is tuple and len(address) == 2:
        host = address[0]
        port = address[1]
        if type(host) is str and type(port) is int and 0 <= port <= 0xFFFF:
            addr = literal(host)
            if addr is not None:
                return addr, port
    return _resolve.sockaddr(_current.names_of(description.host), address, "sendto")


class SocketBase:
    """The attributes of a socket object, and the calls that are made for each connection or for each piece of data.

    The documentation of `socket.socket` applies.
    """

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

    @property
    def family(self) -> Any:  # python
        """The socket family."""
        return self._family

    @property
    def type(self) -> Any:  # python
        """The socket type."""
        return self._type

    @property
    def proto(self) -> Any:  # python
        """The socket protocol."""
        return self._proto

    @property
    def timeout(self) -> float | None:  # python
        """The socket timeout."""
        return self._timeout

    # -- the descriptor ----------------------------------------------------------------------------------------

    def fileno(self) -> int:
        """The descriptor's number, or -1 once it is closed."""
        handle = self._handle
        if handle is None:
            return -1
        space = caller_globals() if C.COMPILED else sys._getframe(1).f_globals  # type: ignore[name-defined] # noqa: F821
        name = space.get("__name__")
        if name == ASYNCIO and handle.description is not None and in_loop(handle.description):
            return handle.known()
        if name in _TO_PROCESSES:
            text = (
                "a socket of the stack cannot be handed to another process, because the stack exists in this one: use a pipe, "
                "or a server that needs no worker processes (such as hypercorn -w 0)"
            )
            raise OSError(errno.EOPNOTSUPP, text)
        return handle.number if handle.number >= 0 else handle.fileno(self._timeout is None)

    def _known_number(self) -> int:  # python
        """The number for our own code, which costs no descriptor (Handle.known), or -1."""
        handle: Handle | None = self._handle  # object
        return -1 if handle is None else handle.known()

    def close(self) -> None:  # python
        """Close the socket."""
        handle: Handle | None = self._handle  # object
        if handle is not None:
            self._handle = None
            try:
                handle.close()
            except OSError as exc:
                # A connection that was reset is closed, too, and so is one whose stack has stopped.
                if exc.errno not in (errno.ECONNRESET, errno.ENETDOWN):
                    raise

    def __del__(self) -> None:  # python
        if self._handle is not None:
            self._unclosed()

    def _unclosed(self) -> None:  # python
        """Close the socket: the garbage collector found it open."""
        raise NotImplementedError

    # -- connections -------------------------------------------------------------------------------------------

    def _accept(self) -> Any:  # python
        """A Token of the new connection, and its peer's (host, port)."""
        handle, (addr, port) = self._stream().accept(self._timeout)  # object
        return token(handle), (text(addr), port)

    def _accept_as(self, cls: Any) -> Any:  # python
        """Do what Lib/socket.py's accept does with a Token, without a number: return a socket of its class, and the peer."""
        handle, (addr, port) = self._stream().accept(self._timeout)  # object
        made: SocketBase = SocketBase.__new__(cls)  # object
        made._handle = handle
        made._timeout = _current.default_timeout
        made._family = self._family
        made._type = self._type
        made._proto = self._proto
        return made, (text(addr), port)

    def _stream(self) -> Stream:
        """The description of a socket that may listen. Other sockets get EOPNOTSUPP."""
        description: Description = self._open_description()
        if not isinstance(description, Stream):
            raise error(errno.EOPNOTSUPP)
        return description

    def getsockname(self) -> tuple[str, int]:  # python
        """The local address."""
        addr, port = self._open_description().getsockname()  # object
        return text(addr), port

    def getpeername(self) -> tuple[str, int]:  # python
        """The peer's address."""
        peer = self._open_description().getpeername()  # object
        if peer is None:
            raise error(errno.ENOTCONN)
        return text(peer[0]), peer[1]

    # -- options -----------------------------------------------------------------------------------------------

    def settimeout(self, value: float | None, /) -> None:  # python
        """Set the timeout in seconds. None blocks, and 0 never waits."""
        self._set_timeout(_current.check_timeout(value))

    def setblocking(self, flag: bool, /) -> None:  # python
        """True: block, False: never wait."""
        self._set_timeout(None if flag else 0.0)

    def _set_timeout(self, value: float | None) -> None:
        self._open_description()
        self._timeout = value
        if self._handle is not None:
            self._handle.show_blocking(value is None)

    def gettimeout(self) -> float | None:  # python
        """The timeout."""
        return self._timeout

    def getblocking(self) -> bool:  # python
        """False if the socket never waits."""
        return self._timeout != 0

    def setsockopt(self, level: int, name: int, value: Any, optlen: int | None = None, /) -> None:  # python
        """setsockopt(level, option, int | bytes), or (level, option, None, length)."""
        description = self._open_description()  # object
        if level == C.IPPROTO_TCP and type(value) is int and name != opt.TCP_CONGESTION:
            # Usually this is TCP_NODELAY.
            description.setsockopt(level, name, value)
            return
        if value is None:
            value = bytes(optlen or 0)
        opt.set_option(description, level, name, value)

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
        return data if len(data) <= n else data[:n], (text(key(got.src)), got.sport)

    def recvfrom_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> tuple[int, Any]:  # python
        """recvfrom into a buffer."""
        view, n = _writable(buffer, nbytes, "recvfrom_into")  # object
        data, address = self._recvfrom(n, flags)  # object
        view[: len(data)] = data
        return len(data), address

    # -- sending -----------------------------------------------------------------------------------------------

    def send(self, data: Any, flags: int = 0, /) -> int:  # python
        """Send. Returns the number of bytes that were taken."""
        if type(data) is bytes:
            return self._send(data, flags)
        view = bytes_view(data)  # object
        try:
            return self._send(view, flags)
        except BaseException:
            _let_go(view)
            raise

    def _send(self, data: Any, flags: int) -> int:
        description: Description = self._open_description()
        if isinstance(description, Stream):
            stream: Stream = description
            return stream.send(data, flags, self._timeout)
        datagrams: Datagrams = description  # type: ignore[assignment]
        return datagrams.send(data, flags, self._timeout)

    def sendall(self, data: Any, flags: int = 0, /) -> None:  # python
        """Send all of it."""
        if type(data) is bytes:
            self._sendall(data, flags)
            return
        view = bytes_view(data)  # object
        try:
            self._sendall(view, flags)
        except BaseException:
            _let_go(view)
            raise

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
        addr, port = _sockaddr(description, address)
        if isinstance(description, Stream):
            stream: Stream = description
            return stream.send_to(data, addr, port, flags, self._timeout)
        datagrams: Datagrams = description  # type: ignore[assignment]
        return datagrams.sendto(data, addr, port, flags, self._timeout)
