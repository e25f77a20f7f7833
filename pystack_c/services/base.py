"""The common part of the services: a listener and its connections, or a UDP socket."""

import errno
from typing import Any

import pystack_c.const as C
from pystack_c.base.address import key
from pystack_c.endpoint import Endpoint
from pystack_c.services.session import REASONS, RULE, Session
from pystack_c.sockets import udp
from pystack_c.sockets.ports import PortTable
from pystack_c.sockets.record import Datagram
from pystack_c.sockets.udp import UdpSocket
from pystack_c.tcp import user
from pystack_c.tcp.tcb import Tcb

#: the bytes that a client may leave in the send buffer of a closed connection without being watched (tcp.queues.share.LEAST)
_LEAST = 4096
#: the bytes that a connection may write if nearly all memory is taken
_LITTLE = 1024
#: the number of hops by which the TTL of an answer is below that of its datagram
_TTL_STEP = 8
#: the mask that selects the answers that are not sent
_SKIPPED = (1 << 20) - 1


class Service:
    """Serves the endpoints whose `service` it is. Their wake-ups go to the service instead of to the driver."""

    def serve(self, ep: Any, now: int) -> None:
        """Handle news of an endpoint. poll_transmit calls it; it must not raise an error that a peer can cause."""
        raise NotImplementedError


class StreamService(Service):
    """A TCP service, for one listener and all of its connections. Subclasses define its `work`.

    `limit` bounds the connections, and no client may have more connections than are still free. So one client can fill
    half of the service, two can fill two thirds, and there is always room for another one. The service resets a
    connection that it refuses.
    """

    def __init__(self, limit: int) -> None:
        #: the most connections at the same time
        self.limit = limit
        #: endpoint number -> Session
        self.conns: dict[int, Session] = {}
        #: a client's address -> the number of its connections
        self.peers: dict[int, int] = {}

    def serve(self, ep: Any, now: int) -> None:  # inherited
        """Accept a connection, or serve one that has news."""
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
            held = self.peers.get(key(tcb.raddr), 0)
            if held >= self.limit - len(self.conns):
                tcb.core.drop("service-full", tcb.subject(), f"the client already has {held} connections", RULE)
                user.abort(tcb, now)
                continue
            self.peers[key(tcb.raddr)] = held + 1
            self.conns[tcb.ident] = Session(self, tcb, now)
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
        """Read the data that has arrived, and write as much as there is room for."""
        raise NotImplementedError

    def end(self, tcb: Tcb, now: int) -> None:
        """Close the connection after the written data. The service does not serve it any more."""
        tcb.service = None
        user.close(tcb, now)
        session: Session | None = self.conns.get(tcb.ident)
        if session is None:
            return
        if tcb.state != C.CLOSED and session.waits() > _LEAST:
            # Much data is still unsent, so the client must continue to take it.
            session.draining = True
            session.blocked(now)
        else:
            self.forget(session)

    def forget(self, session: Session) -> None:
        """Stop counting the connection."""
        session.over()
        if self.conns.pop(session.ident, None) is None:
            return
        held = self.peers.get(key(session.peer), 0)
        if held > 1:
            self.peers[key(session.peer)] = held - 1
        else:
            self.peers.pop(key(session.peer), None)

    def expire(self, session: Session, name: str, now: int) -> None:
        """Handle a client that is late. `name` is a key of session.REASONS."""
        tcb = session.tcb
        tcb.core.drop(name, tcb.subject(), REASONS[name], RULE)
        if name == "service-head" and not session.draining:
            self.late(tcb, now)
        elif name == "service-idle":
            self.end(tcb, now)
        else:
            # Abort, because a FIN would have to wait behind the data that the client does not take.
            tcb.service = None
            user.abort(tcb, now)
            self.forget(session)

    def late(self, tcb: Tcb, now: int) -> None:
        """Handle a request that was not complete in time."""
        self.end(tcb, now)

    def blocked(self, tcb: Tcb, now: int) -> None:
        """Note that there is more to write than there is room for."""
        session: Session | None = self.conns.get(tcb.ident)
        if session is not None:
            session.blocked(now)

    def begun(self, tcb: Tcb, now: int) -> None:
        """Note that a request has begun and is not complete."""
        session: Session | None = self.conns.get(tcb.ident)
        if session is not None:
            session.begun(now)

    def greedy(self, peer: int) -> bool:
        """Return True if the client has its fair share of the connections, or more."""
        held = self.peers.get(key(peer), 0)
        return held * len(self.peers) >= len(self.conns)

    def share(self, tcb: Tcb, room: int) -> int:
        """Return how many of `room` bytes the connection may still write under memory pressure.

        All clients together get tcp_mem_low. Each client gets the same part of it, for all of its connections. No
        connection gets more than a quarter of the free memory below seven eighths of tcp_mem_high. So however many
        clients come, the last eighth stays free for others.
        """
        config = tcb.core.config
        held = self.peers.get(key(tcb.raddr), 1)
        peers = len(self.peers)
        most = config.tcp_mem_low // (held * (peers if peers > 0 else 1))
        free = config.tcp_mem_high - config.tcp_mem_high // 8 - tcb.core.tcp_memory
        if free // 4 < most:
            most = free // 4
        if most < _LEAST:
            most = _LEAST if free > 0 else _LITTLE
        left = most - (tcb.sendbuf.tail - tcb.sendbuf.head)
        if left >= room:
            return room
        # As at the end of a send buffer, write no small pieces, and ask for a wake-up when there is room again.
        tcb.no_space = True
        return left if left >= most // 3 else 0

    def stop(self, now: int) -> None:
        """End the service, and reset its connections."""
        for session in list(self.conns.values()):
            session.tcb.service = None
            user.abort(session.tcb, now)
            session.over()
        self.conns.clear()
        self.peers.clear()


def room(tcb: Tcb) -> int:
    """Return the number of bytes that can be written now. It is 0 until a waiting writer would be woken, too."""
    if tcb.shut_wr or (tcb.state != C.ESTABLISHED and tcb.state != C.CLOSE_WAIT):
        return 0
    n = tcb.send_space()
    if n > 0 and tcb.core.tcp_pressure:
        service: StreamService = tcb.service
        if service is not None:
            n = service.share(tcb, n)
    return n


def skip(tcb: Tcb, n: int, now: int) -> None:
    """Read and discard n bytes, including urgent ones. One call of user.skip ends at the mark (RFC 6093 6)."""
    while n > 0:
        done = user.skip(tcb, n, now)
        if done <= 0:
            return
        n -= done


class DatagramService(Service):
    """A UDP service that sends an `answer` to each datagram.

    Two services must not answer each other forever because of one forged datagram, whatever their ports are. An answer
    looks like a request, and so does each datagram of a loop. But the TTL can show how often it was answered, because
    an answer has a lower TTL than its datagram had on arrival. So a loop between services of this kind ends after
    ip_default_ttl / _TTL_STEP answers. This needs no table of clients, and a client may ask as fast as it likes. A
    client that sends with a TTL of 64 gets its answers over up to 28 routers. For other services there are two more
    rules. First, a well-known port, the service's own port, and a port on which this host has a service do not get
    answers. Second, one answer in a million is not sent, which ends every loop at some time.
    """

    def __init__(self) -> None:
        #: the number of datagrams that the service examined
        self.seen = 0

    def serve(self, ep: Any, now: int) -> None:  # inherited
        """Answer all queued datagrams."""
        sock: UdpSocket = ep
        while not sock.closed:
            try:
                datagram = udp.recvfrom(sock, 0, now)
                if datagram is None:
                    return
                reply = self.answer(datagram.data)
                if reply is None:
                    continue
                why = self.refuses(sock, datagram)
                if why:
                    sock.core.drop("service-loop", sock.subject(), why, RULE)
                    continue
                ttl = (
                    datagram.ttl if datagram.ttl < sock.core.config.ip_default_ttl else sock.core.config.ip_default_ttl
                )
                sock.ttl = ttl - _TTL_STEP
                udp.sendto(sock, reply, datagram.src, datagram.sport, 0, now)
            except OSError:
                # An earlier answer caused an ICMP error, or this one has no route. Continue with the next datagram.
                continue

    def answer(self, data: bytes) -> Any:
        """Return the bytes to send back, or None."""
        raise NotImplementedError

    def refuses(self, sock: UdpSocket, datagram: Datagram) -> str:
        """Return why the datagram is not answered, or ""."""
        self.seen += 1
        if datagram.ttl <= _TTL_STEP:
            return "the TTL is nearly used up, which suggests that two services answer each other"
        if datagram.sport < 1024 or datagram.sport == sock.lport:
            return "the source is the port of a service, which might answer the answer"
        if datagram.dst != sock.laddr and sock.core.local_addr(datagram.dst) is None:
            return "the datagram was sent to many hosts, and their answers would multiply it"
        ports: PortTable = sock.core.udp
        others = ports.buckets.get(datagram.sport)
        if others is not None:
            for other in others.values():
                if other.service is not None:
                    return "the source port is one on which this host has a service, too"
        if self.seen & _SKIPPED == 0:
            return "one datagram in a million is not answered, which ends a loop between services"
        return ""


def not_there(name: str) -> OSError:
    """Return the error for an unknown service name."""
    return OSError(errno.ENOENT, f"the core has no service {name!r}")


def attach(ep: Endpoint, service: Service) -> None:
    """Make `service` serve this endpoint from now on."""
    ep.service = service
