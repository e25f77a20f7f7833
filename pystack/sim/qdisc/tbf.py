"""The token bucket filter: a rate that holds in the long run, and bursts up to a limit (tc-tbf(8))."""

from typing import Any

from pystack.sim.qdisc.base import MTU, rate_words, whole
from pystack.sim.qdisc.fifo import Bfifo
from pystack.sim.units import time_text

#: credit is counted in bits times ns per s, so that no division loses anything
_S = 1_000_000_000


class Tbf(Bfifo):
    """`tbf rate RATE burst BYTES (latency TIME | limit BYTES) [peakrate RATE mtu BYTES] [overhead BYTES] [mpu BYTES]`

    A frame leaves if the bucket has a token for each of its bits. Tokens come at `rate`, and the bucket has room for `burst` bytes.
    Frames that must wait are in a bfifo. Its limit is `limit`, or what is sent in `latency` and one burst. A frame that is larger than
    the bucket is dropped.
    """

    kind = "tbf"

    def __init__(
        self,
        rate: int = 0,
        burst: int = 0,
        latency: int | None = None,
        limit: int | None = None,
        peakrate: int = 0,
        mtu: int = MTU,
        overhead: int = 0,
        mpu: int = 0,
    ) -> None:
        if (latency is None) == (limit is None):
            raise ValueError("tbf needs either a latency or a limit")
        self.rate, self.burst = whole("rate", rate), whole("burst", burst)
        self.peakrate, self.mtu = whole("peakrate", peakrate, 0), whole("mtu", mtu)
        self.overhead, self.mpu = whole("overhead", overhead, 0), whole("mpu", mpu, 0)
        if peakrate and peakrate <= rate:
            raise ValueError(f"peakrate={peakrate}: it is above the rate, {rate}")
        self.latency = latency
        if latency is not None:
            whole("latency", latency, 0)
            limit = rate * latency // (8 * _S) + burst
            if peakrate:
                limit = min(limit, peakrate * latency // (8 * _S) + mtu)
        super().__init__(whole("limit", limit))
        self._credit = self.burst * 8 * _S
        self._peak = self.mtu * 8 * _S
        self._at = 0

    def _size(self, length: int) -> int:
        """The bytes that a frame counts for."""
        return max(length + self.overhead, self.mpu)

    def enqueue(self, frame: bytes, now: int, **fields: Any) -> bool:
        """See Qdisc."""
        if self._size(len(frame)) > (min(self.burst, self.mtu) if self.peakrate else self.burst):
            self.drop(frame, now, "too-large", "the bucket has no room for so large a frame")
            return False
        return super().enqueue(frame, now, **fields)

    def _fill(self, now: int) -> None:
        """Add the tokens of the time that has passed."""
        passed, self._at = now - self._at, now
        self._credit = min(self._credit + passed * self.rate, self.burst * 8 * _S)
        self._peak = min(self._peak + passed * self.peakrate, self.mtu * 8 * _S)

    def ready(self, now: int) -> int | None:
        """See Qdisc."""
        if not self.qlen:
            return None
        self._fill(now)
        need = self._size(self.peek()) * 8 * _S
        wait = max(0, -((self._credit - need) // self.rate))
        if self.peakrate:
            wait = max(wait, -((self._peak - need) // self.peakrate))
        return now + wait

    def dequeue(self, now: int) -> bytes | None:
        """See Qdisc."""
        if not self.qlen:
            return None
        if self.ready(now) != now:
            self.overlimits += 1
            return None
        cost = self._size(self.peek()) * 8 * _S
        self._credit -= cost
        self._peak -= cost if self.peakrate else 0
        return super().dequeue(now)

    def text(self) -> str:
        """See Qdisc."""
        peak = f" peakrate {rate_words(self.peakrate)} minburst {self.mtu}b" if self.peakrate else ""
        end = f"limit {self.limit}b" if self.latency is None else f"lat {time_text(self.latency)}"
        return f"rate {rate_words(self.rate)} burst {self.burst}b{peak} {end}"
