"""What holds the sender up: nothing but the network, the peer's window, or its own send buffer (RFC 4898 SndLimTime*).

At each moment a connection with something to send is in one of these, and the time spent in each is counted. `tcp_info` tells
them as Linux does: busy_time is the sum of all three.
"""

import pystack_c.const as C
from pystack_c.tcp.tcb import Tcb

# (C.CHRONO_*) IDLE: nothing is out and nothing waits. BUSY: the network, or the congestion window. RWND: the peer's window holds
# back what cwnd would allow. SNDBUF: all is sent, cwnd has room, and the application could not write more.


def switch(tcb: Tcb, kind: int) -> None:
    """From now on it is `kind`; the time until now counts for what it was."""
    if tcb.chrono == kind:
        return
    settle(tcb)
    tcb.chrono = kind


def settle(tcb: Tcb) -> None:
    """Count the time until now."""
    elapsed = tcb.core.now - tcb.chrono_at
    tcb.chrono_at = tcb.core.now
    if tcb.chrono == C.CHRONO_BUSY:
        tcb.chrono_busy += elapsed
    elif tcb.chrono == C.CHRONO_RWND:
        tcb.chrono_rwnd += elapsed
    elif tcb.chrono == C.CHRONO_SNDBUF:
        tcb.chrono_sndbuf += elapsed


def after_output(tcb: Tcb, unsent: int, usable: int, room: int) -> None:
    """All was sent that could be: what is in the way of more? `usable` is what the peer's window leaves, `room` what cwnd does."""
    if unsent > 0:
        limited = usable < unsent and usable < tcb.mss and usable < room
        switch(tcb, C.CHRONO_RWND if limited else C.CHRONO_BUSY)
    elif tcb.rtxq.count == 0:
        switch(tcb, C.CHRONO_IDLE)
    elif tcb.no_space and room >= tcb.mss:
        switch(tcb, C.CHRONO_SNDBUF)
    else:
        switch(tcb, C.CHRONO_BUSY)
