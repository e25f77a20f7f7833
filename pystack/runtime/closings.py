"""Notices when other code closes a socket's descriptor, by `os.close(sock.detach())` or a kernel socket object on it.

The kernel would close the connection in that case, so the stack must do the same. The other end of each descriptor's
pair is in an epoll, which becomes readable when every copy of the user's end is closed. The host serves that epoll like
a device without frames.
"""

import select
from typing import Any


class Closings:
    """Watches the descriptors of a host's sockets. Everything here needs the host's lock.

    To the driver it is a device, of which only `fileno`, `recv` and `close` are used.
    """

    name = "closings"

    def __init__(self) -> None:
        self.epoll = select.epoll()
        #: handles by the descriptor of the stack's end
        self.handles: dict[int, Any] = {}

    def fileno(self) -> int:
        """Return a descriptor that is readable when a watched descriptor was closed, or -1."""
        return -1 if self.epoll.closed else self.epoll.fileno()

    def watch(self, handle: Any) -> None:
        """Call `handle.vanish()` when other code closes the descriptor."""
        fd = handle.readiness.other.fileno()
        self.handles[fd] = handle
        self.epoll.register(fd, 0)  # EPOLLHUP is always reported

    def forget(self, handle: Any) -> None:
        """Stop watching a handle that the stack closes. The epoll removes its descriptor by itself."""
        fd = handle.readiness.other.fileno()
        if self.handles.get(fd) is handle:
            del self.handles[fd]

    def recv(self) -> None:
        """Handle the descriptors that were closed. Returns None, because there are no frames."""
        for fd, _ in self.epoll.poll(0):
            handle = self.handles.pop(fd, None)
            if handle is not None:
                handle.vanish()

    def fall(self) -> None:
        """Make every descriptor ready, because the stack has stopped. The next call on its socket raises the reason."""
        for handle in list(self.handles.values()):
            handle.readiness.fall()

    def close(self) -> None:
        """Stop watching."""
        self.epoll.close()
