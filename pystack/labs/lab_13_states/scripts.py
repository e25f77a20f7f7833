"""The ways in which connections are opened and closed, and a probe that keeps their states."""

import errno
from collections.abc import Callable
from typing import Any

from pystack.testing.lab import MS, A, B, Lab, S, lab_net, sleep, stream

R = 20 * MS

# RFC 9293 3.3.2, figure 5. A reset, an abort and a timeout lead from each state to CLOSED (section 3.10).
FIGURE_5 = """
CLOSED LISTEN | CLOSED SYN-SENT | LISTEN SYN-SENT | LISTEN SYN-RECEIVED | SYN-SENT SYN-RECEIVED | SYN-SENT ESTABLISHED
SYN-RECEIVED ESTABLISHED | SYN-RECEIVED FIN-WAIT-1 | SYN-RECEIVED LISTEN | ESTABLISHED FIN-WAIT-1
ESTABLISHED CLOSE-WAIT | FIN-WAIT-1 FIN-WAIT-2 | FIN-WAIT-1 CLOSING | FIN-WAIT-1 TIME-WAIT | FIN-WAIT-2 TIME-WAIT
CLOSING TIME-WAIT | CLOSE-WAIT LAST-ACK | LAST-ACK CLOSED | TIME-WAIT CLOSED
"""
EDGES = [tuple(edge.split()) for line in FIGURE_5.strip().splitlines() for edge in line.split("|")]


class StateProbe:
    """A probe that keeps the changes of state: (time, host, old, new)."""

    def __init__(self, lab: Lab):
        self.changes: list[tuple[int, str, str, str]] = []
        for host in (lab.a, lab.b):
            host.stack.probe = self

    def event(self, event: Any) -> None:
        """Keep a change."""
        if event.kind == "tcp.state":
            self.changes.append((event.time, event.host, event.fields["old"], event.fields["new"]))

    def edges(self) -> set[tuple[str, str]]:
        """Return the edges of figure 5 that were taken.

        A listener's connection begins where the listener is, and if it is reset before it is established, it goes back there. A segment with
        FIN that also acknowledges a FIN leads from FIN-WAIT-1 to TIME-WAIT in one step.
        """
        found = set()
        for (time, host, old, new), later in zip(self.changes, [*self.changes[1:], None]):
            if new == "FIN-WAIT-2" and later == (time, host, "FIN-WAIT-2", "TIME-WAIT"):
                new = "TIME-WAIT"
            passive = (host, "LISTEN", "SYN-RECEIVED") in [change[1:] for change in self.changes]
            new = "LISTEN" if (old, new) == ("SYN-RECEIVED", "CLOSED") and passive else new
            found.add((old, new))
        return found & set(EDGES)

    def path(self, host: str) -> list[str]:
        """Return the states of a host's connection, without those of its listener.

        A segment with FIN that also acknowledges a FIN is handled in two steps. The state between these is left out.
        """
        of_listener = (("CLOSED", "LISTEN"), ("LISTEN", "CLOSED"))
        own = [(time, new) for time, name, old, new in self.changes if name == host and (old, new) not in of_listener]
        left = [*own[1:], (-1, "")]
        return [new for (time, new), later in zip(own, left) if (new, later) != ("FIN-WAIT-2", (time, "TIME-WAIT"))]


def watched(**settings: Any) -> tuple[Lab, StateProbe]:
    """Build a network with a probe."""
    lab = lab_net(R // 2, **settings)
    return lab, StateProbe(lab)


def normal() -> StateProbe:
    """The client closes, and then the server."""
    lab, states = watched()
    client, server = lab.connected()
    client.close()
    lab.net.run(until=lab.net.now + R)
    server.close()
    lab.net.run(until=lab.net.now + 100 * S)
    return states


def one_segment() -> StateProbe:
    """The acknowledgement of the client's FIN is lost, so the server's FIN is the first that the client gets, and acknowledges, too."""
    lab, states = watched()
    client, server = lab.connected()
    lab.link.ba.drop(1)

    def serve():
        yield server.recv_all()
        server.close()

    client.close()
    lab.run(serve())
    lab.net.run(until=lab.net.now + 100 * S)
    return states


def simultaneous_open() -> StateProbe:
    """Both sides connect to each other at the same time."""
    lab, states = watched()
    one, two = stream(lab.a), stream(lab.b)
    one.bind("", 1000)
    two.bind("", 2000)

    def dial(sock, addr, port):
        yield sock.connect(addr, port)
        yield sock.sendall(b"hello")
        return (yield sock.recv_exactly(5))

    assert lab.run(dial(one, B, 2000), dial(two, A, 1000)) == [b"hello", b"hello"]
    return states


def given_up(answered: bool = True) -> StateProbe:
    """The client resets the connection before the server has the last segment of the handshake, or closes it if nothing was answered."""
    lab, states = watched()
    lab.listener()
    client = stream(lab.a)
    lab.link.ab.drop(2 if answered else 1)

    def dial():
        yield client.connect(B, 80)

    lab.spawn(dial())
    lab.net.at(2 * R, client.abort if answered else client.close)
    lab.net.run(until=lab.net.now + 100 * S)
    return states


def simultaneous_close() -> StateProbe:
    """Both sides close at the same time."""
    lab, states = watched()
    client, server = lab.connected()
    client.close()
    server.close()
    lab.net.run(until=lab.net.now + 100 * S)
    return states


def half_close() -> StateProbe:
    """The client closes its direction, and the server still sends for a while."""
    lab, states = watched()
    client, server = lab.connected()
    client.shutdown()

    def serve():
        assert (yield server.recv_all()) == b""
        yield sleep(5 * S)
        yield server.sendall(b"still open")
        server.close()

    def read():
        return (yield client.recv_all())

    assert lab.run(serve(), read())[1] == b"still open"
    client.close()
    lab.net.run(until=lab.net.now + 100 * S)
    return states


def failing(operation: Any, code: int) -> Any:
    """Wait for an operation that must fail with this error."""
    try:
        yield operation
    except OSError as error:
        assert error.errno == code
        return True
    raise AssertionError("it did not fail")


def refused() -> StateProbe:
    """The client connects to a closed port."""
    lab, states = watched()
    lab.run(failing(stream(lab.a).connect(B, 81), errno.ECONNREFUSED))
    assert lab.net.now == R
    return states


def reset() -> StateProbe:
    """The client resets the connection."""
    lab, states = watched()
    client, server = lab.connected()
    client.abort()
    lab.run(failing(server.recv(), errno.ECONNRESET))
    return states


SCRIPTS: dict[str, Callable[[], StateProbe]] = {
    "the client closes first": normal,
    "the server acknowledges and closes in one segment": one_segment,
    "both connect at the same time": simultaneous_open,
    "both close at the same time": simultaneous_close,
    "the client closes its direction only": half_close,
    "the port is closed": refused,
    "nothing comes from the server, and the client closes": lambda: given_up(answered=False),
    "the client resets the connection": reset,
}
