"""The receive window: its size, and when to announce a larger one (RFC 9293 section 3.8.6.2.2)."""

import pystack_c.const as C
from pystack_c.base.seqnum import seq_add, seq_diff
from pystack_c.tcp.delack import ack_now
from pystack_c.tcp.queues import memory
from pystack_c.tcp.tcb import Tcb


def free_space(tcb: Tcb) -> int:
    """Return the free bytes in the receive buffer, limited to what the window field can express."""
    free = tcb.recvbuf.size - tcb.recvbuf.used
    limit = 0xFFFF << tcb.rcv_wscale
    if 0 < tcb.rcv_limit < limit:
        limit = tcb.rcv_limit
    if 0 < tcb.window_clamp < limit:
        # tcp(7) TCP_WINDOW_CLAMP
        limit = tcb.window_clamp
    if free > limit:
        free = limit
    elif free < 0:
        free = 0
    return memory.window(tcb, free) if tcb.core.tcp_pressure else free


def opening_window(tcb: Tcb) -> int:
    """Return the window of a SYN in bytes. It is never scaled (RFC 7323 2.2)."""
    window = tcb.recvbuf.size if tcb.recvbuf.size < 0xFFFF else 0xFFFF
    return tcb.window_clamp if 0 < tcb.window_clamp < window else window


def select_window(tcb: Tcb) -> int:
    """Return the window field to send.

    RCV.ADV advances only by a worthwhile step (MUST-39), and never moves left (SHLD-14).
    """
    buf = tcb.recvbuf
    free = free_space(tcb)
    edge = seq_add(tcb.rcv_nxt, free)
    step = tcb.rcv_mss if tcb.rcv_mss < buf.size // 2 else buf.size // 2
    if not tcb.core.config.tcp_sws or _announces_all(tcb):
        step = 1
    if seq_diff(edge, tcb.rcv_adv) >= step:
        tcb.rcv_adv = edge
    window = tcb.rcv_wnd()
    if free < step and window > 0:
        # The free space is less than a segment, but the announced window must not shrink.
        tcb.core.counters.TcpExtTCPWantZeroWindowAdv += 1
    if tcb.rcv_wscale > 0:
        # Round up, so that the announced edge does not move left; the few extra bytes are accepted. But stay less than
        # one unit beyond the free space: otherwise a peer that fills each rounding would never see a closed window.
        unit = 1 << tcb.rcv_wscale
        rounded = (window + unit - 1) & ~(unit - 1)
        if rounded <= 0xFFFF << tcb.rcv_wscale and rounded < free + unit:
            window = rounded
            tcb.rcv_adv = seq_add(tcb.rcv_nxt, window)
    count_zero_window(tcb, window)
    return window >> tcb.rcv_wscale


def count_zero_window(tcb: Tcb, window: int) -> None:
    """Count each announcement that closes or reopens the window."""
    if window >> tcb.rcv_wscale == 0:
        if tcb.rcv_wnd_told > 0:
            tcb.core.counters.TcpExtTCPToZeroWindowAdv += 1
            tcb.rcv_wnd_told = 0
        return
    if tcb.rcv_wnd_told == 0:
        tcb.core.counters.TcpExtTCPFromZeroWindowAdv += 1
    tcb.rcv_wnd_told = window


def window_update(tcb: Tcb) -> None:
    """Announce a larger window after the application has read, if it grew by a worthwhile step (3.8.6.2.2, MUST-39)."""
    state = tcb.state
    if state != C.ESTABLISHED and state != C.FIN_WAIT_1 and state != C.FIN_WAIT_2:
        return
    buf = tcb.recvbuf
    free = free_space(tcb)
    left = tcb.rcv_wnd()
    if tcb.syn_window and left >= 0x8000:
        # The peer knows only the window of our SYN, which cannot exceed 64 KiB. So the update is not urgent.
        return
    if _waits_for_quarter(tcb):
        _freebsd_update(tcb, free, left)
        return
    step = buf.size // 2 if buf.size // 2 < tcb.rcv_mss else tcb.rcv_mss
    if not tcb.core.config.tcp_sws:
        step = free - left
    if free - left >= step > 0 and (free >= 2 * left or not tcb.core.config.tcp_sws):
        ack_now(tcb, _why_update(tcb, free), "RFC 9293 3.8.6.2.2")


def _why_update(tcb: Tcb, free: int) -> str:
    return "" if tcb.core.probe is None else f"window update: the application read, and {free} bytes are free again"


# -- quirks ----------------------------------------------------------------------------------------------------------


def _announces_all(tcb: Tcb) -> bool:
    """For FreeBSD, and for Linux with a window scale, every free byte is announced."""
    return tcb.core.config.tcp_exact_window


def _waits_for_quarter(tcb: Tcb) -> bool:
    """For FreeBSD, the size of the buffer decides about a window update."""
    return tcb.core.config.tcp_update_quarter


def _freebsd_update(tcb: Tcb, free: int, left: int) -> None:
    """Announce a larger window as FreeBSD does: a worthwhile step is two segments and a quarter of the buffer."""
    most = 0xFFFF << tcb.rcv_wscale
    size = tcb.recvbuf.size if tcb.recvbuf.size < most else most
    if free - left >= 2 * tcb.mss and free - left >= size // 4:
        ack_now(tcb, _why_update(tcb, free), "FreeBSD tcp_output")
