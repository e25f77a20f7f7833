"""SipHash-2-4 (Aumasson and Bernstein, 2012): a keyed 64-bit hash, pseudo-random under a secret key."""

import pystack_c.const as C

_M64 = 0xFFFFFFFFFFFFFFFF
# "somepseudorandomlygeneratedbytes"
_S0 = 0x736F6D6570736575
_S1 = 0x646F72616E646F6D
_S2 = 0x6C7967656E657261
_S3 = 0x7465646279746573


class SipHash:
    """The hash under one key of 16 bytes. Call `begin`, then `word` for every 8 bytes (little-endian), then `end`."""

    def __init__(self, key: bytes) -> None:
        self.k0 = int.from_bytes(key[:8], "little")
        self.k1 = int.from_bytes(key[8:16], "little")
        self.begin()

    def begin(self) -> None:
        """Start a new hash."""
        self.v0 = self.k0 ^ _S0
        self.v1 = self.k1 ^ _S1
        self.v2 = self.k0 ^ _S2
        self.v3 = self.k1 ^ _S3

    def _rounds(self, count: int) -> None:
        """Apply `count` SipRounds to the four words of the state."""
        a, b, c, d = self.v0, self.v1, self.v2, self.v3
        for _ in range(count):
            a = (a + b) & _M64
            b = ((b << 13) & _M64 | (b >> 51)) ^ a
            a = (a << 32) & _M64 | (a >> 32)
            c = (c + d) & _M64
            d = ((d << 16) & _M64 | (d >> 48)) ^ c
            a = (a + d) & _M64
            d = ((d << 21) & _M64 | (d >> 43)) ^ a
            c = (c + b) & _M64
            b = ((b << 17) & _M64 | (b >> 47)) ^ c
            c = (c << 32) & _M64 | (c >> 32)
        self.v0, self.v1, self.v2, self.v3 = a, b, c, d

    def word(self, value: int) -> None:
        """Add the next 8 bytes."""
        self.v3 ^= value
        self._rounds(2)
        self.v0 ^= value

    def end(self, tail: int, length: int) -> int:
        """Add the last `length` % 8 bytes (`tail`), and return the hash of all `length` bytes."""
        self.word((length & 0xFF) << 56 | tail)
        self.v2 ^= 0xFF
        self._rounds(4)
        return self.v0 ^ self.v1 ^ self.v2 ^ self.v3

    def pair(self, first: int, second: int) -> int:
        """Return the hash of 16 bytes: two words."""
        if not C.COMPILED:
            self.begin()
            self.word(first)
            self.word(second)
            return self.end(0, 16)
        # The same with the state in registers. Unsigned numbers of 64 bits wrap by themselves.
        a, b, c, d = self.k0 ^ _S0, self.k1 ^ _S1, self.k0 ^ _S2, self.k1 ^ _S3
        value = first
        for i in range(5):
            # Two rounds after each of the three words, and four at the end.
            d ^= value
            for _ in range(2):
                a += b
                b = (b << 13 | b >> 51) ^ a
                a = a << 32 | a >> 32
                c += d
                d = (d << 16 | d >> 48) ^ c
                a += d
                d = (d << 21 | d >> 43) ^ a
                c += b
                b = (b << 17 | b >> 47) ^ c
                c = c << 32 | c >> 32
            a ^= value
            value = second if i == 0 else 16 << 56 if i == 1 else 0
            if i == 2:
                c ^= 0xFF
        return a ^ b ^ c ^ d

    def hash(self, data: bytes) -> int:
        """Return the hash of `data`."""
        self.begin()
        p = data
        n = len(data)
        at = 0
        while n - at >= 8:
            value = 0
            for i in range(8):
                byte = p[at + i]
                value |= byte << (8 * i)
            self.word(value)
            at += 8
        value = 0
        for i in range(n - at):
            byte = p[at + i]
            value |= byte << (8 * i)
        return self.end(value, n)


def siphash(key: bytes, data: bytes) -> int:
    """Return the hash of `data` under a key of 16 bytes."""
    return SipHash(key).hash(data)
