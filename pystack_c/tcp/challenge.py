"""ACKs that answer bad segments, and what limits them (RFC 5961 section 7)."""

import pystack_c.const as C
from pystack_c.tcp.delack import ack_now
from pystack_c.tcp.tcb import Tcb


def bad_segment_ack(tcb: Tcb, why: str, paws: bool) -> None:
    """An ACK in answer to a bad segment without data, not more often than tcp_invalid_ratelimit (two peers could loop)."""
    if bad_ack_too_soon(tcb):
        ack_skipped(tcb, paws)
        return
    tcb.last_bad_ack = tcb.core.now
    ack_now(tcb, why, "RFC 9293 3.10.7.4")


def bad_ack_too_soon(tcb: Tcb) -> bool:
    """Was a bad segment of this connection answered less than tcp_invalid_ratelimit ago?"""
    core = tcb.core
    return tcb.last_bad_ack >= 0 and core.now - tcb.last_bad_ack < core.config.tcp_invalid_ratelimit


def ack_skipped(tcb: Tcb, paws: bool) -> None:
    """Count the ACK that was not sent, by the state it concerns, or by what was wrong."""
    counters = tcb.core.counters
    if tcb.state == C.SYN_RECEIVED:
        counters.TcpExtTCPACKSkippedSynRecv += 1
    elif tcb.state == C.TIME_WAIT:
        counters.TcpExtTCPACKSkippedTimeWait += 1
    elif tcb.state == C.FIN_WAIT_2 and tcb.detached:
        counters.TcpExtTCPACKSkippedFinWait2 += 1
    elif paws:
        counters.TcpExtTCPACKSkippedPAWS += 1
    else:
        counters.TcpExtTCPACKSkippedSeq += 1


def challenge_ack(tcb: Tcb, why: str, rfc: str) -> None:
    """RFC 5961: an ACK that only the real peer can answer, throttled (section 7) for each connection by itself.

    What one connection is answered must tell nobody whether another one exists, and where its window is (CVE-2016-5696). So the
    budget of all, where there is one, comes second: a connection spends no more of it than its own limit allows.
    """
    core = tcb.core
    core.drop("tcp-challenged", tcb.subject(), why, rfc)
    if bad_ack_too_soon(tcb) or not core.tcp.challenge_allowed():
        core.counters.TcpExtTCPACKSkippedChallenge += 1
        return
    tcb.last_bad_ack = core.now
    core.counters.TcpExtTCPChallengeACK += 1
    ack_now(tcb, f"{why}, which a challenge ACK answers", rfc)
