"""The clock of a host that does not keep time: it runs fast or slow, and its time of day is wrong.

All is exact integers, so the wake-ups of a host with such a clock are as deterministic as all others.
"""

_BILLION = 1_000_000_000
#: the fastest and the slowest clock: half as fast again, and half as fast
MOST_PPM = 500_000
#: a hundred years, in ns
MOST_OFFSET = 100 * 366 * 86_400 * _BILLION


class HostClock:
    """A clock that showed `own` at the network's time `true`, and runs by `ppb` parts in 10**9 fast (negative: slow).

    offset  ns that its time of day is ahead of the network's, besides what the rate has made
    """

    def __init__(self, true: int, own: int, ppb: int = 0, offset: int = 0):
        self.began = true
        self.base = own
        self.ppb = ppb
        self.offset = offset
        self._rate = _BILLION + ppb

    def own(self, true: int) -> int:
        """What the clock shows at a time of the network."""
        return self.base + (true - self.began) * self._rate // _BILLION

    def true(self, own: int) -> int:
        """The first time of the network at which the clock shows at least `own`."""
        return self.began - (self.base - own) * _BILLION // self._rate


def parts(ppm: float) -> int:
    """The ppb of so many parts in a million, rounded to a thousandth of one. ValueError if a clock cannot be so wrong."""
    if not isinstance(ppm, int | float) or isinstance(ppm, bool) or not -MOST_PPM <= ppm <= MOST_PPM:
        raise ValueError(f"ppm={str(ppm)[:40]}: write a number from -{MOST_PPM} to {MOST_PPM}")
    return round(ppm * 1000)


def check_offset(offset: int) -> int:
    """The offset. ValueError if it is not an int of ns, up to a hundred years."""
    if not isinstance(offset, int) or isinstance(offset, bool) or abs(offset) > MOST_OFFSET:
        raise ValueError(f"offset={str(offset)[:40]}: write an int of ns, up to a hundred years")
    return offset
