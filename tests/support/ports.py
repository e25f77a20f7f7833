"""A port for a program that must be told which one it is."""

import random
import socket
from pathlib import Path

_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_random = random.SystemRandom()


def free_port() -> int:
    """Return a TCP port of this machine at which nothing listens.

    The kernel gives it to no other program in the meantime, because it is none of those that it chooses from.
    """
    lowest = int(_RANGE.read_text().split()[0])
    while True:
        port = _random.randrange(min(10_000, lowest - 1000), lowest)
        with socket.socket() as sock:
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
