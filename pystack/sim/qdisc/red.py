"""Random early detection: packets are dropped, or marked, by chance before the queue is full (tc-red(8), Floyd and Jacobson 1993)."""

from typing import Any

from pystack.sim.qdisc.base import whole
from pystack.sim.qdisc.fifo import Bfifo
from pystack_c.base.rng import Rng

_S = 1_000_000_000
#: the average queue is counted in bytes times this
_ONE = 1 << 32


class Red(Bfifo):
    """`red limit BYTES avpkt BYTES [min BYTES] [max BYTES] [burst N] [probability P] [bandwidth RATE] [ecn] [harddrop]`

    The average length of the queue is a moving one. Below `min`, nothing is dropped. Between `min` and `max` the probability grows
    up to `probability`, and above `max` each packet is dropped. With `ecn`, packets of senders that understand it are marked; with
    `harddrop`, they are dropped above `max`. The defaults are those of tc: `max` is a quarter of the limit, `min` a third of `max`.
    """

    kind = "red"

    def __init__(
        self,
        limit: int = 0,
        avpkt: int = 0,
        min: int = 0,
        max: int = 0,
        burst: int = 0,
        probability: float = 0.02,
        bandwidth: int = 10_000_000,
        ecn: bool = False,
        harddrop: bool = False,
    ) -> None:
        super().__init__(limit)
        self.avpkt = whole("avpkt", avpkt)
        self.max = whole("max", max or limit // 4)
        self.min = whole("min", min or self.max // 3)
        if not self.min < self.max <= limit:
            raise ValueError(f"min={self.min}, max={self.max}, limit={limit}: write min < max <= limit")
        if not 0 < probability <= 1:
            raise ValueError(f"probability={probability}: write a probability above 0, up to 1")
        self.burst = whole("burst", burst or (2 * self.min + self.max) // (3 * avpkt))
        self.probability = probability
        self.bandwidth = whole("bandwidth", bandwidth)
        self.ecn, self.harddrop = bool(ecn), bool(harddrop)
        self.wlog = _wlog(self.burst, self.min, avpkt)
        self._average = 0  # in bytes * _ONE
        self._idle_since = 0
        self._count = -1  # packets since the last mark, while the average is between min and max
        self._random = 0.0
        self._rng = Rng(0)

    def begin(self, name: str, seed: object, header: int, report: object) -> None:
        """See Qdisc."""
        super().begin(name, seed, header, report)  # type: ignore[arg-type]
        self._rng = Rng(f"{seed}/{name}/red")

    @property
    def average(self) -> int:
        """The average length of the queue in bytes."""
        return self._average // _ONE

    def _update(self, now: int) -> None:
        """Move the average towards the queue's length now. An idle time counts as so many packets of an empty queue."""
        if self.qlen == 0:
            packets = (now - self._idle_since) * self.bandwidth // (self.avpkt * 8 * _S)
            self._average = self._average * _kept(self.wlog, packets) // _ONE
            self._idle_since = now
        else:
            self._average += (self.backlog * _ONE - self._average) >> self.wlog

    def _chosen(self) -> bool:
        """Whether chance decides for a mark. The packets between two marks are uniformly distributed (Floyd and Jacobson, section 7)."""
        self._count += 1
        if self._count == 0:
            self._random = self._rng.random()
            return False
        chance = self.probability * (self._average - self.min * _ONE) / ((self.max - self.min) * _ONE)
        if self._count * chance < self._random:
            return False
        self._count = 0
        self._random = self._rng.random()
        return True

    def enqueue(self, frame: bytes, now: int, **fields: Any) -> bool:
        """See Qdisc."""
        self._update(now)
        fields["average"] = self.average
        taken: bytes | None = frame
        if self._average < self.min * _ONE:
            self._count = -1
        elif self._average < self.max * _ONE:
            if self._chosen():
                why = "chance chose the packet, because the average queue is between min and max"
                taken = self._early(frame, now, "early", why, self.ecn, fields)
        else:
            self._count = -1
            why = "the average queue is above max"
            taken = self._early(frame, now, "hard", why, self.ecn and not self.harddrop, fields)
        if taken is None:
            return False
        return super().enqueue(taken, now, **fields)

    def _early(self, frame: bytes, now: int, name: str, why: str, ecn: bool, fields: dict[str, Any]) -> bytes | None:
        """Mark a packet, or drop it. Returns what is to be queued."""
        self.overlimits += 1
        marked = self.mark(frame, now, name, why, "RFC 7567 4.2", **fields) if ecn else None
        if marked is None:
            self.drop(frame, now, name, why, "RFC 7567 4.2", **fields)
        return marked

    def dequeue(self, now: int) -> bytes | None:
        """See Qdisc."""
        frame = super().dequeue(now)
        if frame is not None and self.qlen == 0:
            self._idle_since = now
        return frame

    def text(self) -> str:
        """See Qdisc."""
        flags = (" ecn" if self.ecn else "") + (" harddrop" if self.harddrop else "")
        return f"limit {self.limit}b min {self.min}b max {self.max}b{flags} ewma {self.wlog} probability {self.probability:g}"

    def extra(self) -> list[str]:
        """See Qdisc."""
        early = self.drops["early"] + self.drops["hard"]
        return [f"  marked {sum(self.marks.values())} early {early} pdrop {self.drops['overlimit']} other 0"]


def _wlog(burst: int, least: int, avpkt: int) -> int:
    """The exponent of the average's weight 2**-wlog: the largest weight with which a burst of so many packets is not marked.

    Floyd and Jacobson, section 6: L + 1 + ((1 - w)**(L + 1) - 1) / w < min.
    """
    need = burst + 1 - least / avpkt
    if need < 1:
        raise ValueError(f"burst={burst} is too small for min={least}: write at least {-(-least // avpkt)}")
    for wlog in range(1, 32):
        weight = 2.0**-wlog
        if need <= (1 - (1 - weight) ** burst) / weight:
            return wlog
    raise ValueError(f"burst={burst} is too large")


def _kept(wlog: int, packets: int) -> int:
    """(1 - 2**-wlog)**packets, times _ONE, with integers, so that it is the same on each machine."""
    factor, result = _ONE - (_ONE >> wlog), _ONE
    packets = min(packets, 1 << 24)
    while packets:
        if packets & 1:
            result = result * factor >> 32
        factor = factor * factor >> 32
        packets >>= 1
    return result
