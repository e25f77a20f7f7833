"""Grades `acks` with a receiver in the simulator."""

from types import ModuleType

from pystack.labs.judging import compare
from pystack.labs.lab_18_delayed_ack.experiment import MS, MSS, R, network
from pystack.testing.lab import S, sleep

SMALL = 100
HINTS = [
    "Which three events end the wait of a delayed acknowledgement? Go through all events in the order of their times.",
    "Keep two things: the bytes that are not yet acknowledged, and the time at which the delay ends. Which events set them, and which clear them?",
    "Before each event, look whether the delay has ended: then an acknowledgement was sent at that time. At the end, one may still be due.",
]
WRONG = {
    "wrong_segments.py": "Two small segments are not two full ones. Count bytes, and compare them with 2 * FULL.",
    "wrong_restart.py": "The delay begins with the first segment that waits. Another one must not put it off, or else a sender could wait for ever.",
    "wrong_answers.py": "An acknowledgement is sent although an answer has carried it. What an answer acknowledges does not wait any more.",
    "wrong_full.py": "One full segment is acknowledged at once, and should wait for a second one.",
}
CASES: list[tuple[list[tuple[int, int]], list[int]]] = [
    ([(0, MSS)], []),
    ([(0, MSS), (10, MSS)], []),
    ([(0, MSS), (5, MSS), (10, MSS)], []),
    ([(0, MSS), (30, SMALL)], []),
    ([(0, MSS), (10, SMALL), (30, MSS)], []),
    ([(0, MSS), (5, MSS), (10, SMALL), (20, SMALL), (35, SMALL), (60, SMALL)], []),
    ([(0, MSS)], [15]),
    ([(0, MSS), (20, MSS), (50, MSS), (80, SMALL)], [10, 100]),
    ([(0, MSS), (100, MSS), (130, SMALL)], [60, 135]),
    ([(0, MSS), (1, MSS), (2, MSS), (3, MSS), (4, MSS)], [5]),
]


def simulate(arrivals: list[tuple[int, int]], answers: list[int]) -> list[int]:
    """Let a client send so that the segments arrive at these times. Returns the times of the pure acknowledgements (ms)."""
    lab = network(client={"tcp_nagle": False}, server={"tcp_nagle": False})
    client, server = lab.connected()
    lab.net.run(until=lab.net.now + S)
    start = lab.net.now + R // 2

    def at(sock, times, sizes, first):
        for time, size in zip(times, sizes):
            yield sleep(first + time * MS - lab.net.now)
            sock.call("send", bytes(size), 0)

    def read():
        while True:
            yield server.recv(65536)

    lab.spawn(read())
    lab.spawn(at(server, answers, [1] * len(answers), start))
    lab.spawn(at(client, [time for time, _ in arrivals], [size for _, size in arrivals], start - R // 2))
    lab.net.run(until=start + S)
    return [(seg.time - start) // MS for seg in lab.log.sent["b"] if seg.pure_ack and seg.time >= start]


def check(answer: ModuleType) -> None:
    """Raise WrongAnswer unless the exercise is solved."""
    compare(answer, "acks", CASES, simulate, WRONG, __package__)
