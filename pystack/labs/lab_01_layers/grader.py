"""Grades `layers` with frames of the simulator: a SYN, data with and without timestamps, a padded acknowledgement, and options of IP."""

from types import ModuleType

from pystack.labs.judging import compare
from pystack.labs.lab_01_layers.experiment import send
from pystack.testing.segments import decode, ones

HINTS = [
    "Run `pystack lab run 1`. Which of the four numbers changes with timestamps?",
    "Both the IP header and the TCP header say how long they are, in words of four bytes.",
    "The data is the total length of the packet (bytes 2 and 3 of the IP header) without both headers.",
]
WRONG = {
    "wrong_fixed.py": "You seem to take 20 bytes for each TCP header. It may have options: its length is in byte 12 of the header.",
    "wrong_padding.py": "You seem to count padding as data. The end of the data follows from the total length in the IP header.",
    "wrong_ip.py": "You seem to take 20 bytes for each IP header. It may have options, too: its length is in the lower four bits of its first byte.",
    "wrong_total.py": "Your data is too long by the IP header. The total length of IP has its own header in it, too.",
}
OPTIONS = b"\1" * 8  # "no operation" (RFC 791, section 3.1)


def frames() -> dict[str, bytes]:
    """Return frames by their names."""
    found = {}
    for name, stamps in (("", False), (" with timestamps", True)):
        (syn, ack), (one,), bulk = send(20_000, timestamps=stamps)
        for kind, (_, frame) in {"a SYN": syn, "a pure ACK": ack, "one byte": one, "bulk data": bulk[0]}.items():
            found[f"{kind}{name}"] = frame.ljust(60, b"\0")
            found[f"{kind}{name} and IP options"] = with_options(frame).ljust(60, b"\0")
    return found


def with_options(frame: bytes) -> bytes:
    """Return a frame with eight bytes of options in its IP header."""
    ip = bytearray(frame[14:34])
    ip[0] += len(OPTIONS) // 4
    ip[2:4] = (int.from_bytes(ip[2:4], "big") + len(OPTIONS)).to_bytes(2, "big")
    ip[10:12] = bytes(2)
    ip[10:12] = (ones(bytes(ip) + OPTIONS) ^ 0xFFFF).to_bytes(2, "big")
    return frame[:14] + ip + OPTIONS + frame[34:]


def right(frame: bytes) -> list[int]:
    """Return the answer, from what the decoder of the tests says about the segment."""
    segment = decode(frame[14:])
    assert segment is not None
    total, ip = int.from_bytes(frame[16:18], "big"), 20 + len(segment.ip_options)
    return [14, ip, total - ip - len(segment.payload), len(segment.payload)]


def check(answer: ModuleType) -> None:
    """Raise WrongAnswer unless the exercise is solved."""
    cases = frames()
    names = {frame: name for name, frame in cases.items()}
    compare(
        answer,
        "layers",
        [(frame,) for frame in cases.values()],
        right,
        WRONG,
        __package__,
        say=lambda frame: f"`layers` of a frame with {names[frame]} ({len(frame)} bytes)",
    )
