"""Lab 25: network access to a database. A firewall in front of port 5432, a client that waits for 5 s, R = 10 ms."""

import errno

import pytest

from pystack.sim.network import MS, Network, S, SimHost
from pystack.sim.programs import spawn, stream
from pystack.testing.segments import WireLog

pytestmark = pytest.mark.skipif(not hasattr(SimHost, "nft"), reason="needs the packet filter")

R = 10 * MS
TABLE = {"family": "ip", "table": "guard"}
PORT = {"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": 5432}}
OPEN = {"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": ["established", "related"]}}
CLIENT = {"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "saddr"}}, "right": "10.0.0.1"}}
ACCEPT, DROP = {"accept": None}, {"drop": None}
RESET = {"reject": {"type": "tcp reset"}}
PROHIBITED = {"reject": {"type": "icmp", "expr": "admin-prohibited"}}


def rule(*expressions):
    return {"add": {"rule": {**TABLE, "chain": "input", "expr": list(expressions)}}}


class World:
    """A client and a database, with a firewall on the database's host."""

    def __init__(self, *rules, address="10.0.0.2"):
        self.net = Network(1)
        self.client, self.database = (self.net.host(name, profile="lab") for name in ("client", "database"))
        self.net.link(self.client, self.database, delay=R // 2, addrs=("10.0.0.1/24", "10.0.0.2/24"))
        self.net.introduce()
        self.log = WireLog(self.client.port())
        if rules:
            chain = {"type": "filter", "hook": "input", "prio": 0, "policy": "accept"}
            self.database.nft(
                [
                    {"add": {"table": {"family": "ip", "name": "guard"}}},
                    {"add": {"chain": {**TABLE, "name": "input", **chain}}},
                    *rules,
                ]
            )
        self.listener = stream(self.database)
        self.listener.bind(address, 5432)
        self.listener.listen()
        self.accepted = []
        spawn(self.net, self.accept())

    def accept(self):
        while True:
            self.accepted.append((yield self.listener.accept()))

    def connect(self):
        """(errno or 0, how long it took, the connection)"""
        began = self.net.now

        def program():
            sock = stream(self.client)
            try:
                yield sock.within(sock.connect("10.0.0.2", 5432), 5 * S)
            except OSError as error:
                if error.errno == errno.ETIMEDOUT:
                    sock.close()  # the client gives up
                return error.errno, self.net.now - began, None
            return 0, self.net.now - began, sock

        proc = spawn(self.net, program())
        self.net.run_until(proc.finished, limit=self.net.now + 60 * S)
        return proc.value

    def syns(self):
        """The times of the client's SYNs, in seconds."""
        return [seg.time / S for seg in self.log.sent["client"] if seg.has(2)]


@pytest.mark.parametrize(
    "rules, error",
    [
        ([], 0),
        ([rule(PORT, CLIENT, ACCEPT), rule(PORT, DROP)], 0),
        ([rule(PORT, RESET)], errno.ECONNREFUSED),
        ([rule(PORT, PROHIBITED)], errno.EHOSTUNREACH),
    ],
    ids=["no firewall", "allowed", "reset", "prohibited"],
)
def test_an_answer_takes_one_round_trip(rules, error):
    assert World(*rules).connect()[:2] == (error, R)


def test_a_drop_is_a_timeout():
    world = World(rule(PORT, DROP))
    assert world.connect()[:2] == (errno.ETIMEDOUT, 5 * S)
    assert world.syns() == [0, 1, 3]


def test_a_database_on_the_loopback_address_is_closed():
    """Although the firewall accepts the segment: it is the stack that answers with a reset."""
    world = World(rule(PORT, ACCEPT), address="127.0.0.1")
    assert world.connect()[:2] == (errno.ECONNREFUSED, R)


def test_an_open_connection_outlives_a_new_rule():
    world = World(rule(OPEN, ACCEPT))
    error, _, sock = world.connect()
    assert error == 0
    world.net.run(until=world.net.now + S)
    world.database.nft([rule(PORT, DROP)])
    sock.call("send", b"select 1", 0)
    world.net.run(until=world.net.now + S)
    assert world.accepted[-1].call("recv", 100, 0) == b"select 1"
    assert world.connect()[0] == errno.ETIMEDOUT


def test_control_without_connection_tracking_the_open_connection_ends_too():
    world = World(rule(CLIENT))
    error, _, sock = world.connect()
    assert error == 0
    world.net.run(until=world.net.now + S)
    world.database.nft([rule(PORT, DROP)])
    sock.call("send", b"select 1", 0)
    world.net.run(until=world.net.now + S)
    assert world.accepted[-1].call("recv", 100, 0) is None


def test_control_the_order_of_rules():
    """The rule that drops comes first, so the client that is allowed waits, too."""
    world = World(rule(PORT, DROP), rule(PORT, CLIENT, ACCEPT))
    assert world.connect()[:2] == (errno.ETIMEDOUT, 5 * S)
