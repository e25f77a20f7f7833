"""The path MTU of a route: ICMP errors lower it, and time raises it again (RFC 1191 section 6.3)."""

from pystack_c.base.address import addr_text
from pystack_c.core import Core
from pystack_c.route import Dst, link_mtu


def lower_mtu(core: Core, dst: Dst, mtu: int) -> None:
    """Use the path MTU that a router reported for `mtu_expires` (ten minutes by default, RFC 1191 6.3).

    With less than `min_pmtu`, the sender would send more headers than data, at no cost to an attacker. In that case the
    stack uses `min_pmtu` and no longer sets DF (RFC 5927 7).
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
    """Raise an expired path MTU again (RFC 1191 6.3). If the path still carries less, a router will report it."""
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
