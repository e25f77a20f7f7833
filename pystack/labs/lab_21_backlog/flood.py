"""A flood of SYNs from addresses that are not the sender's."""

import struct

from pystack.sim.programs import raw
from pystack.testing.lab import B, Lab
from pystack.testing.segments import SYN, ones

IPPROTO_RAW, TCP = 255, 6
MSS = b"\x02\x04\x05\xb4"


def address(text: str) -> bytes:
    """Return the 4 bytes of an address."""
    return bytes(map(int, text.split(".")))


def spoofed(source: str, port: int, number: int) -> bytes:
    """Return an IP packet with a SYN to port 80 of `b` from an address that the sender does not have."""
    ends = address(source) + address(B)
    segment = struct.pack(">HHIIBBHHH", port, 80, number, 0, 6 << 4, SYN, 65535, 0, 0) + MSS
    checksum = ones(ends + struct.pack(">HH", TCP, len(segment)) + segment) ^ 0xFFFF
    segment = segment[:16] + struct.pack(">H", checksum) + segment[18:]
    return struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(segment), 1, 0, 64, TCP, 0) + ends + segment


def flood(lab: Lab, count: int) -> None:
    """Let host `a` send SYNs as if they came from hosts that do not exist."""
    sock = raw(lab.a, IPPROTO_RAW)
    for number in range(count):
        sock.sendto(spoofed(f"10.0.0.{100 + number % 100}", 1000 + number, number), B)
    lab.net.run(lab.net.now + 10_000_000)
