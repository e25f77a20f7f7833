"""Daytime (RFC 867) over TCP and UDP. It needs a clock, so it cannot run inside the core, and runs in threads."""

import time
from typing import Any


def _now() -> bytes:
    return time.strftime("%A, %B %d, %Y %H:%M:%S-%Z\r\n", time.gmtime()).encode("ascii")


def daytime(conn: Any) -> None:
    """Send one line, then return, which closes the connection."""
    conn.sendall(_now())


def daytime_datagram(data: bytes) -> bytes:
    """Return one line."""
    return _now()
