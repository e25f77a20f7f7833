"""What is behind a socket object: a handle (the descriptor) on a description (the open socket), as in the kernel.

`dup()` makes a second handle on one description; the endpoint is closed with the last handle. A handle gets a number
only when somebody asks for it (`fileno`, `detach`), so blocking users never pay for one. The number is that of a
real descriptor, so it is unique in the process and the kernel will not give it to anybody else.
"""

import _socket as _kernel
import errno
import os
from typing import Any

from pystack.runtime.sockethost import SocketHost
from pystack.runtime.waiting import Watch
from pystack.sockets.readiness import Readiness

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


class Description:
    """An open socket of a stack: shared by all handles that dup() made. Subclasses: Stream, Datagrams."""

    def __init__(self, host: SocketHost, endpoint: Any, kind: int, proto: int):
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
            if not self.host.wait(self.watch, bits, self.host.deadline(limit)):
                raise again()
        elif not self.host.wait(self.watch, bits, deadline):
            raise TimeoutError("timed out")
        if self.closed:
            raise error(errno.EBADF)

    def shown(self) -> None:
        """Bring the readiness descriptors up to date, after a call that may have changed what they show."""
        self.host.refresh(self.watch)

    def wake_all(self) -> None:  # python
        """The socket is closed: threads that wait for it shall see that."""
        self.host.wake(self.watch)

    def release(self) -> None:  # python
        """The last handle was closed."""
        raise NotImplementedError

    def discard(self) -> None:  # python
        """The last handle was lost to the garbage collector."""
        raise NotImplementedError


class Handle:
    """One descriptor. Whatever is done to it is done under the lock of its stack."""

    def __init__(self, description: Description):
        lock = description.host.lock
        lock.acquire()
        try:
            if description.closed:
                raise error(errno.EBADF)
            description.refs += 1
        finally:
            lock.release()
        self.description: Description | None = description
        self.number = -1
        self.readiness: Readiness | None = None

    def fileno(self, blocking: bool = True) -> int:
        """The number, made when first asked for; `blocking` as in `show_blocking`."""
        if self.number < 0:
            description = self.description
            if description is None:
                return -1
            host = description.host
            host.lock.acquire()
            try:
                if self.number < 0 and self.description is not None:
                    self._make_number(description, blocking)
            finally:
                host.lock.release()
        return self.number

    def _make_number(self, description: Description, blocking: bool) -> None:
        number = int(description.host.number(self))
        if number >= 0:
            self.number = number
            _table[number] = self
            return
        readiness = Readiness(description.endpoint, blocking)
        self.readiness = readiness
        try:
            description.host.watch_descriptor(self)
        except BaseException:
            self.readiness = None
            readiness.close()
            raise
        self.number = readiness.number
        # If the table has this number already, other code closed it without its socket.
        _table[self.number] = self
        if description.host.error is not None:
            readiness.down = True
        description.host.show(description.watch, readiness)

    def ours(self) -> bool:
        """Whether the number still is this descriptor's."""
        return self.number >= 0 and (self.readiness is None or self.readiness.ours())

    def show_blocking(self, blocking: bool) -> None:
        """O_NONBLOCK of the descriptor as the kernel's sockets have it: set while there is a timeout."""
        readiness = self.readiness
        if readiness is not None:
            readiness.set_blocking(blocking)

    def close(self) -> None:
        """Close the descriptor; the last one closes the socket. OSError(EBADF) if it is closed already, by whomever."""
        description = self.description
        if description is None:
            raise error(errno.EBADF)
        lock = description.host.lock
        last = False
        lock.acquire()
        try:
            if self.description is None:
                raise error(errno.EBADF)
            last = self._drop(description)
            ours = self._give_back(description)
        finally:
            lock.release()
        if last:
            description.release()
        if not ours:
            raise error(errno.EBADF)

    def lost(self) -> None:
        """The garbage collector found the last reference: it is closed soon, without waiting for any lock."""
        description = self.description
        if description is not None:
            description.host.abandon(self)

    def bury(self) -> None:
        """Close it as far as that needs no waiting. Under the host's lock."""
        description = self.description
        if description is not None:
            last = self._drop(description)
            self._give_back(description)
            if last:
                description.discard()

    def vanish(self) -> None:
        """Somebody closed the number, and the kernel has told. Under the host's lock."""
        description = self.description
        if description is not None:
            self.bury()
            if description.closed:
                description.wake_all()

    def mute(self) -> None:
        """In a child process: the descriptor is the parent's to change."""
        if self.readiness is not None:
            self.readiness.over = True

    def _drop(self, description: Description) -> bool:
        """It names the description no more; True where it was the last one that did."""
        self.description = None
        if self.number >= 0 and _table.get(self.number) is self:
            del _table[self.number]
        description.refs -= 1
        if description.refs == 0:
            description.closed = True
            return True
        return False

    def _give_back(self, description: Description) -> bool:
        """No hook and no number any more. False: somebody else had closed the number."""
        readiness = self.readiness
        if readiness is None:
            return True
        description.watch.hide(readiness)
        description.host.forget_descriptor(self)
        self.readiness = None
        return readiness.close()


class HandleToken(int):  # python
    """A descriptor on its way from `_accept` to `socket(fileno=...)`: carries the handle, has no number yet."""

    handle: Handle


def token(handle: Handle) -> HandleToken:  # python
    """A HandleToken for the handle."""
    made = HandleToken(-2)
    made.handle = handle
    return made


def lookup(fd: Any) -> Handle | None:  # python
    """The handle behind a number or HandleToken, or None: then it is the kernel's."""
    if type(fd) is HandleToken:
        return fd.handle
    handle = _table.get(fd)
    if handle is not None and not handle.ours():
        # It was closed behind its socket's back, and is another file's by now.
        return None
    return handle


_table: dict[int, Handle] = {}


def _after_fork() -> None:  # python
    """In a child process. The descriptors are shared with the parent, whose stack goes on showing its readiness there."""
    for handle in list(_table.values()):
        handle.mute()


os.register_at_fork(after_in_child=_after_fork)
