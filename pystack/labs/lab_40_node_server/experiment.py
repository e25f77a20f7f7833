"""Datagrams and a stream at a server that reads late, and two small answers with Nagle's algorithm and without."""

from typing import Any

from pystack.labs.looks import LabLook
from pystack.labs.values import LabControl, LabValue
from pystack.sim.programs import Program, datagram
from pystack.testing.lab import MS, B, Lab, S, lab_net, sleep

R, D = 20 * MS, 40 * MS  # the round trip, and the delay of an acknowledgement
SIZES = [10, 20, 30]
TCP, NODELAY = 6, 1


def network() -> Lab:
    """Build the network: a client `a` and a server `b`."""
    return lab_net(R // 2)


def datagrams() -> list[int]:
    """Send three datagrams to a server that reads a second later. Returns what its reads give."""
    lab = network()
    server, client = datagram(lab.b), datagram(lab.a)
    server.bind("", 9)
    for size in SIZES:
        client.sendto(bytes(size), B, 9)

    def take() -> Program:
        yield sleep(S)
        sizes = []
        for _ in SIZES:
            sizes.append(len((yield server.recvfrom()).data))
        return sizes

    found: list[int] = lab.run(take())[0]
    return found


def written() -> list[int]:
    """Write the same to a TCP connection, with a pause between. Returns what the reads of a server give that begins a second later."""
    lab = network()
    client, server = lab.connected()

    def put() -> Program:
        for size in SIZES:
            yield client.sendall(bytes(size))
            yield sleep(5 * R)

    def take() -> Program:
        yield sleep(S)
        sizes: list[int] = []
        while sum(sizes) < sum(SIZES):
            sizes.append(len((yield server.recv())))
        return sizes

    found: list[int] = lab.run(put(), take())[1]
    return found


def gap(nodelay: bool) -> int:
    """Let the server send two small answers. Returns the time between their arrivals (ns)."""
    lab = network()
    client, server = lab.connected()
    server.setsockopt(TCP, NODELAY, int(nodelay))

    def answer() -> Program:
        yield server.sendall(b"ONE\n")
        yield server.sendall(b"TWO\n")

    def take() -> Program:
        yield client.recv_exactly(4)
        first = lab.net.now
        yield client.recv_exactly(4)
        return lab.net.now - first

    found: int = lab.run(answer(), take())[1]
    return found


VALUES = [
    LabValue("datagrams", "Three datagrams of 10, 20 and 30 bytes: which sizes do the reads have?", "10, 20, 30", SIZES, "bytes"),
    LabValue("stream", "The same three writes with TCP: which size does the read have?", "10 + 20 + 30", [60], "bytes"),
    LabValue("gap", "How long after the first answer does the second one arrive?", "D + R", D + R),
]  # fmt: skip


def measure(name: str) -> Any:
    """Measure one of VALUES."""
    return gap(False) if name == "gap" else datagrams() if name == "datagrams" else written()


CONTROLS = [
    LabControl("Without Nagle's algorithm (TCP_NODELAY)", LabValue("nodelay", "The time between the answers", "0", 0))
]


def control(name: str) -> int:
    """Measure the control."""
    return gap(True)


LOOKS = [
    LabLook("Two small answers: the second one waits", lambda: gap(False), 'host == "b" and event.kind == "hold"', "ladder"),
]  # fmt: skip
