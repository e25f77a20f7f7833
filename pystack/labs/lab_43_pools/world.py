"""The application with its pool, and the mistakes that the experiment compares it with."""

from collections.abc import Callable
from typing import Any

from pystack.labs.lab_43_pools.database import (
    DATABASE,
    PORT,
    SO_KEEPALIVE,
    SOL_SOCKET,
    SOL_TCP,
    TCP_KEEPIDLE,
    TCP_KEEPINTVL,
    Connection,
    Database,
    Ticket,
    network,
)
from pystack.labs.lab_43_pools.solution import Pool
from pystack.sim.programs import Program, spawn, stream
from pystack.testing.lab import S


class Blind(Connection):
    """A connection that is always said to be usable."""

    def usable(self) -> bool:
        """Return True."""
        return True


class Leaky(Pool):
    """A pool that forgets a place if a request raises an exception."""

    def once(self, work: Any) -> Program:
        """Make a request."""
        yield from self.take_place()
        connection = yield from self.open()
        result = yield from work(connection)
        self.idle.append(connection)
        self.leave_place()
        return result


class World:
    """The network, the database, and the application, whose pool has `size` places.

    `limit` is the time (ns) for which the application waits for an answer. With `keepalive` (ns), its idle connections are probed.
    """

    def __init__(
        self,
        size: int,
        pool: type[Pool] = Pool,
        kind: type[Connection] = Connection,
        rules: str = "",
        keepalive: int = 0,
        limit: int = 3600 * S,
        **options: Any,
    ):
        self.net = network(rules)
        self.database = Database(self.net, **options)
        self.kind, self.keepalive, self.limit = kind, keepalive, limit
        self.pool = pool(self.connect, size, Ticket)
        self.waits: list[int] = []  # how long each request has waited for its connection (ns)

    def connect(self) -> Program:
        """Open a connection."""
        sock = stream(self.net.hosts["app"])
        if self.keepalive:
            sock.setsockopt(SOL_SOCKET, SO_KEEPALIVE, 1)
            for option in (TCP_KEEPIDLE, TCP_KEEPINTVL):
                sock.setsockopt(SOL_TCP, option, self.keepalive // S)
        yield sock.connect(DATABASE, PORT)
        return self.kind(sock, self.limit)

    def ask(
        self,
        request: bytes = b"select",
        idempotent: bool = True,
        after: Callable[[Connection], None] = lambda connection: None,
    ) -> Program:
        """Make a request through the pool. Returns its answer, or its exception. `after` is called before the connection goes back."""
        began = self.net.now

        def work(connection: Connection) -> Program:
            self.waits.append(self.net.now - began)
            answer = yield from connection.ask(request)
            after(connection)
            return answer

        try:
            return (yield from self.pool.run(work, idempotent))
        except (OSError, KeyError) as error:
            return error

    def run(self, *programs: Program) -> list[Any]:
        """Run programs until all have ended. Returns their results."""
        procs = [spawn(self.net, program) for program in programs]
        self.net.run_until(lambda: all(proc.finished() for proc in procs), limit=self.net.now + 3600 * S)
        return [proc.value for proc in procs]
