"""The route of a connection, and the segment size that it permits (RFC 9293 section 3.7.1)."""

import pystack_c.const as C
from pystack_c.ip import encap
from pystack_c.ip.pmtu import expire_mtu
from pystack_c.ip.routing import route_endpoint, route_output
from pystack_c.tcp import quirks, tell
from pystack_c.tcp.tcb import Tcb


def have_route(tcb: Tcb) -> bool:
    """Return True if the connection has a valid route, after selecting one if necessary.

    If there is none, core.route_error holds the errno.
    """
    core = tcb.core
    route = tcb.route
    if route is not None and route.epoch == core.route_epoch:
        if route.mtu_until > 0:
            expire_mtu(core, route)
        if route.mtu != tcb.path_mtu:
            # Another connection may have learned a different path MTU.
            update_mss(tcb)
        return True
    if core.policy is not None and tcb.encap is None:
        route = route_endpoint(core, tcb, tcb.raddr, tcb.bound_iface, tcb.dontroute, C.IPPROTO_TCP, tcb.rport)
    elif tcb.encap is None:
        route = route_output(core, tcb.raddr, tcb.laddr, tcb.bound_iface, tcb.dontroute)
    else:
        route = encap.route_to(core, tcb.encap, tcb.raddr, tcb.laddr, tcb.bound_iface, tcb.dontroute)
    if route is None:
        return False
    tcb.route = route
    update_mss(tcb)
    return True


def headers(tcb: Tcb) -> int:
    """Return the bytes of the network's and TCP's headers, both without options (RFC 9293 3.7.1)."""
    route = tcb.route
    return route.overhead + C.TCP_HLEN


def local_mss(tcb: Tcb) -> int:
    """Return the MSS to announce (MUST-67): what the interface can receive, less the headers without options."""
    config = tcb.core.config
    mss = config.tcp_mss
    if mss <= 0:
        mss = tcb.route.iface.mtu - headers(tcb)
        if quirks.announces_path_mtu(tcb):
            mss = tcb.route.mtu - headers(tcb)
        if tcb.route.route is not None and tcb.route.route.advmss > 0:
            mss = tcb.route.route.advmss
        if tcb.encap is not None:
            mss -= tcb.encap.overhead
    if tcb.user_mss > 0 and tcb.user_mss < mss:
        mss = tcb.user_mss
    return mss if mss < 65495 else 65495


def path_mtu(tcb: Tcb) -> int:
    """Return the size in bytes of the largest packet that the connection may send.

    That is the route's path MTU, but the link's MTU with IP_MTU_DISCOVER 3 to 5.
    """
    if tcb.pmtudisc >= 3:
        return min(tcb.route.iface.mtu, 65535)  # type: ignore[no-any-return]
    return tcb.route.mtu  # type: ignore[no-any-return]


def fragmenting(tcb: Tcb) -> int:
    """Return the flags for IP output that IP_MTU_DISCOVER selects.

    DF is set with 1 (unless the path MTU is implausibly small), 2 and 3. The link's MTU applies from 3 on.
    """
    mode = tcb.pmtudisc
    if mode == 0 or (mode == 1 and tcb.route.mtu_locked):
        return 0
    if mode <= 2:
        return C.DONT_FRAGMENT
    return C.DONT_FRAGMENT | C.LINK_MTU if mode == 3 else C.LINK_MTU


def update_mss(tcb: Tcb) -> None:
    """Set the effective send MSS (MUST-16).

    It is the smaller of the peer's MSS and what the path carries, less the options in every segment, IP's included.
    """
    mtu = path_mtu(tcb)
    if tcb.mtup is not None:
        # RFC 4821 3: ICMP limits the range of the search, and the search limits the segments.
        tcb.mtup.high = min(tcb.mtup.high, mtu)
        tcb.mtup.low = min(tcb.mtup.low, tcb.mtup.high)
        mtu = tcb.mtup.low
    mss = mtu - headers(tcb)
    if tcb.encap is not None:
        mss -= tcb.encap.overhead
    if tcb.peer_mss < mss:
        mss = tcb.peer_mss
    if tcb.user_mss > 0 and tcb.user_mss < mss:
        mss = tcb.user_mss
    if tcb.ts_ok:
        mss -= 12
    if tcb.encap is not None:
        mss -= tcb.encap.length
    if mss < 8:
        mss = 8
    old = tcb.mss
    tcb.mss = mss
    tcb.path_mtu = tcb.route.mtu
    tell.mss(tcb, old, mtu)
    if tcb.cc is not None and tcb.cwnd < mss:
        old = tcb.cwnd
        # The MSS has grown. The loss window is one full-sized segment; with less, the connection could wait forever
        # (RFC 5681 3.1).
        tcb.cwnd = mss
        tell.cwnd(tcb, old, tcb.ssthresh, "cwnd must be at least one full-sized segment", "RFC 5681 3.1")
