"""What the services have in common: a listener whose connections are served, or a UDP socket."""

import errno
from typing import Any

import pystack_c.const as C
from pystack_c import udp
from pystack_c.endpoint import Endpoint
from pystack_c.tcp import user
from pystack_c.tcp.tcb import Tcb
from pystack_c.udp import UdpSocket


class Service:
    """Serves endpoints whose `service` it is: each of their wake-ups ends here instead of at the driver."""

    def serve(self, ep: Any, now: int) -> None:
        """The endpoint has news. Called from poll_transmit; must not raise what a peer can cause."""
        raise NotImplementedError


class StreamService(Service):
    """A TCP service: one for a listener and all of its connections. Subclasses say what `work` there is."""

    def __init__(self, limit: int) -> None:
        #: connections at the same time; more are reset
        self.limit = limit
        self.conns: dict[int, Any] = {}

    def serve(self, ep: Any, now: int) -> None:  # inherited
        """A connection to accept, or one with something to do."""
        tcb: Tcb = ep
        if tcb.state == C.LISTEN:
            self._accept(tcb, now)
        elif not tcb.detached:
            self._serve_connection(tcb, now)

    def _accept(self, listener: Tcb, now: int) -> None:
        while True:
            tcb: Tcb = user.accept(listener, now)
            if tcb is None:
                return
            if len(self.conns) >= self.limit:
                user.abort(tcb, now)
                continue
            self.conns[tcb.ident] = tcb
            tcb.service = self
            tcb.nodelay = True
            self._serve_connection(tcb, now)

    def _serve_connection(self, tcb: Tcb, now: int) -> None:
        if tcb.so_error != 0 or tcb.state == C.CLOSED:
            self.end(tcb, now)
            return
        self.work(tcb, now)
        if not tcb.detached and tcb.fin_received and tcb.recvbuf.used == 0:
            self.end(tcb, now)

    def work(self, tcb: Tcb, now: int) -> None:
        """Read what can be read, write what can be written."""
        raise NotImplementedError

    def end(self, tcb: Tcb, now: int) -> None:
        """Close, after what was written; nothing more is served."""
        self.conns.pop(tcb.ident, None)
        tcb.service = None
        user.close(tcb, now)

    def stop(self, now: int) -> None:
        """The service ends: its connections are reset."""
        for tcb in list(self.conns.values()):
            tcb.service = None
            user.abort(tcb, now)
        self.conns.clear()


def room(tcb: Tcb) -> int:
    """Bytes that can be written now: none before the send buffer would also tell a waiting writer to go on."""
    return tcb.send_space() if not tcb.shut_wr and tcb.state in (C.ESTABLISHED, C.CLOSE_WAIT) else 0


class DatagramService(Service):
    """A UDP service: `answer` each datagram."""

    def serve(self, ep: Any, now: int) -> None:  # inherited
        """Everything that is queued."""
        sock: UdpSocket = ep
        while not sock.closed:
            try:
                datagram = udp.recvfrom(sock, 0, now)
                if datagram is None:
                    return
                # Two such services must not be set upon each other by a forged source port.
                if datagram.sport in (7, 9, 13, 19):
                    continue
                reply = self.answer(datagram.data)
                if reply is not None:
                    udp.sendto(sock, reply, datagram.src, datagram.sport, 0, now)
            except OSError:
                # An ICMP error to an earlier answer, or no route to this one: the next one counts.
                continue

    def answer(self, data: bytes) -> Any:
        """What to send back, or None."""
        raise NotImplementedError


def not_there(name: str) -> OSError:
    """There is no service of this name."""
    return OSError(errno.ENOENT, f"no service {name!r} in the core")


def attach(ep: Endpoint, service: Service) -> None:
    """From now on `service` serves this endpoint."""
    ep.service = service
