"""Grades `round_trips`: its predictions are compared with messages of these sizes in the simulator."""

from types import ModuleType

from pystack.labs.judging import compare
from pystack.labs.lab_15_tls.experiment import R, network

#: (version, resumed, bytes of the server's first flight, window)
CASES = [
    (None, False, 0, 10),
    ("1.3", False, 1200, 10),
    ("1.2", False, 1200, 10),
    ("1.3", True, 300, 10),
    ("1.2", True, 200, 10),
    ("1.3", False, 2 * 1460, 2),
    ("1.3", False, 2 * 1460 + 1, 2),
    ("1.2", False, 4600, 2),
    ("1.2", False, 4600, 4),
    ("1.3", False, 9000, 2),
    ("1.3", False, 14_600, 10),
    ("1.3", False, 14_601, 10),
]
HINTS = [
    "Run `pystack lab run 15`. Which of the variants differ by R, and why?",
    "Begin with 2 for the connection and the request. How many round trips does each handshake add?",
    "Add 1 for TLS 1.3 and for a resumed session, and 2 for TLS 1.2. Then add 1 for each further window that the flight needs (lab 12).",
]
WRONG = {
    "wrong_connection.py": "Each of your answers is one too small. TLS begins when TCP is connected, which takes a round trip.",
    "wrong_version.py": "In TLS 1.2, the keys are exchanged after the first round trip. So it takes one more, unless the session is resumed.",
    "wrong_resumed.py": "A resumed session of TLS 1.3 saves the certificate, and no round trip: both sides still send a message first.",
    "wrong_window.py": "A flight that is longer than the initial window must wait for acknowledgements. Count its segments.",
}
HELLO, REST = 300, 100  # bytes of the client's first message, and of each other one


def messages(version: str | None, resumed: bool, flight: int) -> list[int]:
    """Return the sizes of the messages, which both sides send in turn."""
    handshake = [HELLO, flight]
    if version == "1.2" and not resumed:
        handshake += [REST, REST]
    # The client's last message of the handshake travels with the request.
    return ([] if version is None else handshake) + [REST, 1]


def measured(version: str | None, resumed: bool, flight: int, window: int) -> int:
    """Return the round trips that the messages take in the simulator."""
    lab = network(server={"tcp_init_cwnd": window})
    listener = lab.listener()
    sizes = messages(version, resumed, flight)

    def talk(sock, own):
        for number, size in enumerate(sizes):
            if number % 2 == own:
                yield sock.sendall(bytes(size))
            else:
                yield sock.recv_exactly(size)
        return lab.net.now

    def serve():
        yield from talk((yield listener.accept()), 1)

    def ask():
        return (yield from talk((yield from lab.client()), 0))

    lab.spawn(serve())
    (took,) = lab.run(ask())
    assert took % R == 0
    return int(took // R)


def check(answer: ModuleType) -> None:
    """Raise WrongAnswer unless the exercise is solved."""
    compare(answer, "round_trips", CASES, measured, WRONG, __package__)
