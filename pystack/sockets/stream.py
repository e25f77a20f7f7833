"""A TCP socket as a user sees it: blocking, timeouts and errno around the calls of `pystack_c.tcp.user`.

`timeout` is a socket object's: None blocks, 0 never waits, and any other number is seconds. As in CPython's C module, a call is tried
first, and it waits only if the core has nothing. An OSError of the core reaches the caller.

The calls that carry data (`_take`, `_put`, `_next`) go from C to C between Host.begin and Host.end, unless begin asks for Host.call;
all other calls go through Host.call. So there are two names for one module: compiled code calls the C functions of `tcp`, and Host.call
receives the Python functions of `user`.
"""

import errno
import socket as _std
from typing import Any

import pystack_c.const as C
from pystack.runtime.sockethost import SocketHost
from pystack.runtime.waiting import Watch
from pystack.sockets.handles import (
    MSG_DONTWAIT,
    MSG_FASTOPEN,
    MSG_OOB,
    MSG_PEEK,
    MSG_WAITALL,
    Description,
    Handle,
    again,
    error,
)
from pystack_c.base.address import key
from pystack_c.tcp import again as retry
from pystack_c.tcp import sockopt, user
from pystack_c.tcp import user as tcp
from pystack_c.tcp.queues import errqueue
from pystack_c.tcp.tcb import Tcb

#: data to send: it is immutable, or it is copied a piece at a time
Buffer = bytes | memoryview
#: the events for which a reader waits, and those for which a writer waits
# A pending error is EV_IN and EV_OUT, too. EV_ERR alone means that the error queue has a record, which ends no wait (recvmsg(2)).
_IN = C.EV_IN | C.EV_HUP
_OUT = C.EV_OUT | C.EV_HUP
#: the most bytes that the core gets at once, so that only a slice is copied
_PIECE = 1 << 18
#: the result of `_put` while another thread is in the middle of a send
_BUSY = -2
#: `left` of a send that sends as much as there is room for, and keeps no turn
_LOOSE = -1


class Turn:
    """The turn to send on a stream. To `host.wait` it is an endpoint, which is writable if no thread has the turn."""

    def __init__(self, stream: "Stream") -> None:
        self.stream = stream
        self.waiter: Any = None
        self.watch = Watch(self)

    def readiness(self) -> int:  # python
        """The readiness, as an endpoint's."""
        return C.EV_OUT if self.stream.sender == 0 or self.stream.closed else 0


class Stream(Description):
    """An open TCP socket.

    A send that has to wait for room keeps its turn until all of it is taken, and the sends of other threads wait. So the data of one
    call arrives in one piece, as with the kernel.
    """

    def __init__(self, host: SocketHost, endpoint: Any = None):
        if endpoint is None:
            endpoint = host.call(user.tcp_open, host.stack)
        super().__init__(host, endpoint, int(_std.SOCK_STREAM), C.IPPROTO_TCP)
        #: the endpoint, for compiled code
        self.tcb: Tcb = endpoint
        self.connecting = False
        self.listening = False
        #: the address of bind() (0: any)
        self.bound_to = 0
        #: the caller (SocketHost.caller) that is in the middle of a send, or 0; `turn` is made when another one has to wait for it
        self.sender = 0
        self.turn: Turn | None = None

    # -- opening -----------------------------------------------------------------------------------------------

    def bind(self, addr: int, port: int) -> None:
        """bind(2)."""
        self.host.call(user.bind, self.endpoint, addr, port)
        self.bound_to = addr
        if self.watch.hooks:
            self.shown()

    def listen(self, backlog: int) -> None:
        """listen(2)."""
        self.host.call(user.listen, self.endpoint, backlog)
        if self.watch.hooks:
            self.shown()
        self.listening = True

    def accept(self, timeout: float | None) -> tuple[Handle, tuple[int, int]]:
        """accept(2): a handle on the new connection, and its peer."""
        endpoint = self._next()
        if endpoint is None:
            deadline = self.host.deadline(timeout)
            while endpoint is None:
                self.await_ready(_IN, timeout, deadline, self.rcvtimeo)
                endpoint = self._next()
        if self.watch.falls:
            self.shown()
        return Handle(Stream(self.host, endpoint)), (key(endpoint.raddr), endpoint.rport)

    def _next(self) -> Any:
        """tcp.accept."""
        host = self.host
        now = host.begin()
        try:
            return host.call(user.accept, self.endpoint) if now < 0 else tcp.accept(self.tcb, now)
        finally:
            host.end(now)

    def connect(self, addr: int, port: int, timeout: float | None) -> int:
        """connect(2): 0 or the errno. EAGAIN means that the timeout passed, and EINPROGRESS that the socket must not wait."""
        if self.connecting:
            done = self._connect_result()
            if done is not None:
                return done
            if timeout == 0:
                return errno.EALREADY
        else:
            try:
                self.host.call(user.connect, self.endpoint, addr, port)
            except OSError as exc:
                return exc.errno or errno.EINVAL
            if self.tcb.tfo is not None and self.tcb.tfo.deferred:
                # TCP_FASTOPEN_CONNECT: the SYN goes with the first write, so there is nothing to wait for. Linux returns 0, too.
                return 0
            self.connecting = True
            if self.watch.hooks:
                self.shown()
            if timeout == 0:
                # As on Linux, also on the loopback, on which the answer is there already.
                return errno.EINPROGRESS
            done = self._connect_result()
            if done is not None:
                return done
        limit = self.host.deadline(timeout if timeout is not None else self.sndtimeo)
        while True:
            if not self.host.wait(self.watch, _OUT, limit):
                return errno.EAGAIN if timeout is not None else errno.EINPROGRESS
            if self.closed:
                return errno.EBADF
            done = self._connect_result()
            if done is not None:
                return done

    def _connect_result(self) -> int | None:
        """How the connection attempt ended, or None while it goes on."""
        state = self.endpoint.state
        if state == C.SYN_SENT or (state == C.SYN_RECEIVED and not self.endpoint.so_error):
            if self.endpoint.so_error:
                # With IP_RECVERR: an ICMP error that does not end the attempt.
                return int(self.host.call(sockopt.getsockopt, self.endpoint, _std.SOL_SOCKET, _std.SO_ERROR))
            return None
        self.connecting = False
        code = int(self.host.call(sockopt.getsockopt, self.endpoint, _std.SOL_SOCKET, _std.SO_ERROR))
        if state == C.CLOSED:
            # As on Linux: once the error is reported, the socket is as it was before, and may try again.
            self.host.call(retry.disconnect, self.endpoint, self.bound_to)
            if self.watch.hooks:
                self.shown()
            return code if code else errno.ECONNABORTED
        return code

    # -- data --------------------------------------------------------------------------------------------------

    def recv(self, n: int, flags: int, timeout: float | None) -> bytes:
        """recv(2)."""
        if flags:
            return self._recv_flags(n, flags, timeout)
        data = self._take(n, 0)
        if data is None:
            deadline = self.host.deadline(timeout)
            while data is None:
                self.await_ready(_IN, timeout, deadline, self.rcvtimeo)
                data = self._take(n, 0)
        if self.watch.falls:
            self.shown()
        return data

    def _take(self, n: int, flags: int) -> bytes | None:
        """tcp.recv."""
        host = self.host
        now = host.begin()
        try:
            if now < 0:
                return host.call(user.recv, self.endpoint, n, flags)  # type: ignore[no-any-return]
            return tcp.recv(self.tcb, n, flags, now)
        finally:
            host.end(now)

    def _recv_flags(self, n: int, flags: int, timeout: float | None) -> bytes:
        if flags & MSG_OOB:
            urgent: bytes = self.host.call(user.recv, self.endpoint, n, flags & (MSG_OOB | MSG_PEEK))
            return urgent
        if flags & MSG_DONTWAIT:
            timeout = 0
        deadline = self.host.deadline(timeout)
        core_flags = flags & MSG_PEEK
        parts: list[bytes] = []
        got = 0
        while True:
            data = self._take(n - got, core_flags)
            if self.watch.falls:
                self.shown()
            if data is not None:
                if not flags & MSG_WAITALL or flags & MSG_PEEK or timeout == 0:
                    return data
                parts.append(data)
                got += len(data)
                if got >= n or not data:
                    return b"".join(parts)
                continue
            try:
                self.await_ready(_IN, timeout, deadline, self.rcvtimeo)
            except OSError:
                if parts:
                    return b"".join(parts)
                raise

    def recv_error(self) -> Any:
        """The next record of the error queue (errqueue.Told); it never waits."""
        told = self.host.call(errqueue.take, self.endpoint)
        if self.watch.hooks:
            self.shown()
        if told is None:
            raise again()
        return told

    def send(self, data: Buffer, flags: int, timeout: float | None) -> int:
        """send(2): a blocking socket takes all. A socket with a timeout takes as much as there is room for."""
        if flags & MSG_DONTWAIT:
            timeout = 0
        if type(data) is bytes and len(data) <= _PIECE and self.tcb.errqueue is None:
            # Usually all of it is taken at once.
            took = self._put(data, flags, 0 if timeout is None else _LOOSE)
            if self.watch.falls:
                self.shown()
            if took == len(data) or (took > 0 and timeout is not None):
                return took
            if took < 0:
                took = 0
            return took + self._send(
                data[took:], flags, timeout, self.host.deadline(timeout), timeout is not None, took > 0
            )
        return self._send(data, flags, timeout, self.host.deadline(timeout), timeout is not None, False)

    def _put(self, data: bytes, flags: int, left: int) -> int:
        """tcp.send; _BUSY if another thread is in the middle of a send.

        `left`: the bytes of the same send that come after these. Unless all bytes are taken, the turn is this thread's until `_end_turn`.
        """
        host = self.host
        now = host.begin()
        try:
            if self.sender != 0 and self.sender != self.host.caller() and host.error is None:
                return _BUSY
            took: int = (
                host.call(user.send, self.endpoint, data, flags) if now < 0 else tcp.send(self.tcb, data, flags, now)
            )
            if left >= 0 and (left > 0 or took < len(data)):
                self.sender = self.host.caller()
            return took
        finally:
            host.end(now)

    def _await_turn(self, timeout: float | None, deadline: int | None) -> None:
        """Wait until no other thread is in the middle of a send, as `await_ready` waits for the endpoint."""
        if timeout is not None and timeout == 0:
            raise again()
        host = self.host
        host.lock.acquire()
        try:
            if self.turn is None:
                self.turn = Turn(self)
            turn = self.turn
        finally:
            host.lock.release()
        if deadline is None and self.sndtimeo is not None:
            if not host.wait(turn.watch, C.EV_OUT, host.deadline(self.sndtimeo)):
                raise again()
        elif not host.wait(turn.watch, C.EV_OUT, deadline):
            raise TimeoutError("timed out")
        if self.closed:
            raise error(errno.EBADF)

    def _end_turn(self) -> None:
        """End this thread's send, so that others may go on."""
        if self.sender != 0 and self.sender == self.host.caller():
            self.sender = 0
            if self.turn is not None:
                self.host.wake(self.turn.watch)

    def send_to(self, data: bytes, addr: int, port: int, flags: int, timeout: float | None) -> int:
        """sendto(2). The address matters only with MSG_FASTOPEN, which opens the connection with the data in its SYN."""
        if not flags & MSG_FASTOPEN or addr == 0:
            return self.send(data, flags & ~MSG_FASTOPEN, timeout)
        taken: int = self.host.call(user.connect_fastopen, self.endpoint, data[:_PIECE], addr, port)
        self.connecting = True
        if taken:
            return taken
        if timeout == 0:
            raise error(errno.EINPROGRESS)
        return self.send(data, flags & ~MSG_FASTOPEN, timeout)

    def sendall(self, data: Buffer, flags: int, timeout: float | None) -> None:
        """Send all of it, or raise an exception. The timeout is for the whole."""
        sent = 0
        if type(data) is bytes and 0 < len(data) <= _PIECE and self.tcb.errqueue is None:
            # Usually all of it is taken at once.
            sent = self._put(data, flags, 0)
            if self.watch.falls:
                self.shown()
            if sent < 0:
                sent = 0
        if sent == len(data):
            return
        deadline = self.host.deadline(timeout)
        while sent < len(data):
            if self.closed:
                raise error(errno.EBADF)
            sent += self._send(data[sent:] if sent else data, flags, timeout, deadline, False, False)

    def _send(
        self, data: Buffer, flags: int, timeout: float | None, deadline: int | None, partial: bool, began: bool
    ) -> int:
        """Send as much of `data` as there is room for (`partial`), or all of it, in pieces. `began`: some of it was sent before."""
        size = len(data)
        sent = 0
        told = self.endpoint.errqueue is not None
        try:
            while True:
                piece = data[sent : sent + _PIECE]
                if type(piece) is not bytes:
                    # The core keeps its data until it is acknowledged, and the caller may change this buffer meanwhile.
                    piece = bytes(piece)
                these = flags
                if sent + len(piece) < size:
                    # The urgent byte is the very last one.
                    these &= ~MSG_OOB
                    if not partial:
                        these |= C.MSG_MORE
                if told:
                    these |= errqueue.MSG_PART
                took = self._put(piece, these, _LOOSE if partial else size - sent - len(piece))
                if self.watch.falls:
                    self.shown()
                if took < 0:
                    self._await_turn(timeout, deadline)
                    continue
                sent += took
                if sent == size or (partial and sent):
                    return sent
                if took < len(piece):
                    self.await_ready(_OUT, timeout, deadline, self.sndtimeo)
        except TimeoutError:
            raise
        except OSError:
            # As send(2): report the bytes that were taken before the error. The next call raises the error.
            if sent or began:
                return sent
            raise
        finally:
            self._end_turn()
            if told:
                self.host.call(errqueue.end_send, self.endpoint)

    # -- the rest ----------------------------------------------------------------------------------------------

    def shutdown(self, how: int) -> None:
        """shutdown(2)."""
        self.host.call(user.shutdown, self.endpoint, how)
        if self.watch.hooks:
            self.shown()

    def getsockname(self) -> tuple[int, int]:
        """The local address and port."""
        return self.endpoint.laddr, self.endpoint.lport

    def getpeername(self) -> tuple[int, int] | None:
        """The peer's address and port, or None if there is no connection."""
        endpoint = self.endpoint
        if endpoint.state in (C.CLOSED, C.LISTEN, C.SYN_SENT):
            return None
        return endpoint.raddr, endpoint.rport

    def setsockopt(self, level: int, name: int, value: Any) -> None:
        """An option that the core knows."""
        self.host.call(sockopt.setsockopt, self.endpoint, level, name, value)

    def getsockopt(self, level: int, name: int) -> Any:
        """An option that the core knows."""
        value = self.host.call(sockopt.getsockopt, self.endpoint, level, name)
        if self.watch.hooks:
            self.shown()
        return value

    def unread(self) -> int:
        """The number of bytes that can be read at once (TCP_INQ)."""
        return self.host.call(user.unread, self.endpoint)  # type: ignore[no-any-return]

    def info(self) -> dict[str, Any]:
        """tcp_info(7) by name."""
        return self.host.call(sockopt.tcp_info, self.endpoint)  # type: ignore[no-any-return]

    def release(self) -> None:
        """close(2). If SO_LINGER is set, wait up to its seconds."""
        self.closed = True
        self.host.call(user.close, self.endpoint)
        self.host.wake(self.watch)
        if self.turn is not None:
            self.host.wake(self.turn.watch)
        if self.linger:
            self._linger(self.linger)

    def wake_all(self) -> None:  # python
        """Description.wake_all, also for the threads that wait for their turn to send."""
        self.host.wake(self.watch)
        if self.turn is not None:
            self.host.wake(self.turn.watch)

    def _linger(self, seconds: int) -> None:
        """Wait until the peer has acknowledged everything, including the FIN, or for so many seconds."""
        unsent = (C.SYN_RECEIVED, C.ESTABLISHED, C.FIN_WAIT_1, C.CLOSE_WAIT, C.CLOSING, C.LAST_ACK)
        host = self.host
        end: int = host.deadline(seconds)  # type: ignore[assignment]
        while self.endpoint.state in unsent and host.clock() < end:
            # Nothing is notified when a closed endpoint is done, so look now and then.
            host.wait(self.watch, 0, min(end, host.clock() + 5_000_000))

    def discard(self) -> None:
        """Close the socket for the garbage collector, without waiting."""
        self.closed = True
        self.host.later(user.close, self.endpoint)
