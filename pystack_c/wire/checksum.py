"""The Internet checksum (RFC 1071): one's complement sums of 16-bit words in network order.

One operation touches every byte, so it has two bodies. The compiled one adds 32-bit words through a pointer (see
checksum.pxd). The uncompiled one takes the bytes as one long integer modulo 0xFFFF, which gives the same sum.

A "sum" here is a 16-bit value that is folded but not inverted. Sums chain through `acc`:

    acc = pseudo_sum(src, dst, 6, length)      # or 0
    acc = sum_scratch(scratch, 96, 116, acc)   # a header in a bytearray
    acc = sum_any(payload, acc)                # bytes, bytearray or memoryview
    field = acc ^ 0xFFFF                       # the value of the checksum field

Chaining assumes that each piece except the last has an even length. For a piece at an odd offset, pass its sum through
`swap` before you `add` it. Data that holds its own correct checksum sums to 0xFFFF, so `checksum()` gives 0.
"""

from typing import Any

import pystack_c.const as C
from pystack_c.base.address import addr_sum


def _fold_words(data: Any, off: int, end: int, acc: Any) -> Any:
    """Return the sum of data[off:end] and acc (the uncompiled body)."""
    piece = bytes(data[off:end])
    if len(piece) & 1:
        piece += b"\0"
    total = int.from_bytes(piece, "big") + acc
    # 65536 = 1 (mod 65535), so the remainder is the one's complement sum, except that it shows 0xFFFF as 0.
    rest = total % 0xFFFF
    return 0xFFFF if rest == 0 and total != 0 else rest


def sum_bytes(data: bytes, off: int, end: int, acc: int) -> int:
    """Return the sum of data[off:end] and `acc`. The caller has checked the bounds."""
    if C.COMPILED:
        return sum_at(data, off, end, acc)  # type: ignore[name-defined] # noqa: F821
    else:
        return _fold_words(data, off, end, acc)


def sum_scratch(data: bytearray, off: int, end: int, acc: int) -> int:
    """Return the sum of data[off:end] and `acc` for a bytearray. The caller has checked the bounds."""
    if C.COMPILED:
        return sum_at(data, off, end, acc)  # type: ignore[name-defined] # noqa: F821
    else:
        return _fold_words(data, off, end, acc)


def sum_any(data: Any, acc: int) -> int:
    """Return the sum of a whole bytes, bytearray or contiguous memoryview, and `acc`."""
    if C.COMPILED:
        return sum_object(data, acc)  # type: ignore[name-defined] # noqa: F821
    else:
        return _fold_words(data, 0, len(data), acc)


def checksum(data: bytes, off: int, end: int, acc: int) -> int:
    """Return the inverted sum. It is 0 if data[off:end] holds its own correct checksum (RFC 1071 section 1)."""
    return sum_bytes(data, off, end, acc) ^ 0xFFFF


def add(a: int, b: int) -> int:
    """Add two 16-bit sums in one's complement."""
    s = a + b
    return (s & 0xFFFF) + (s >> 16)


def swap(a: int) -> int:
    """Return the sum of the same bytes at an odd offset (RFC 1071 section 2 (B): byte order independence)."""
    return ((a << 8) | (a >> 8)) & 0xFFFF


def pseudo_sum(src: int, dst: int, proto: int, length: int) -> int:
    """Return the sum of the pseudo-header of TCP and UDP (RFC 9293 section 3.1, RFC 768)."""
    s = addr_sum(src, dst) + proto + (length >> 16) + (length & 0xFFFF)
    s = (s & 0xFFFF) + (s >> 16)
    return (s & 0xFFFF) + (s >> 16)


def update(old_sum: int, old: int, new: int) -> int:
    """Return a checksum field after one 16-bit word changed from `old` to `new` (RFC 1624 section 3, eqn. 3)."""
    s = (old_sum ^ 0xFFFF) + (old ^ 0xFFFF) + new
    s = (s & 0xFFFF) + (s >> 16)
    s = (s & 0xFFFF) + (s >> 16)
    return s ^ 0xFFFF
