"""Rate limits that reveal nothing: what a host sees of its own share must not depend on what others were sent.

An attacker who can forge source addresses, but sees only answers to its own, uses a shared exact budget as a counter: it spends most
of the budget itself, sends the forged packet, and looks whether one answer is missing (CVE-2016-5696, CVE-2020-25705). So the limit
that works is one for each peer or connection, and a limit over all is random by more than one peer or connection can spend of it.

What is random here comes from the keyed hash: the generator's numbers are seen elsewhere (in IP IDs), and could be continued.
"""

import pystack_c.const as C
from pystack_c.base.address import key
from pystack_c.base.rng import Rng

#: a shared budget lasts so long on average, and is about the limit each time
PERIOD = 1_000_000_000
#: peers that have a bucket of their own at the same time
PEERS = 1024
# what is hashed beside a count, so that no two uses of the hash meet
_BUDGET = int.from_bytes(b"budget", "little")
_PLACE = int.from_bytes(b"place", "little")
#: the least limit that means "no limit" (Linux's INT_MAX)
NO_LIMIT = 0x7FFFFFFF


class SharedBudget:
    """About `limit` a second for everyone: between half of it and one and a half, in periods of half a second to one and a half.

    `use` (1 to 255) is another number for each budget of a stack, so that one says nothing about the next.
    """

    def __init__(self, use: int) -> None:
        self.use = use
        self.until = -1
        self.left = 0
        self.drawn = 0

    def take(self, rng: Rng, now: int, limit: int) -> bool:
        """Spend one; False if this period's budget is spent. A limit of 0 allows nothing, and one of 2**31 - 1 everything."""
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

    If there are more, a random one gives way: which one that was depends on the stack's own generator alone, and one forged address
    (of the server that a socket is connected to, say) takes one place, however often it is used.
    """

    def __init__(self) -> None:
        self.by_addr: dict[int, PeerBucket] = {}
        self.places: list[PeerBucket] = []
        self.drawn = 0

    def take(self, rng: Rng, now: int, addr: int, interval: int, burst: int) -> bool:
        """One token of `addr`: there is a new one each `interval` ns, and `burst` at most. An interval of 0: no limit."""
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
        """A bucket for an address that has none."""
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
