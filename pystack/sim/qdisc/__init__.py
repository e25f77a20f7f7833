"""Queueing disciplines: how frames wait in front of a link. The names, parameters, defaults and statistics are those of tc(8).

net.link(a, b, rate=10_000_000, qdisc="fq_codel target 5ms")     the same in both directions
net.link(a, b, ab={"qdisc": "bfifo limit 64kb"})                 one direction
host.qdisc("tbf rate 5mbit burst 16kb latency 50ms", "eth0")     in front of what is there, as `tc qdisc replace dev eth0 root`
"""

import inspect
import re
from collections.abc import Callable
from typing import Any

from pystack.sim.qdisc.base import Qdisc
from pystack.sim.qdisc.codel import Codel
from pystack.sim.qdisc.fifo import Bfifo, Pfifo
from pystack.sim.qdisc.fq_codel import FqCodel
from pystack.sim.qdisc.red import Red
from pystack.sim.qdisc.tbf import Tbf
from pystack.sim.units import parse_probability, parse_rate, parse_time

__all__ = ["KINDS", "Bfifo", "Codel", "FqCodel", "Pfifo", "Qdisc", "Red", "Tbf", "parse"]

KINDS: dict[str, type[Qdisc]] = {one.kind: one for one in (Pfifo, Bfifo, Tbf, Codel, FqCodel, Red)}

_SIZE = re.compile(r"([0-9]{1,12})(b|k|kb|m|mb|g|gb|kbit|mbit|gbit)?")
_UNITS = {"": 1, "b": 1, "k": 1 << 10, "kb": 1 << 10, "m": 1 << 20, "mb": 1 << 20, "g": 1 << 30, "gb": 1 << 30}
_BITS = {"kbit": 1000, "mbit": 1000**2, "gbit": 1000**3}
#: parameters without a value
_FLAGS = {"ecn": ("ecn", True), "noecn": ("ecn", False), "harddrop": ("harddrop", True)}


def parse_size(text: str) -> int:
    """Bytes of a size as tc reads it: 1500, 16kb (1024 bytes each), 32kbit (1000 bits each)."""
    found = _SIZE.fullmatch(text.lower())
    if found is None:
        raise ValueError(f"{text[:40]!r} is not a size such as 1500, 16kb or 32kbit")
    unit = found[2] or ""
    return int(found[1]) * _UNITS[unit] if unit in _UNITS else int(found[1]) * _BITS[unit] // 8


def _packets(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 12:
        raise ValueError(f"{text[:40]!r} is not a number")
    return int(text)


_READERS: dict[str, Callable[[str], Any]] = {
    "rate": parse_rate, "peakrate": parse_rate, "bandwidth": parse_rate, "latency": parse_time, "target": parse_time,
    "interval": parse_time, "ce_threshold": parse_time, "probability": parse_probability, "flows": _packets, "drop_batch": _packets,
}  # fmt: skip


def parse(text: str) -> Qdisc:
    """A new discipline of a text such as "fq_codel limit 1000 target 5ms". ValueError says what is wrong with another text."""
    words = text.split()
    made = KINDS.get(words[0]) if words else None
    if made is None:
        raise ValueError(f"there is no queueing discipline {text[:40]!r}; there are {', '.join(KINDS)}")
    known = inspect.signature(made.__init__).parameters
    values: dict[str, Any] = {}
    at = 1
    while at < len(words):
        word = words[at]
        name = word
        value: Any = None
        if word in _FLAGS:
            name, value = _FLAGS[word]
        if name not in known or name == "self":
            raise ValueError(
                f"{words[0]} has no parameter {word[:40]!r}; it has {', '.join(one for one in known if one != 'self')}"
            )
        if value is None:
            if at + 1 == len(words):
                raise ValueError(f"{words[0]}: {word} needs a value")
            packets = word == "burst" and made is Red or word == "limit" and made in (Pfifo, Codel, FqCodel)
            reader = _packets if packets else _READERS.get(word, parse_size)
            value = reader(words[at + 1])
            at += 1
        values[name] = value
        at += 1
    return made(**values)
