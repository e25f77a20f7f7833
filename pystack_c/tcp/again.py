"""Let a stream socket whose connect() failed try again with its options."""

import errno
from typing import Any

import pystack_c.const as C
from pystack_c.base.address import normal
from pystack_c.sockets import ports
from pystack_c.tcp import tell
from pystack_c.tcp.errors import error
from pystack_c.tcp.loss.rtt import backed_off
from pystack_c.tcp.opening import fastopen
from pystack_c.tcp.queues import memory
from pystack_c.tcp.tcb import Tcb

#: The fields that describe the socket, and the options that the application set. All other fields belong to the
#: connection, and are reset.
KEPT = (
    "waiter service pending queued so_error laddr lport bound bound_iface ttl tos reuseaddr reuseport broadcast freebind dontroute "
    "options encap shown user_mss sndbuf_size sndbuf_fixed rcvbuf_fixed "
    "defer_accept window_clamp notsent_lowat linger2 min_ttl max_pacing_rate nodelay cork keepalive keepidle "
    "keepintvl keepcnt user_timeout keepinit syn_retries linger congestion oobinline pmtudisc noopt options_given recverr errqueue "
    "rcvlowat"
).split()

WHY = "connect() failed, and the socket was made ready for another attempt"
RFC = "Linux tcp_disconnect"


def disconnect(tcb: Tcb, laddr: int, now: int) -> None:
    """Return the endpoint to CLOSED after connect() failed, so that an OPEN is possible again (RFC 9293 3.10.1).

    A bound endpoint stays bound to its port, with the address `laddr` (0 means any). Raise OSError with EISCONN if the
    endpoint is not CLOSED.
    """
    core = tcb.core
    core.now = now
    if tcb.state != C.CLOSED or tcb.detached:
        raise error(errno.EISCONN)
    tcb.recvbuf.clear()
    memory.settle(tcb)
    _forget(tcb)
    if not tcb.bound:
        ports.release(tcb, core.tcp)
    kept = {name: getattr(tcb, name) for name in KEPT}
    tfo = tcb.tfo
    size = tcb.recvbuf.size
    tcb.begin(core, tcb.ident)
    for name, value in kept.items():
        setattr(tcb, name, value)
    if tfo is not None:
        mine = fastopen.of(tcb)
        mine.qlen, mine.key, mine.no_cookie, mine.connect = tfo.qlen, tfo.key, tfo.no_cookie, tfo.connect
    if tcb.rcvbuf_fixed:
        tcb.recvbuf.size = size
    if not tcb.sndbuf_fixed:
        tcb.sndbuf_size = core.config.tcp_wmem
    tcb.laddr = normal(laddr) if tcb.bound else 0
    if core.probe is not None:
        core.emit("tcp.state", tcb.subject(), tcb.ident, WHY, RFC, {"old": "CLOSED", "new": "CLOSED"})


def _forget(tcb: Tcb) -> None:
    """Reset the variables that a learner watches, and emit the event for each."""
    core = tcb.core
    config = core.config
    srtt, rttvar, old = tcb.srtt, tcb.rttvar, backed_off(tcb)  # object
    tcb.rto = config.tcp_rto_initial
    tcb.backoff = 0
    tcb.srtt = tcb.rttvar = 0
    if core.probe is not None and (srtt or rttvar):
        fields: dict[str, Any] = {"sample": 0, "srtt": 0, "rttvar": 0, "rto": tcb.rto}
        core.emit("tcp.rtt", tcb.subject(), tcb.ident, WHY, RFC, fields)
    else:
        tell.rto(tcb, old, WHY, RFC)
    window, cwnd, ssthresh, mss = tcb.snd_wnd, tcb.cwnd, tcb.ssthresh, tcb.mss  # object
    tcb.snd_wnd = 0
    tell.window(tcb, window, WHY, RFC)
    tcb.cwnd = 0
    tcb.ssthresh = config.tcp_init_ssthresh
    tell.cwnd(tcb, cwnd, ssthresh, WHY, RFC)
    tcb.mss = config.tcp_mss_default
    if core.probe is not None and mss != tcb.mss:
        core.emit("tcp.mss", tcb.subject(), tcb.ident, WHY, RFC, {"old": mss, "new": tcb.mss})
    if tcb.ca_state != C.CA_OPEN:
        tcb.ca_state = C.CA_OPEN
        if core.probe is not None:
            core.emit("tcp.recovery", tcb.subject(), tcb.ident, WHY, RFC, {"phase": "open", "recover": 0})
