"""48 requests go to a database with four workers, through pools of several sizes, and through pools with mistakes."""

from functools import cache
from typing import Any

from pystack.labs.lab_43_pools.database import (
    FORGETFUL,
    SERVICE,
    WORKERS,
    Connection,
    R,
    network,
)
from pystack.labs.lab_43_pools.secure import tls_requests
from pystack.labs.lab_43_pools.solution import Pool
from pystack.labs.lab_43_pools.world import Blind, Leaky, World
from pystack.labs.looks import LabLook
from pystack.labs.values import LabControl, LabValue
from pystack.sim.programs import Program, spawn
from pystack.testing.lab import MS, S

__all__ = ["CONTROLS", "VALUES", "control", "measure", "network"]

M = 48
IDLE, PAUSE = 30 * S, 60 * S  # the database closes an idle connection, and the application has nothing to do
LIMIT = 5 * S  # the application waits so long for the answer to a request


@cache
def burst(size: int, workers: int = WORKERS) -> tuple[int, int, int]:
    """Make M requests at once. Returns the time until all are answered, and the longest waits for a connection and for a worker (ns)."""
    world = World(size, workers=workers)
    assert world.run(*(world.ask() for _ in range(M))) == [b"select"] * M
    return world.net.now, max(world.waits), max(world.database.waits)


def smallest() -> int:
    """Return the size of the smallest pool that is as fast as one with a connection for each request."""
    return next(size for size in range(1, M + 1) if burst(size)[0] == burst(M)[0])


def each_new() -> int:
    """Make M requests, four at a time, with a connection for each one. Returns the time (ns)."""
    world = World(WORKERS)
    world.run(*(world.ask(after=lambda connection: connection.close()) for _ in range(M)))
    return world.net.now


def after_pause(kind: type[Connection] = Connection, **options: Any) -> tuple[int, int]:
    """Make four requests at once, pause, and make four more. Returns how many of these fail, and the time until all have an end (ns)."""
    world = World(WORKERS, kind=kind, **options)
    world.run(*(world.ask() for _ in range(WORKERS)))
    world.net.run(until=world.net.now + PAUSE)
    began = world.net.now
    results = world.run(*(world.ask(idempotent=False) for _ in range(WORKERS)))
    return sum(isinstance(result, OSError) for result in results), world.net.now - began


def gives_up() -> int:
    """Return the time of TCP's own error if nothing answers: 15 retransmissions, each after twice the time, at most 120 s."""
    first = (
        R + SERVICE // 8 + 200 * MS
    )  # the smoothed round trip of a handshake (R) and of a request with its answer (R + s)
    return sum(min(first << number, 120 * S) for number in range(16))


def answered(pool: type[Pool]) -> int:
    """Make 100 requests, one after the other, and let every tenth one raise an exception. Returns how many are answered."""
    world = World(WORKERS, pool)
    results = []

    def fail(connection: Connection) -> None:
        raise KeyError("the user's own mistake")

    def requests() -> Program:
        for number in range(1, 101):
            results.append((yield from (world.ask() if number % 10 else world.ask(after=fail))))

    spawn(world.net, requests())
    world.net.run(until=60 * S)
    return results.count(b"select")


def executed(request: bytes) -> int:
    """Make a request whose connection breaks once, and say that it may be repeated. Returns how often it is executed."""
    world = World(WORKERS, breaks=1)
    assert world.run(world.ask(request)) == [request]
    return len(world.database.rows)


BOTH = R + SERVICE
ROUNDS = M // WORKERS
SILENT: dict[str, Any] = {"rules": FORGETFUL, "limit": LIMIT}
TLS: dict[str, Any] = {"needs": "openssl"}
NFT: dict[str, Any] = {"needs": "lark"}
VALUES = [
    LabValue("2", "A pool of 2: when are all 48 requests answered?", "R + 48 / 2 * (R + s)", R + M // 2 * BOTH),
    LabValue("4", "A pool of 4: when?", "R + 48 / 4 * (R + s)", R + ROUNDS * BOTH),
    LabValue("48", "A pool of 48: when?", "R + R + 48 / 4 * s", 2 * R + ROUNDS * SERVICE),
    LabValue("smallest", "Which is the smallest pool that is as fast as one of 48?", "4 * (R + s) / s", WORKERS * BOTH // SERVICE, "connections"),
    LabValue("4 waits", "A pool of 4: the longest wait for a connection, and for a worker?", "R + 11 * (R + s), 0", [R + (ROUNDS - 1) * BOTH, 0]),
    LabValue("48 waits", "A pool of 48: the longest wait for a connection, and for a worker?", "R, 11 * s", [R, (ROUNDS - 1) * SERVICE]),
    LabValue("new", "No pool, 4 at a time, a new connection each: when?", "48 / 4 * (R + R + s)", ROUNDS * (R + BOTH)),
    LabValue("tls new", "The same with TLS 1.3: when?", "48 / 4 * (2 R + R + s)", ROUNDS * (2 * R + BOTH), **TLS),
    LabValue("tls 4", "A pool of 4 with TLS 1.3: when?", "2 R + 48 / 4 * (R + s)", 2 * R + ROUNDS * BOTH, **TLS),
    LabValue("stale", "The database has closed the idle connections, and the pool does not look: how many of 4 requests fail?", "4", WORKERS, "requests"),
    LabValue("checked", "The pool looks before it uses a connection: when are the 4 answered?", "R + R + s", R + BOTH),
    LabValue("forgotten", "The firewall has forgotten the connections, and the pool looks: how many of 4 fail, after 5 s?", "4", WORKERS, "requests", **NFT),
    LabValue("tcp", "The application has no limit: when does TCP report an error?", "sum of min(2^i * (R + s / 8 + 200 ms), 120 s), i = 0..15", gives_up(), "s", **NFT),
    LabValue("keepalive", "TCP probes the idle connections every 10 s: when are the 4 answered?", "R + s", BOTH, **NFT),
    LabValue("leak", "A pool of 4 loses a place with each exception: how many of 100 requests are answered?", "4 * 9", 9 * WORKERS, "requests"),
    LabValue("twice", "An INSERT is executed, the connection breaks, the pool repeats it: how many rows?", "2", 2, "rows"),
]  # fmt: skip


def measure(name: str) -> Any:
    """Measure one of VALUES."""
    if name.endswith("waits"):
        return list(burst(int(name.split()[0]))[1:])
    if name.isdigit():
        return burst(int(name))[0]
    if name.startswith("tls"):
        return tls_requests(M, pooled=name == "tls 4")
    return {
        "smallest": smallest,
        "new": each_new,
        "stale": lambda: after_pause(Blind, idle=IDLE)[0],
        "checked": lambda: after_pause(idle=IDLE)[1],
        "forgotten": lambda: after_pause(**SILENT)[0],
        "tcp": lambda: after_pause(rules=FORGETFUL)[1],
        "keepalive": lambda: after_pause(**SILENT, keepalive=10 * S)[1],
        "leak": lambda: answered(Leaky),
        "twice": lambda: executed(b"break"),
    }[name]()


CONTROLS = [
    LabControl("The database has 8 workers", LabValue("8 workers", "A pool of 48", "R + R + 48 / 8 * s", 2 * R + M // 8 * SERVICE)),
    LabControl("The pool gets its place back whatever happens", LabValue("no leak", "Requests that are answered", "100 - 10", 90, "requests")),
    LabControl("The connection breaks before the INSERT is executed", LabValue("once", "Rows", "1", 1, "rows")),
    LabControl("The database never closes a connection", LabValue("open", "Time of 4 requests after the pause, if the pool does not look", "R + s", BOTH)),
]  # fmt: skip


def control(name: str) -> int:
    """Measure a control."""
    return {
        "8 workers": lambda: burst(M, 8)[0],
        "no leak": lambda: answered(Pool),
        "once": lambda: executed(b"early"),
        "open": lambda: after_pause(Blind)[1],
    }[name]()


LOOKS = [
    LabLook("A pool of 2: the next request leaves when an answer is there", lambda: burst.__wrapped__(2), 'host == "app" and event.kind == "state" and state == ESTABLISHED', "ladder", frames="1-28"),
    LabLook("The firewall has forgotten the connections", lambda: after_pause(**SILENT), 'host == "firewall" and event.kind == "drop"', "ladder", frames="41-60", **NFT),
]  # fmt: skip
