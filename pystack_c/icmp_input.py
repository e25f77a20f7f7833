"""ICMP input: echo requests are answered, errors go to the socket whose packet they quote (RFC 1122 section 3.2.2)."""

import pystack_c.const as C
from pystack_c import icmpv4
from pystack_c.core import Core
from pystack_c.iface import Iface
from pystack_c.neighbor import addr_text
from pystack_c.packet import Packet
from pystack_c.wire import icmpv4 as wire


def input(core: Core, iface: Iface, pkt: Packet) -> None:
    """An ICMP message for this host."""
    core.counters.IcmpInMsgs += 1
    subject = "icmp " + addr_text(pkt.src)
    code = wire.parse(pkt)
    if code < 0:
        core.counters.IcmpInErrors += 1
        if code == -1:
            core.drop("icmp-truncated", subject, "shorter than 8 bytes", "RFC 792")
        else:
            core.counters.IcmpInCsumErrors += 1
            core.drop("icmp-bad-checksum", subject, "the checksum is wrong", "RFC 792")
        return
    if core.probe is not None:
        fields = {"type": pkt.icmp_type, "code": pkt.icmp_code}
        core.emit("icmp.in", subject, 0, "an ICMP message for us", "RFC 1122 3.2.2", fields)
    if pkt.icmp_type == C.ICMP_ECHO:
        core.counters.IcmpInEchos += 1
        icmpv4.echo_reply(core, pkt)
