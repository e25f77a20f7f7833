"""Grades `send_all` in four networks, and looks at what the receiver delivers."""

import contextlib
from types import ModuleType
from typing import Any

from pystack.labs.judging import compare, program
from pystack.labs.lab_08_udp.experiment import network
from pystack.sim.programs import datagram
from pystack.sim.scheduler import SimError
from pystack.testing.lab import MS, B, Lab, S

HINTS = [
    "What does the sender know after 200 ms without an acknowledgement, and what does it not know?",
    "Repeat the same datagram, with the same number, until the acknowledgement with this number is there. Ignore other numbers.",
    "Use a loop in a loop: for each message, send it, and then `while` it is not acknowledged, wait with a limit, and send it again at TimeoutError.",
]
WRONG = {
    "wrong_once.py": "A datagram was lost, and its message never arrived. Send it again if no acknowledgement comes.",
    "wrong_wait.py": "Your program waits for ever, because a datagram or its acknowledgement is lost. Wait with a limit, and send again.",
    "wrong_any.py": "A late acknowledgement of an earlier message came, and you took it as that of the next one. Look at its number.",
    "wrong_new.py": "A message arrived twice: the acknowledgement was lost, and you sent the message again with another number.",
}
MESSAGES = [b"one", b"two", b"three", b"four", b"five"]


def disturb(lab: Lab, case: str) -> None:
    """Make the network lose or delay something."""
    if case == "the second datagram is lost":
        lab.link.ab.drop(2)
    elif case == "the first acknowledgement is lost":
        lab.link.ba.drop(1)
    elif case == "an acknowledgement is late, and a datagram is lost":
        lab.link.ba.hold(1, extra=300 * MS)
        lab.link.ab.drop(3)
    elif case == "a third of all is lost":
        lab.link.ab.drop_every(3)
        lab.link.ba.drop_every(4)


CASES = [
    "nothing is lost",
    "the second datagram is lost",
    "the first acknowledgement is lost",
    "an acknowledgement is late, and a datagram is lost",
    "a third of all is lost",
]


def play(send_all: Any, case: str) -> list[Any]:
    """Run the learner's program. Returns what the receiver delivers, and whether the program ends."""
    lab = network()
    disturb(lab, case)
    sock, receiver = datagram(lab.a), datagram(lab.b)
    receiver.bind("", 9)
    sock.connect(B, 9)
    delivered: list[bytes] = []

    def receive():
        while True:
            got = yield receiver.recvfrom()
            if got.data[:1] == bytes([len(delivered)]):
                delivered.append(got.data[1:])
            receiver.sendto(got.data[:1], "10.0.0.1", got.sport)

    lab.spawn(receive())
    sending = lab.spawn(send_all(sock, list(MESSAGES)))
    with contextlib.suppress(SimError):
        lab.net.run_until(sending.finished, limit=60 * S)
    after = list(delivered)
    lab.net.run(lab.net.now + S)
    words = [message.decode("ascii", "replace") for message in after]
    return [*words, "and it ends" if sending.finished() else "and it waits for ever"]


def right(case: str) -> list[str]:
    """Return what should happen."""
    return [*(message.decode() for message in MESSAGES), "and it ends"]


def check(answer: ModuleType) -> None:
    """Raise WrongAnswer unless the exercise is solved."""
    program(answer, "send_all")
    cases = [(case,) for case in CASES]
    compare(answer, "send_all", cases, right, WRONG, __package__, play, lambda case: f"If {case}, the receiver")
