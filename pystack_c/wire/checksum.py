"""The Internet checksum (RFC 1071): one's complement sums of 16-bit words in network order.

Two bodies for the one thing that touches every byte: compiled, 32-bit words are added through a pointer (see
checksum.pxd); uncompiled, the bytes are one long integer taken modulo 0xFFFF, which is the same sum.

A "sum" here is a folded, not inverted 16-bit value; sums chain through `acc`:

    acc = pseudo_sum(src, dst, 6, length)      # or 0
    acc = sum_scratch(scratch, 96, 116, acc)   # a header in a bytearray
    acc = sum_any(payload, acc)                # bytes, bytearray or memoryview
    field = acc ^ 0xFFFF                       # what goes into the checksum field

Chaining assumes that each piece but the last has even length; for a piece at an odd offset, pass its sum through
`swap` before adding (`add`). Data that holds its own right checksum sums to 0xFFFF, so `checksum()` gives 0.
"""

from typing import Any

import pystack_c.const as C
from pystack_c.base.address import addr_sum


def _fold_words(data: Any, off: int, end: int, acc: Any) -> Any:
    """The uncompiled body: sum of data[off:end] and acc."""
    piece = bytes(data[off:end])
    if len(piece) & 1:
        piece += b"\0"
    total = int.from_bytes(piece, "big") + acc
    # 65536 = 1 (mod 65535), so the remainder is the one's complement sum, but for 0xFFFF, which it shows as 0.
    rest = total % 0xFFFF
    return 0xFFFF if rest == 0 and total != 0 else rest


def sum_bytes(data: bytes, off: int, end: int, acc: int) -> int:
    """Sum of data[off:end] and `acc`; the caller has checked the bounds."""
    if C.COMPILED:
        return sum_at(data, off, end, acc)  # type: ignore[name-defined] # noqa: F821
    else:
        return _fold_words(data, off, end, acc)


def sum_scratch(data: bytearray, off: int, end: int, acc: int) -> int:
    """The same for a bytearray."""
    if C.COMPILED:
        return sum_at(data, off, end, acc)  # type: ignore[name-defined] # noqa: F821
    else:
        return _fold_words(data, off, end, acc)


def sum_any(data: Any, acc: int) -> int:
    """Sum of a whole bytes, bytearray or memoryview (contiguous), and `acc`."""
    if C.COMPILED:
        return sum_object(data, acc)  # type: ignore[name-defined] # noqa: F821
    else:
        return _fold_words(data, 0, len(data), acc)


def checksum(data: bytes, off: int, end: int, acc: int) -> int:
    """The inverted sum: 0 where data[off:end] holds its own right checksum (RFC 1071 section 1)."""
    return sum_bytes(data, off, end, acc) ^ 0xFFFF


def add(a: int, b: int) -> int:
    """One's complement addition of two 16-bit sums."""
    s = a + b
    return (s & 0xFFFF) + (s >> 16)


def swap(a: int) -> int:
    """The sum of the same bytes at an odd offset (RFC 1071 section 2 (B): byte order independence)."""
    return ((a << 8) | (a >> 8)) & 0xFFFF


def pseudo_sum(src: int, dst: int, proto: int, length: int) -> int:
    """Sum of the pseudo-header of TCP and UDP (RFC 9293 section 3.1, RFC 768)."""
    s = addr_sum(src, dst) + proto + (length >> 16) + (length & 0xFFFF)
    s = (s & 0xFFFF) + (s >> 16)
    return (s & 0xFFFF) + (s >> 16)


def update(old_sum: int, old: int, new: int) -> int:
    """A checksum field after one of its 16-bit words went from `old` to `new` (RFC 1624 section 3, eqn. 3)."""
    s = (old_sum ^ 0xFFFF) + (old ^ 0xFFFF) + new
    s = (s & 0xFFFF) + (s >> 16)
    s = (s & 0xFFFF) + (s >> 16)
    return s ^ 0xFFFF
