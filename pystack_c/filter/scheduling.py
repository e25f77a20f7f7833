"""How a load balancer chooses a server for a new connection.

A server is any object with `name` (a text that is unique among the servers), `weight` (0 takes no new connections) and `active` (its
connections now). `usable(server)` leaves out those that are down. All choices are deterministic: the caller hashes the client.
"""

from collections.abc import Callable
from typing import Any

from pystack_c.base.siphash import SipHash

#: the sizes of Maglev's table that are allowed are primes; 4093 is Linux's default (IPVS mh), and 65537 the paper's
MAGLEV_SIZE = 4093
#: the keys of Maglev's two hashes of a name. They are fixed, so that several balancers make the same table.
_OFFSET, _SKIP = SipHash(b"pystack-maglev-0"), SipHash(b"pystack-maglev-1")

Usable = Callable[[Any], bool]


class Scheduling:
    """A way to choose. `key` is a hash of the client, for those that need one."""

    name = ""
    #: whether the key is a hash of the address alone, or of the address and port
    by_port = False

    def choose(self, servers: list[Any], usable: Usable, key: int) -> Any:
        """Return a server that is usable and has a weight, or None."""
        raise NotImplementedError


class RoundRobin(Scheduling):
    """One after the other. The weights do not matter."""

    name = "round-robin"

    def __init__(self) -> None:
        self.last: Any = None

    def choose(self, servers: list[Any], usable: Usable, key: int) -> Any:
        """See the base class."""
        at = servers.index(self.last) + 1 if self.last in servers else 0
        for server in servers[at:] + servers[:at]:
            if server.weight > 0 and usable(server):
                self.last = server
                return server
        return None


class WeightedRoundRobin(Scheduling):
    """As often as the weight says, and spread evenly: weights 5, 1, 1 give a a b a c a a.

    Each server earns its weight at each choice; the richest is chosen, and pays the sum of the weights.
    """

    name = "weighted"

    def __init__(self) -> None:
        self.credit: dict[str, int] = {}

    def choose(self, servers: list[Any], usable: Usable, key: int) -> Any:
        """See the base class."""
        able = [server for server in servers if server.weight > 0 and usable(server)]
        if not able:
            return None
        self.credit = {server.name: self.credit.get(server.name, 0) + server.weight for server in able}
        best = max(able, key=lambda server: self.credit[server.name])
        self.credit[best.name] -= sum(server.weight for server in able)
        return best


class LeastConnections(Scheduling):
    """The server with the fewest connections for its weight. Among equals it is one after the other."""

    name = "least-connections"

    def __init__(self) -> None:
        self.order = RoundRobin()

    def choose(self, servers: list[Any], usable: Usable, key: int) -> Any:
        """See the base class."""
        able = [server for server in servers if server.weight > 0 and usable(server)]
        if not able:
            return None
        least = min(able, key=lambda server: server.active / server.weight)
        equals = [server for server in able if server.active * least.weight == least.active * server.weight]
        return self.order.choose(servers, lambda server: server in equals, key)


class SourceHash(Scheduling):
    """The hash of the client's address modulo the weights. A server that goes away moves most clients, those of others, too."""

    name = "source-hash"

    def choose(self, servers: list[Any], usable: Usable, key: int) -> Any:
        """See the base class."""
        able = [server for server in servers if server.weight > 0 and usable(server)]
        if not able:
            return None
        at = key % sum(server.weight for server in able)
        for server in able:
            at -= server.weight
            if at < 0:
                return server
        return None


class Maglev(Scheduling):
    """Maglev's lookup table (Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load Balancer", NSDI 2016, section 3.4).

    Each server has a permutation of the table's places, which its name decides. In turns, each takes its next place that is still
    free, until the table is full: so all have nearly the same number of places, and if one goes away few places of others move.
    A server with the weight w takes w places in its turn.
    """

    name = "maglev"
    by_port = True

    def __init__(self, size: int = MAGLEV_SIZE) -> None:
        if size < 2 or any(size % factor == 0 for factor in range(2, int(size**0.5) + 1)):
            raise ValueError(f"{size} is no prime: every step through Maglev's table must reach all places")
        self.size = size
        self.table: list[Any] = []
        self._made_of: list[Any] = []

    def choose(self, servers: list[Any], usable: Usable, key: int) -> Any:
        """See the base class."""
        able = [server for server in servers if server.weight > 0 and usable(server)]
        if not able:
            return None
        made_of = [(server, server.weight) for server in able]
        if made_of != self._made_of:
            self.table = self.populate(able)
            self._made_of = made_of
        return self.table[key % self.size]

    def populate(self, servers: list[Any]) -> list[Any]:
        """Return the table for these servers (the paper's pseudocode 1)."""
        table: list[Any] = [None] * self.size
        servers = sorted(servers, key=lambda server: str(server.name))
        places = [_OFFSET.hash(server.name.encode()) % self.size for server in servers]
        skips = [_SKIP.hash(server.name.encode()) % (self.size - 1) + 1 for server in servers]
        filled = 0
        while True:
            for i, server in enumerate(servers):
                for _ in range(server.weight):
                    while table[places[i]] is not None:
                        places[i] = (places[i] + skips[i]) % self.size
                    table[places[i]] = server
                    filled += 1
                    if filled == self.size:
                        return table


KINDS: dict[str, Callable[[], Scheduling]] = {
    kind.name: kind for kind in (RoundRobin, WeightedRoundRobin, LeastConnections, SourceHash, Maglev)
}


def make(name: str) -> Scheduling:
    """Return a new scheduling by name. Raises ValueError if there is none of that name."""
    if name not in KINDS:
        raise ValueError(f"{name!r}: the ways to balance are {', '.join(KINDS)}")
    return KINDS[name]()
