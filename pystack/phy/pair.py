"""Cables between two stacks of one machine, which need no root: a pair in one process, or two paths in two processes.

A UNIX socket carries the frames, one in a message. For two processes it is of type SOCK_SEQPACKET: datagrams to a path
may wait only ten at a time by default (net.unix.max_dgram_qlen), and a datagram socket does not notice that its peer is gone.
"""

import contextlib
import errno
import fcntl
import os
import select
import stat
import time
from _socket import AF_UNIX, SO_SNDBUF, SOCK_DGRAM, SOCK_SEQPACKET, SOL_SOCKET, socketpair
from _socket import socket as KernelSocket
from collections.abc import Iterator

from pystack.phy.message import BUFFER, MessageDevice, SocketDevice, ended, from_fd

__all__ = ["SocketDevice", "UnixDevice", "from_fd", "pair"]

#: the most bytes in the path of a UNIX socket (unix(7))
_LONGEST = 107
#: errors of an accept that may pass, and those for which the connection goes on waiting, so that the door stays readable
_LATER = (errno.EAGAIN, errno.ECONNABORTED)
_FULL = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


def pair(*, mtu: int = 1500, names: tuple[str, str] = ("link0", "link1")) -> tuple[SocketDevice, SocketDevice]:
    """Return two devices with a cable between them. Each is for a stack of its own.

    If one is closed, frames to it are counted in the other's `tx_dropped`.
    """
    left, right = socketpair(AF_UNIX, SOCK_DGRAM)
    try:
        return SocketDevice(left, names[0], mtu=mtu), SocketDevice(right, names[1], mtu=mtu)
    except BaseException:
        left.close()
        right.close()
        raise


class UnixDevice(MessageDevice):
    """One end of a cable between two processes. The other end is a UnixDevice with the two paths exchanged.

    path  where this end listens. The file is removed at the end; one that a killed process left is replaced
    peer  the path of the other end, which may come later, go away and come back. None: both ends are made with the same
          `path`; the first one listens there, and the second at `path` + ".peer"

    Each end connects to the other's path for the frames that it sends, and receives from the last one that connected to
    its own. Whoever may write to the file may do so: protect it by the permissions of its directory.
    """

    def __init__(
        self, path: str, peer: str | None = None, name: str = "link0", *, mtu: int = 1500, mac: int | None = None
    ):
        super().__init__(name, mtu, mac)
        self.path = os.path.abspath(path)
        self.peer = os.path.abspath(path + ".peer" if peer is None else peer)
        for each in (self.path, self.peer):
            if len(os.fsencode(each)) > _LONGEST:
                raise OSError(errno.ENAMETOOLONG, f"the path of a UNIX socket has at most {_LONGEST} bytes", each)
        if self.path == self.peer:
            raise ValueError(f"the two ends of a cable need different paths, not both {self.path}")
        self._out: KernelSocket | None = None
        self._in: KernelSocket | None = None
        self._pid = os.getpid()
        try:
            self._door = _listen(self.path)
        except OSError as exc:
            if peer is not None or exc.errno != errno.EADDRINUSE:
                raise
            self.path, self.peer = self.peer, self.path
            self._door = _listen(self.path)
        self._file = os.stat(self.path)
        #: readable while a frame or a new connection waits
        try:
            self._ready = select.epoll()
        except OSError:
            os.unlink(self.path)
            self._door.close()
            raise
        self._ready.register(self._door.fileno(), select.EPOLLIN)
        #: a descriptor that is given up to refuse a connection for which there is none, or -1
        self._spare = _spare()
        self._deaf = False

    def fileno(self) -> int:
        """Return a descriptor that is readable while a frame waits, or -1 if the device is closed."""
        return -1 if self._ready.closed else self._ready.fileno()

    def _read(self) -> bytes | None:
        for _ in range(4):
            if self._in is not None:
                try:
                    frame = self._in.recv(self._size + 1)
                    if frame or not ended(self._in):
                        return frame
                    self._hang_up()
                except BlockingIOError:
                    pass
                except ConnectionResetError:
                    self._hang_up()
            if not self._accept():
                break
        return None

    def _accept(self) -> bool:
        """Take a new connection instead of the present one. Returns False if none waits."""
        try:
            fd, _ = self._door._accept()  # type: ignore[attr-defined]
        except OSError as exc:
            if exc.errno in _FULL:
                self._refuse()
            elif exc.errno not in _LATER:
                raise
            return False
        if self._spare < 0:
            self._listen_again()
        self._hang_up()
        self._in = KernelSocket(fileno=fd)
        self._in.setblocking(False)
        self._ready.register(fd, select.EPOLLIN)
        return True

    def _refuse(self) -> None:
        """Refuse a connection, because this process has no descriptor left. The other end connects again for its next frame.

        If even the spare descriptor is gone, new connections wait until this end sends.
        """
        if self._spare >= 0:
            os.close(self._spare)
            try:
                fd, _ = self._door._accept()  # type: ignore[attr-defined]
                os.close(fd)
            except OSError:
                pass
            self._spare = _spare()
        elif not self._deaf:
            self._ready.unregister(self._door.fileno())
            self._deaf = True

    def _listen_again(self) -> None:
        """End what `_refuse` has begun, if there are descriptors."""
        self._spare = _spare()
        if self._spare >= 0 and self._deaf:
            self._ready.register(self._door.fileno(), select.EPOLLIN)
            self._deaf = False

    def _hang_up(self) -> None:
        if self._in is not None:
            self._ready.unregister(self._in.fileno())
            self._in.close()
            self._in = None

    def _cable(self) -> KernelSocket | None:
        if self._door.fileno() < 0:
            raise OSError(errno.EBADF, f"{self.name} is closed")
        if self._spare < 0:
            self._listen_again()
        if self._out is None:
            sock = None
            try:
                sock = KernelSocket(AF_UNIX, SOCK_SEQPACKET)
                sock.setblocking(False)
                sock.setsockopt(SOL_SOCKET, SO_SNDBUF, BUFFER)
                sock.connect(self.peer)
            except OSError:
                # Nobody is there, or this process has no descriptor left. The next frame tries again.
                if sock is not None:
                    sock.close()
                return None
            self._out = sock
        return self._out

    def _unplugged(self) -> None:
        if self._out is not None:
            self._out.close()
            self._out = None

    def close(self) -> None:
        """Close the descriptors, and remove the file unless another has taken its place. A second call does nothing.

        In a child process of os.fork(), only the child's copies of the descriptors are closed.
        """
        if self._door.fileno() < 0:
            return
        if self._pid == os.getpid():
            try:
                now = os.stat(self.path)
                if (now.st_dev, now.st_ino) == (self._file.st_dev, self._file.st_ino):
                    os.unlink(self.path)
            except FileNotFoundError:
                pass
        self._ready.close()
        self._door.close()
        if self._spare >= 0:
            os.close(self._spare)
        for sock in (self._in, self._out):
            if sock is not None:
                sock.close()
        self._in = self._out = None

    def __repr__(self) -> str:
        return f"<UnixDevice {self.name} {self.path} to {self.peer} mtu {self.mtu} fd {self.fileno()}>"


def _spare() -> int:
    """A descriptor that is not used, or -1 if there is none left."""
    try:
        return os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return -1


def _listen(path: str) -> KernelSocket:
    """Return a socket that listens at `path`. A socket file at which nobody listens is replaced."""
    door = KernelSocket(AF_UNIX, SOCK_SEQPACKET)
    try:
        door.setblocking(False)
        with _turn(os.path.dirname(path)):
            if _stale(path):
                os.unlink(path)
            try:
                door.bind(path)
            except OSError as exc:
                text = "the file is in use" if exc.errno == errno.EADDRINUSE else os.strerror(exc.errno or 0)
                raise OSError(exc.errno, text, path) from None
        door.listen(4)
    except BaseException:
        door.close()
        raise
    return door


@contextlib.contextmanager
def _turn(folder: str) -> Iterator[None]:
    """Let one process at a time replace files in a folder: another that starts now could remove the file that this one has just made.

    It waits for at most a second, because whoever may read the folder may hold the lock.
    """
    fd = -1
    with contextlib.suppress(OSError):  # bind reports what is wrong with the folder
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for _ in range(100 if fd >= 0 else 0):
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(0.01)
            except OSError:
                break  # a file system without locks
        yield
    finally:
        if fd >= 0:
            os.close(fd)


def _stale(path: str) -> bool:
    """Return True if `path` is the file of a socket that no longer exists, and False if it is in use or does not exist.

    Raises FileExistsError if it is not the file of a socket, and PermissionError if this user may not connect to it.
    The question is put with a datagram socket, which a listener of another type does not notice.
    """
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise FileExistsError(errno.EEXIST, "the file is not a socket", path)
    except FileNotFoundError:
        return False
    probe = KernelSocket(AF_UNIX, SOCK_DGRAM)
    try:
        probe.connect(path)
    except ConnectionRefusedError:
        return True
    except PermissionError as exc:
        raise PermissionError(exc.errno, "this user may not connect to the socket", path) from None
    except OSError:
        return False
    finally:
        probe.close()
    return False
