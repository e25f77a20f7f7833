"""What is behind a socket object: a handle (the descriptor) on a description (the open socket), as in the kernel.

`dup()` makes a second handle on one description; the endpoint is closed with the last handle. A handle gets a number
only when somebody asks for it (`fileno`, `detach`), so blocking users never pay for one. The number is that of a
real descriptor, so it is unique in the process and the kernel will not give it to anybody else.
"""

import _socket as _kernel
import errno
import os
from typing import Any

from pystack._readiness import Readiness
from pystack.runtime.lock import Lock
from pystack.runtime.serving import ServingHost
from pystack.runtime.sleep import monotonic
from pystack.runtime.waiting import Watch

# linux/socket.h
MSG_OOB = 0x1
MSG_PEEK = 0x2
MSG_CTRUNC = 0x8
MSG_TRUNC = 0x20
MSG_DONTWAIT = 0x40
MSG_WAITALL = 0x100
MSG_ERRQUEUE = 0x2000
MSG_NOSIGNAL = 0x4000
MSG_FASTOPEN = 0x20000000


_AGAIN = os.strerror(errno.EAGAIN)


def again() -> BlockingIOError:
    """What a socket that must not wait raises instead of waiting."""
    return BlockingIOError(errno.EAGAIN, _AGAIN)


def error(code: int) -> OSError:
    """The OSError (subclass) of an errno, with the C library's text."""
    return OSError(code, os.strerror(code))


def deadline_of(timeout: float | None) -> int | None:
    """`timeout` seconds from now, on the host's clock."""
    return None if timeout is None else monotonic() + int(timeout * 1e9)


class Description:
    """An open socket of a stack: shared by all handles that dup() made. Subclasses: Stream, Datagrams."""

    def __init__(self, host: ServingHost, endpoint: Any, kind: int, proto: int):
        self.host = host
        self.endpoint = endpoint
        self.family = int(_kernel.AF_INET)
        self.type = kind
        self.proto = proto
        self.watch = Watch(endpoint)
        self.refs = 0
        self.closed = False
        #: SO_RCVTIMEO and SO_SNDTIMEO in seconds, None: for ever
        self.rcvtimeo: float | None = None
        self.sndtimeo: float | None = None
        #: SO_LINGER's seconds, or None
        self.linger: int | None = None
        #: control messages asked for (IP_PKTINFO, ...)
        self.cmsgs: dict[int, int] = {}

    def await_ready(self, bits: int, timeout: float | None, deadline: int | None, limit: float | None) -> None:
        """Wait, or raise what a socket with this timeout raises. `limit` is SO_RCVTIMEO or SO_SNDTIMEO."""
        if timeout is not None and timeout == 0:
            raise again()
        if deadline is None and limit is not None:
            if not self.host.wait(self.watch, bits, deadline_of(limit)):
                raise again()
        elif not self.host.wait(self.watch, bits, deadline):
            raise TimeoutError("timed out")
        if self.closed:
            raise error(errno.EBADF)

    def shown(self) -> None:
        """Bring the readiness descriptors up to date, after a call that may have changed what they show."""
        self.host.refresh(self.watch)

    def release(self) -> None:  # python
        """The last handle was closed."""
        raise NotImplementedError

    def discard(self) -> None:  # python
        """The last handle was lost to the garbage collector."""
        raise NotImplementedError


class Handle:
    """One descriptor."""

    def __init__(self, description: Description):
        self.description: Description | None = description
        self.number = -1
        self.readiness: Readiness | None = None
        _lock.acquire()
        description.refs += 1
        _lock.release()

    def fileno(self, blocking: bool = True) -> int:
        """The number, made when first asked for; `blocking` as in `show_blocking`."""
        if self.number < 0:
            description = self.description
            if description is None:
                return -1
            _lock.acquire()
            try:
                if self.number < 0:
                    self.readiness = Readiness(description.endpoint, blocking)
                    description.host.show(description.watch, self.readiness)
                    self.number = self.readiness.fileno()
                    _table[self.number] = self
            finally:
                _lock.release()
        return self.number

    def show_blocking(self, blocking: bool) -> None:
        """O_NONBLOCK of the descriptor as the kernel's sockets have it: set while there is a timeout."""
        if self.readiness is not None:
            self.readiness.mine.setblocking(blocking)

    def close(self) -> None:
        """Close the descriptor; the last one closes the socket. OSError(EBADF) if it is closed already."""
        description = self._drop()
        if description is None:
            raise error(errno.EBADF)
        try:
            if description.refs == 0:
                description.release()
        finally:
            self._give_back(description)

    def lost(self) -> None:
        """The garbage collector found the last reference."""
        description = self._drop()
        if description is not None:
            if description.refs == 0:
                description.discard()
            self._give_back(description)

    def _drop(self) -> Description | None:
        # The lock is reentrant because a finalizer may run while its own thread holds it.
        _lock.acquire()
        try:
            description = self.description
            if description is None:
                return None
            self.description = None
            description.refs -= 1
            if self.number >= 0:
                _table.pop(self.number, None)
            return description
        finally:
            _lock.release()

    def _give_back(self, description: Description) -> None:
        readiness = self.readiness
        self.readiness = None
        if readiness is not None:
            description.watch.hide(readiness)
            readiness.close()


class Token(int):  # python
    """A descriptor on its way from `_accept` to `socket(fileno=...)`: carries the handle, has no number yet."""

    handle: Handle


def token(handle: Handle) -> Token:  # python
    """A Token for the handle."""
    made = Token(-2)
    made.handle = handle
    return made


def lookup(fd: Any) -> Handle | None:  # python
    """The handle behind a number or Token, or None: then it is the kernel's."""
    if type(fd) is Token:
        return fd.handle
    return _table.get(fd)


_lock = Lock()
_table: dict[int, Handle] = {}
