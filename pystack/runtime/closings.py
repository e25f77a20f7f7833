"""Descriptors of sockets that somebody else closed: `os.close(sock.detach())`, or a kernel socket object on the same number.

The kernel would close the connection then, so a stack has to know of it. The other end of each descriptor's pair is in an epoll of
its own, which tells when the user's end is closed by all who have it; the host serves that epoll as if it were a device that
has no frames.
"""

import select
from typing import Any


class Closings:
    """What a host's descriptors are watched by. Everything under the host's lock."""

    name = "closings"

    def __init__(self) -> None:
        self.epoll = select.epoll()
        #: by the number of our end
        self.handles: dict[int, Any] = {}

    def fileno(self) -> int:
        """Readable when a descriptor was closed."""
        return -1 if self.epoll.closed else self.epoll.fileno()

    def watch(self, handle: Any) -> None:
        """From now on `handle.vanish()` is called when its descriptor is closed by somebody else."""
        fd = handle.readiness.other.fileno()
        self.handles[fd] = handle
        self.epoll.register(fd, 0)  # (EPOLLHUP is always told)

    def forget(self, handle: Any) -> None:
        """It is closed by us. (The epoll forgets it by itself.)"""
        fd = handle.readiness.other.fileno()
        if self.handles.get(fd) is handle:
            del self.handles[fd]

    def recv(self) -> None:
        """As a device's: there never is a frame."""
        for fd, _ in self.epoll.poll(0):
            handle = self.handles.pop(fd, None)
            if handle is not None:
                handle.vanish()

    def fall(self) -> None:
        """The stack has stopped: every descriptor becomes ready, and the next call on its socket says why."""
        for handle in list(self.handles.values()):
            handle.readiness.fall()

    def close(self) -> None:
        """Stop watching."""
        self.epoll.close()
