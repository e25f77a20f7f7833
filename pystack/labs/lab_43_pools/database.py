"""The network of the lab, the database with its workers, and the connections to it."""

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pystack_c.const as C
from pystack.labs.values import WrongAnswer
from pystack.sim.network import Network
from pystack.sim.programs import Op, Program, StreamSocket, sleep, spawn, stream
from pystack.testing.lab import MS, S

R, SERVICE = 20 * MS, 20 * MS  # the round trip, and the time that a worker needs for a request
WORKERS = 4
SIZE = 100  # bytes of a request and of an answer
PORT, DATABASE = 5432, "10.0.1.2"
SOL_SOCKET, SO_REUSEADDR, SO_KEEPALIVE = 1, 2, 9
SOL_TCP, TCP_KEEPIDLE, TCP_KEEPINTVL = 6, 4, 5
#: The firewall forgets a connection after 30 s, and then drops what belongs to none.
FORGETFUL = """table ip guard {
    chain forward {
        type filter hook forward priority filter; policy drop;
        ct state established accept
        ct state new tcp flags syn accept
    }
}"""


def network(rules: str = "") -> Network:
    """Build the network: an application, a firewall and a database."""
    net = Network(1)
    settings = {"nf_conntrack_tcp_timeout_established": 30 * S, "nf_conntrack_tcp_loose": False}
    app = net.host("app", profile="lab", tcp_nagle=False)
    wall = net.router("firewall", profile="lab", **settings)
    database = net.host("database", profile="lab", tcp_nagle=False)
    net.link(app, wall, delay=R // 4, addrs=("10.0.0.2/24", "10.0.0.1/24"))
    net.link(wall, database, delay=R // 4, addrs=("10.0.1.1/24", f"{DATABASE}/24"))
    app.route("default", via="10.0.0.1")
    database.route("default", via="10.0.1.1")
    net.introduce()
    if rules:
        wall.nft(rules)
    return net


class Ticket(Op):
    """`yield ticket` waits until something calls `ticket.call()`."""

    def __init__(self) -> None:
        self.called = False
        self.resume: list[Callable[[], None]] = []

    def poll(self) -> bool:
        """Op.poll."""
        return self.called

    def park(self, resume: Callable[[], None]) -> None:
        """Op.park."""
        self.resume.append(resume)

    def call(self) -> None:
        """End the waiting."""
        if self.called:
            raise WrongAnswer("Your pool calls a ticket twice. A ticket is for one wait: take it out of the queue.")
        self.called = True
        for resume in self.resume:
            resume()


class Connection:
    """A connection from the application to the database, on which one request at a time is asked."""

    def __init__(self, sock: StreamSocket, limit: int = 3600 * S):
        self.sock, self.limit, self.open = sock, limit, True

    def ask(self, request: bytes) -> Program:
        """Send a request, and wait for its answer. OSError if the connection breaks, or if there is no answer within the limit."""
        deadline = self.sock.host.net.now + self.limit
        yield self.sock.sendall(request.ljust(SIZE))
        answer = yield self.sock.within(self.sock.recv_exactly(SIZE), deadline - self.sock.host.net.now)
        if len(answer) < SIZE:
            raise ConnectionResetError("the database has closed the connection")
        return answer.rstrip()

    def usable(self) -> bool:
        """Return False if it is closed at one of its ends, as far as the application's host knows. This needs no time."""
        return self.open and not self.sock.endpoint.readiness() & (C.EV_IN | C.EV_ERR | C.EV_HUP)

    def close(self) -> None:
        """Close it."""
        if self.open:
            self.open = False
            self.sock.close()


class Database:
    """Answers requests with WORKERS workers, first come, first served. `rows` are the requests that were executed.

    A request "break ..." is executed, and then its connection breaks, `breaks` times. "early ..." breaks before it is executed, and "slow ..." takes ten times as long. `idle` is
    the time (ns) after which the database closes a connection without requests.
    """

    def __init__(self, net: Network, workers: int = WORKERS, idle: int = 0, breaks: int = 1000):
        self.net, self.host, self.idle, self.breaks = net, net.hosts["database"], idle, breaks
        self.free, self.waiting = workers, deque[Ticket]()
        self.rows: list[bytes] = []
        self.waits: list[int] = []  # how long each request has waited for a worker (ns)
        self.listener: Any = None
        self.listen()

    def listen(self) -> None:
        """Accept connections."""
        listener = self.listener = stream(self.host)
        listener.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
        listener.bind("", PORT)
        listener.listen()

        def accept() -> Program:
            with suppress(OSError):  # `leave` has closed the listener
                while True:
                    spawn(self.net, self.serve((yield listener.accept())))

        spawn(self.net, accept())

    def leave(self) -> None:
        """Accept no more connections, until `listen`."""
        self.listener.close()

    def serve(self, sock: StreamSocket) -> Program:
        """Serve a connection."""
        # It ends with an OSError if the application has reset the connection, or was idle for too long.
        with suppress(OSError):
            while request := (yield from self.read(sock)):
                broken = request.startswith((b"break", b"early")) and self.breaks > 0
                self.breaks -= broken
                if not (broken and request.startswith(b"early")):
                    yield from self.execute(request)
                if broken:
                    sock.abort()
                    return
                yield sock.sendall(request.ljust(SIZE))
        sock.close()

    def read(self, sock: StreamSocket) -> Program:
        """Read a request."""
        op = sock.recv_exactly(SIZE)
        return (yield sock.within(op, self.idle) if self.idle else op).rstrip()

    def execute(self, request: bytes) -> Program:
        """Execute a request as soon as a worker is free."""
        came = self.net.now
        if self.free:
            self.free -= 1
        else:
            ticket = Ticket()
            self.waiting.append(ticket)
            yield ticket
        self.waits.append(self.net.now - came)
        yield sleep(SERVICE * (10 if request.startswith(b"slow") else 1))
        self.rows.append(request)
        if self.waiting:
            self.waiting.popleft().call()
        else:
            self.free += 1
