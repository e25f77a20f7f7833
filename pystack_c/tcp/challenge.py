"""ACKs that answer invalid segments, and their rate limits (RFC 5961 section 7)."""

import pystack_c.const as C
from pystack_c.tcp.delack import ack_now
from pystack_c.tcp.tcb import Tcb


def bad_segment_ack(tcb: Tcb, why: str, paws: bool) -> None:
    """Answer an invalid segment without data with an ACK, at most once per tcp_invalid_ratelimit.

    Without the limit, two peers could answer each other forever.
    """
    if bad_ack_too_soon(tcb):
        ack_skipped(tcb, paws)
        return
    tcb.last_bad_ack = tcb.core.now
    ack_now(tcb, why, "RFC 9293 3.10.7.4")


def bad_ack_too_soon(tcb: Tcb) -> bool:
    """Return True if an invalid segment of this connection was answered less than tcp_invalid_ratelimit ago."""
    core = tcb.core
    return tcb.last_bad_ack >= 0 and core.now - tcb.last_bad_ack < core.config.tcp_invalid_ratelimit


def ack_skipped(tcb: Tcb, paws: bool) -> None:
    """Count an ACK that was not sent, by the connection's state or by the error in the segment."""
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
    """Send a challenge ACK, to which only the real peer can react (RFC 5961), within a rate limit for each connection.

    The answers on one connection must not reveal whether another connection exists, or where its window is
    (CVE-2016-5696). So the limit for the connection applies first, and the budget shared by all connections (section 7)
    second: a connection cannot spend more of the budget than its own limit allows.
    """
    core = tcb.core
    core.drop("tcp-challenged", tcb.subject(), why, rfc)
    if bad_ack_too_soon(tcb) or not core.tcp.challenge_allowed():
        core.counters.TcpExtTCPACKSkippedChallenge += 1
        return
    tcb.last_bad_ack = core.now
    core.counters.TcpExtTCPChallengeACK += 1
    ack_now(tcb, f"{why}, which a challenge ACK answers", rfc)
