"""UDP, raw and ping sockets as a user sees them: waiting, timeouts and errno around `pystack_c.sockets.udp` and `pystack_c.sockets.raw`."""

import errno
import socket as _std
from typing import Any

import pystack_c.const as C
from pystack.runtime.sockethost import SocketHost
from pystack.sockets.handles import (
    MSG_DONTWAIT,
    MSG_ERRQUEUE,
    MSG_NOSIGNAL,
    MSG_OOB,
    MSG_PEEK,
    Description,
    again,
    error,
)
from pystack_c.sockets import raw, udp
from pystack_c.sockets import udp as direct
from pystack_c.sockets.record import Datagram
from pystack_c.sockets.udp import UdpSocket


class Datagrams(Description):
    """An open UDP or raw socket."""

    def __init__(self, host: SocketHost, kind: int, proto: int):
        if kind == _std.SOCK_DGRAM and proto == C.IPPROTO_ICMP:
            self.calls: Any = raw
            endpoint = host.call(raw.ping_open, host.stack)
        elif kind == _std.SOCK_DGRAM:
            self.calls = udp
            endpoint = host.call(udp.udp_open, host.stack)
        else:
            self.calls = raw
            endpoint = host.call(raw.raw_open, host.stack, proto)
        super().__init__(host, endpoint, kind, proto)
        #: the endpoint if it is UDP's: compiled code calls it directly (sockets/stream.py explains the two names for one module)
        self.udp: UdpSocket | None = endpoint if self.calls is udp else None
        self.connected = False

    def bind(self, addr: int, port: int) -> None:
        """bind(2)."""
        self.host.call(self.calls.bind, self.endpoint, addr, port)

    def connect(self, addr: int, port: int, timeout: float | None) -> int:
        """connect(2): 0 or the errno; it never waits."""
        try:
            self.host.call(self.calls.connect, self.endpoint, addr, port)
        except OSError as exc:
            return exc.errno or errno.EINVAL
        self.connected = True
        return 0

    def disconnect(self) -> None:
        """connect(2) to AF_UNSPEC: the socket has no peer any more."""
        self.host.call(self.calls.connect, self.endpoint, 0, 0)
        self.connected = False

    def recvfrom(self, flags: int, timeout: float | None) -> Any:
        """The next datagram (the core's object: data, src, sport, ...)."""
        if flags & MSG_OOB:
            raise error(errno.EOPNOTSUPP)
        core_flags = flags & (MSG_PEEK | MSG_ERRQUEUE)
        got = self._take(core_flags)
        if got is None:
            if flags & MSG_ERRQUEUE:
                # The error queue never waits (recvmsg(2)).
                raise again()
            if flags & MSG_DONTWAIT:
                timeout = 0
            deadline = self.host.deadline(timeout)
            while got is None:
                self.await_ready(C.EV_IN, timeout, deadline, self.rcvtimeo)
                got = self._take(core_flags)
        if self.watch.falls:
            self.shown()
        return got

    def _take(self, flags: int) -> Datagram | None:
        """recvfrom of the protocol."""
        host = self.host
        now = host.begin()
        if self.udp is None:
            now = -1  # only UDP has calls that compiled code can make directly
        try:
            if now < 0:
                return host.call(self.calls.recvfrom, self.endpoint, flags)  # type: ignore[no-any-return]
            return direct.recvfrom(self.udp, flags, now)  # type: ignore[no-any-return,arg-type]
        finally:
            host.end(now)

    def recv(self, n: int, flags: int, timeout: float | None) -> bytes:
        """recv(2): the first `n` bytes of the next datagram. The rest of it is lost."""
        got: Datagram = self.recvfrom(flags, timeout)
        return got.data if len(got.data) <= n else got.data[:n]

    def send(self, data: "bytes | memoryview", flags: int, timeout: float | None) -> int:
        """send(2), to the connected peer."""
        return self.sendto(bytes(data), 0, 0, flags, timeout)

    def sendall(self, data: "bytes | memoryview", flags: int, timeout: float | None) -> None:
        """One datagram is always sent whole."""
        self.sendto(bytes(data), 0, 0, flags, timeout)

    def sendto(self, data: bytes, addr: int, port: int, flags: int, timeout: float | None) -> int:
        """sendto(2). Address 0 and port 0 mean the connected peer."""
        if flags & MSG_OOB:
            raise error(errno.EOPNOTSUPP)
        flags &= ~(MSG_DONTWAIT | MSG_NOSIGNAL)
        host = self.host
        now = host.begin()
        if self.udp is None:
            now = -1
        try:
            if now < 0:
                host.call(self.calls.sendto, self.endpoint, data, addr, port, flags)
            else:
                direct.sendto(self.udp, data, addr, port, flags, now)  # type: ignore[arg-type]
        finally:
            host.end(now)
        return len(data)

    def sendmsg(self, data: bytes, addr: int, port: int, flags: int, control: tuple[Any, ...]) -> int:
        """sendto(2) with control messages (`begin_control` in pystack_c/sockets/datagram.py)."""
        if flags & MSG_OOB:
            raise error(errno.EOPNOTSUPP)
        flags &= ~(MSG_DONTWAIT | MSG_NOSIGNAL)
        return int(self.host.call(self.calls.sendmsg, self.endpoint, data, addr, port, flags, control))

    def shutdown(self, how: int) -> None:
        """shutdown(2)."""
        self.host.call(self.calls.shutdown, self.endpoint, how)
        if self.watch.hooks:
            self.shown()

    def getsockname(self) -> tuple[int, int]:
        """The local address and port."""
        return self.endpoint.laddr, self.endpoint.lport

    def getpeername(self) -> tuple[int, int] | None:
        """The connected peer, or None."""
        return (self.endpoint.raddr, self.endpoint.rport) if self.connected else None

    def setsockopt(self, level: int, name: int, value: Any) -> None:
        """An option that the core knows."""
        self.host.call(self.calls.setsockopt, self.endpoint, level, name, value)

    def getsockopt(self, level: int, name: int) -> Any:
        """An option that the core knows."""
        value = self.host.call(self.calls.getsockopt, self.endpoint, level, name)
        if self.watch.hooks:
            self.shown()
        return value

    def release(self) -> None:
        """close(2)."""
        self.closed = True
        self.host.call(self.calls.close, self.endpoint)
        self.host.wake(self.watch)

    def discard(self) -> None:
        """Close the socket for the garbage collector, without waiting."""
        self.closed = True
        self.host.later(self.calls.close, self.endpoint)
