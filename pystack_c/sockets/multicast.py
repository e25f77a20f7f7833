"""Multicast options of datagram sockets: memberships, source filters, and how groups are sent to (RFC 1112, RFC 3376 3, ip(7)).

Errors are Linux's. A membership concerns one interface. It makes the host receive the group there (`Iface.groups`).
Whether a socket then gets a datagram is decided by `DatagramSocket.allows`.
"""

import errno
from typing import Any

from pystack_c.base.address import addr_bytes, from_bytes, is_multicast
from pystack_c.core import Core
from pystack_c.iface import Iface
from pystack_c.ip import igmp
from pystack_c.ip.routing import find_route
from pystack_c.sockets import sockopt
from pystack_c.sockets.datagram import DatagramSocket
from pystack_c.sockets.record import Membership

IP_MULTICAST_IF, IP_MULTICAST_TTL, IP_MULTICAST_LOOP, IP_MULTICAST_ALL = 32, 33, 34, 49
IP_ADD_MEMBERSHIP, IP_DROP_MEMBERSHIP = 35, 36
IP_UNBLOCK_SOURCE, IP_BLOCK_SOURCE, IP_ADD_SOURCE_MEMBERSHIP, IP_DROP_SOURCE_MEMBERSHIP = 37, 38, 39, 40
SOURCES = (IP_UNBLOCK_SOURCE, IP_BLOCK_SOURCE, IP_ADD_SOURCE_MEMBERSHIP, IP_DROP_SOURCE_MEMBERSHIP)
NAMES = (
    IP_MULTICAST_IF,
    IP_MULTICAST_TTL,
    IP_MULTICAST_LOOP,
    IP_MULTICAST_ALL,
    IP_ADD_MEMBERSHIP,
    IP_DROP_MEMBERSHIP,
    *SOURCES,
)


def _by_index(core: Core, index: int) -> Iface | None:
    return core.ifaces[index - 1] if 0 < index <= len(core.ifaces) else None


def _by_address(core: Core, addr: int) -> Iface | None:
    own = core.local_addr(addr)
    return None if own is None else own.iface


def _find(core: Core, group: int, addr: int, index: int) -> Iface | None:
    """Return the interface of a membership: by its index, else by its address, else the one that a datagram to the group leaves by."""
    if index != 0:
        return _by_index(core, index)
    if addr != 0:
        return _by_address(core, addr)
    dst = find_route(core, group)
    return None if dst is None else dst.iface


def _fields(value: Any, name: str) -> tuple[int, int, int]:
    """Return the addresses and the index of struct ip_mreq or ip_mreqn. IP_MULTICAST_IF also takes the second address alone."""
    raw = value if isinstance(value, bytes | bytearray) else b""
    if len(raw) >= 12:
        return from_bytes(bytes(raw[:4])), from_bytes(bytes(raw[4:8])), int.from_bytes(raw[8:12], "little", signed=True)
    if len(raw) >= 8:
        return from_bytes(bytes(raw[:4])), from_bytes(bytes(raw[4:8])), 0
    if len(raw) >= 4 and name == "interface":
        return 0, from_bytes(bytes(raw[:4])), 0
    raise OSError(errno.EINVAL, "the option takes a struct ip_mreq or ip_mreqn")


def set_option(core: Core, ep: DatagramSocket, name: int, value: Any) -> None:
    """Set an option of NAMES."""
    if name == IP_MULTICAST_TTL:
        ttl = sockopt.as_int(value)
        if not -1 <= ttl <= 255:
            raise OSError(errno.EINVAL, f"TTL {ttl} is not in 0..255 (or -1 for the default)")
        ep.mcast_ttl = 1 if ttl == -1 else ttl
    elif name == IP_MULTICAST_LOOP:
        ep.mcast_loop = sockopt.as_int(value) != 0
    elif name == IP_MULTICAST_ALL:
        number = sockopt.as_int(value)
        if number not in (0, 1):
            raise OSError(errno.EINVAL, f"IP_MULTICAST_ALL is 0 or 1, not {number}")
        ep.mcast_all = number != 0
    elif name == IP_MULTICAST_IF:
        _set_interface(core, ep, value)
    elif name in SOURCES:
        _set_source(core, ep, name, value)
    else:
        group, addr, index = _fields(value, "membership")
        if name == IP_ADD_MEMBERSHIP:
            _join(core, ep, group, addr, index, True)
        else:
            _leave(core, ep, group, addr, index)


def get_option(ep: DatagramSocket, name: int) -> Any:
    """Return the value of an option of NAMES, or None for one that can only be set."""
    if name == IP_MULTICAST_TTL:
        return ep.mcast_ttl
    if name == IP_MULTICAST_LOOP:
        return int(ep.mcast_loop)
    if name == IP_MULTICAST_ALL:
        return int(ep.mcast_all)
    if name == IP_MULTICAST_IF:
        return addr_bytes(ep.mcast_src) if ep.mcast_src != 0 else bytes(4)
    return None


def _set_interface(core: Core, ep: DatagramSocket, value: Any) -> None:
    """IP_MULTICAST_IF: the interface by which datagrams to groups leave, and their source address."""
    _, addr, index = _fields(value, "interface")
    if addr == 0 and index == 0:
        ep.mcast_iface = None
        ep.mcast_src = 0
        return
    iface = _by_index(core, index) if index != 0 else _by_address(core, addr)
    if iface is None:
        raise OSError(errno.EADDRNOTAVAIL, "there is no such interface")
    if ep.bound_iface is not None and ep.bound_iface is not iface:
        raise OSError(errno.EINVAL, "the socket is bound to another interface")
    ep.mcast_iface = iface
    ep.mcast_src = addr


def _join(core: Core, ep: DatagramSocket, group: int, addr: int, index: int, exclude: bool) -> None:
    """Become a member: of all sources (`exclude` with an empty list), or of those that will be added."""
    if not is_multicast(group):
        raise OSError(errno.EINVAL, "the address is not a multicast address")
    iface = _find(core, group, addr, index)
    if iface is None:
        raise OSError(errno.ENODEV, "there is no such interface")
    key = (iface.index, group)
    if key in ep.memberships:
        raise OSError(errno.EADDRINUSE, "the socket is already a member of the group on that interface")
    if len(ep.memberships) >= core.config.igmp_max_memberships:
        raise OSError(
            errno.ENOBUFS,
            f"the socket has {len(ep.memberships)} memberships, the most that igmp_max_memberships allows",
        )
    made = ep.memberships[key] = Membership(iface, group, addr, exclude)
    igmp.join(core, iface, made)
    if exclude:
        # Without sources, a membership that includes only them wants nothing yet.
        igmp.update(core, iface, group)


def _leave(core: Core, ep: DatagramSocket, group: int, addr: int, index: int) -> None:
    found = _find(core, group, addr, index)
    if found is None and addr == 0 and index == 0:
        raise OSError(errno.ENODEV, "there is no such interface")
    for key, one in ep.memberships.items():
        if (
            one.group != group
            or (found is not None and one.iface is not found)
            or (found is None and addr not in (0, one.addr))
        ):
            continue
        if found is None and index != 0:
            continue
        _drop(ep, key)
        return
    raise OSError(errno.EADDRNOTAVAIL, "the socket is not a member of the group on that interface")


def _drop(ep: DatagramSocket, key: tuple[int, int]) -> None:
    one = ep.memberships.pop(key)
    igmp.leave(ep.core, one.iface, one)


def leave_all(ep: DatagramSocket) -> None:
    """Give up all memberships of a socket that closes."""
    for key in list(ep.memberships):
        _drop(ep, key)


def _set_source(core: Core, ep: DatagramSocket, name: int, value: Any) -> None:
    """Add a source to the filter of a membership, or remove it (RFC 3376 3.1, in the form of ip(7))."""
    raw = bytes(value) if isinstance(value, bytes | bytearray) else b""
    if len(raw) != 12:
        raise OSError(errno.EINVAL, "the option takes a struct ip_mreq_source of 12 bytes")
    group, addr, source = from_bytes(raw[:4]), from_bytes(raw[4:8]), from_bytes(raw[8:])
    add = name in (IP_BLOCK_SOURCE, IP_ADD_SOURCE_MEMBERSHIP)
    exclude = name in (IP_BLOCK_SOURCE, IP_UNBLOCK_SOURCE)
    if name == IP_ADD_SOURCE_MEMBERSHIP:
        try:
            _join(core, ep, group, addr, 0, False)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
    if not is_multicast(group):
        raise OSError(errno.EINVAL, "the address is not a multicast address")
    iface = _find(core, group, addr, 0)
    if iface is None:
        raise OSError(errno.ENODEV, "there is no such interface")
    one = ep.memberships.get((iface.index, group))
    if one is None or (one.filtered and one.exclude != exclude):
        raise OSError(errno.EINVAL, "the socket has no membership of that kind")
    # As on Linux, the first call decides the kind, whether it succeeds or not.
    if one.exclude != exclude:
        one.exclude = exclude
        igmp.update(core, iface, group)
    if add == (source in one.sources):
        raise OSError(
            errno.EADDRNOTAVAIL, "the source is already in the filter" if add else "the source is not in the filter"
        )
    if not add:
        del one.sources[source]
        if not one.sources and not exclude:
            # RFC 3376 3.2: no source at all is the same as no membership.
            _drop(ep, (iface.index, group))
        else:
            igmp.update(core, iface, group)
    elif len(one.sources) >= core.config.igmp_max_msf:
        raise OSError(errno.ENOBUFS, f"the filter has {len(one.sources)} sources, the most that igmp_max_msf allows")
    else:
        one.sources[source] = True
        one.filtered = True
        igmp.update(core, iface, group)
