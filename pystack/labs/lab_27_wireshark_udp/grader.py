"""Grades `offender` with packets of several kinds, with and without options in both headers."""

import struct
from types import ModuleType

from pystack.labs.judging import compare
from pystack.labs.lab_27_wireshark_udp import solution

A, B, ROUTER = bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2]), bytes([192, 0, 2, 254])
UDP, TCP, ICMP = 17, 6, 1
HINTS = [
    "There are two headers of IPv4 in an error. Which one describes the error, and which one the datagram?",
    "Find where the outer header ends, then where the ICMP header of 8 bytes ends, and then where the quoted header ends. Each length is in a first byte.",
    "`error = packet[(packet[0] & 15) * 4:]`, `quoted = error[8:]`, and the ports are at `(quoted[0] & 15) * 4` of `quoted`. Check packet[9], error[0] and quoted[9].",
]
WRONG = {
    "wrong_outer.py": "The addresses are those of the error, whose sender may be a router. The datagram's are in the quoted header.",
    "wrong_length.py": "A header of IPv4 can have options, and is longer than 20 bytes then. Its first byte says how long it is.",
    "wrong_all.py": "The quoted packet is not always UDP. Look at its protocol.",
    "wrong_type.py": "Not each ICMP message is an error. Look at the type.",
    "wrong_order.py": "The ports have their bytes in the wrong order. On the wire, the most significant byte comes first.",
}


def ip(source: bytes, destination: bytes, protocol: int, body: bytes, options: bytes = b"") -> bytes:
    """Return an IPv4 packet. Its checksum is 0, because nobody looks at it."""
    words = 5 + len(options) // 4
    head = struct.pack(">BBHHHBBH", 0x40 | words, 0, words * 4 + len(body), 7, 0, 64, protocol, 0)
    return head + source + destination + options + body


def icmp(kind: int, code: int, quoted: bytes) -> bytes:
    """Return an ICMP message."""
    return struct.pack(">BBHI", kind, code, 0, 0) + quoted


def cases() -> list[tuple[bytes]]:
    """Return the packets."""
    datagram = struct.pack(">HHHH", 40000, 10, 13, 0) + b"hello"
    asked = ip(A, B, UDP, datagram)
    optional = ip(A, B, UDP, datagram, b"\x01" * 8)
    packets = [
        ip(B, A, ICMP, icmp(3, 3, asked)),
        ip(ROUTER, A, ICMP, icmp(3, 1, asked[:28])),
        ip(B, A, ICMP, icmp(3, 3, optional)),
        ip(ROUTER, A, ICMP, icmp(3, 3, asked), b"\x01" * 4),
        ip(ROUTER, A, ICMP, icmp(3, 13, ip(A, B, TCP, struct.pack(">HHI", 40000, 80, 1)))),
        ip(B, A, ICMP, icmp(0, 0, asked)),
        ip(B, A, UDP, struct.pack(">HHHH", 3, 4, 60, 0) + asked),
    ]
    return [(packet,) for packet in packets]


def check(answer: ModuleType) -> None:
    """Raise WrongAnswer unless the exercise is solved."""
    compare(answer, "offender", cases(), solution.offender, WRONG, __package__)
