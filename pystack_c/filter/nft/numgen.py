"""Numbers that a rule makes: `numgen` counts or draws them, and `jhash` makes them of a value (Linux nft_numgen, nft_hash)."""

from typing import Any

from pystack_c.filter.nft.exprs import Expr
from pystack_c.filter.nft.view import View


class Counting(Expr):
    """`numgen inc`: 0, 1, 2, ... up to the modulus, and again."""

    def __init__(self, modulus: int, offset: int) -> None:
        self.modulus = modulus
        self.offset = offset
        self.next = 0

    def value(self, view: View) -> Any:  # inherited
        """Return the next number."""
        number = self.next  # object
        self.next = 0 if number + 1 >= self.modulus else number + 1
        return number + self.offset


class Drawing(Expr):
    """`numgen random`: a random number below the modulus, plus the offset."""

    def __init__(self, modulus: int, offset: int) -> None:
        self.modulus = modulus
        self.offset = offset

    def value(self, view: View) -> Any:  # inherited
        """Return a number."""
        return ((view.core.rng.u32() * self.modulus) >> 32) + self.offset


class Hash(Expr):
    """`jhash`: Jenkins' hash of a value, reduced to a range as Linux reduces it: (hash * modulus) >> 32."""

    def __init__(self, inner: Expr, sizes: Any, modulus: int, seed: int, offset: int) -> None:
        self.inner = inner
        #: the bytes of each part; each part begins at a multiple of 4
        self.sizes = tuple(sizes)
        self.modulus = modulus
        self.seed = seed
        self.offset = offset

    def value(self, view: View) -> Any:  # inherited
        """Return the number."""
        found = self.inner.value(view)  # object
        if found is None:
            return None
        parts = found if type(found) is tuple else (found,)  # object
        data = bytearray()  # object
        for number, size in zip(parts, self.sizes):  # noqa: B905  # object
            data += number.to_bytes(size, "big")
            if len(self.sizes) > 1:
                data += bytes(-size % 4)
        return ((jhash(bytes(data), self.seed) * self.modulus) >> 32) + self.offset


def _rol(word: int, count: int) -> int:
    return ((word << count) | (word >> (32 - count))) & 0xFFFFFFFF


def jhash(data: bytes, seed: int) -> int:
    """Return Bob Jenkins' lookup3 hash of the bytes, as Linux computes it on a little-endian machine (include/linux/jhash.h)."""
    p = data
    left = len(data)
    a = b = c = (0xDEADBEEF + left + seed) & 0xFFFFFFFF
    at = 0
    while left > 12:
        a = (a + (p[at] | p[at + 1] << 8 | p[at + 2] << 16 | p[at + 3] << 24)) & 0xFFFFFFFF
        b = (b + (p[at + 4] | p[at + 5] << 8 | p[at + 6] << 16 | p[at + 7] << 24)) & 0xFFFFFFFF
        c = (c + (p[at + 8] | p[at + 9] << 8 | p[at + 10] << 16 | p[at + 11] << 24)) & 0xFFFFFFFF
        a = ((a - c) & 0xFFFFFFFF) ^ _rol(c, 4)
        c = (c + b) & 0xFFFFFFFF
        b = ((b - a) & 0xFFFFFFFF) ^ _rol(a, 6)
        a = (a + c) & 0xFFFFFFFF
        c = ((c - b) & 0xFFFFFFFF) ^ _rol(b, 8)
        b = (b + a) & 0xFFFFFFFF
        a = ((a - c) & 0xFFFFFFFF) ^ _rol(c, 16)
        c = (c + b) & 0xFFFFFFFF
        b = ((b - a) & 0xFFFFFFFF) ^ _rol(a, 19)
        a = (a + c) & 0xFFFFFFFF
        c = ((c - b) & 0xFFFFFFFF) ^ _rol(b, 4)
        b = (b + a) & 0xFFFFFFFF
        left -= 12
        at += 12
    if left == 0:
        return c
    for i in range(left):
        word = p[at + i] << (8 * (i % 4))
        if i < 4:
            a = (a + word) & 0xFFFFFFFF
        elif i < 8:
            b = (b + word) & 0xFFFFFFFF
        else:
            c = (c + word) & 0xFFFFFFFF
    c = ((c ^ b) - _rol(b, 14)) & 0xFFFFFFFF
    a = ((a ^ c) - _rol(c, 11)) & 0xFFFFFFFF
    b = ((b ^ a) - _rol(a, 25)) & 0xFFFFFFFF
    c = ((c ^ b) - _rol(b, 16)) & 0xFFFFFFFF
    a = ((a ^ c) - _rol(c, 4)) & 0xFFFFFFFF
    b = ((b ^ a) - _rol(a, 14)) & 0xFFFFFFFF
    return ((c ^ b) - _rol(b, 24)) & 0xFFFFFFFF
