"""What holds the sender up: nothing but the network, the peer's window, or its own send buffer (RFC 4898 SndLimTime*).

At each moment a connection with something to send is in one of these, and the time spent in each is counted. `tcp_info` tells
them as Linux does: busy_time is the sum of all three.
"""

from pystack_c.tcp.tcb import Tcb

IDLE = 0  # nothing is out and nothing waits
BUSY = 1  # the network, or the congestion window
RWND = 2  # the peer's window holds back what cwnd would allow
SNDBUF = 3  # all is sent, cwnd has room, and the application could not write more


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
    if tcb.chrono == BUSY:
        tcb.chrono_busy += elapsed
    elif tcb.chrono == RWND:
        tcb.chrono_rwnd += elapsed
    elif tcb.chrono == SNDBUF:
        tcb.chrono_sndbuf += elapsed


def after_output(tcb: Tcb, unsent: int, usable: int) -> None:
    """All was sent that could be: what is in the way of more? `usable` is what the peer's window leaves."""
    room = tcb.cwnd - tcb.in_flight()
    if unsent > 0:
        limited = usable < unsent and usable < tcb.mss and usable < room
        switch(tcb, RWND if limited else BUSY)
    elif len(tcb.rtxq) == 0:
        switch(tcb, IDLE)
    elif tcb.no_space and room >= tcb.mss:
        switch(tcb, SNDBUF)
    else:
        switch(tcb, BUSY)
