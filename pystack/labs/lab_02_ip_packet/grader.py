"""Grades `fragments`: its packets are compared with those that the simulator sends."""

from types import ModuleType

from pystack.labs import judging
from pystack.labs.lab_02_ip_packet import experiment

#: (size, MTU): both sides of the limit, and MTUs at which the data of a full packet is no multiple of 8 bytes
CASES = [(100, 1500), (1472, 1500), (1473, 1500), (4000, 1500), (8872, 1500), (3000, 576), (10_000, 1400), (2000, 1006)]
HINTS = [
    "Run `pystack lab run 2`. How many bytes does IP carry for a datagram of 4,000 bytes, and how many fit in a packet?",
    "The offset field counts units of 8 bytes, so each fragment but the last must carry a multiple of 8.",
    "Cut the 8 + size bytes into pieces of (mtu - 20) // 8 * 8. Add 20 to each, and set the flag in all but the last.",
]
WRONG = {
    "wrong_bytes.py": "Your offsets are in bytes. The field has 13 bits only, so it counts units of 8 bytes.",
    "wrong_rounding.py": "Your answers are right if the MTU leaves room for a multiple of 8 bytes. Otherwise, a fragment must be a bit shorter.",
    "wrong_header.py": "You seem to forget the UDP header. For IP, its 8 bytes are data like all others.",
    "wrong_each.py": "You seem to put a UDP header in each fragment. Only the first has one, because IP cuts what UDP has made.",
}


def sent(size: int, mtu: int) -> list[list[int]]:
    """Return the packets that the simulator sends."""
    return [packet[:3] for packet in experiment.fragments(size, mtu)]


def check(answer: ModuleType) -> None:
    """Raise WrongAnswer unless the exercise is solved."""
    judging.compare(answer, "fragments", CASES, sent, WRONG, __package__)
