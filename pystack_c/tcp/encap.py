"""A change of a connection's encapsulation, by the application or by a received source route. See ip/encap.py for the interface."""

from typing import Any

import pystack_c.const as C
from pystack_c.ip import options as ip_options
from pystack_c.packet import Packet
from pystack_c.tcp.mss import have_route
from pystack_c.tcp.tcb import Tcb


def use_encap(tcb: Tcb, encap: Any) -> None:
    """Another encapsulation (or None) from now on: another way, perhaps, and another room for data (MUST-16)."""
    tcb.encap = encap
    if tcb.state == C.CLOSED or tcb.state == C.LISTEN:
        return
    tcb.route = None
    if tcb.raddr != 0:
        have_route(tcb)


def received_route(tcb: Tcb, pkt: Packet) -> None:
    """A passive side answers along the route that a segment came (MUST-53), the latest one (SHLD-24), but an application's
    own goes first (MUST-52)."""
    if tcb.options_given or not tcb.core.config.accept_source_route:
        return
    asked = ip_options.reverse_route(ip_options.of_packet(pkt), pkt.src)
    if asked and (tcb.encap is None or tcb.encap.asked != asked):
        back = ip_options.make(asked)
        if tcb.core.probe is not None:
            fields = {"hop": back.first_hop, "left": len(asked) // 4}
            why = "segments to the peer follow the received source route in reverse from now on"
            tcb.core.emit("ip.source_route", tcb.subject(), tcb.ident, why, "RFC 9293 3.9.2.1", fields)
        use_encap(tcb, back)
