"""32-bit sequence numbers, modulo 2**32 (RFC 9293 section 3.4).

The only module that does modular arithmetic on sequence numbers: compiled, unsigned values wrap by
themselves; uncompiled, they grow, so every result is masked here and nowhere else.
"""

import pystack_c.const as C


def seq_add(a: int, n: int) -> int:
    """a + n, for a non-negative or negative n."""
    return (a + n) & C.M32


def seq_diff(a: int, b: int) -> int:
    """a - b as a signed distance in [-2**31, 2**31): positive where a is later than b."""
    d = (a - b) & C.M32
    if d > 0x7FFFFFFF:
        return d - C.M32 - 1
    return d


def seq_lt(a: int, b: int) -> bool:
    """True where a comes before b."""
    return ((a - b) & C.M32) > 0x7FFFFFFF


def seq_le(a: int, b: int) -> bool:
    """True where a comes before b, or is b."""
    return ((b - a) & C.M32) <= 0x7FFFFFFF


def seq_gt(a: int, b: int) -> bool:
    """True where a comes after b."""
    return ((b - a) & C.M32) > 0x7FFFFFFF


def seq_ge(a: int, b: int) -> bool:
    """True where a comes after b, or is b."""
    return ((a - b) & C.M32) <= 0x7FFFFFFF


def seq_max(a: int, b: int) -> int:
    """The later of the two."""
    if ((a - b) & C.M32) <= 0x7FFFFFFF:
        return a
    return b
