"""The core's only source of randomness, started from one seed, and its keyed hash.

The generator is xoshiro128++ (Blackman and Vigna, 2019). It has four 32-bit words, so the compiled and the
uncompiled build do the same arithmetic in machine words. It spreads timers and ports. A value that an
attacker must not guess (the ISN, RFC 9293 3.4.1) comes from `keyed_hash` instead.
"""

try:
    # hashlib has the same function, but it also loads OpenSSL, which adds 3 ms to the start of a program.
    from _blake2 import blake2b
except ImportError:
    from hashlib import blake2b

import pystack_c.const as C
from pystack_c.base.address import addr_bytes, is_v6, v4_bits
from pystack_c.base.siphash import SipHash

_PORT = int.from_bytes(b"port", "little")


def _swapped(x: int) -> int:
    """Return the four bytes of `x` in reverse order."""
    return (x & 0xFF) << 24 | (x & 0xFF00) << 8 | (x >> 8) & 0xFF00 | x >> 24


class Rng:
    """A seeded generator. The same seed gives the same sequence on every build."""

    def __init__(self, seed: object) -> None:
        digest = blake2b(str(seed).encode(), digest_size=32, person=b"pystack-rng").digest()
        self.s0 = int.from_bytes(digest[0:4], "big") | 1
        self.s1 = int.from_bytes(digest[4:8], "big")
        self.s2 = int.from_bytes(digest[8:12], "big")
        self.s3 = int.from_bytes(digest[12:16], "big")
        self.hasher = SipHash(digest[16:32])

    def u32(self) -> int:
        """Return the next 32 random bits."""
        x = (self.s0 + self.s3) & C.M32
        result = (((x << 7) & C.M32 | (x >> 25)) + self.s0) & C.M32
        t = (self.s1 << 9) & C.M32
        self.s2 ^= self.s0
        self.s3 ^= self.s1
        self.s1 ^= self.s2
        self.s0 ^= self.s3
        self.s2 ^= t
        y = self.s3
        self.s3 = (y << 11) & C.M32 | (y >> 21)
        return result

    def below(self, n: int) -> int:
        """Return a number in [0, n), for 0 < n <= 2**32 (multiply-shift; the bias is below n / 2**32)."""
        r = self.u32()
        return (r * n) >> 32

    def random(self) -> float:
        """Return a float in [0, 1)."""
        return self.u32() / 4294967296.0

    def keyed_hash(self, data: bytes) -> int:
        """Return 64 bits of SipHash-2-4 over `data`, keyed with this generator's secret: a pseudo-random function."""
        return self.hasher.hash(data)

    def keyed_port(self, laddr: int, raddr: int, rport: int) -> int:
        """Return the hash of "port", `laddr`, `raddr` and `rport` in network order, without building the bytes.

        The hash reads its input as little-endian words, so the fields are byte-swapped.
        """
        if is_v6(laddr) or is_v6(raddr):
            return self.hasher.hash(b"port" + addr_bytes(laddr) + addr_bytes(raddr) + int(rport).to_bytes(2, "big"))
        self.hasher.begin()
        self.hasher.word(_swapped(v4_bits(laddr)) << 32 | _PORT)
        return self.hasher.end((rport & 0xFF) << 40 | (rport >> 8) << 32 | _swapped(v4_bits(raddr)), 14)

    def keyed_four(self, laddr: int, lport: int, raddr: int, rport: int) -> int:
        """The same over the four numbers of a connection: of IPv4 as two words, the addresses and the ports."""
        ports = lport << 16 | rport
        if is_v6(laddr) or is_v6(raddr):
            return self.hasher.hash(b"four" + addr_bytes(laddr) + addr_bytes(raddr) + int(ports).to_bytes(4, "big"))
        low = v4_bits(laddr)
        return self.keyed_pair(low << 32 | v4_bits(raddr), ports)

    def keyed_flow(self, src: int, sport: int, dst: int, dport: int, proto: int) -> int:
        """Return the hash of one direction of a connection, as the connection tracking stores it."""
        ports = proto << 32 | sport << 16 | dport
        if is_v6(src) or is_v6(dst):
            return self.hasher.hash(addr_bytes(src) + addr_bytes(dst) + int(ports).to_bytes(8, "big"))
        low = v4_bits(src)
        return self.hasher.pair(low << 32 | v4_bits(dst), ports)

    def keyed_pair(self, first: int, second: int) -> int:
        """Return the hash of two 64-bit words."""
        return self.hasher.pair(first, second)
