"""Change a connection's encapsulation, for the application or for a received source route.

ip/encap.py describes the interface.
"""

from typing import Any

import pystack_c.const as C
from pystack_c.ip import options as ip_options
from pystack_c.packet import Packet
from pystack_c.tcp.mss import have_route
from pystack_c.tcp.tcb import Tcb


def use_encap(tcb: Tcb, encap: Any) -> None:
    """Use another encapsulation (or None) from now on. The route and the MSS can change with it (MUST-16)."""
    tcb.encap = encap
    if tcb.state == C.CLOSED or tcb.state == C.LISTEN:
        return
    tcb.route = None
    if tcb.raddr != 0:
        have_route(tcb)


def received_route(tcb: Tcb, pkt: Packet) -> None:
    """Answer along the reverse of the source route of the latest segment, on a passive side (MUST-53, SHLD-24).

    A route that the application set takes precedence (MUST-52).
    """
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
