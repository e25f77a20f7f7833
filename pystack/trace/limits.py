"""What a recording of unknown origin may make a replay build: so much, and more in proportion to the file.

Reading is bounded by format.py. But ten bytes of a recording make a stack or a socket of some kilobytes, and deflate packs a thousand
such records into ten bytes: a file of 2 KB would take gigabytes. What real runs record is different for each
connection (ports, sequence numbers), and takes many more bytes of the file than this asks for.
"""

from typing import Any

from pystack.trace.errors import TraceError
from pystack.trace.format import TRUST

#: stacks in one recording
MAX_HOSTS = 1024
#: interfaces, addresses, routes, neighbours, sockets and functions: so many, and one more for each so many bytes of the file
FREE_OBJECTS = 4096
BYTES_AN_OBJECT = 8
#: settings that say how much the core may keep, and the most that a recording may set them to
BUFFER, ALL = 256 << 20, 1 << 30
SETTINGS = {
    "tcp_rmem": BUFFER,
    "tcp_rmem_max": BUFFER,
    "tcp_wmem": BUFFER,
    "tcp_wmem_max": BUFFER,
    "udp_rmem": BUFFER,
    "udp_wmem": BUFFER,
    "ipfrag_high_thresh": BUFFER,
    "tcp_mem_low": ALL,
    "tcp_mem_pressure": ALL,
    "tcp_mem_high": ALL,
}


class Budget:
    """Counts what one replay builds; TraceError where it is too much."""

    def __init__(self, name: str, trusted: bool):
        self.name = name
        self.trusted = trusted
        self.hosts = 0
        self.objects = 0

    def host(self, settings: dict[str, Any]) -> None:
        """A stack is about to be made."""
        self.hosts += 1
        if self.trusted:
            return
        if self.hosts > MAX_HOSTS:
            raise TraceError(f"{self.name}: more than {MAX_HOSTS} hosts; {TRUST}")
        for setting, most in SETTINGS.items():
            value = settings.get(setting, 0)
            if isinstance(value, int) and value > most:
                raise TraceError(f"{self.name}: it sets {setting} to {value}, but the limit is {most}; {TRUST}")

    def object(self, size: int) -> None:
        """An interface, a route, a socket ... is about to be made, `size` bytes into the file."""
        self.objects += 1
        if not self.trusted and self.objects > FREE_OBJECTS + size // BYTES_AN_OBJECT:
            raise TraceError(
                f"{self.name}: it makes {self.objects} sockets and routes within {size} bytes of the file; {TRUST}"
            )
