"""Addresses. An address is one number of 128 bits for both families: IPv4's 10.0.0.1 is ::ffff:10.0.0.1 (RFC 4291 2.5.5.2).

Only this module, `wire/`, `ip/` and the layers below know how the families differ. The modules above store and compare
addresses, and call the functions of this module.

The unspecified address (0.0.0.0 and ::) is 0 and has no family. It means "any address" or "no address yet". Application
calls, which recordings contain, also take an IPv4 address as its 32-bit number. `normal` converts both forms into one.
"""

from ipaddress import IPv6Address
from typing import Any

import pystack_c.const as C

#: the bits in front of a mapped IPv4 address
_MAPPED = 0xFFFF << 32
# Cython does not compile a literal of more than 64 bits.
_ALL = int.from_bytes(b"\xff" * 16, "big")


def v4(bits: int) -> int:
    """Return the IPv4 address with these 32 bits. 0 is the unspecified address."""
    return _MAPPED | bits if bits != 0 else 0


def v4_bits(addr: int) -> int:
    """Return the 32 bits of an IPv4 address, or 0 for the unspecified address."""
    return addr & C.M32


def is_v4(addr: int) -> bool:
    """Return True for an IPv4 address. The unspecified address has no family."""
    return addr >> 32 == 0xFFFF


def is_v6(addr: int) -> bool:
    """Return True for an IPv6 address. The unspecified address has no family."""
    return addr != 0 and not is_v4(addr)


def normal(addr: int) -> int:
    """Return the one form of an address that an application gave. A number of up to 32 bits is IPv4, except 1, which is ::1."""
    if addr == _MAPPED:
        return 0
    return _MAPPED | addr if 1 < addr <= C.M32 else addr


def is_multicast(addr: int) -> bool:
    """Return True for a group: 224.0.0.0/4 (RFC 1112 4) or ff00::/8 (RFC 4291 2.7)."""
    return addr >> 28 == 0xFFFFE or addr >> 120 == 0xFF


def is_broadcast(addr: int) -> bool:
    """Return True for 255.255.255.255, all hosts of a link (RFC 1122 3.2.1.3 (c)). IPv6 has no such address."""
    return addr == _MAPPED | C.M32


def is_group(addr: int) -> bool:
    """Return True if no single host can have the address: multicast, IPv4's class E, and 255.255.255.255."""
    return addr >> 29 == 0x7FFFF or addr >> 120 == 0xFF


def is_loopback(addr: int) -> bool:
    """Return True for 127.0.0.0/8 (RFC 1122 3.2.1.3 (g)) and ::1 (RFC 4291 2.5.3)."""
    return addr >> 24 == 0xFFFF7F or addr == 1


def is_this_network(addr: int) -> bool:
    """Return True for 0.0.0.0/8 (RFC 1122 3.2.1.3 (a), (b)), which contains the unspecified address."""
    return addr >> 24 == 0xFFFF00 or addr == 0


def loopback_for(addr: int) -> int:
    """Return the loopback address in the family of `addr`. For the unspecified address it is 127.0.0.1, as on Linux."""
    return 1 if is_v6(addr) else v4(0x7F000001)


def length_of(addr: int, prefixlen: int) -> int:
    """Return the length of a prefix in 128 bits: 120 for an IPv4 /24. The unspecified address counts as IPv4."""
    return prefixlen if is_v6(addr) else prefixlen + 96


def most_prefixlen(addr: int) -> int:
    """Return the longest prefix length in the family of `addr`: 32 or 128."""
    return 128 if is_v6(addr) else 32


def prefix_mask(length: int) -> int:
    """Return the 128-bit mask of a prefix length in 0..128."""
    return _ALL ^ (_ALL >> length) if length < 128 else _ALL


def prefix_of(addr: int, length: int) -> int:
    """Return the first `length` bits, which are the key of a route. The unspecified address counts as IPv4."""
    return (addr if addr != 0 else _MAPPED) & prefix_mask(length)


def broadcast_of(addr: int, prefixlen: int) -> int:
    """Return a network's directed broadcast address (RFC 1122 3.2.1.3 (d)), or 255.255.255.255 if it has none (RFC 3021)."""
    if is_v4(addr) and prefixlen < 31:
        return addr | C.M32 >> prefixlen
    return _MAPPED | C.M32


def addr_sum(src: int, dst: int) -> int:
    """Return the folded ones' complement sum of two addresses for a pseudo-header (RFC 768, RFC 8200 8.1).

    For IPv4 it is the sum of their 32 bits, because the 0xFFFF of the mapped form is zero in ones' complement.
    """
    s = (v4_bits(src) >> 16) + (src & 0xFFFF) + (v4_bits(dst) >> 16) + (dst & 0xFFFF)
    for shift in (32, 48, 64, 80, 96, 112):
        if src >> shift == 0 and dst >> shift == 0:
            break
        s += ((src >> shift) & 0xFFFF) + ((dst >> shift) & 0xFFFF)
    s = (s & 0xFFFF) + (s >> 16)
    return (s & 0xFFFF) + (s >> 16)


def key(addr: int) -> Any:
    """Return the address as the key of a dict. If compiled, this is faster for IPv4 than the general conversion."""
    return addr


def conn_key(raddr: int, rport: int, lport: int) -> Any:
    """Return the key of a connection in the table for its local address.

    A dict uses the low bits of a key first. So the low bits depend on all parts: at a server the remote ports differ,
    and at a client the local ports. Keys of IPv4 have 64 bits, and all others have more.
    """
    ports = lport << 16 | rport
    if is_v4(raddr):
        low = v4_bits(raddr)
        return low << 32 | lport << 16 | (ports ^ lport ^ low ^ low >> 16) & 0xFFFF
    return ((key(raddr) | 1 << 128) << 32) | ports


def addr_bytes(addr: int) -> bytes:
    """Return the address in network byte order: 4 bytes for IPv4 and the unspecified address, otherwise 16."""
    if is_v6(addr):
        return key(addr).to_bytes(16, "big")  # type: ignore[no-any-return]
    return v4_bits(addr).to_bytes(4, "big")


def from_bytes(data: bytes) -> int:
    """Return the address that 4 or 16 bytes in network byte order contain."""
    number = int.from_bytes(data, "big")
    return v4(number) if len(data) <= 4 else normal(number)


def plain(addr: int) -> Any:
    """Return the number of the address in its own family, with 32 bits for IPv4. So hashes stay as they were."""
    return v4_bits(addr) if is_v4(addr) else key(addr)


def addr_text(addr: int) -> str:
    """Return the address as people write it: dotted decimal, or the form of RFC 5952."""
    low = v4_bits(addr)
    if is_v4(addr) or (addr >> 32 == 0 and addr != 1):
        return f"{low >> 24}.{(low >> 16) & 255}.{(low >> 8) & 255}.{low & 255}"
    return str(IPv6Address(key(addr)))
