"""A kernel descriptor that shows an endpoint's readiness, so that select, poll and epoll (and asyncio) can wait for it.

An AF_UNIX datagram pair: the user's end `mine` is what `fileno()` names, `other` is ours.

    readable      `other` has sent a byte to `mine`
    not writable  a datagram of `mine`, nearly as large as its send buffer, waits in `other`'s queue

It is made when somebody asks for the number; blocking users never pay for it. The send buffer is as small as it gets only once
there is something to stop, which most connections never see.
"""

import _socket as _kernel
from typing import Any

import pystack_c.const as C
from pystack.runtime.waiting import Hook

_READABLE = C.EV_IN | C.EV_ERR | C.EV_HUP | C.EV_RDHUP
_WRITABLE = C.EV_OUT | C.EV_ERR | C.EV_HUP
#: af_unix: a socket is writable while a quarter of its send buffer holds all that is queued; this is more
_STOPPER = bytes(1400)


class Readiness(Hook):
    """The descriptor of one endpoint. Under the host's lock, but for `close`."""

    def __init__(self, endpoint: Any, blocking: bool):
        self.rising = False
        self.endpoint: Any = endpoint
        # The flag O_NONBLOCK is the user's to see; we never wait.
        kind = _kernel.SOCK_DGRAM if blocking else _kernel.SOCK_DGRAM | _kernel.SOCK_NONBLOCK
        self.mine, self.other = _kernel.socketpair(_kernel.AF_UNIX, kind)
        self.readable = False
        self.writable = True
        self.small = False

    def fileno(self) -> int:
        """The user's end."""
        return self.mine.fileno()

    def notify(self, bits: int) -> None:
        """Show what the endpoint is ready for now."""
        level = self.endpoint.readiness()
        readable = level & _READABLE != 0
        if readable != self.readable:
            self.readable = readable
            if readable:
                self.other.send(b"!", _kernel.MSG_DONTWAIT)
            else:
                self.mine.recv(1, _kernel.MSG_DONTWAIT)
        writable = level & _WRITABLE != 0
        if writable != self.writable:
            self.writable = writable
            if writable:
                self.other.recv(len(_STOPPER), _kernel.MSG_DONTWAIT)
            else:
                if not self.small:
                    self.small = True
                    self.mine.setsockopt(_kernel.SOL_SOCKET, _kernel.SO_SNDBUF, 1)
                self.mine.send(_STOPPER, _kernel.MSG_DONTWAIT)

    def close(self) -> None:
        """Give both ends back."""
        self.mine.close()
        self.other.close()
