"""The keys of connections: "a tcp 10.0.0.1:40000-10.0.0.2:80"; the second one of that name has " #2" after it."""

from typing import NamedTuple


class ConnKey(NamedTuple):
    """The parts of a key. `number` is "" if the key has none."""

    host: str
    local: str
    remote: str
    number: str

    @classmethod
    def of(cls, key: str) -> "ConnKey":
        """Return the parts of a key."""
        host, _, rest = key.partition(" tcp ")
        ends, _, number = rest.partition(" #")
        local, _, remote = ends.partition("-")
        return cls(host, local, remote, number)

    @property
    def unconnected(self) -> bool:
        """True for a listener, or another socket that has no other end."""
        return self.remote in ("", "0.0.0.0:0")
