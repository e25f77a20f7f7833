"""Grades the four filters on a capture with ARP, ping, a closed UDP port, a refused connection, and two transfers."""

from types import ModuleType
from typing import Any

import pystack_c.const as C
from pystack import bpf
from pystack.labs.judging import function, hint_for
from pystack.labs.values import WrongAnswer
from pystack.phy import match
from pystack.sim.network import Network
from pystack.sim.programs import datagram, stream
from pystack.testing.lab import MS, A, B, Lab, S
from pystack.testing.routed import ping
from pystack.testing.segments import SYN
from pystack.trace.summary import Summarizer

NEEDS = "cypcap"
HINTS = [
    "Run `pystack lab run 5` and read its explanation. Which bit of `tcp[13]` is which flag, and which segments have ACK set?",
    "Compare with a mask: `tcp[13] & mask = value`. The data of a segment is what the total length leaves after both headers.",
    "Masks: 18 is SYN and ACK, and 5 is FIN and RST. The length of the data is in the explanation. `icmp[0] != 8 and icmp[0] != 0` is not a ping.",
]
WRONG = {
    "wrong_syn.py": "`opens` also matches the answer to a SYN, which has SYN and ACK. Look at both bits.",
    "wrong_fin.py": "`ends` compares the whole byte. A FIN has ACK set as well, so look at the bits alone: `tcp[13] & 1 != 0`.",
    "wrong_push.py": "`answers` misses data without PSH. Only the last segment of what a program writes has that flag.",
    "wrong_long.py": "`answers` also matches a SYN-ACK, whose options make it long. Subtract both headers from the total length.",
}


def is_answer(frame: bytes) -> bool:
    """Return True for data from port 80."""
    return match.is_data(frame) and frame[34:36] == b"\0\x50"


RIGHT = {
    "opens": lambda frame: match.is_tcp(frame) and match.tcp_flags(frame) & (SYN | C.ACK) == SYN,
    "ends": lambda frame: match.is_fin(frame) or match.is_rst(frame),
    "answers": is_answer,
    "troubles": lambda frame: match.is_icmp(frame) and frame[34] not in (0, 8),
}


def capture() -> list[bytes]:
    """Return the frames of a busy host."""
    net = Network(1)
    a, b = (net.host(name, profile="lab", tcp_timestamps=True) for name in "ab")
    lab = Lab(net, a, b, net.link(a, b, delay=MS, addrs=(A + "/24", B + "/24")))
    frames: list[bytes] = []
    a.port().taps.append(lambda time, direction, frame: frames.append(frame))

    def serve(listener):
        sock = yield listener.accept()
        yield sock.recv_exactly(10)
        yield sock.sendall(bytes(5000))
        sock.close()

    def get(port):
        sock = yield from lab.client(port)
        yield sock.sendall(bytes(10))
        yield sock.recv_all()
        sock.close()

    def refused():
        try:
            yield stream(a).connect(B, 81)
        except ConnectionRefusedError:
            datagram(a).sendto(b"?", B, 9)

    lab.run(ping(a, B), refused(), *(part for port in (80, 8080) for part in (serve(lab.listener(port)), get(port))))
    net.run(until=net.now + S)
    return frames


def play(filter_of: Any, frames: list[bytes]) -> list[int]:
    """Return the numbers of the frames that the learner's expression matches."""
    expression = filter_of()
    if not isinstance(expression, str):
        raise WrongAnswer("A filter is a string, such as 'tcp port 80'.")
    try:
        matches = bpf.matcher(expression)
    except bpf.CompilerMissing as error:
        raise WrongAnswer(str(error)) from None
    except bpf.FilterError as error:
        raise WrongAnswer(f"libpcap does not understand {expression!r}: {error}") from None
    return [number for number, frame in enumerate(frames) if matches(frame, C.LINK_ETHERNET)]


def check(answer: ModuleType) -> None:
    """Raise WrongAnswer unless the exercise is solved."""
    frames = capture()
    for name, right in RIGHT.items():
        wanted = [number for number, frame in enumerate(frames) if right(frame)]
        assert 2 <= len(wanted) < len(frames) or name == "troubles"
        got = play(function(answer, name), frames)
        for number in sorted(set(wanted) ^ set(got)):
            verb = "matches" if number in got else "misses"
            hint = hint_for(__package__, WRONG, name, [(frames,)], [got], play)
            raise WrongAnswer(hint or f"`{name}` {verb} this frame: {Summarizer().line(frames[number])}")
