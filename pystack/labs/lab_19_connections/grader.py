"""Grades `take` and `give`: 100 requests one after the other, then several at the same time to two ports."""

from types import ModuleType
from typing import Any

from pystack.labs.judging import function, running
from pystack.labs.lab_19_connections.experiment import TIMES, R, syns
from pystack.labs.values import WrongAnswer
from pystack.sim.programs import stream
from pystack.testing.lab import B, Lab, S, lab_net, sleep

PORTS = (80, 5432)
HINTS = [
    "Run `pystack lab run 19`. Which part of the four seconds does a connection that stays open save?",
    "`give` must keep the connection, open, and `take` must look there first. Use the port as the key in `idle`.",
    "Keep a list for each port: `idle.setdefault(port, []).append(connection)`. Take one out of the list with `pop()`.",
]
#: file -> the beginning of the hint that its author needs
WRONG = {
    "wrong_shared.py": "Two requests have the same connection",
    "wrong_port.py": "A request to port",
    "wrong_one.py": "Three requests at a time",
    "wrong_closed.py": "`take` returned a connection that is closed",
}


class Users:
    """The programs that have requests, and what they see of the learner's pool."""

    def __init__(self, lab: Lab, answer: ModuleType):
        self.lab, self.answer = lab, answer
        self.idle: dict[Any, Any] = {}
        self.ports: dict[int, int] = {}  # by id of the connection
        self.busy: list[Any] = []
        self.opened: list[Any] = []
        for port in PORTS:
            lab.spawn(self.accept(lab.listener(port)))

    def accept(self, listener):
        """Serve all connections to a port."""
        while True:
            self.lab.spawn(self.serve((yield listener.accept())))

    def serve(self, sock):
        """Answer each request with its own bytes."""
        while data := (yield sock.recv_exactly(100)):
            yield sock.sendall(data)
        sock.close()

    def connect(self, port):
        """Open a connection, for the learner's `take`."""
        sock = stream(self.lab.a)
        yield sock.connect(B, port)
        self.ports[id(sock)] = port
        self.opened.append(sock)
        return sock

    def user(self, name: int, port: int, count: int, pause: int = 0):
        """Make `count` requests, one after the other, with a pause between."""
        for _ in range(count):
            sock = yield from running(self.answer.take(self.idle, port, self.connect), "take")
            if id(sock) not in self.ports:
                raise WrongAnswer("`take` must return a connection that `yield from connect(port)` has returned.")
            if self.ports[id(sock)] != port:
                raise WrongAnswer(
                    f"A request to port {port} got a connection to port {self.ports[id(sock)]}. Keep them apart."
                )
            if sock in self.busy:
                raise WrongAnswer(
                    "Two requests have the same connection at the same time. Take it out of the pool until `give`."
                )
            self.busy.append(sock)
            try:
                yield sock.sendall(bytes([name]) * 100)
                yield sock.recv_exactly(100)
            except OSError:
                raise WrongAnswer("`take` returned a connection that is closed. `give` must leave it open.") from None
            self.busy.remove(sock)
            self.answer.give(self.idle, port, sock)
            yield sleep(pause)


def check(answer: ModuleType) -> None:
    """Raise WrongAnswer unless the exercise is solved."""
    for name in ("take", "give"):
        function(answer, name)
    users = Users(lab_net(R // 2), answer)
    users.lab.run(users.user(1, 80, TIMES), limit=60 * S)
    took, opened = users.lab.net.now, syns(users.lab)
    if opened != 1:
        raise WrongAnswer(
            f"{TIMES} requests, one after the other, opened {opened} connections. One is enough if `give` keeps it."
        )
    if took != R + TIMES * R:
        raise WrongAnswer(f"{TIMES} requests took {took / S:g} s, and R + {TIMES} R is {(TIMES + 1) * R / S:g} s.")
    users = Users(lab_net(R // 2), answer)
    for port in PORTS:
        users.lab.run(users.user(1, port, 2), limit=60 * S)
    users = Users(lab_net(R // 2), answer)
    # In the pauses, three connections to each port are idle.
    users.lab.run(*(users.user(number, port, 10, R) for port in PORTS for number in (1, 2, 3)), limit=60 * S)
    opened = syns(users.lab)
    if opened != 6:
        raise WrongAnswer(
            f"Three requests at a time to each of two ports opened {opened} connections, and need 6. Several may be idle: keep all of them."
        )
