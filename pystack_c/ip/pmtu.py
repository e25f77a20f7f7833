"""What a route knows of the path MTU: ICMP lowers it, and time raises it again (RFC 1191 section 6.3)."""

from pystack_c.base.address import addr_text
from pystack_c.core import Core
from pystack_c.route import Dst, link_mtu


def lower_mtu(core: Core, dst: Dst, mtu: int) -> None:
    """A router told the MTU of the path (RFC 1191 6.3): keep it for `mtu_expires` (ten minutes), then try the interface's again.

    Less than `min_pmtu` would cost the sender more headers than data, and a liar nothing: DF goes off instead (RFC 5927 7).
    """
    locked = mtu < core.config.min_pmtu
    if locked:
        mtu = core.config.min_pmtu if core.config.min_pmtu < dst.mtu else dst.mtu
    if mtu > dst.mtu:
        return
    old = dst.mtu
    dst.mtu = mtu
    dst.mtu_locked = dst.mtu_locked or locked
    dst.mtu_until = core.now + core.config.mtu_expires
    if core.probe is not None and mtu != old:
        _tell_mtu(core, dst, old, "a router on the path reported a smaller MTU", "RFC 1191 6.3")


def expire_mtu(core: Core, dst: Dst) -> None:
    """RFC 1191 6.3: the path may carry more by now; it will say so if it does not."""
    if core.now >= dst.mtu_until:
        old = dst.mtu
        dst.mtu_until = 0
        dst.mtu_locked = False
        dst.mtu = link_mtu(dst)
        if core.probe is not None:
            _tell_mtu(core, dst, old, "the report is old, and the path may have a larger MTU now", "RFC 1191 6.3")


def _tell_mtu(core: Core, dst: Dst, old: int, why: str, rfc: str) -> None:
    fields = {"dst": dst.addr, "old": old, "new": dst.mtu}
    core.emit("ip.mtu", "route " + addr_text(dst.addr), 0, why, rfc, fields)
