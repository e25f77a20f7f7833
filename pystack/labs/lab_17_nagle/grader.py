"""Grades `send_request`: 10 exchanges of different bytes must take one round trip each."""

import contextlib
from types import ModuleType

from pystack.labs.judging import function, running
from pystack.labs.lab_17_nagle.experiment import MS, SOL_TCP, TCP_CORK, D, R
from pystack.labs.values import WrongAnswer
from pystack.sim.scheduler import SimError
from pystack.testing.lab import S, lab_net

TIMES = 10
HINTS = [
    "Run `pystack lab run 17` and compare the four ways of writing. For which event does the second segment wait?",
    "Nagle's algorithm holds a small segment while an earlier one is not acknowledged. Avoid the earlier one, or the algorithm.",
    "Give both parts to one `sendall`, or set TCP_NODELAY before the first write, or uncork after the last write.",
]
#: file -> the beginning of the hint that its author needs
WRONG = {
    "wrong_padded.py": "The server got other bytes",
    "wrong_corked.py": "The cork is still set",
    "wrong_forgotten.py": "The server still waits",
}


def check(answer: ModuleType) -> None:
    """Raise WrongAnswer unless the exercise is solved."""
    send = function(answer, "send_request")
    lab = lab_net(R // 2)
    client, server = lab.connected()
    requests = [(bytes([65 + number]) * 100, bytes([97 + number]) * 100) for number in range(TIMES)]
    got: list[bytes] = []
    times: list[int] = []

    def ask():
        for header, body in requests:
            started = lab.net.now
            yield from running(send(client, header, body), "send_request")
            yield client.recv_exactly(10)
            times.append(lab.net.now - started)

    def serve():
        for header, body in requests:
            got.append((yield server.recv_exactly(200)))
            if got[-1] != header + body:
                return
            yield server.sendall(bytes(10))

    asking, serving = lab.spawn(ask()), lab.spawn(serve())
    with contextlib.suppress(SimError):
        lab.net.run_until(lambda: serving.finished() or asking.finished(), limit=lab.net.now + 60 * S)
    for data, (header, body) in zip(got, requests):
        if data != header + body:
            raise WrongAnswer(
                "The server got other bytes than the header and the body. Send these, once, in this order."
            )
    with contextlib.suppress(SimError):  # if the server still waits
        lab.net.run_until(asking.finished, limit=lab.net.now + 60 * S)
    judge(times, client.getsockopt(SOL_TCP, TCP_CORK))


def judge(times: list[int], cork: int) -> None:
    """Judge the times, and say which mistake makes such times."""
    slow = [time for time in times if time > R]
    if (slow or len(times) < TIMES) and cork:
        raise WrongAnswer(
            "The cork is still set after the last write, so the stack waits for more data. Set the option to 0 there."
        )
    if len(times) < TIMES:
        raise WrongAnswer(
            f"The server still waits for the rest of request {len(times) + 1}. Does each call of the socket have a `yield`?"
        )
    if slow:
        took = f"An exchange took {slow[0] // MS} ms, and one round trip is {R // MS} ms."
        if slow[0] == 2 * R + D:
            took += " That is 2 R + D: the second segment waits for an acknowledgement that the server delays."
        raise WrongAnswer(took + " Try `pystack lab hint 17`.")
