"""The services of a load balancer on a host (see filter/balance.py), and direct return.

With direct return, the balancer sends a client's packet to the MAC address of a real server, and changes no address.
"""

from typing import Any

import pystack_c.const as C
from pystack_c.base.address import addr_text, length_of, most_prefixlen, prefix_mask
from pystack_c.filter import nat
from pystack_c.filter.balance import VirtualService
from pystack_c.filter.hooks import ACCEPT, COUNTED, STOLEN, attach
from pystack_c.filter.nat_rules import NatRule, Range
from pystack_c.iface import Iface
from pystack_c.ip import forward
from pystack_c.ip.routing import find_route
from pystack_c.packet import Packet

_IPVS = "Linux IPVS"
#: before connection tracking, which would see only half of each connection
PRIORITY = -300


def balance(core: Any, place: int, iface: Iface, pkt: Packet) -> int:
    """Send the packets of services with direct return to their servers: the hook at PREROUTING."""
    if pkt.proto not in (C.IPPROTO_TCP, C.IPPROTO_UDP) or pkt.frag_off != 0 or pkt.l4_end - pkt.l4_off < 8:
        return ACCEPT
    port = pkt.frame[pkt.l4_off + 2] << 8 | pkt.frame[pkt.l4_off + 3]
    service = core.services.get((pkt.dst, port, pkt.proto))
    if service is None or not service.direct:
        return ACCEPT
    server = service.server_of(core, pkt)
    subject = f"service {service.text()}"
    if server is None:
        core.drop("balance-no-server", subject, "no server of the service is up and has a weight", _IPVS)
        return COUNTED
    dst = find_route(core, server.addr)
    if dst is None or dst.kind != C.DST_UNICAST or dst.next_hop != server.addr:
        core.drop("balance-not-direct", subject, "direct return needs a server on a link of the balancer", _IPVS)
        return COUNTED
    if core.probe is not None:
        fields = {"server": server.name, "client": addr_text(pkt.src)}
        core.emit("balance.direct", subject, 0, "the packet goes to the MAC address of the server", _IPVS, fields)
    forward.forward_to(core, iface, dst, pkt)
    return STOLEN


def add_service(core: Any, addr: int, port: int, proto: int, kind: str, direct: bool) -> None:
    """Add a service. Raises ValueError if there is one with this address and port, or if it is not possible."""
    if proto not in (C.IPPROTO_TCP, C.IPPROTO_UDP) or not 0 < port < 65536:
        raise ValueError("a service has a port of TCP or UDP")
    if (addr, port, proto) in core.services:
        raise ValueError("there is a service with this address and port")
    service = VirtualService(addr, port, proto, kind, direct)
    if not direct:
        for place in (C.HOOK_PREROUTING, C.HOOK_OUTPUT):
            rule = NatRule(C.NAT_DNAT, Range(0, 0, 0, 0))
            rule.service = service
            rule.proto = proto
            rule.dst = addr
            rule.dst_mask = prefix_mask(length_of(addr, most_prefixlen(addr)))
            rule.port_low = rule.port_high = port
            nat.add_rule(core, place, rule)
    elif not any(one.direct for one in core.services.values()):
        attach(core, C.HOOK_PREROUTING, balance, PRIORITY)
    core.services[addr, port, proto] = service
