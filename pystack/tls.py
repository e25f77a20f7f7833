"""TLS for programs that block: ssl.SSLSocket on a socket of the stack.

The standard library's class gives the descriptor of its socket to OpenSSL, which reads and writes it. A socket of the stack has no such
descriptor. Here OpenSSL works on two buffers in memory (ssl.MemoryBIO), and `Engine` carries the bytes between them and the socket. All
other methods are those of ssl.SSLSocket itself, on another base class.
"""

import errno
import ssl
import threading
import types
import weakref
from collections.abc import Callable
from typing import Any

import pystack_c.const as C
from pystack import socket as _ours
from pystack.runtime.sockethost import LONGEST
from pystack.sockets.handles import lookup, token
from pystack.sockets.sockbase import SocketBase

#: RFC 8446 5.1: type, version and length in front of each record
_HEADER = 5
#: RFC 5246 6.2.3: the most bytes of a record
_LONGEST = (1 << 14) + 2048
#: what a reader waits for that also has something to send
_EITHER = C.EV_IN | C.EV_OUT | C.EV_ERR | C.EV_HUP


class Engine:
    """The connection as OpenSSL knows it, in the place of the `_ssl._SSLSocket` of an SSLSocket. OpenSSL answers all other calls.

    It takes one record at a time from the socket, as OpenSSL does. So select() sees what OpenSSL has not read yet, and the bytes behind the
    end of TLS are still there for the program after `unwrap`.
    """

    def __init__(self, sock: Any, context: ssl.SSLContext, server_side: bool, hostname: Any, session: Any):
        self._sock = weakref.ref(sock)
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls: Any = context._wrap_bio(  # type: ignore[attr-defined]
            self._incoming, self._outgoing, server_side, hostname, owner=sock, session=session
        )
        #: guards OpenSSL's state; these two keep the order of the bytes on their way in and out
        self._lock = threading.RLock()
        self._sending = threading.Lock()
        self._receiving = threading.Lock()
        self._rest: Any = memoryview(b"")
        self._head = b""
        self._left = _HEADER
        self._pieces = 0
        #: the data of a write() that has failed for lack of room while its record was on its way
        self._owed: bytes | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tls, name)

    @property
    def context(self) -> Any:
        """The SSLContext. A callback for the server's name may replace it."""
        return self._tls.context

    @context.setter
    def context(self, value: Any) -> None:
        self._tls.context = value

    @property
    def session(self) -> Any:
        """The session, for the next connection to the same server."""
        return self._tls.session

    @session.setter
    def session(self, value: Any) -> None:
        self._tls.session = value

    # -- what moves bytes ------------------------------------------------------------------------------------------

    def do_handshake(self) -> None:
        """See SSLSocket.do_handshake."""
        limit = _Limit(self._sock(), "handshake")
        self._drive(limit, self._tls.do_handshake)
        self._flush(limit)

    def read(self, size: int = 1024, buffer: Any = None) -> Any:
        """See SSLSocket.read. The end of the stream without TLS's own end is an SSLEOFError."""
        arguments = (size,) if buffer is None else (size, buffer)
        result = self._drive(_Limit(self._sock(), "read"), lambda: self._tls.read(*arguments), reading=True)
        self._flush_now()
        return result

    def write(self, data: Any) -> int:
        """See SSLSocket.write. As OpenSSL: if it raised SSLWantWriteError, the next call must have the same data."""
        limit = _Limit(self._sock(), "write")
        with memoryview(data) as whole, whole.cast("B") as view:
            self._flush(limit)
            if self._owed is not None:
                owed, self._owed = self._owed, None
                if view[: len(owed)] != owed:
                    raise ssl.SSLError(ssl.SSL_ERROR_SSL, "bad write retry: the last write() was not finished")
                return len(owed)
            count = int(self._drive(limit, lambda: self._tls.write(view)))
            try:
                self._flush(limit)
            except (ssl.SSLWantWriteError, TimeoutError):
                self._owed = bytes(view[:count])
                raise
            return count

    def shutdown(self) -> Any:
        """Send the end of TLS and wait for the other side's. Returns the socket, which goes on without TLS."""
        limit = _Limit(self._sock(), "read")
        self._drive(limit, self._tls.shutdown)
        self._flush(limit)
        return self._sock()

    def _drive(self, limit: "_Limit", step: Callable[[], Any], reading: bool = False) -> Any:
        """Do one of OpenSSL's calls, and give it the bytes that it needs.

        A call that is `reading` does not wait until there is room to send: the other side may make room only after it was read.
        """
        while True:
            pieces = self._pieces
            try:
                with self._lock:
                    return step()
            except ssl.SSLWantReadError as exc:
                wanted = exc
            except ssl.SSLError:
                self._flush_now()  # the alert for the other side
                raise
            if not reading:
                self._flush(limit)
            self._receive(limit, pieces, wanted)

    def _receive(self, limit: "_Limit", pieces: int, wanted: ssl.SSLWantReadError) -> None:
        """Take a piece of a record from the socket, unless another thread has taken one since `pieces`."""
        with limit.holding(self._receiving):
            if self._pieces != pieces:
                return
            try:
                more = self._piece(self._next(limit))
                while more:
                    more = self._piece(limit.stream.recv(self._left, 0, 0.0))
            except BlockingIOError:
                if self._pieces == pieces:
                    raise wanted from None
            except TimeoutError:
                raise limit.over() from None

    def _next(self, limit: "_Limit") -> bytes:
        """Wait for bytes from the socket, and meanwhile send what OpenSSL has to send."""
        stream = limit.stream
        while self._flush_now():
            try:
                return stream.recv(self._left, 0, 0.0)  # type: ignore[no-any-return]
            except BlockingIOError:
                if limit.timeout == 0:
                    if self._owed is None:
                        raise _want_write() from None
                    raise
            if not stream.host.wait(stream.watch, _EITHER, limit.deadline):
                raise limit.over()
        return stream.recv(self._left, 0, limit.left())  # type: ignore[no-any-return]

    def _piece(self, data: bytes) -> bool:
        """Give bytes to OpenSSL. Returns True if the rest of the record may be there already."""
        with self._lock:
            self._pieces += 1
            if not data:
                self._incoming.write_eof()
                return False
            self._incoming.write(data)
        self._left -= len(data)
        if len(self._head) < _HEADER:
            self._head += data
            if self._left:
                return False
            self._left = int.from_bytes(self._head[3:], "big")
            if 20 <= self._head[0] <= 24 and 0 < self._left <= _LONGEST:
                return True
        if self._left <= 0:
            self._head = b""
            self._left = _HEADER
        return False

    def _flush(self, limit: "_Limit") -> None:
        """Send what OpenSSL has to send."""
        while True:
            with limit.holding(self._sending):
                try:
                    while self._more():
                        self._rest = self._rest[limit.stream.send(self._rest, 0, limit.for_a_part()) :]
                except BlockingIOError:
                    raise _want_write() from None
                except TimeoutError:
                    raise limit.over() from None
            if not self._outgoing.pending:
                return  # else a thread that read has left its bytes to this one

    def _flush_now(self) -> bool:
        """Send what can be sent without waiting. Returns True if there is no room for the rest. An error shows itself in the next write().

        If another thread is sending, that thread sends these bytes, too.
        """
        while (self._rest or self._outgoing.pending) and self._sending.acquire(blocking=False):
            try:
                stream = self._sock()._open_description()  # type: ignore[union-attr]
                while self._more():
                    self._rest = self._rest[stream.send(self._rest, 0, 0.0) :]
            except BlockingIOError:
                return True
            except OSError:
                return False
            finally:
                self._sending.release()
        return False

    def _more(self) -> bool:
        if not self._rest:
            with self._lock:
                self._rest = memoryview(self._outgoing.read())
        return bool(self._rest)


def _want_write() -> ssl.SSLWantWriteError:
    return ssl.SSLWantWriteError(ssl.SSL_ERROR_WANT_WRITE, "The operation did not complete (write)")


class _Limit:
    """The time that one call may take: the timeout of the socket, which counts for all that the call sends and receives."""

    def __init__(self, sock: Any, what: str):
        self.stream = sock._open_description()
        if self.stream.host.error is not None:
            # In a child process, the thread that had a lock may be missing.
            self.stream.host.check()
        self.what = what
        self.timeout = sock.gettimeout()
        self.deadline = self.stream.host.deadline(self.timeout) if self.timeout else None

    def left(self) -> float | None:
        """The seconds that are left, as a timeout for the socket. TimeoutError if there are none."""
        if self.deadline is None:
            return self.timeout  # type: ignore[no-any-return]
        seconds = (self.deadline - self.stream.host.clock()) / 1e9
        if seconds <= 0:
            raise self.over()
        return float(seconds)

    def for_a_part(self) -> float | None:
        """As `left`, to send as much as there is room for.

        A send without a timeout takes all. If a signal handler raises an error in it, nobody knows how much it took.
        """
        seconds = self.left()
        return LONGEST if seconds is None and self.stream.sndtimeo is None else seconds

    def over(self) -> TimeoutError:
        """The error to raise when no time is left."""
        return TimeoutError(f"The {self.what} operation timed out")

    def holding(self, lock: Any) -> Any:
        """Take a lock within this time. The result is a context manager that releases the lock. TimeoutError if there is no time left."""
        seconds = self.left()
        if not (lock.acquire() if seconds is None else lock.acquire(timeout=max(seconds, 0))):
            raise self.over()
        return _Held(lock)


class _Held:
    def __init__(self, lock: Any):
        self._lock = lock

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exc: object) -> None:
        self._lock.release()


# -- the class ---------------------------------------------------------------------------------------------------


def _create(
    cls: Any,
    sock: Any,
    server_side: bool = False,
    do_handshake_on_connect: bool = True,
    suppress_ragged_eofs: bool = True,
    server_hostname: Any = None,
    context: Any = None,
    session: Any = None,
) -> Any:
    """What SSLContext.wrap_socket does: a new object takes the socket over, and `sock` is empty afterwards."""
    if sock.type != _ours.SOCK_STREAM:
        raise NotImplementedError("only stream sockets are supported")
    if server_side and server_hostname:
        raise ValueError("server_hostname can only be specified in client mode")
    if server_side and session is not None:
        raise ValueError("session can only be specified in client mode")
    if context.check_hostname and not server_hostname:
        raise ValueError("check_hostname requires server_hostname")
    if not issubclass(type(sock), SocketBase):
        timeout = sock.gettimeout()
        sock = _ours.socket(fileno=sock.detach())
        sock.settimeout(timeout)
    sock._open_description()  # EBADF if it is closed
    handle = token(sock._handle)
    self = cls.__new__(cls, fileno=handle)
    _ours.socket.__init__(self, fileno=handle)
    self.settimeout(sock.gettimeout())
    sock._handle = None
    sock._closed = True
    self._context = context
    self._session = session
    self._sslobj = None
    self.server_side = server_side
    self.do_handshake_on_connect = do_handshake_on_connect
    self.suppress_ragged_eofs = suppress_ragged_eofs
    try:
        self.server_hostname = context._encode_hostname(server_hostname)
        self._connected = _is_connected(self)
        if self._connected:
            self._sslobj = Engine(self, context, server_side, self.server_hostname, session)
            if do_handshake_on_connect:
                if self.gettimeout() == 0:
                    raise ValueError("do_handshake_on_connect should not be specified for non-blocking sockets")
                self.do_handshake()
    except (OSError, ValueError):
        self.close()
        raise
    return self


def _number_of_ours(sock: Any) -> int | None:
    """The descriptor of a socket of the stack in an object of the program's, which passes calls on to it; None: it is none."""
    try:
        number = sock.fileno()
    except (AttributeError, OSError):
        return None
    return number if lookup(number) is not None else None


def _is_connected(self: Any) -> bool:
    """Whether there is a connection to begin TLS on. Bytes that came before TLS, on one that has ended, must not pass for TLS's."""
    try:
        self.getpeername()
    except OSError as exc:
        if exc.errno != errno.ENOTCONN:
            raise
    else:
        return True
    try:
        data = self._open_description().recv(1, 0, 0.0)
    except OSError:
        return False
    if data:
        text = "Closed before TLS handshake with data in recv buffer."
        error = ssl.SSLError(errno.ENOTCONN, text)
        error.reason = text
        error.library = None  # type: ignore[assignment]
        raise error
    return False


def _real_connect(self: Any, addr: Any, connect_ex: bool) -> Any:
    if self.server_side:
        raise ValueError("can't connect in server-side mode")
    if self._connected or self._sslobj is not None:
        raise ValueError("attempt to connect already-connected SSLSocket!")
    self._sslobj = Engine(self, self._context, False, self.server_hostname, self._session)
    try:
        connect: Any = _ours.socket.connect_ex if connect_ex else _ours.socket.connect
        code = connect(self, addr)
        if not code:
            self._connected = True
            if self.do_handshake_on_connect:
                self.do_handshake()
    except (OSError, ValueError):
        self._sslobj = None
        raise
    return code


def _accept(self: Any) -> tuple[Any, Any]:
    """Accept a connection and begin TLS on it, as the server."""
    made, peer = _ours.socket.accept(self)
    return wrap(self._context, made, True, self.do_handshake_on_connect, self.suppress_ragged_eofs), peer


def _rebased(value: Any, cell: Any) -> Any:
    """A function of ssl.SSLSocket, or of a class derived from it, whose super() looks at our base class."""
    if isinstance(value, property):
        return property(
            _rebased(value.fget, cell), _rebased(value.fset, cell), _rebased(value.fdel, cell), value.__doc__
        )
    if isinstance(value, classmethod | staticmethod):
        return type(value)(_rebased(value.__func__, cell))
    if not isinstance(value, types.FunctionType):
        return value
    closure = value.__closure__ or ()
    names = value.__code__.co_freevars
    cells = tuple(cell if name == "__class__" else old for name, old in zip(names, closure))
    made = types.FunctionType(value.__code__, value.__globals__, value.__name__, value.__defaults__, cells)
    made.__kwdefaults__ = value.__kwdefaults__
    made.__doc__ = value.__doc__
    made.__qualname__ = value.__qualname__
    made.__dict__.update(value.__dict__)
    return made


def _counterpart(theirs: Any, bases: tuple[Any, ...], **ours: Any) -> Any:
    """A class with the attributes of `theirs`, and with these instead of some of them, on other base classes."""
    cell = types.CellType()
    slots = vars(theirs).get("__slots__", ())
    left_out = {"__dict__", "__weakref__", *((slots,) if isinstance(slots, str) else slots), *ours}
    space = {name: _rebased(value, cell) for name, value in vars(theirs).items() if name not in left_out}
    # So isinstance(sock, ssl.SSLSocket) is true. (asyncio looks at it, to refuse such sockets.)
    space["__class__"] = property(lambda self: theirs)
    made = type(theirs)(theirs.__name__, bases, space | ours)
    cell.cell_contents = made
    return made


SSLSocket: Any = _counterpart(
    ssl.SSLSocket, (_ours.socket,), _create=classmethod(_create), _real_connect=_real_connect, accept=_accept
)
#: by the id of a class that a program has derived from ssl.SSLSocket, which its counterpart keeps alive
_counterparts: "weakref.WeakValueDictionary[int, Any]" = weakref.WeakValueDictionary()


def _class_of(theirs: Any) -> Any:
    """The class of our sockets in the place of ssl.SSLSocket, or of a class that is derived from it."""
    if theirs is ssl.SSLSocket:
        return SSLSocket
    found = _counterparts.get(id(theirs))
    if found is None:
        bases = tuple(_class_of(base) if issubclass(base, ssl.SSLSocket) else base for base in theirs.__bases__)
        found = _counterparts[id(theirs)] = _counterpart(theirs, bases)
    return found


_theirs = ssl.SSLContext.wrap_socket


def wrap(
    context: ssl.SSLContext,
    sock: Any,
    server_side: bool = False,
    do_handshake_on_connect: bool = True,
    suppress_ragged_eofs: bool = True,
    server_hostname: Any = None,
    session: Any = None,
) -> Any:
    """SSLContext.wrap_socket for sockets of the stack and of the kernel."""
    arguments = (server_side, do_handshake_on_connect, suppress_ragged_eofs, server_hostname)
    if not issubclass(type(sock), SocketBase) and _number_of_ours(sock) is None:
        return _theirs(context, sock, *arguments, session)
    kind = context.sslsocket_class
    if not (isinstance(kind, type) and issubclass(kind, ssl.SSLSocket)):
        raise TypeError(f"a socket of the stack cannot become a {kind!r}: only an ssl.SSLSocket")
    return _class_of(kind)._create(sock, *arguments, context, session)
