"""The common part of devices on a socket of the kernel that keeps message boundaries: one Ethernet frame is one message."""

import errno
import select

# The class of the standard library may be replaced by the stack's own (pystack.patch).
from _socket import AF_UNIX, MSG_NOSIGNAL, MSG_PEEK, SO_SNDBUF, SO_TYPE, SOCK_DGRAM, SOCK_SEQPACKET, SOL_SOCKET
from _socket import socket as KernelSocket
from typing import Self

import pystack_c.const as C
from pystack.phy.device import random_mac
from pystack_c.packet import Transmit

#: the bytes of an Ethernet header, and of one with a VLAN tag
ETHERNET = 14
TAGGED = 18
#: bad frames that one call of `recv` passes over, so that its work is bounded
_BAD = 64
#: the bytes of frames that a cable should hold; Linux allows at most twice net.core.wmem_max
BUFFER = 1 << 20
_NO_ROOM = (errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM)
#: errors of a send that mean that nobody is at the other end
_GONE = (errno.ECONNREFUSED, errno.ECONNRESET, errno.EPIPE, errno.ENOTCONN)


def ended(sock: KernelSocket) -> bool:
    """Whether a SOCK_SEQPACKET socket that has received nothing is at its end. Otherwise the message was empty."""
    poll = select.poll()
    poll.register(sock.fileno(), select.POLLRDHUP)
    if not poll.poll(0):
        return False
    try:
        return not sock.recv(1, MSG_PEEK)  # the other end is closed, but there may be messages from before
    except BlockingIOError:
        return False
    except OSError:
        return True


class MessageDevice:
    """A network card whose cable is a socket. It has no offload: frames are complete, and no longer than the MTU allows.

    tx_dropped  frames that were lost because nobody was at the other end
    tx_errors   frames that the kernel rejected as too long
    rx_short    messages that were too short for an Ethernet header
    rx_long     messages that were longer than the MTU allows
    """

    kind = C.LINK_ETHERNET
    tx_csum = False
    gso_max = 0

    def __init__(self, name: str, mtu: int, mac: int | None):
        if not 68 <= mtu <= 65521:
            raise ValueError(f"the MTU must be from 68 to 65521, not {mtu}")
        self.name = name
        self.mtu = mtu
        self.mac = random_mac() if mac is None else mac
        self.tx_dropped = 0
        self.tx_errors = 0
        self.rx_short = 0
        self.rx_long = 0
        self._size = TAGGED + mtu

    def _read(self) -> bytes | None:
        """Return the next message, of which the part behind `_size` + 1 bytes may be missing, or None."""
        raise NotImplementedError

    def _cable(self) -> KernelSocket | None:
        """Return the socket to send to, or None if nobody is at the other end."""
        raise NotImplementedError

    def _unplugged(self) -> None:
        """Note that a send found nobody at the other end."""

    def recv(self) -> tuple[bytes, int, int, int] | None:
        """Return the next frame as (frame, 0, 0, 0), or None if no frame waits. Bad messages are counted and lost."""
        for _ in range(_BAD):
            frame = self._read()
            if frame is None:
                return None
            if len(frame) < ETHERNET:
                self.rx_short += 1
            elif len(frame) > self._size:
                self.rx_long += 1
            else:
                return frame, 0, 0, 0
        return None

    def send(self, tx: Transmit) -> bool:
        """Send one frame. Returns False if there is no room. A frame for nobody is counted and lost."""
        parts = [tx.header] if tx.payload is None else [tx.header, tx.payload]
        for attempt in (1, 2):
            cable = self._cable()
            if cable is None:
                self.tx_dropped += 1
                break
            try:
                cable.sendmsg(parts, (), MSG_NOSIGNAL)
                break
            except OSError as exc:
                if exc.errno in _NO_ROOM:
                    return False
                if exc.errno == errno.EMSGSIZE:
                    self.tx_errors += 1
                    break
                if exc.errno not in _GONE:
                    raise
                # A new peer may have taken the place of the one that is gone.
                self._unplugged()
                self.tx_dropped += attempt == 2
        return True

    def close(self) -> None:
        """Close the descriptors. A second call does nothing."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class SocketDevice(MessageDevice):
    """A device on one connected socket, which it owns from now on.

    At the end of a SOCK_SEQPACKET connection `recv` raises ConnectionResetError, because such a cable cannot come back.
    """

    def __init__(self, sock: KernelSocket, name: str = "link0", *, mtu: int = 1500, mac: int | None = None):
        super().__init__(name, mtu, mac)
        self._ends = sock.getsockopt(SOL_SOCKET, SO_TYPE) == SOCK_SEQPACKET
        sock.setblocking(False)
        sock.setsockopt(SOL_SOCKET, SO_SNDBUF, BUFFER)
        self._sock = sock

    def fileno(self) -> int:
        """Return the socket's descriptor, or -1 if it is closed."""
        return self._sock.fileno()

    def _read(self) -> bytes | None:
        try:
            frame = self._sock.recv(self._size + 1)
        except BlockingIOError:
            return None
        except OSError as exc:
            # Linux reports once that the other end of a pair of datagram sockets connected to another socket.
            if exc.errno in (errno.ECONNRESET, errno.ECONNREFUSED) and not self._ends:
                return None
            raise
        if not frame and self._ends and ended(self._sock):
            raise ConnectionResetError(errno.ECONNRESET, f"the other end of {self.name} is closed")
        return frame

    def _cable(self) -> KernelSocket:
        return self._sock

    def close(self) -> None:
        """Close the socket. A second call does nothing."""
        self._sock.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name} mtu {self.mtu} fd {self.fileno()}>"


def from_fd(fd: int, name: str = "link0", *, mtu: int = 1500, mac: int | None = None) -> SocketDevice:
    """Return a device on a descriptor that another process passed, or that this one inherited.

    It must be a connected UNIX socket of type SOCK_DGRAM or SOCK_SEQPACKET. Raises ValueError if not, and OSError for
    another descriptor than a socket's; the caller keeps the descriptor then. Otherwise the device owns it.
    """
    sock = KernelSocket(fileno=fd)
    try:
        if sock.family != AF_UNIX or sock.type not in (SOCK_DGRAM, SOCK_SEQPACKET):
            raise ValueError(f"descriptor {fd} is not a UNIX socket that keeps messages (SOCK_DGRAM or SOCK_SEQPACKET)")
        sock.getpeername()
        return SocketDevice(sock, name, mtu=mtu, mac=mac)
    except BaseException:
        sock.detach()
        raise
