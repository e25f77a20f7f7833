"""Addresses. An address is one number of 128 bits for both families: IPv4's 10.0.0.1 is ::ffff:10.0.0.1 (RFC 4291 2.5.5.2).

All knowledge of how the families differ is here, in `wire/`, in `ip/` and below. The modules above compare addresses, keep them, and ask
the questions of this module.

The unspecified address (0.0.0.0 and ::) is 0 and has no family: it means "any address", or "none yet". The functions that applications call
(and recordings hold) also take an IPv4 address as its 32-bit number: `normal` makes the one form of both.
"""

from ipaddress import IPv6Address
from typing import Any

import pystack_c.const as C

#: the bits in front of a mapped IPv4 address
_MAPPED = 0xFFFF << 32
# (A literal of more than 64 bits does not compile.)
_ALL = int.from_bytes(b"\xff" * 16, "big")


def v4(bits: int) -> int:
    """The address with these 32 bits in IPv4."""
    return _MAPPED | bits if bits != 0 else 0


def v4_bits(addr: int) -> int:
    """The 32 bits of an IPv4 address, or of the unspecified one."""
    return addr & C.M32


def is_v4(addr: int) -> bool:
    """Is it an IPv4 address? (The unspecified address is of no family.)"""
    return addr >> 32 == 0xFFFF


def is_v6(addr: int) -> bool:
    """Is it an IPv6 address? (The unspecified address is of no family.)"""
    return addr != 0 and not is_v4(addr)


def normal(addr: int) -> int:
    """An address as applications and recordings give it: a number of up to 32 bits is IPv4. (1 is ::1, and never 0.0.0.1.)"""
    if addr == _MAPPED:
        return 0
    return _MAPPED | addr if 1 < addr <= C.M32 else addr


def is_multicast(addr: int) -> bool:
    """224.0.0.0/4 (RFC 1112 4) or ff00::/8 (RFC 4291 2.7)."""
    return addr >> 28 == 0xFFFFE or addr >> 120 == 0xFF


def is_broadcast(addr: int) -> bool:
    """255.255.255.255, all hosts of a link (RFC 1122 3.2.1.3 (c)). IPv6 has no such address."""
    return addr == _MAPPED | C.M32


def is_group(addr: int) -> bool:
    """Does it name no single host, on any link? Multicast, IPv4's class E, and 255.255.255.255."""
    return addr >> 29 == 0x7FFFF or addr >> 120 == 0xFF


def is_loopback(addr: int) -> bool:
    """127.0.0.0/8 (RFC 1122 3.2.1.3 (g)) or ::1 (RFC 4291 2.5.3)."""
    return addr >> 24 == 0xFFFF7F or addr == 1


def is_this_network(addr: int) -> bool:
    """0.0.0.0/8 (RFC 1122 3.2.1.3 (a), (b)), or the unspecified address."""
    return addr >> 24 == 0xFFFF00 or addr == 0


def loopback_for(addr: int) -> int:
    """This host's own name for itself, in the family of `addr`: 127.0.0.1, as on Linux also for the unspecified address, or ::1."""
    return v4(0x7F000001) if addr == 0 or is_v4(addr) else 1


def length_of(addr: int, prefixlen: int) -> int:
    """The length of a prefix among all addresses: IPv4's /24 is /120. The unspecified address is that of IPv4."""
    return prefixlen + 96 if addr == 0 or is_v4(addr) else prefixlen


def most_prefixlen(addr: int) -> int:
    """The longest prefix length in the family of `addr`."""
    return 32 if addr == 0 or is_v4(addr) else 128


def prefix_mask(length: int) -> int:
    """The mask of a length in 0..128."""
    return _ALL ^ (_ALL >> length) if length < 128 else _ALL


def prefix_of(addr: int, length: int) -> int:
    """The prefix that routes are kept by: the first `length` bits, with those of IPv4 for the unspecified address."""
    return (addr if addr != 0 else _MAPPED) & prefix_mask(length)


def broadcast_of(addr: int, prefixlen: int) -> int:
    """The directed broadcast address of a network (RFC 1122 3.2.1.3 (d)). 255.255.255.255 if it has none (RFC 3021 for /31)."""
    if is_v4(addr) and prefixlen < 31:
        return addr | C.M32 >> prefixlen
    return _MAPPED | C.M32


def addr_sum(src: int, dst: int) -> int:
    """The folded ones' complement sum of two addresses, as pseudo-headers need it (RFC 768, RFC 8200 8.1).

    Of IPv4 addresses it is the sum of their 32 bits: the 0xFFFF of the mapped form is zero in ones' complement.
    """
    s = (v4_bits(src) >> 16) + (src & 0xFFFF) + (v4_bits(dst) >> 16) + (dst & 0xFFFF)
    for shift in (32, 48, 64, 80, 96, 112):
        if src >> shift == 0 and dst >> shift == 0:
            break
        s += ((src >> shift) & 0xFFFF) + ((dst >> shift) & 0xFFFF)
    s = (s & 0xFFFF) + (s >> 16)
    return (s & 0xFFFF) + (s >> 16)


def key(addr: int) -> Any:
    """The address as the key of a dict: the number itself. (Compiled, this is faster than the general conversion for IPv4.)"""
    return addr


def conn_key(raddr: int, rport: int, lport: int) -> Any:
    """The key of a connection among those of one local address.

    A dict looks at the low bits first: whatever of the three differs, remote ports at a server or local ones at a client, shows there.
    Keys of IPv4 have 64 bits, all others have more.
    """
    ports = lport << 16 | rport
    if is_v4(raddr):
        low = v4_bits(raddr)
        return low << 32 | lport << 16 | (ports ^ lport ^ low ^ low >> 16) & 0xFFFF
    return ((key(raddr) | 1 << 128) << 32) | ports


def addr_bytes(addr: int) -> bytes:
    """The address in network order: 4 bytes for IPv4 and for the unspecified address, otherwise 16."""
    if addr == 0 or is_v4(addr):
        return v4_bits(addr).to_bytes(4, "big")
    return key(addr).to_bytes(16, "big")  # type: ignore[no-any-return]


def from_bytes(data: bytes) -> int:
    """The address in 4 or 16 bytes in network order."""
    number = int.from_bytes(data, "big")
    return v4(number) if len(data) <= 4 else normal(number)


def plain(addr: int) -> Any:
    """The address as the number that it has in its own family: 32 bits for IPv4. (Hashes that were made of these stay as they were.)"""
    return v4_bits(addr) if is_v4(addr) else key(addr)


def addr_text(addr: int) -> str:
    """The address as people write it: dotted decimal, or the form of RFC 5952."""
    low = v4_bits(addr)
    if addr >> 32 == 0xFFFF or (addr >> 32 == 0 and addr != 1):
        return f"{low >> 24}.{(low >> 16) & 255}.{(low >> 8) & 255}.{low & 255}"
    return str(IPv6Address(key(addr)))
