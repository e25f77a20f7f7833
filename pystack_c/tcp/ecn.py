"""Explicit Congestion Notification (RFC 3168): negotiation, marks, echoes, and the one response a window."""

from typing import Any

import pystack_c.const as C
from pystack_c.seqnum import seq_ge
from pystack_c.tcp import tell
from pystack_c.tcp.congestion.base import SIGNAL_ECN
from pystack_c.tcp.tcb import Tcb

CE = 3


def syn_received(tcb: Tcb, pkt: Any) -> None:
    """6.1.1: a SYN with ECE and CWR asks for ECN; a SYN,ACK with ECE alone agrees."""
    mode = tcb.core.config.tcp_ecn
    bits = pkt.tcp_flags & (C.ECE | C.CWR)
    if pkt.tcp_flags & C.ACK:
        tcb.ecn_ok = tcb.ecn_asked and bits == C.ECE
    else:
        tcb.ecn_ok = mode != 0 and bits == (C.ECE | C.CWR)
    if tcb.ecn_ok:
        tell.ecn(tcb, "agreed", "both sides can do ECN", "RFC 3168 6.1.1")


def segment_received(tcb: Tcb, pkt: Any) -> None:
    """6.1.3: a CE mark is echoed on every ACK until the sender says CWR."""
    if pkt.tcp_flags & C.CWR:
        if tcb.ecn_echo:
            tell.ecn(tcb, "quiet", "the sender has reacted: echo no more", "RFC 3168 6.1.3")
        tcb.ecn_echo = False
    if pkt.tos & CE:
        tcb.ecn_seen = True
    if pkt.tos & CE == CE:
        if not tcb.ecn_echo:
            tell.ecn(tcb, "echo", "a router marked congestion: echo it until the sender reacts", "RFC 3168 6.1.3")
        tcb.ecn_echo = True
        tcb.core.counters.IpExtInCEPkts += 1


def ack_received(tcb: Tcb, pkt: Any) -> None:
    """6.1.2: the peer echoes a mark: react as to a loss, once a window of data, and say CWR."""
    if not pkt.tcp_flags & C.ECE:
        return
    # Only ACKs without ECE let cwnd grow.
    tcb.cwnd_limited = False
    tcb.max_out = 0
    if tcb.ca_state == C.CA_RECOVERY or tcb.ca_state == C.CA_LOSS:
        return
    if tcb.ecn_recover_set and not seq_ge(pkt.ack, tcb.ecn_recover):
        return
    tell.ecn(tcb, "react", "the peer echoes a congestion mark: send less, once a round trip", "RFC 3168 6.1.2")
    old = tcb.cwnd
    ssthresh = tcb.ssthresh
    tcb.cc.cong_signal(tcb, SIGNAL_ECN)
    tell.cwnd(tcb, old, ssthresh, "the peer echoes a congestion mark", "RFC 3168 6.1.2")
    tcb.ecn_recover = tcb.snd_nxt
    tcb.ecn_recover_set = True
    tcb.ecn_cwr = True
