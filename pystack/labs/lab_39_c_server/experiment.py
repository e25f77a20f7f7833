"""What a server sees of a client's messages: pieces, several at once, the end of one half, and a client that says nothing."""

from typing import Any

from pystack.labs.looks import LabLook
from pystack.labs.values import LabControl, LabValue
from pystack.sim.programs import Program
from pystack.testing.lab import MS, B, Lab, S, lab_net, sleep, stream

R, T = 20 * MS, S
RATE = 10_000_000
MSS = 1460
SIZE, REST = 3004, 1000


def network() -> Lab:
    """Build the network: a client `a` and a server `b`, and a link of 10 Mbit/s between them."""
    return lab_net(R // 2, link={"rate": RATE})


def reads(sent: bytes) -> list[int]:
    """Send something with one call. Returns what each recv() of the server returned."""
    lab = network()
    client, server = lab.connected()
    sizes: list[int] = []

    def put() -> Program:
        yield client.sendall(sent)

    def take() -> Program:
        while sum(sizes) < len(sent):
            sizes.append(len((yield server.recv())))

    lab.run(put(), take())
    return sizes


def late_answer(close: bool) -> int:
    """Send a request, and close the whole connection or one half. Returns how many bytes of a later answer the client gets."""
    lab = network()
    client, server = lab.connected()
    got = 0

    def ask() -> Program:
        nonlocal got
        yield client.sendall(b"request")
        if close:
            client.close()
            return
        client.shutdown()
        got = len((yield client.recv_all()))

    def answer() -> Program:
        yield server.recv_all()
        yield sleep(R)
        yield server.sendall(bytes(REST))
        server.close()

    lab.run(ask(), answer())
    return got


def second_client(forks: bool) -> int:
    """Let two clients connect, of which the first one is silent for T. Returns when the second one has its answer (ns)."""
    lab = network()
    listener = lab.listener()

    def dial(pause: int) -> Program:
        sock = stream(lab.a)
        yield sock.connect(B, 80)
        yield sleep(pause)
        yield sock.sendall(b"?")
        yield sock.recv()
        return lab.net.now

    def serve(sock: Any) -> Program:
        yield sock.recv()
        yield sock.sendall(b"!")
        sock.close()

    def accept() -> Program:
        for _ in range(2):
            serving = serve((yield listener.accept()))
            if forks:
                lab.spawn(serving)
            else:
                yield from serving

    second: int = lab.run(dial(T), dial(0), accept())[1]
    return second


VALUES = [
    LabValue("pieces", "A message of 3,004 bytes is sent with one call. Which sizes do the reads have?", "MSS, MSS, rest",
             [MSS, MSS, SIZE - 2 * MSS], "bytes"),
    LabValue("glued", "Three messages of 9 bytes are sent with one call. Which size does the read have?", "3 * 9", [27], "bytes"),
    LabValue("half", "The client closes its half. How many of 1,000 bytes that are sent later does it get?", "all", REST, "bytes"),
    LabValue("serial", "One client after the other: when does the second one have its answer?", "T + 2 R + wire", T + 2 * R, tolerance=MS),
]  # fmt: skip


def measure(name: str) -> Any:
    """Measure one of VALUES."""
    if name == "serial":
        return second_client(False)
    return late_answer(False) if name == "half" else reads(bytes(SIZE if name == "pieces" else 27))


CONTROLS = [
    LabControl("The client closes the whole connection", LabValue("closed", "Bytes of the later answer", "0", 0, "bytes")),
    LabControl("A process for each client", LabValue("forks", "The second client's answer", "2 R + wire", 2 * R, tolerance=MS)),
]  # fmt: skip


def control(name: str) -> int:
    """Measure a control."""
    return late_answer(True) if name == "closed" else second_client(True)


LOOKS = [
    LabLook("A silent client, and another one that waits behind it", lambda: second_client(False), 'host == "a" and event.kind == "state" and state == ESTABLISHED', "ladder"),
]  # fmt: skip
