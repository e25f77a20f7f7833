"""daytime (RFC 867), over TCP and UDP: what needs a clock cannot run inside the core, and runs in threads."""

import time
from typing import Any


def _now() -> bytes:
    return time.strftime("%A, %B %d, %Y %H:%M:%S-%Z\r\n", time.gmtime()).encode("ascii")


def daytime(conn: Any) -> None:
    """One line, and the end."""
    conn.sendall(_now())


def daytime_datagram(data: bytes) -> bytes:
    """One line."""
    return _now()
