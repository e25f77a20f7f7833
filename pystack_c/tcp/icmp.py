"""ICMP errors about segments that we sent (RFC 9293 section 3.9.2.2, RFC 5927, RFC 1191)."""

import errno
from typing import Any

import pystack_c.const as C
from pystack_c.base.seqnum import seq_le, seq_lt
from pystack_c.ip.pmtu import lower_mtu
from pystack_c.tcp import quirks, tell
from pystack_c.tcp.close import fail_connection, finish
from pystack_c.tcp.loss import undo
from pystack_c.tcp.loss.recovery import set_phase
from pystack_c.tcp.mss import update_mss
from pystack_c.tcp.queues import errqueue, memory
from pystack_c.tcp.schedule import schedule
from pystack_c.tcp.tcb import Tcb

# The errno for each code of destination unreachable, as on Linux.
UNREACHABLE = {
    0: errno.ENETUNREACH,
    1: errno.EHOSTUNREACH,
    2: errno.ENOPROTOOPT,
    3: errno.ECONNREFUSED,
    5: errno.EOPNOTSUPP,
    6: errno.ENETUNREACH,
    7: errno.EHOSTDOWN,
    9: errno.ENETUNREACH,
    10: errno.EHOSTUNREACH,
    11: errno.ENETUNREACH,
    12: errno.EHOSTUNREACH,
    13: errno.EHOSTUNREACH,
}


def path_of(core: Any, src: int, dst: int, sport: int, dport: int, seq: int) -> Any:
    """Return the route of the connection that sent this segment, or None. `seq` must be in flight (RFC 5927 4.1)."""
    tcb: Tcb = core.tcp.find(src, sport, dst, dport)
    if tcb is None or not (seq_le(tcb.snd_una, seq) and seq_lt(seq, tcb.snd_nxt)):
        return None
    return tcb.route


def icmp_error(core: Any, kind: int, code: int, mtu: int, src: int, dst: int, sport: int, dport: int, seq: int) -> None:
    """Process an ICMP error that quotes our segment from (src, sport) to (dst, dport) (MUST-54).

    `kind` and `code` are those of the ICMP message, `mtu` is the next-hop MTU in bytes or 0, and `seq` is the sequence
    number in the quotation.
    """
    tcb: Tcb = core.tcp.find(src, sport, dst, dport)
    if tcb is None:
        core.drop("icmp-no-connection", "icmp", "no connection sent the quoted segment", "RFC 9293 3.9.2.2")
        return
    if kind == C.ICMP_SOURCE_QUENCH:
        # MUST-55
        core.drop("icmp-source-quench", tcb.subject(), "TCP ignores source quench", "RFC 9293 3.9.2.2")
        return
    if not (seq_le(tcb.snd_una, seq) and seq_lt(seq, tcb.snd_nxt)):
        # RFC 5927 4.1: a message that quotes data not in flight is probably forged.
        core.counters.TcpExtOutOfWindowIcmps += 1
        core.drop("icmp-out-of-window", tcb.subject(), "the quoted segment is not in flight", "RFC 5927 4.1")
        return
    if kind == C.ICMP_UNREACHABLE and code == 4:
        fragmentation_needed(tcb, mtu)
        return
    problem = errno.EPROTO if kind == C.ICMP_PARAMETER_PROBLEM else errno.EHOSTUNREACH
    if kind == C.ICMP_UNREACHABLE:
        problem = UNREACHABLE.get(code, errno.EHOSTUNREACH)
    hard = kind == C.ICMP_UNREACHABLE and code in (2, 3, 9, 10, 13)
    problem = quirks.icmp_problem(core, problem, hard)
    opening = tcb.state == C.SYN_SENT or (tcb.state == C.SYN_RECEIVED and not tcb.passive)
    opening = opening or quirks.fast_open_is_opening(tcb)
    if not opening and quirks.icmp_ends_child(tcb, kind, code):
        finish(tcb, "an ICMP error about the SYN,ACK arrived", "Linux tcp_req_err")
        return
    if opening and tcb.recverr:
        errqueue.icmp(tcb, problem, kind, code)
    if opening and quirks.icmp_ends_opening(core, kind, code, hard):
        # SHLD-26, and Linux: a hard error ends a connection that is opening.
        core.counters.TcpAttemptFails += 1
        tell.soft_error(tcb, problem, "the error ends a connection that is not established yet", "RFC 9293 3.9.2.2")
        fail_connection(tcb, problem, f"ICMP error, type {kind} code {code}", "RFC 9293 3.9.2.2")
        return
    # MUST-56, and RFC 5927 5.2 for hard errors: an established connection continues, and the application can read the
    # error.
    tcb.soft_error = problem
    tell.soft_error(tcb, problem, "the error does not end an established connection", "RFC 5927 5.2")
    if tcb.recverr:
        # SHLD-20, if IP_RECVERR is set: the next call fails with the error, once (ip(7)).
        tcb.fail(problem)


def neighbor_failed(core: Any, error: int, src: int, dst: int, sport: int, dport: int) -> None:
    """Process a failure of ARP to resolve the next hop.

    As on Linux, it ends a connection in SYN-SENT, and is a soft error for an established one.
    """
    tcb: Tcb = core.tcp.find(src, sport, dst, dport)
    if tcb is None:
        return
    if tcb.state == C.SYN_SENT:
        core.counters.TcpAttemptFails += 1
        fail_connection(tcb, error, "the neighbour did not answer ARP", "RFC 1122 2.3.2.2")
        return
    tcb.soft_error = error
    tell.soft_error(tcb, error, "the neighbour did not answer ARP, but the connection stays", "RFC 1122 2.3.2.2")


def fragmentation_needed(tcb: Tcb, mtu: int) -> None:
    """Lower the path MTU, and retransmit the dropped segment at once in smaller segments (RFC 1191 6.1 and 6.4)."""
    core = tcb.core
    if tcb.route is None or tcb.pmtudisc == 0 or tcb.pmtudisc >= 3:
        # With IP_PMTUDISC_DONT, packets have no DF flag, so none is too large. With PROBE, the application finds the
        # path MTU. With INTERFACE and OMIT, a forged message must have no effect.
        core.drop("icmp-mtu-ignored", tcb.subject(), "the socket ignores path MTUs (IP_MTU_DISCOVER)", "Linux ip(7)")
        return
    if mtu == 0:
        # An old router does not report the MTU: take the next lower plateau (RFC 1191 5).
        mtu = plateau(tcb.route.mtu)
    if mtu < 68 or mtu > tcb.route.mtu:
        core.drop("icmp-bad-mtu", tcb.subject(), "the reported next-hop MTU is not plausible", "RFC 5927 7.2")
        return
    # Other connections share the Dst, and have_route adopts its MTU for them.
    lower_mtu(core, tcb.route, mtu)
    update_mss(tcb)
    if tcb.syn_out():
        if tcb.syn_data:
            # A SYN without data is never too large.
            syn_was_too_large(tcb)
        return
    send_smaller(tcb)


def syn_was_too_large(tcb: Tcb) -> None:
    """Retransmit a Fast Open SYN that was too large at once without its data, which waits for the handshake."""
    tcb.tfo.asked = False
    tcb.tfo.again = True
    head = tcb.rtxq.head()
    if head is None or head.lost:
        return
    tcb.rtxq.mark_lost(head)
    tcb.force_retransmit = True
    schedule(tcb)


def send_smaller(tcb: Tcb) -> None:
    """Split the segments in flight that are too large for the path, and retransmit them.

    This is not congestion, so cwnd keeps its size in bytes (RFC 1191 6.4).
    """
    q = tcb.rtxq
    found = False
    for item in q.segs[q.first :]:
        if not item.sacked and item.data_length() > tcb.mss:
            q.mark_lost(item)
            found = True
    if not found:
        return
    q.recut(tcb.mss)
    memory.settle(tcb)
    if tcb.ca_state < C.CA_RECOVERY:
        tcb.recover = tcb.snd_nxt
        tcb.frto = False
        undo.forget(tcb)
        set_phase(tcb, C.CA_LOSS, "segments were larger than the path MTU", "RFC 1191 6.4")
    tcb.force_retransmit = True
    schedule(tcb)


def plateau(mtu: int) -> int:
    """Return the next lower MTU in common use (RFC 1191 7.1), or 68."""
    for value in (32000, 17914, 8166, 4352, 2002, 1492, 1006, 508, 296):
        if value < mtu:
            return value
    return 68
