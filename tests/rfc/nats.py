"""A NAT for tests of RFC 4787, RFC 5382 and RFC 5508: 10.0.0.0/24 is inside, and 192.0.2.1 is the external address.

`linux()` behaves as Linux does. `independent()` has mappings that depend only on the internal endpoint. `profiled()` is a NAT with the
profile `rfc`, which has the times of the RFCs, too.
"""

from typing import Any

import pystack_c.const as C
from pystack_c.config import PROFILES
from tests import frames as f
from tests.support.natbox import IN, OUT, Box, tcp

A, A2, B, B2 = "10.0.0.2", "10.0.0.3", "192.0.2.2", "192.0.2.3"
NAT = "192.0.2.1"
PLACES = ((B, 53), (B, 54), (B2, 53))


def linux(**settings: Any) -> Box:
    """A masquerade on the outside interface."""
    box = Box(**settings)
    box.stack.add_nat(C.HOOK_POSTROUTING, C.NAT_MASQUERADE, iface=box.ifaces[OUT])
    return box


def independent(filtering: int = 0, **settings: Any) -> Box:
    """Endpoint-independent mapping, for packets to the outside and for those that come back to the inside."""
    return pool(NAT, NAT, nat_filtering=filtering, **settings)


def profiled(**settings: Any) -> Box:
    """With all values of the profile `rfc`."""
    return pool(NAT, NAT, **{**PROFILES["rfc"], **settings})


def pool(low: str, high: str, **settings: Any) -> Box:
    """The same with several external addresses."""
    settings.setdefault("nat_endpoint_independent", True)
    box = Box(**settings)
    addrs = f.addr(low), f.addr(high)
    box.stack.add_nat(C.HOOK_POSTROUTING, C.NAT_SNAT, *addrs, src=f.addr("10.0.0.0"), src_length=24)
    return box


def port(box: Box, packet: bytes) -> int:
    """Send a packet from the inside; its external port."""
    return box.one(IN, packet)[1]


def syn(src: str, sport: int, dst: str, dport: int) -> bytes:
    """A first SYN."""
    return tcp(src, sport, dst, dport, C.SYN, 100)


def opened(box: Box, sport: int = 5000) -> int:
    """Open a TCP connection from A to port 80 of B; its external port. The next numbers are 101 and 501."""
    external = port(box, syn(A, sport, B, 80))
    assert box.one(OUT, tcp(B, 80, NAT, external, C.SYN | C.ACK, 500, 101))[2:] == (A, sport)
    box.one(IN, tcp(A, sport, B, 80, C.ACK, 101, 501))
    return external
