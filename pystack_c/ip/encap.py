"""Encapsulations: headers and options that an endpoint adds to every packet in front of its transport header.

`Endpoint.encap` holds one, or None for plain packets. There are two kinds: the IP options that a socket set
(ip/options.py), and TCP in UDP (tcp/tunnel.py).
"""

import errno
from typing import Any

import pystack_c.const as C
from pystack_c.core import Core
from pystack_c.ip import output as ip_output
from pystack_c.ip.routing import route_output
from pystack_c.packet import Outgoing


class Encap:
    """The interface of an encapsulation."""

    #: the bytes of other headers in front of the transport's; the announced MSS leaves room for them
    overhead = 0
    #: the bytes of options in the network header; the segments
    #: that we send leave room for them, the announced MSS does not
    length = 0
    #: the options that the application set with IP_OPTIONS, as getsockopt returns them
    asked = b""
    #: True if the first hop must be a neighbour (a strict source route)
    strict = False
    #: the first hop of a source route, or 0
    first_hop = 0

    def hop(self, dst: int) -> int:
        """Return the destination address in the network header of a packet to `dst`."""
        return self.first_hop if self.first_hop else dst

    def send(self, core: Core, out: Outgoing) -> int:
        """Wrap the packet and send it. Returns 0 or an errno, as ip.output.output does."""
        raise NotImplementedError


def route_to(core: Core, encap: Any, addr: int, src: int, iface: Any, onlink: bool = False) -> Any:
    """Return the route (a Dst) for packets with this encapsulation (or None), as ip.routing.route_output does.

    RFC 791 3.1: the first hop of a strict route must be on a link of this host. Otherwise the result is None, with the
    errno in core.route_error.
    """
    if encap is None:
        return route_output(core, addr, src, iface, onlink)
    dst = route_output(core, encap.hop(addr), src, iface, onlink)
    if dst is not None and encap.strict and dst.kind == C.DST_UNICAST and dst.next_hop != encap.first_hop:
        core.route_error = errno.EHOSTUNREACH
        return None
    return dst


def output(core: Core, encap: Any, out: Outgoing) -> int:
    """Send as ip.output.output does, with this encapsulation (or None).

    The transport checksum is final, and covers `out.daddr`.
    """
    if encap is None:
        return ip_output.output(core, out)
    return encap.send(core, out)  # type: ignore[no-any-return]
