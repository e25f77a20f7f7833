"""Times, rates and probabilities as text, with the units that tc(8) uses: 50ms, 10mbit, 1%."""

import re

_NUMBER = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)([a-z%]*)")
_TIMES = {"ns": 1, "us": 10**3, "usec": 10**3, "ms": 10**6, "msec": 10**6, "s": 10**9, "sec": 10**9}
_RATES = {"bit": 1, "kbit": 10**3, "mbit": 10**6, "gbit": 10**9}
#: a day, which is more than any link needs
_LONGEST = 86_400 * 10**9
_FASTEST = 10**12


def _scaled(text: str, units: dict[str, int], what: str, example: str, highest: int) -> int:
    """The number times its unit, as an exact integer. ValueError if the text is not of this form, or too large."""
    found = _NUMBER.fullmatch(text.strip().lower())
    if found is None or found[2] not in units:
        raise ValueError(
            f"{text[:40]!r} is not {what}: write a number and one of {', '.join(units)}, such as {example}"
        )
    whole, _, part = found[1].partition(".")
    value = (int(whole) * 10**9 + int(part.ljust(9, "0"))) * units[found[2]] // 10**9
    if value > highest:
        raise ValueError(f"{text[:40]!r} is more than the largest value that is allowed")
    return value


def parse_time(text: str) -> int:
    """Nanoseconds of a time such as "50ms" or "1.5s"."""
    return _scaled(text, _TIMES, "a time", "50ms", _LONGEST)


def parse_rate(text: str) -> int:
    """bit/s of a rate such as "10mbit". It is at least 1."""
    rate = _scaled(text, _RATES, "a rate", "10mbit", _FASTEST)
    if rate < 1:
        raise ValueError(f"{text[:40]!r}: a rate is at least 1bit")
    return rate


def parse_probability(text: str) -> float:
    """A probability from 0 to 1, of a percentage such as "1%" or a number such as "0.01"."""
    found = _NUMBER.fullmatch(text.strip())
    if found is None or found[2] not in ("", "%"):
        raise ValueError(f"{text[:40]!r} is not a probability: write a percentage, such as 1%")
    value = float(found[1]) / (100 if found[2] else 1)
    if value > 1:
        raise ValueError(f"{text[:40]!r} is more than 100%")
    return value


def _text(value: int, units: dict[str, int]) -> str:
    """The value with the largest unit that needs no decimals. Of two names of a unit, it has the first."""
    name = max((name for name, scale in units.items() if value % scale == 0), key=lambda name: units[name])
    return f"{value // units[name]}{name}"


def time_text(value: int) -> str:
    """A time in ns as text that parse_time reads."""
    return _text(value, _TIMES)


def rate_text(value: int) -> str:
    """A rate in bit/s as text that parse_rate reads."""
    return _text(value, _RATES)


def probability_text(value: float) -> str:
    """A probability as a percentage that parse_probability reads."""
    return f"{value * 100:.9f}".rstrip("0").rstrip(".") + "%"
