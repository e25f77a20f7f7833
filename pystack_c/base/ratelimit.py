"""Rate limits that leak nothing: what a host sees of its own share must not depend on what others received.

An attacker who can forge source addresses, but sees only the answers to its own, can use a shared exact budget as a
counter. It spends most of the budget itself, sends the forged packet, and checks whether one answer is missing
(CVE-2016-5696, CVE-2020-25705). So the effective limit applies to each peer or connection on its own. The limit on the
total is random, and varies by more than one peer or connection can spend of it.

The random numbers here come from the keyed hash. The generator's own numbers are visible elsewhere (in IP IDs), so an
attacker could predict the next ones.
"""

import pystack_c.const as C
from pystack_c.base.address import key
from pystack_c.base.rng import Rng

#: the average period of a shared budget in ns; each period's budget is about the limit
PERIOD = 1_000_000_000
#: the number of peers that have a bucket of their own at the same time
PEERS = 1024
# hashed together with a count, so that no two uses of the hash have the same input
_BUDGET = int.from_bytes(b"budget", "little")
_PLACE = int.from_bytes(b"place", "little")
#: the smallest limit that means "no limit" (Linux's INT_MAX)
NO_LIMIT = 0x7FFFFFFF


class SharedBudget:
    """About `limit` tokens a second for everyone: 0.5 to 1.5 times `limit`, in periods of 0.5 s to 1.5 s.

    `use` (1 to 255) differs for each budget of a stack, so that one budget reveals nothing about the next.
    """

    def __init__(self, use: int) -> None:
        self.use = use
        self.until = -1
        self.left = 0
        self.drawn = 0

    def take(self, rng: Rng, now: int, limit: int) -> bool:
        """Spend one token.

        Return False if the period's budget is spent. Limit 0 allows nothing; 2**31 - 1 or more is no limit.
        """
        if limit >= NO_LIMIT:
            return True
        if limit <= 0:
            return False
        if now >= self.until:
            self.drawn += 1
            drawn = rng.keyed_pair(self.use << 48 | _BUDGET, self.drawn)
            self.until = now + PERIOD // 2 + ((drawn >> 32) * PERIOD >> 32)
            self.left = (limit + 1) // 2 + ((drawn & C.M32) * limit >> 32)
        if self.left <= 0:
            return False
        self.left -= 1
        return True


class PeerBucket:
    """The token bucket of one address."""

    def __init__(self) -> None:
        self.addr = 0
        self.tokens = 0
        self.stamp = 0


class PeerBuckets:
    """A token bucket for each of the latest `PEERS` addresses.

    If there are more addresses, a random one loses its bucket. The choice depends only
    on the stack's own generator. A forged address (for example, that of the server
    that a socket is connected to) takes one place, however often the attacker uses it.
    """

    def __init__(self) -> None:
        self.by_addr: dict[int, PeerBucket] = {}
        self.places: list[PeerBucket] = []
        self.drawn = 0

    def take(self, rng: Rng, now: int, addr: int, interval: int, burst: int) -> bool:
        """Spend one token of `addr`.

        A new one comes every `interval` ns, up to `burst` tokens. Interval 0 means no limit.
        """
        if interval <= 0:
            return True
        bucket: PeerBucket = self.by_addr.get(key(addr))  # type: ignore[assignment]
        if bucket is None:
            bucket = self._place(rng, addr)
            bucket.tokens = burst
            bucket.stamp = now
        fresh = (now - bucket.stamp) // interval
        if fresh > 0:
            bucket.stamp += fresh * interval
            bucket.tokens = burst if fresh >= burst - bucket.tokens else bucket.tokens + fresh
        if bucket.tokens <= 0:
            return False
        bucket.tokens -= 1
        return True

    def _place(self, rng: Rng, addr: int) -> PeerBucket:
        """Return a bucket for an address that has none."""
        if len(self.places) < PEERS:
            bucket = PeerBucket()
            self.places.append(bucket)
        else:
            self.drawn += 1
            bucket = self.places[rng.keyed_pair(_PLACE, self.drawn) % PEERS]
            del self.by_addr[key(bucket.addr)]
        bucket.addr = addr
        self.by_addr[key(addr)] = bucket
        return bucket
