"""A socket object has a handle (the descriptor) on a description (the open socket), as in the kernel.

`dup()` makes a second handle on one description. The endpoint is closed with the last handle. A handle gets a `number` only when a
program asks for it (`fileno`, `detach`). On a live stack that is the number of a descriptor of the kernel, so the program can use it with
select, poll and epoll. Code that only gives the number back to the stack gets an `alias` instead: asyncio on a loop of `pystack.aio`, and
`repr`. An alias is a number that no kernel gives, so it costs no descriptor, and a foreign call on it (os.read) fails with EBADF. The numbers of
a simulated host are of this kind, too.
"""

import _socket as _kernel
import errno
import os
from itertools import count
from typing import Any

from pystack.runtime.lock import this_thread
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
#: aliases are above each number that a kernel gives (fs.nr_open is at most 2**31 - 64, and 2**20 by default) and above those of simulated
#: hosts, which begin at 2**30. The next alias is the one after the last, so an alias that was given up is not soon another socket's.
FIRST_ALIAS = 3 << 29
_ALIASES = 1 << 28
_next_alias = count()
#: by the number of a thread: the stack of the event loop of `pystack.aio` that runs in it
_loops: dict[int, Any] = {}


def again() -> BlockingIOError:
    """The error that a socket raises if it would wait but must not."""
    return BlockingIOError(errno.EAGAIN, _AGAIN)


def error(code: int) -> OSError:
    """The OSError (subclass) of an errno, with the C library's text."""
    return OSError(code, os.strerror(code))


class Description:
    """An open socket of a stack, which all handles that dup() made share. Subclasses: Stream, Datagrams."""

    def __init__(self, host: SocketHost, endpoint: Any, kind: int, proto: int):
        self.host = host
        self.endpoint = endpoint
        self.family = int(_kernel.AF_INET)
        self.type = kind
        self.proto = proto
        self.watch = Watch(endpoint)
        self.refs = 0
        self.closed = False
        #: SO_RCVTIMEO and SO_SNDTIMEO in seconds; None means for ever
        self.rcvtimeo: float | None = None
        self.sndtimeo: float | None = None
        #: SO_LINGER's seconds, or None
        self.linger: int | None = None
        #: the control messages that the program asked for (IP_PKTINFO, ...)
        self.cmsgs: dict[int, int] = {}
        #: SO_TIMESTAMP or one of its relatives, or 0
        self.timestamp = 0

    def await_ready(self, bits: int, timeout: float | None, deadline: int | None, limit: float | None) -> None:
        """Wait, or raise the error of a socket with this timeout. `limit` is SO_RCVTIMEO or SO_SNDTIMEO."""
        if timeout is not None and timeout == 0:
            self.host.polled()
            raise again()
        if deadline is None and limit is not None:
            if not self.host.wait(self.watch, bits, self.host.deadline(limit)):
                raise again()
        elif not self.host.wait(self.watch, bits, deadline):
            raise TimeoutError("timed out")
        if self.closed:
            raise error(errno.EBADF)

    def shown(self) -> None:
        """Update the readiness descriptors after a call that may have changed the readiness."""
        self.host.refresh(self.watch)

    def wake_all(self) -> None:  # python
        """Release the threads that wait for the socket, because it is closed."""
        self.host.wake(self.watch)

    def release(self) -> None:  # python
        """Close the endpoint: the last handle was closed."""
        raise NotImplementedError

    def discard(self) -> None:  # python
        """Close the endpoint: the garbage collector found the last handle."""
        raise NotImplementedError


class Handle:
    """One descriptor. Its methods take the lock of its stack."""

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
        self.alias = -1
        self.readiness: Readiness | None = None
        #: O_NONBLOCK is not set; a readiness descriptor has the flag itself
        self.blocking = True

    def known(self) -> int:
        """The number for code that only gives it back to the stack. It stays the same, and costs no descriptor.

        It is the number that a program has asked for before, if there is one, and otherwise the alias.
        """
        if self.alias < 0 and self.number < 0 and self.description is not None:
            host = self.description.host
            host.lock.acquire()
            try:
                if self.alias < 0 and self.number < 0 and self.description is not None:
                    self._make_alias(self.description)
            finally:
                host.lock.release()
        return self.alias if self.alias >= 0 else self.number

    def _make_alias(self, description: Description) -> None:
        number = int(description.host.number(self))
        if number >= 0:
            self.number = number
        else:
            number = FIRST_ALIAS + next(_next_alias) % _ALIASES
            while number in _table:
                number = FIRST_ALIAS + next(_next_alias) % _ALIASES
            self.alias = number
        _table[number] = self

    def fileno(self, blocking: bool = True) -> int:
        """The number. The first call makes it; `blocking` is as in `show_blocking`."""
        if self.number < 0:
            description = self.description
            if description is None:
                return -1
            host = description.host
            host.lock.acquire()
            try:
                if self.number < 0 and self.description is not None:
                    host.check_owner()
                    self._make_number(description, blocking)
            finally:
                host.lock.release()
        return self.number

    def _make_number(self, description: Description, blocking: bool) -> None:
        number = int(description.host.number(self))
        if number >= 0:
            self.number = number
            self.blocking = blocking
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
        """Whether the number still belongs to this descriptor."""
        return self.number >= 0 and (self.readiness is None or self.readiness.ours())

    def show_blocking(self, blocking: bool) -> None:
        """Set O_NONBLOCK of the descriptor while there is a timeout, as on the kernel's sockets."""
        readiness = self.readiness
        self.blocking = blocking
        if readiness is not None:
            readiness.set_blocking(blocking)

    def close(self) -> None:
        """Close the descriptor. The last one closes the socket. OSError(EBADF) if it is closed already."""
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
        """Close the descriptor soon, without waiting for a lock: the garbage collector found the last reference."""
        description = self.description
        if description is not None:
            description.host.abandon(self)

    def bury(self) -> None:
        """Close it as far as that is possible without waiting. Under the host's lock."""
        description = self.description
        if description is not None:
            last = self._drop(description)
            self._give_back(description)
            if last:
                description.discard()

    def vanish(self) -> None:
        """Close the socket, because other code closed the number. Under the host's lock."""
        description = self.description
        if description is not None:
            self.bury()
            if description.closed:
                description.wake_all()

    def mute(self) -> None:
        """Leave the descriptor alone from now on, in a child process: it is the parent's. So `fileno` raises an error.

        Servers that fork (gunicorn) would otherwise wait in select for ever, or start workers that fail again and again.
        """
        if self.readiness is not None:
            self.readiness.over = True
            self.number = -1

    def _drop(self, description: Description) -> bool:
        """Let go of the description. Returns True if this was its last handle."""
        self.description = None
        if self.number >= 0 and _table.get(self.number) is self:
            del _table[self.number]
        if self.alias >= 0:
            del _table[self.alias]
        description.refs -= 1
        if description.refs == 0:
            description.closed = True
            return True
        return False

    def _give_back(self, description: Description) -> bool:
        """Remove the hook and the number. Returns False if other code had closed the number."""
        readiness = self.readiness
        if readiness is None:
            return True
        description.watch.hide(readiness)
        description.host.forget_descriptor(self)
        self.readiness = None
        return readiness.close()


class HandleToken(int):  # python
    """A descriptor on its way from `_accept` to `socket(fileno=...)`. It carries the handle and has no number yet."""

    handle: Handle


def token(handle: Handle) -> HandleToken:  # python
    """A HandleToken for the handle."""
    made = HandleToken(-2)
    made.handle = handle
    return made


def lookup(fd: Any) -> Handle | None:  # python
    """The handle of a number or HandleToken. None means that the number is the kernel's."""
    if type(fd) is HandleToken:
        return fd.handle
    handle = _table.get(fd)
    if handle is not None and handle.alias != fd and not handle.ours():
        # Other code closed it without its socket, and by now the number is another file's.
        return None
    return handle


_table: dict[int, Handle] = {}


def runs_loop(host: Any) -> Any:  # python
    """Note that an event loop of `pystack.aio` on `host` runs in this thread from now on (None: no such loop). Returns the host before."""
    before = _loops.pop(this_thread(), None)
    if host is not None:
        _loops[this_thread()] = host
    return before


def in_loop(description: Description) -> bool:
    """Whether an event loop of `pystack.aio` on the socket's stack runs in this thread."""
    return len(_loops) > 0 and _loops.get(this_thread()) is description.host


def _after_fork() -> None:  # python
    """In a child process, leave the descriptors alone: the parent's stack goes on showing its readiness on them."""
    for handle in list(_table.values()):
        handle.mute()


os.register_at_fork(after_in_child=_after_fork)
