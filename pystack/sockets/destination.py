"""The order of several addresses of one name: RFC 6724 section 6, as glibc applies it to IPv4.

Of the ten rules, five can tell two IPv4 addresses apart: 1 (unusable addresses come last), 2 (the scope of the address is that of its
source address), 8 (smaller scope), 9 (longest matching prefix, which glibc compares only inside the subnet of the source address) and 10
(the order of the answer). All IPv4 addresses have the same label and precedence in the default table.
"""

from collections.abc import Callable
from typing import Any

import pystack_c.const as C
from pystack_c.base.address import v4_bits

#: scopes of RFC 6724 section 3.2: loopback and autoconfigured addresses are link-local, all others are global
LINK_LOCAL, GLOBAL = 2, 14


def look(host: Any, fn: Callable[..., Any], *args: Any) -> Any:
    """Call fn(stack, *args) on a host: under its lock, if it has one."""
    inspect = getattr(host, "inspect", None)
    return fn(host.stack, *args) if inspect is None else inspect(fn, *args)


def own_addresses(stack: Any) -> list[int]:
    """The addresses of the stack's interfaces, without those of the loopback interface."""
    return [own.addr for iface in stack.ifaces if iface.kind != C.LINK_LOOPBACK for own in iface.addrs]


def ordered(host: Any, addresses: list[int]) -> list[int]:
    """The addresses, the best one first."""
    if host is None or len(addresses) < 2:
        return addresses
    return look(host, _sorted, addresses)  # type: ignore[no-any-return]


def _sorted(stack: Any, addresses: list[int]) -> list[int]:
    return sorted(addresses, key=lambda addr: _rank(stack, addr))  # rule 10: sorted() keeps the order of equals


def _rank(stack: Any, addr: int) -> tuple[int, ...]:
    """What rules 1, 2, 8 and 9 compare. The smaller one is the better one."""
    source, prefixlen = _source(stack, addr)
    if source == 0:
        return (1, 0, _scope(addr), 0)
    length = 0
    here, there = v4_bits(source), v4_bits(addr)
    mask = 0xFFFFFFFF << (32 - prefixlen) & 0xFFFFFFFF
    if (here ^ there) & mask == 0:
        length = 32 - (here ^ there).bit_length()
    return (0, int(_scope(addr) != _scope(source)), _scope(addr), -length)


def _scope(addr: int) -> int:
    bits = v4_bits(addr)
    return LINK_LOCAL if bits >> 24 == 127 or bits >> 16 == 0xA9FE else GLOBAL


def _source(stack: Any, addr: int) -> tuple[int, int]:
    """The source address towards `addr` with its prefix length, or (0, 0) without a route. Nothing in the stack changes."""
    known = {own.addr: own.prefixlen for iface in stack.ifaces for own in iface.addrs}
    if addr in known:
        return addr, known[addr]
    if v4_bits(addr) >> 24 == 127:
        return addr, 8
    route = stack.routes.lookup(addr)
    if route is None or route.kind != C.RT_UNICAST:
        return 0, 0
    hop = route.gateway or addr
    near = [own.addr for own in route.iface.addrs if (own.addr ^ hop) & own.mask == 0]
    others = [own.addr for own in route.iface.addrs] or own_addresses(stack)
    source = route.src or (near or others or [0])[0]
    return source, known.get(source, 32)
