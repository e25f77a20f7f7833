"""Encapsulations: headers and options that an endpoint adds to every packet in front of its transport header.

`Endpoint.encap` holds it, or None for a plain packet. There are two kinds: the IP options that a socket asked for
(ip/options.py), and TCP inside of UDP (tcp/tunnel.py).
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

    #: bytes of other headers in front of the transport's; the announced MSS leaves room for them
    overhead = 0
    #: bytes of options in the network's header; the segments sent leave room for them, the announced MSS does not
    length = 0
    #: what the application asked for with IP_OPTIONS, as getsockopt returns it
    asked = b""
    #: the first hop must be a neighbour (a strict source route)
    strict = False
    #: the first hop of a source route, or 0
    first_hop = 0

    def hop(self, dst: int) -> int:
        """The address that the network's header carries for a packet to `dst`."""
        return self.first_hop if self.first_hop else dst

    def send(self, core: Core, out: Outgoing) -> int:
        """Wrap the packet and send it. Return 0, or an errno, as ip.output.output does."""
        raise NotImplementedError


def route_to(core: Core, encap: Any, addr: int, src: int, iface: Any, onlink: bool = False) -> Any:
    """ip.routing.route_output to where a packet with this encapsulation (or None) goes first.

    RFC 791 3.1: a strict route's first hop is on a link of ours.
    """
    if encap is None:
        return route_output(core, addr, src, iface, onlink)
    dst = route_output(core, encap.hop(addr), src, iface, onlink)
    if dst is not None and encap.strict and dst.kind == C.DST_UNICAST and dst.next_hop != encap.first_hop:
        core.route_error = errno.EHOSTUNREACH
        return None
    return dst


def output(core: Core, encap: Any, out: Outgoing) -> int:
    """ip.output.output with this encapsulation (or None); the transport's checksum is finished, and names `out.daddr`."""
    if encap is None:
        return ip_output.output(core, out)
    return encap.send(core, out)  # type: ignore[no-any-return]
