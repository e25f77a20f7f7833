"""The answers that a resolver remembers: for as long as their time to live says, and not more than `MOST` of them."""

from typing import Generic, TypeVar

MOST = 1000
_S = 1_000_000_000
#: the longest time (s) for which an answer is kept, and one that says that there is nothing (RFC 2308 section 5)
LONGEST = 86_400
LONGEST_NEGATIVE = 10_800

Value = TypeVar("Value")


class Cache(Generic[Value]):
    """Values by key, until a time (ns). The oldest ones give way. Threads may use it without a lock."""

    def __init__(self, most: int = MOST):
        self.most = most
        self._known: dict[tuple[str, str], tuple[int, Value]] = {}

    def __len__(self) -> int:
        return len(self._known)

    def get(self, key: tuple[str, str], now: int) -> Value | None:
        """The value that is still valid at the time `now` (ns), or None."""
        found = self._known.get(key)
        if found is None:
            return None
        if found[0] <= now:
            self._known.pop(key, None)
            return None
        return found[1]

    def put(self, key: tuple[str, str], value: Value, now: int, ttl: int, negative: bool = False) -> None:
        """Keep a value for `ttl` seconds. 0 means: for this question only (RFC 1035 3.2.1)."""
        ttl = min(ttl, LONGEST_NEGATIVE if negative else LONGEST)
        if ttl <= 0:
            return
        self._known.pop(key, None)
        while len(self._known) >= self.most:
            try:
                self._known.pop(next(iter(self._known)), None)
            except (StopIteration, RuntimeError):
                break  # another thread has changed it
        self._known[key] = (now + ttl * _S, value)

    def clear(self) -> None:
        """Forget everything."""
        self._known.clear()
