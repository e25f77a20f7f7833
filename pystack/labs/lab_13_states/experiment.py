"""Connections that are opened and closed in all ways, and what TIME-WAIT costs."""

import errno
from typing import Any

from pystack.labs.lab_13_states.scripts import EDGES, SCRIPTS, R, given_up, simultaneous_close, watched
from pystack.labs.looks import LabLook
from pystack.labs.values import LabControl, LabValue
from pystack.testing.lab import Lab, S, lab_net, sleep, stream
from pystack.testing.segments import FIN, RST

PORTS = 100
WAIT = 60 * S


def network(**settings: Any) -> Lab:
    """Build the network: a client `a` and a server `b`, half a round trip apart each way."""
    return lab_net(R // 2, **settings)


def changes() -> list[tuple[str, str]]:
    """Run all scripts. Returns their changes of state."""
    return [(old, new) for script in (*SCRIPTS.values(), given_up) for _, _, old, new in script().changes]


def edges() -> int:
    """Run all scripts. Returns how many edges of figure 5 they take."""
    return len(set[tuple[str, str]]().union(*(script().edges() for script in (*SCRIPTS.values(), given_up))))


def time_wait() -> dict[str, list[int]]:
    """Let the server close first. Returns for each host how long (ns) its connections were in TIME-WAIT."""
    lab, states = watched()
    client, server = lab.connected()
    lab.net.after(S, server.close)
    lab.net.after(2 * S, client.close)
    lab.net.run(until=lab.net.now + 100 * S)
    found: dict[str, list[int]] = {"a": [], "b": []}
    began = 0
    for time, host, old, new in states.changes:
        if new == "TIME-WAIT":
            began = time
        if old == "TIME-WAIT":
            found[host].append(time - began)
    return found


def last_flag(unread: bytes) -> int:
    """Close with unread data or without. Returns 1 if that sends RST, and 0 if it sends FIN."""
    lab = network()
    client, server = lab.connected()
    if unread:
        server.call("send", unread, 0)
    lab.net.run(until=lab.net.now + S)
    client.close()
    flags = lab.log.sent["a"][-1].flags & (RST | FIN)
    assert flags in (RST, FIN)
    return int(flags == RST)


def connections(first_closer: str) -> list[int]:
    """Open 101 connections, each of which is closed at once. Returns how many succeed, and the sides' TIME-WAITs."""
    lab = network(client={"port_min": 40_000, "port_max": 40_000 + PORTS - 1})
    listener = lab.listener()

    def serve():
        while True:
            sock = yield listener.accept()
            if first_closer == "a":
                yield sock.recv_all()
            sock.close()

    def dial():
        for number in range(PORTS + 1):
            try:
                sock = yield from lab.client()
            except OSError as error:
                assert error.errno == errno.EADDRNOTAVAIL and lab.net.now < WAIT
                return number
            if first_closer == "b":
                yield sock.recv_all()
            sock.close()
        return PORTS + 1

    lab.spawn(serve())
    (count,) = lab.run(dial())
    lab.net.run(until=lab.net.now + S)
    return [count, lab.a.stack.tcp.time_wait, lab.b.stack.tcp.time_wait]


def restarts(reuse: int, pause: int) -> int:
    """Restart a server that closed first, after a pause. Returns 1 if it gets its port."""
    lab = network()
    listener = stream(lab.b)
    listener.setsockopt(1, 2, reuse)
    listener.bind("", 80)
    listener.listen()

    def serve():
        sock = yield listener.accept()
        sock.close()
        listener.close()

    def dial():
        sock = yield from lab.client()
        yield sock.recv_all()
        sock.close()
        yield sleep(pause)

    lab.run(serve(), dial())
    again = stream(lab.b)
    again.setsockopt(1, 2, reuse)
    try:
        again.bind("", 80)
    except OSError as error:
        assert error.errno == errno.EADDRINUSE
        return 0
    return 1


def closings() -> int:
    """Return how many sides go through CLOSING if both close at the same time."""
    return sum(new == "CLOSING" for _, _, _, new in simultaneous_close().changes)


VALUES = [
    LabValue("states", "How many states occur?", "3 to open + 1 + 6 to close + CLOSED", 11, "states"),
    LabValue("other", "How many changes of state are not in figure 5, and do not lead to CLOSED?", "none", 0, ""),
    LabValue("edges", "How many of the 19 edges of figure 5 are taken?", "19 - 2", 17, "edges"),
    LabValue("closing", "Both close at the same time: how many sides go through CLOSING?", "both", 2, "sides"),
    LabValue(
        "sides",
        "The server closes first: how many TIME-WAITs does the client have, and the server?",
        "0, 1",
        [0, 1],
        "",
    ),
    LabValue("wait", "How long does TIME-WAIT last?", "2 * 30 s", WAIT, "s"),
    LabValue("unread", "Does close send RST with unread data, and without? (1 is yes, 0 is no)", "1, 0", [1, 0], ""),
    LabValue("client first", "The client closes first: how many of 101 connections succeed?", "100 ports", PORTS, ""),
]


def measure(name: str) -> Any:
    """Measure one of VALUES."""
    if name == "states":
        return len({state for change in changes() for state in change})
    if name == "other":
        return sum(change not in EDGES and change[1] != "CLOSED" for change in changes())
    if name == "sides":
        return [len(times) for times in time_wait().values()]
    if name == "unread":
        return [last_flag(b"x"), last_flag(b"")]
    return {
        "edges": edges,
        "closing": closings,
        "wait": lambda: time_wait()["b"][0],
        "client first": lambda: connections("a")[0],
    }[name]()


CONTROLS = [
    LabControl(
        "The server closes first",
        LabValue(
            "server first",
            "Connections that succeed, TIME-WAITs of the client, of the server",
            "101, 0, 100",
            [101, 0, 100],
            "",
        ),
    ),
    LabControl(
        "A server that closed first restarts",
        LabValue(
            "restart", "Does it get its port at once, with SO_REUSEADDR, and after 61 s?", "0, 1, 1", [0, 1, 1], ""
        ),
    ),
]


def control(name: str) -> list[int]:
    """Measure a control."""
    if name == "server first":
        return connections("b")
    return [restarts(0, S), restarts(1, S), restarts(0, WAIT + S)]


LOOKS = [
    LabLook("Both sides close at the same time", simultaneous_close, 'event.kind == "state" and state == CLOSING', "ladder"),
]  # fmt: skip
