"""A client, a database, and a firewall on the database's host in front of port 5432."""

import errno
from typing import Any

from pystack.labs.hosts import DatabaseValue
from pystack.labs.lab_25_database import tools
from pystack.labs.looks import LabLook
from pystack.labs.values import LabControl, LabValue
from pystack.sim.network import MS, Network, S, SimHost
from pystack.sim.programs import spawn, stream
from pystack.testing.segments import SYN, WireLog

R = 10 * MS
TIMEOUT = 5 * S  # the client's
PORT, CLIENT, DATABASE = 5432, "10.0.0.1", "10.0.0.2"
CHAIN = """table ip guard {{
    chain input {{
        type filter hook input priority filter; policy accept;
        {}
    }}
}}"""
ALLOW, DROP = f"ip saddr {CLIENT} tcp dport {PORT} accept", f"tcp dport {PORT} drop"
RESET, PROHIBITED = f"tcp dport {PORT} reject with tcp reset", f"tcp dport {PORT} reject with icmp admin-prohibited"
TRACK = "ct state established,related accept"


def network() -> Network:
    """Build the network."""
    net = Network(1)
    client, database = (net.host(name, profile="lab") for name in ("client", "database"))
    net.link(client, database, delay=R // 2, addrs=(f"{CLIENT}/24", f"{DATABASE}/24"))
    net.introduce()
    return net


class World:
    """The network, with rules on the database's host. `accepted` has the server's sockets."""

    def __init__(self, *rules: str, address: str = DATABASE):
        self.net = network()
        self.client, self.database = self.net.hosts["client"], self.net.hosts["database"]
        self.log = WireLog(self.client.port())
        if rules:
            self.database.nft(CHAIN.format("\n        ".join(rules)))
        self.accepted: list[Any] = []
        self.listen(PORT, address)

    def listen(self, port: int, address: str = DATABASE) -> None:
        """Open a port of the database's host."""
        listener = stream(self.database)
        listener.bind(address, port)
        listener.listen()

        def accept():
            while True:
                self.accepted.append((yield listener.accept()))

        spawn(self.net, accept())

    def connect(self, host: SimHost | None = None, port: int = PORT) -> tuple[int, int, Any]:
        """Connect. Returns the errno (0 for success), the time that it took (ns), and the socket."""
        began = self.net.now

        def program():
            sock = stream(host or self.client)
            try:
                yield sock.within(sock.connect(DATABASE, port), TIMEOUT)
            except OSError as error:
                if error.errno == errno.ETIMEDOUT:
                    sock.close()  # the client gives up
                return error.errno, self.net.now - began, None
            return 0, self.net.now - began, sock

        proc = spawn(self.net, program())
        self.net.run_until(proc.finished, limit=self.net.now + 60 * S)
        found: tuple[int, int, Any] = proc.value
        return found

    def passes(self, sock: Any) -> bool:
        """Return True if data on the newest open connection reaches the database."""
        server = self.accepted[-1]
        sock.call("send", b"select 1", 0)
        self.net.run(until=self.net.now + S)
        return bool(server.call("recv", 100, 0) == b"select 1")


def wait(error: int, *rules: str, address: str = DATABASE) -> int:
    """Connect. Returns after which time the client has this result (ns), or -1 if it has another one."""
    found, time, _ = World(*rules, address=address).connect()
    return time if found == error else -1


def syns() -> list[int]:
    """Return when the client sends its SYNs if they are dropped (ns)."""
    world = World(DROP)
    world.connect()
    return [seg.time for seg in world.log.sent["client"] if seg.has(SYN)]


def outlives(*rules: str) -> list[int]:
    """Open a connection, and then load a rule that drops. Returns whether the open one goes on, and whether a new one opens."""
    world = World(*rules)
    error, _, sock = world.connect()
    assert error == 0
    world.net.run(until=world.net.now + S)
    world.database.nft(f"add rule ip guard input {DROP}")
    return [int(world.passes(sock)), int(world.connect()[0] == 0)]


NFT: dict[str, Any] = {"needs": "lark"}
VALUES = [
    LabValue("none", "No firewall: after which time is the client connected?", "R", R),
    LabValue("allowed", "The client is allowed, others are dropped: after which time?", "R", R, **NFT),
    LabValue("reset", "Reject with a reset: when does the client have its error?", "R", R, **NFT),
    LabValue("prohibited", "Reject with ICMP: when does it have its error?", "R", R, **NFT),
    LabValue("drop", "Drop: when does it have its error?", "its own limit", TIMEOUT, "s", **NFT),
    LabValue("syns", "Drop: when does it send its three SYNs?", "0, 1, 1 + 2", [0, S, 3 * S], "s", **NFT),
    LabValue("loopback", "The database listens on 127.0.0.1 only: when does the client have its error?", "R", R),
    LabValue(
        "outlives",
        "A new rule drops, after one that accepts what is established. Does the open connection go on, does a new one open? (1 is yes)",
        "1, 0",
        [1, 0],
        "",
        **NFT,
    ),
    DatabaseValue(
        "postgres",
        "A real PostgreSQL: accepted, reset, dropped, and asked at an address on which it does not listen? (0: a row, 1: refused, 2: timeout)",
        "0, 1, 2, 1",
        [tools.ANSWER, tools.REFUSED, tools.TIMEOUT, tools.REFUSED],
        "",
        needs="lark postgres psql setpriv",
    ),
]


def measure(name: str) -> Any:
    """Measure one of VALUES."""
    if name == "postgres":
        return tools.outcomes()
    if name in ("syns", "outlives"):
        return syns() if name == "syns" else outlives(TRACK)
    if name == "loopback":
        return wait(errno.ECONNREFUSED, address="127.0.0.1")
    error, rules = {
        "none": (0, []),
        "allowed": (0, [ALLOW, DROP]),
        "reset": (errno.ECONNREFUSED, [RESET]),
        "prohibited": (errno.EHOSTUNREACH, [PROHIBITED]),
        "drop": (errno.ETIMEDOUT, [DROP]),
    }[name]
    return wait(error, *rules)


CONTROLS = [
    LabControl(
        "The rule that drops comes before the one that accepts",
        LabValue("order", "When does the allowed client have its error?", "its own limit", TIMEOUT, "s", **NFT),
    ),
    LabControl(
        "No rule accepts what is established",
        LabValue("untracked", "Does the open connection go on, does a new one open?", "0, 0", [0, 0], "", **NFT),
    ),
]


def control(name: str) -> Any:
    """Measure a control."""
    return wait(errno.ETIMEDOUT, DROP, ALLOW) if name == "order" else outlives(f"ip saddr {CLIENT} counter")


LOOKS = [
    LabLook("A firewall that drops", lambda: wait(errno.ETIMEDOUT, DROP), 'event.kind == "drop"', "ladder", **NFT),
    LabLook("A firewall that rejects", lambda: wait(errno.ECONNREFUSED, RESET), 'event.kind == "drop"', "ladder", **NFT),
]  # fmt: skip
