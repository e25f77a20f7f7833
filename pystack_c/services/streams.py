"""Echo (RFC 862), discard (RFC 863) and chargen (RFC 864) over TCP and UDP."""

from typing import Any

from pystack_c.services.base import DatagramService, StreamService, room, skip
from pystack_c.tcp import user
from pystack_c.tcp.tcb import Tcb

#: the most bytes that are echoed in one piece
CHUNK = 65536
_PRINTABLE = bytes(range(32, 127))
#: RFC 864: 72 characters a line, and each line begins one character later
LINES = [(_PRINTABLE * 2)[i : i + 72] + b"\r\n" for i in range(len(_PRINTABLE))]
_BLOCK = b"".join(LINES) * 8


class Echo(StreamService):
    """Sends back the data that arrives, no faster than the peer reads it."""

    def work(self, tcb: Tcb, now: int) -> None:  # inherited
        """Echo as much data as there is room for."""
        while tcb.recvbuf.used > 0:
            n = room(tcb)
            if n == 0:
                self.blocked(tcb, now)
                return
            data = user.recv(tcb, n if n < CHUNK else CHUNK, 0, now)
            if data is not None:
                user.send(tcb, data, 0, now)


class Discard(StreamService):
    """Discards the data that arrives."""

    def work(self, tcb: Tcb, now: int) -> None:  # inherited
        """Discard all data."""
        skip(tcb, tcb.recvbuf.used, now)


class Chargen(StreamService):
    """Sends lines of characters until the peer closes its side."""

    def work(self, tcb: Tcb, now: int) -> None:  # inherited
        """Fill the send buffer. The number of bytes sent so far determines where the lines continue."""
        skip(tcb, tcb.recvbuf.used, now)
        tcb.sendbuf.constant = _BLOCK
        while not tcb.fin_received:
            n = room(tcb)
            if n == 0:
                self.blocked(tcb, now)
                return
            begin = tcb.sendbuf.tail % len(_BLOCK)
            user.send(tcb, _BLOCK[begin : begin + n], 0, now)


class EchoDatagram(DatagramService):
    """Sends the same datagram back."""

    def answer(self, data: bytes) -> Any:  # inherited
        """Return the data."""
        return data


class DiscardDatagram(DatagramService):
    """Sends nothing back."""

    def answer(self, data: bytes) -> Any:  # inherited
        """Return None."""
        return None


class ChargenDatagram(DatagramService):
    """Sends a line. RFC 864 allows a random number of characters between 0 and 512."""

    def answer(self, data: bytes) -> Any:  # inherited
        """Return a line."""
        return LINES[len(data) % len(LINES)]
