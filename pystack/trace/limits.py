"""The limit on the objects that a recording makes a replay build: a fixed number, and more in proportion to the file.

format.py bounds the reading. But ten bytes of a recording can make a stack or a socket of
some kilobytes, and deflate packs a thousand such records into ten bytes, so a file of 2
KB could take gigabytes. A real recording has different values for each connection (ports,
sequence numbers), so it has many more bytes for each object than this limit requires.
"""

from typing import Any

from pystack.trace.errors import TraceError
from pystack.trace.format import TRUST

#: the most stacks in one recording
MAX_HOSTS = 1024
#: interfaces, addresses, routes, neighbours, sockets and functions: the number that is free, and the bytes of the file
#: for each further one
FREE_OBJECTS = 4096
BYTES_AN_OBJECT = 8
#: the settings that say how much the core may store, and the largest value that a recording may give them
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
    """Counts the objects that one replay builds. Raises TraceError if there are too many."""

    def __init__(self, name: str, trusted: bool):
        self.name = name
        self.trusted = trusted
        self.hosts = 0
        self.objects = 0

    def host(self, settings: dict[str, Any]) -> None:
        """Count a stack that is about to be made, and check its settings."""
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
        """Count an interface, route, socket or other object that is about to be made, `size` bytes into the file."""
        self.objects += 1
        if not self.trusted and self.objects > FREE_OBJECTS + size // BYTES_AN_OBJECT:
            raise TraceError(
                f"{self.name}: it makes {self.objects} sockets and routes within {size} bytes of the file; {TRUST}"
            )
