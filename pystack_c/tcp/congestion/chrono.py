"""Measure what limits the sender: the network, the peer's window, or its own send buffer (RFC 4898 SndLimTime*).

A connection with something to send is always in one of these conditions, and the time in each is counted. `tcp_info`
reports the times as Linux does: busy_time is the sum of all three.
"""

import pystack_c.const as C
from pystack_c.tcp.tcb import Tcb

# C.CHRONO_IDLE: nothing is in flight, and nothing waits. BUSY: the network or the congestion window limits the sender.
# RWND: the peer's window holds back data that cwnd would admit. SNDBUF: all data is sent, cwnd has room, and the
# application could not write more.


def switch(tcb: Tcb, kind: int) -> None:
    """Change the condition to `kind`, and count the time until now for the previous one."""
    if tcb.chrono == kind:
        return
    settle(tcb)
    tcb.chrono = kind


def settle(tcb: Tcb) -> None:
    """Count the time until now for the current condition."""
    elapsed = tcb.core.now - tcb.chrono_at
    tcb.chrono_at = tcb.core.now
    if tcb.chrono == C.CHRONO_BUSY:
        tcb.chrono_busy += elapsed
    elif tcb.chrono == C.CHRONO_RWND:
        tcb.chrono_rwnd += elapsed
    elif tcb.chrono == C.CHRONO_SNDBUF:
        tcb.chrono_sndbuf += elapsed


def after_output(tcb: Tcb, unsent: int, usable: int, room: int) -> None:
    """Determine, after output, what limits the sender.

    `usable` is the number of bytes that the peer's window admits, and `room` the number that cwnd admits.
    """
    if unsent > 0:
        limited = usable < unsent and usable < tcb.mss and usable < room
        switch(tcb, C.CHRONO_RWND if limited else C.CHRONO_BUSY)
    elif tcb.rtxq.count == 0:
        switch(tcb, C.CHRONO_IDLE)
    elif tcb.no_space and room >= tcb.mss:
        switch(tcb, C.CHRONO_SNDBUF)
    else:
        switch(tcb, C.CHRONO_BUSY)
