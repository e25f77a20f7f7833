"""A kernel descriptor that shows an endpoint's readiness, so that select, poll and epoll (and asyncio) can wait for it.

It is a pair of AF_UNIX sockets that keep messages apart. The user's end has the `number` that `fileno()` gives, and `other` is ours.

    readable      an empty message of `other` waits at the user's end
    not writable  a message of the user's end, which waits at `other` for ever, is more than its send buffer may hold now

The pair is made when a program asks for the number, so sockets that block cost no descriptor.

The program may close the number without its socket (`os.close(sock.fileno())`), and then the kernel gives it to the next file. So each use
of the number goes through a duplicate, which is checked first: no other file is ever read, changed or closed. Nothing here raises an
exception, and damage to one descriptor concerns its own socket alone.

No data passes. Code that writes to the descriptor as if to a file (os.write, os.sendfile, a child process) gets EPIPE, and asyncio
then sends the file without os.sendfile. Code that reads from it finds the end of the file.
"""

import _socket as _kernel
import errno
import os
import stat
from typing import Any

import pystack_c.const as C
from pystack.runtime.waiting import Hook

_READABLE = C.EV_IN | C.EV_ERR | C.EV_HUP | C.EV_RDHUP
_WRITABLE = C.EV_OUT | C.EV_ERR | C.EV_HUP
#: af_unix: a socket is writable while a quarter of its send buffer holds all that is queued; this is more than the least
#: buffer's quarter (which SO_SNDBUF 1 sets), and less than that of _WIDE
_STOPPER = bytes(1400)
_NARROW = 1
_WIDE = 1 << 16
#: the kernel's, also while a program is patched (sockets/files.py)
_dup = os.dup


class Readiness(Hook):
    """The descriptor of one endpoint. All methods need the host's lock."""

    def __init__(self, endpoint: Any, blocking: bool):
        self.rising = False
        self.endpoint: Any = endpoint
        # The flag O_NONBLOCK is for the user to see. We never wait.
        kind = _kernel.SOCK_SEQPACKET if blocking else _kernel.SOCK_SEQPACKET | _kernel.SOCK_NONBLOCK
        mine, self.other = _kernel.socketpair(_kernel.AF_UNIX, kind)
        mine.send(_STOPPER, _kernel.MSG_DONTWAIT)
        mine.shutdown(_kernel.SHUT_WR)
        self.inode = os.fstat(mine.fileno()).st_ino
        self.number: int = mine.detach()
        os.set_blocking(self.number, blocking)
        self.readable = False
        self.writable = True
        #: it is closed or another process's, so nothing here touches it any more
        self.over = False
        #: the stack has stopped: it stays readable and writable, so that the next call raises the reason
        self.down = False
        #: how often other code took the message that makes it readable
        self.robbed = 0

    def notify(self, bits: int) -> None:
        """Show the endpoint's readiness."""
        if self.over:
            return
        readable = True
        writable = True
        if not self.down:
            level = self.endpoint.readiness()
            readable = level & _READABLE != 0
            writable = level & _WRITABLE != 0
        if readable != self.readable:
            self.readable = readable
            if readable:
                self._mark()
            elif take_mark(self.number, self.inode) == errno.EAGAIN:
                self.robbed += 1
                _tell_robbed(self.number, self.robbed)
        if writable != self.writable:
            self.writable = writable
            set_room(self.number, self.inode, _WIDE if writable else _NARROW)

    def _mark(self) -> None:
        """Make it readable."""
        try:
            self.other.send(b"", _kernel.MSG_DONTWAIT)
        except OSError:
            return  # the user's end is closed, so nothing can see it

    def fall(self) -> None:
        """Show that the stack has stopped."""
        self.down = True
        self.notify(0)

    def ours(self) -> bool:
        """Whether the number still belongs to this descriptor."""
        return is_ours(self.number, self.inode)

    def set_blocking(self, blocking: bool) -> None:
        """Set O_NONBLOCK of the descriptor. Nothing here looks at it."""
        set_blocking(self.number, self.inode, blocking)

    def close(self) -> bool:
        """Close both ends. Returns False if other code had closed the number."""
        self.over = True
        try:
            self.other.close()
        except OSError:
            pass  # other code closed it, as os.closerange() does
        return give_back(self.number, self.inode)


def _tell_robbed(number: int, times: int) -> None:  # python
    if times == 1:
        import logging  # slow to import, and seldom needed

        logging.getLogger("pystack.socket").warning(
            "other code read from descriptor %d, which only shows whether a socket of the stack is ready: only the socket's own "
            "methods give its data",
            number,
        )


# -- each use of a number: 0 or the errno (EBADF: it is another file's by now). Compiled in C, see sockets/readiness.pxd ----------


def is_ours(number: int, inode: int) -> bool:
    """Whether the number names the socket with this inode."""
    if C.COMPILED:
        return same_socket(number, inode)  # type: ignore[name-defined,no-any-return] # noqa: F821
    else:
        try:
            found = os.fstat(number)  # object
        except OSError:
            return False
        return stat.S_ISSOCK(found.st_mode) and found.st_ino == inode


def take_mark(number: int, inode: int) -> int:
    """Make it unreadable. EAGAIN if it was unreadable already."""
    if C.COMPILED:
        return receive_mark(number, inode)  # type: ignore[name-defined,no-any-return] # noqa: F821
    else:
        try:
            with _borrowed(number, inode) as sock:  # object
                sock.recv(1, _kernel.MSG_DONTWAIT)
        except OSError as exc:
            return exc.errno or errno.EIO
        return 0


def set_room(number: int, inode: int, size: int) -> int:
    """Set the size of its send buffer, which makes it writable or not."""
    if C.COMPILED:
        return set_send_buffer(number, inode, size)  # type: ignore[name-defined,no-any-return] # noqa: F821
    else:
        try:
            with _borrowed(number, inode) as sock:  # object
                sock.setsockopt(_kernel.SOL_SOCKET, _kernel.SO_SNDBUF, size)
        except OSError as exc:
            return exc.errno or errno.EIO
        return 0


def set_blocking(number: int, inode: int, blocking: bool) -> int:
    """Set or clear its flag O_NONBLOCK."""
    if C.COMPILED:
        return set_nonblock(number, inode, not blocking)  # type: ignore[name-defined,no-any-return] # noqa: F821
    else:
        try:
            with _borrowed(number, inode) as sock:  # object
                os.set_blocking(sock.fileno(), blocking)
        except OSError as exc:
            return exc.errno or errno.EIO
        return 0


def give_back(number: int, inode: int) -> bool:
    """Close it if it is ours."""
    if C.COMPILED:
        return close_ours(number, inode)  # type: ignore[name-defined,no-any-return] # noqa: F821
    else:
        if not is_ours(number, inode):
            return False
        try:
            os.close(number)
        except OSError:
            return False
        return True


class _borrowed:  # python
    """A duplicate of the number, which is checked to be ours. Until it is closed, the kernel cannot give it to another file."""

    def __init__(self, number: int, inode: int):
        self.number = number
        self.inode = inode

    def __enter__(self) -> Any:
        if not is_ours(self.number, self.inode):
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        fd = _dup(self.number)
        if not is_ours(fd, self.inode):
            os.close(fd)
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        blocking = os.get_blocking(fd)
        self.sock = _kernel.socket(_kernel.AF_UNIX, _kernel.SOCK_SEQPACKET, 0, fd)
        if blocking != os.get_blocking(fd):
            os.set_blocking(fd, blocking)  # socket.setdefaulttimeout() of the standard library
        return self.sock

    def __exit__(self, *exc: object) -> None:
        self.sock.close()
