"""What a channel can do besides independent loss: loss in bursts, and a rate and a delay that follow a trace.

`check_setting` says which values the settings of a channel may have.
"""

import os
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, replace

from pystack.sim.units import parse_rate, parse_time

#: bounds of a trace: it may come from somewhere else
MAX_ROWS = 1_000_000
MAX_BYTES = 64 << 20

#: the largest number that a setting of a channel may have; times of the clock are added to it
_MOST = 1 << 62
_TIMES = ("delay", "jitter", "reorder_delay")
_NUMBERS = ("rate", "mtu", "overhead")
_BOUNDS = ("queue", "queue_bytes", "mark")
_PROBABILITIES = ("loss", "reorder", "duplicate", "corrupt")

Row = tuple[int, int | None, int]


@dataclass(frozen=True)
class Burst:
    """Loss by the model of Gilbert and Elliott: a Markov chain of two states, which takes one step for each frame.

    p     probability of the step from the good state to the bad one
    r     probability of the step back
    good  probability that a frame is lost in the good state
    bad   probability that a frame is lost in the bad state

    The channel begins in the good state. These are the parameters of netem's `loss gemodel p r 1-h 1-k`, with `bad` = 1-h and `good` = 1-k.
    """

    p: float
    r: float
    good: float = 0.0
    bad: float = 1.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 0 <= value <= 1:
                raise ValueError(f"{name}={value}: a probability is from 0 to 1")
        if self.r == 0:
            raise ValueError("r=0: the channel would never leave the bad state")

    @classmethod
    def of(cls, loss: float, length: float) -> "Burst":
        """The chain without loss in the good state that loses this part of all frames, in bursts of this mean length (at least 1)."""
        if not 0 <= loss < 1 or length < 1:
            raise ValueError(f"loss={loss}, length={length}: the loss is below 1, and a burst has at least 1 frame")
        p = loss / (length * (1 - loss))
        if p > 1 + 1e-9:
            raise ValueError(
                f"loss={loss}, length={length}: with this loss, a burst has at least {loss / (1 - loss):.4g} frames"
            )
        return cls(p=min(p, 1.0), r=1 / length)  # 0.9 and 9 are a little above 1 in binary

    def mean_loss(self) -> float:
        """The part of the frames that is lost in the long run."""
        # The chain is in the bad state for p / (p + r) of the frames.
        return (self.p * self.bad + self.r * self.good) / (self.p + self.r)

    def mean_burst(self) -> float:
        """The mean number of frames that are lost in a row (0 if none is ever lost, and infinite if all are)."""
        lost = self.mean_loss()
        # A burst begins where a frame that passes is followed by one that is lost. There are as many bursts as beginnings.
        bad_next = self.p * self.bad + (1 - self.p) * self.good
        bad_stays = (1 - self.r) * self.bad + self.r * self.good
        begins = (self.r * (1 - self.good) * bad_next + self.p * (1 - self.bad) * bad_stays) / (self.p + self.r)
        if not lost:
            return 0.0
        return lost / begins if begins else float("inf")


@dataclass(frozen=True)
class LinkTrace:
    """A rate and a delay that change with time.

    rows    (time in ns, rate in bit/s or None for no bound, delay in ns), in the order of time; each holds until the next
    repeat  the time in ns after which the trace begins again (0: the last row holds for ever)
    start   the channel's time at which the trace begins; before that, and before the first row, the first row holds
    """

    rows: tuple[Row, ...]
    repeat: int = 0
    start: int = 0

    def __init__(self, rows: Iterable[Row], repeat: int = 0, start: int = 0):
        checked: list[Row] = []
        for row in rows:
            _check_row(row, checked)
            checked.append(row)
        if not checked:
            raise ValueError("a trace needs a row")
        if not all(isinstance(time, int) and abs(time) <= _MOST for time in (repeat, start)):
            raise ValueError("repeat and start are ints of ns, up to 2**62")
        if repeat and repeat <= checked[-1][0]:
            raise ValueError(
                f"a trace cannot be repeated after {repeat} ns: its last row begins at {checked[-1][0]} ns"
            )
        object.__setattr__(self, "rows", tuple(checked))
        object.__setattr__(self, "repeat", repeat)
        object.__setattr__(self, "start", start)
        object.__setattr__(self, "_times", [row[0] for row in checked])

    def at(self, now: int) -> Row:
        """The row that holds at a time of the channel's clock."""
        time = max(now - self.start, 0)
        if self.repeat:
            time %= self.repeat
        times: list[int] = self._times  # type: ignore[attr-defined]
        return self.rows[max(bisect_right(times, time) - 1, 0)]

    def starting(self, start: int) -> "LinkTrace":
        """The same trace, which begins at another time."""
        return replace(self, start=start)

    @classmethod
    def read(cls, path: "str | os.PathLike[str]", repeat: int = 0) -> "LinkTrace":
        """Read a text file with a row in each line: a time, a rate (`-`: no bound) and a delay, such as `1.5s 10mbit 50ms`.

        Empty lines and the rest of a line after # are ignored. A file that is not of this form is a ValueError that names the line.
        """
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise ValueError(f"{path}: a trace has at most {MAX_BYTES} bytes")
        checked: list[Row] = []
        for number, line in enumerate(data.split(b"\n"), 1):
            try:
                words = line.decode("ascii").partition("#")[0].split()
                if not words:
                    continue
                if len(words) != 3:
                    raise ValueError(f"a row is a time, a rate and a delay, and this line has {len(words)} words")
                rate = None if words[1] == "-" else parse_rate(words[1])
                row = (parse_time(words[0]), rate, parse_time(words[2]))
                _check_row(row, checked)
            except ValueError as error:
                reason = "a trace is a text in ASCII" if isinstance(error, UnicodeDecodeError) else error
                raise ValueError(f"{path}, line {number}: {reason}") from None
            checked.append(row)
        try:
            return cls(checked, repeat)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None


def _check_row(row: Row, before: list[Row]) -> None:
    """ValueError if the row cannot follow those before it."""
    if len(before) >= MAX_ROWS:
        raise ValueError(f"a trace has at most {MAX_ROWS} rows")
    if len(row) != 3 or not all(isinstance(value, int) for value in (row[0], row[2])):
        raise ValueError(f"{row!r}: a row is a time in ns, a rate in bit/s and a delay in ns")
    time, rate, delay = row
    if time < 0 or delay < 0:
        raise ValueError(f"{row!r}: a time and a delay are not negative")
    if rate is not None and (not isinstance(rate, int) or rate < 1):
        raise ValueError(
            f"{row!r}: a rate is at least 1 bit/s (cut the link if nothing shall pass), or None for no bound"
        )
    if max(time, rate or 0, delay) > _MOST:
        raise ValueError("a row has numbers up to 2**62")
    if before and time <= before[-1][0]:
        raise ValueError(f"the time {time} ns does not come after {before[-1][0]} ns")


def check_setting(name: str, value: object) -> None:
    """ValueError if a setting of a channel (see Channel) cannot have this value, which would fail or mislead at a later frame."""
    whole = isinstance(value, int) and 0 <= value <= _MOST
    if name in _TIMES:
        allowed, what = whole, "an int of ns, from 0 to 2**62"
    elif name in _NUMBERS:
        allowed, what = whole, "an int from 0 to 2**62"
    elif name in _BOUNDS:
        allowed, what = whole or value is None, "an int from 0 to 2**62, or None"
    elif name in _PROBABILITIES:
        allowed, what = isinstance(value, int | float) and 0 <= value <= 1, "a probability from 0 to 1"
    elif name == "burst":
        allowed, what = value is None or isinstance(value, Burst), "a Burst, or None"
    elif name == "trace":
        allowed, what = value is None or isinstance(value, LinkTrace), "a LinkTrace, or None"
    else:
        allowed, what = isinstance(value, bool), "True or False"
    if not allowed:
        raise ValueError(f"{name}={str(value)[:40]}: write {what}")
