"""32-bit sequence numbers, modulo 2**32 (RFC 9293 section 3.4).

No other module does modular arithmetic on sequence numbers. In the compiled build, unsigned values wrap by
themselves. In the uncompiled build they would grow, so this module masks every result.
"""

import pystack_c.const as C


def seq_add(a: int, n: int) -> int:
    """Return a + n. `n` may be negative."""
    return (a + n) & C.M32


def seq_diff(a: int, b: int) -> int:
    """Return a - b as a signed distance in [-2**31, 2**31), which is positive if a is later than b."""
    d = (a - b) & C.M32
    if d > 0x7FFFFFFF:
        return d - C.M32 - 1
    return d


def seq_lt(a: int, b: int) -> bool:
    """Return True if a comes before b."""
    return ((a - b) & C.M32) > 0x7FFFFFFF


def seq_le(a: int, b: int) -> bool:
    """Return True if a comes before b or equals b."""
    return ((b - a) & C.M32) <= 0x7FFFFFFF


def seq_gt(a: int, b: int) -> bool:
    """Return True if a comes after b."""
    return ((b - a) & C.M32) > 0x7FFFFFFF


def seq_ge(a: int, b: int) -> bool:
    """Return True if a comes after b or equals b."""
    return ((a - b) & C.M32) <= 0x7FFFFFFF


def seq_max(a: int, b: int) -> int:
    """Return the later of the two."""
    if ((a - b) & C.M32) <= 0x7FFFFFFF:
        return a
    return b
