"""Explicit Congestion Notification: the negotiation of RFC 3168 and RFC 9768, and one response per window.

With RFC 3168, the receiver repeats a mark until the sender sets CWR. With accurate ECN (RFC 9768), counters report each
mark; see accecn.py.
"""

import pystack_c.const as C
from pystack_c.base.seqnum import seq_gt
from pystack_c.packet import Packet
from pystack_c.tcp import quirks, tell
from pystack_c.tcp.congestion.base import SIGNAL_ECN
from pystack_c.tcp.ecn import accecn
from pystack_c.tcp.snapshot import PHASES
from pystack_c.tcp.tcb import Tcb

CE = 3

# The setting tcp_ecn, as in Linux: the mode that a listener accepts, and the mode that a SYN requests.
#   0 none / none, 1 ECN / ECN, 2 ECN / none, 3 AccECN / AccECN, 4 AccECN / ECN, 5 AccECN / none
ACCURATE = 3


def syn_received(tcb: Tcb, pkt: Packet) -> None:
    """Process the three flags AE, CWR and ECE of a SYN or SYN-ACK (RFC 3168 6.1.1, RFC 9768 table 2)."""
    code = (pkt.tcp_flags >> 6) & 7
    if pkt.tcp_flags & C.ACK:
        _syn_ack(tcb, pkt, code)
        return
    mode = tcb.core.config.tcp_ecn
    tcb.ecn_ok = False
    if mode >= ACCURATE and code != 0 and code != 3:
        # RFC 9768 3.1.1. Any other combination requests AccECN, too (3.1.3).
        accecn.enter(tcb)
        tcb.accecn.syn = pkt.tos & 3
        tell.ecn(tcb, "agreed", "the SYN requests accurate ECN", "RFC 9768 3.1.1")
    else:
        tcb.ecn_ok = mode != 0 and code & 3 == 3
        if tcb.ecn_ok:
            tell.ecn(tcb, "agreed", "both sides support ECN", "RFC 3168 6.1.1")


def _syn_ack(tcb: Tcb, pkt: Packet, code: int) -> None:
    """Process the flags of the answer to our SYN."""
    if not tcb.accecn_asked:
        tcb.ecn_ok = tcb.ecn_asked and code & 3 == 1
        if tcb.ecn_ok:
            tell.ecn(tcb, "agreed", "both sides support ECN", "RFC 3168 6.1.1")
        return
    if code == 1:
        tcb.ecn_ok = True
        tell.ecn(tcb, "agreed", "the peer supports ECN, but not accurate ECN", "RFC 9768 3.1.2")
        return
    tcb.ecn_ok = False
    if code == 0 or code == 7:
        why = "the peer does not support ECN" if code == 0 else "the SYN-ACK only mirrors our flags, so ECN is not used"
        tell.ecn(tcb, "refused", why, "RFC 9768 3.1.2")
        return
    accecn.enter(tcb)
    tell.ecn(tcb, "agreed", "the peer agrees to accurate ECN", "RFC 9768 3.1.1")
    if code != 5 and code != accecn.handshake_code(accecn.NOT_ECT) and tcb.core.config.tcp_ecn_fallback:
        # 3.2.2.3: our SYN was Not-ECT, so something on the path changes the IP-ECN field.
        accecn.fail(tcb, accecn.ACE_FAIL_RECV, False)
        tcb.accecn.respond = code == 6
    syn_ack_marks(tcb, pkt)
    if accecn.zeroed(pkt):
        accecn.fail(tcb, accecn.OPT_FAIL_RECV, False)
    elif pkt.acc_order >= 0:
        tcb.accecn.opt_seen = accecn.COUNTERS_SEEN if pkt.acc_count > 0 else accecn.EMPTY_SEEN
    tcb.accecn.opt_due = accecn.FIRST_ACK | accecn.FIRST_DATA


def syn_ack_marks(tcb: Tcb, pkt: Packet) -> None:
    """Report the IP-ECN field of a SYN-ACK on a pure ACK (RFC 9768 3.2.2.1, client). A mark counts once (3.2.2.2)."""
    codepoint = pkt.tos & 3
    tcb.accecn.answer = accecn.handshake_code(codepoint)
    if codepoint == CE and not tcb.accecn.counted:
        tcb.accecn.counted = True
        tcb.accecn.r_cep += 1


def another_syn(tcb: Tcb, pkt: Packet) -> bool:
    """Process a retransmitted SYN (RFC 9768 3.1.5, server). Return False if the connection must be reset."""
    code = (pkt.tcp_flags >> 6) & 7
    if tcb.accecn is not None:
        if code == 3:
            return False
        tcb.accecn.syn = pkt.tos & 3
        tcb.accecn.again = True
        if code == 0:
            tcb.accecn.no_ect = True
    elif tcb.ecn_ok and tcb.core.config.tcp_ecn >= ACCURATE:
        return code == 0 or code == 3
    return True


def third_ack(tcb: Tcb, pkt: Packet) -> None:
    """Process the first ACK in SYN-RECEIVED (RFC 9768 3.2.2.1, table 4, server).

    Its ACE field reports how our SYN-ACK arrived.
    """
    if accecn.zeroed(pkt):
        accecn.fail(tcb, accecn.OPT_FAIL_RECV, False)
    accecn.read_option(tcb, pkt)
    accecn.trust_options(tcb)
    if pkt.l4_end > pkt.data_off or pkt.sack is not None or pkt.tcp_flags & C.FIN:
        return
    code = (pkt.tcp_flags >> 6) & 7
    tcb.accecn.skip = True
    if code == 0:
        # Note 1: send no ECT, and ignore feedback, for the rest of the connection.
        accecn.fail(tcb, accecn.ACE_FAIL_RECV, True)
    elif (code == 3 or code == 4 or code == 6) and tcb.core.config.tcp_ecn_fallback:
        # 3.2.2.3: the SYN-ACK was sent as Not-ECT.
        accecn.fail(tcb, accecn.ACE_FAIL_RECV, False)
    if code == 6:
        tcb.accecn.s_cep = 6
        tcb.delivered_ce += 1
        tcb.core.counters.TcpExtTCPDeliveredCE += 1
        tcb.accecn.respond = True


def cookie_returned(tcb: Tcb, pkt: Packet) -> None:
    """Enter AccECN mode if the ACK with a SYN cookie shows that the client is in this mode (RFC 9768 5.1)."""
    if tcb.core.config.tcp_ecn >= ACCURATE and (pkt.tcp_flags >> 6) & 7 >= 2 and not tcb.ecn_ok:
        accecn.enter(tcb)
        third_ack(tcb, pkt)


def established(tcb: Tcb) -> None:
    """Respond to a mark that the handshake reported, because there is a window to reduce now."""
    if tcb.accecn is not None and tcb.accecn.respond:
        tcb.accecn.respond = False
        respond(tcb, "the handshake met congestion", "RFC 9768 3.2.2.2")


def segment_received(tcb: Tcb, pkt: Packet) -> None:
    """Process CWR and a CE mark (RFC 3168 6.1.3): every ACK repeats the mark until the sender sets CWR."""
    if pkt.tcp_flags & C.CWR:
        if tcb.ecn_echo:
            tell.ecn(tcb, "quiet", "the sender has reduced its window, so the echo ends", "RFC 3168 6.1.3")
        tcb.ecn_echo = False
    if pkt.tos & CE:
        tcb.ecn_seen = True
    if pkt.tos & CE == CE:
        if not tcb.ecn_echo:
            tell.ecn(tcb, "echo", "a router marked congestion; ACKs echo it until the sender reacts", "RFC 3168 6.1.3")
        tcb.ecn_echo = True


def ack_received(tcb: Tcb, pkt: Packet) -> None:
    """React to a repeated mark as to a loss, once per window of data, and set CWR (RFC 3168 6.1.2)."""
    if not pkt.tcp_flags & C.ECE:
        return
    # Only ACKs without ECE let cwnd grow.
    tcb.cwnd_limited = False
    tcb.max_out = 0
    if may_respond(tcb, pkt.ack):
        respond(tcb, "the peer echoes a congestion mark", "RFC 3168 6.1.2")
        tcb.ecn_cwr = True


def feedback(tcb: Tcb, pkt: Packet, newly: int, progress: bool) -> None:
    """Read the ACE field and the option of an ACK that delivered `newly` segments (RFC 9768 3.2.2.2)."""
    if tcb.accecn.skip:
        tcb.accecn.skip = False
        accecn.read_option(tcb, pkt)
        return
    if tcb.accecn.first:
        # A zero in the first counter after the handshake is a sign that the path clears the field. (3.2.2.4 does not
        # recommend this test, because a packet that was overtaken can bring a true zero.)
        tcb.accecn.first = False
        if (pkt.tcp_flags >> 6) & 7 == 0:
            accecn.fail(tcb, accecn.ACE_FAIL_RECV, True)
    accecn.count_acks(tcb, newly)
    if not progress or tcb.accecn.deaf:
        return
    marked = accecn.read_option(tcb, pkt)
    delta = accecn.newly_marked(tcb, pkt, newly, marked)
    if delta == 0:
        if marked > 0 and newly <= 7:
            # 3.2.3.2.5: marked bytes are reported, but no marked packet.
            accecn.fail(tcb, accecn.ACE_FAIL_RECV, False)
        return
    tcb.accecn.s_cep += delta
    tcb.delivered_ce += delta
    tcb.core.counters.TcpExtTCPDeliveredCE += delta
    # Only ACKs that report no congestion let cwnd grow.
    tcb.cwnd_limited = False
    tcb.max_out = 0
    if may_respond(tcb, pkt.ack):
        respond(tcb, f"the peer received {delta} packets with a congestion mark", "RFC 9768 3.2.2.2")


def may_respond(tcb: Tcb, ack: int) -> bool:
    """Return True if a response is allowed (RFC 3168 6.1.2).

    It is allowed once per window of data, and not during the response to a loss.
    """
    if tcb.ca_state == C.CA_RECOVERY or tcb.ca_state == C.CA_LOSS:
        return False
    return not tcb.ecn_recover_set or seq_gt(ack, tcb.ecn_recover)


def respond(tcb: Tcb, why: str, rfc: str) -> None:
    """Respond to a mark as to a loss, but without a retransmission."""
    tell.ecn(tcb, "react", f"{why}, so the sender reduces its window once per round trip", rfc)
    old = tcb.cwnd
    ssthresh = tcb.ssthresh
    tcb.cc.cong_signal(tcb, SIGNAL_ECN)
    tcb.ecn_recover = tcb.snd_nxt
    tcb.ecn_recover_set = True
    if tcb.cwnd == tcb.ssthresh < old and quirks.spreads_response(tcb) and tcb.in_flight() >= tcb.mss:
        # Do not reduce cwnd at once, but in proportion to the delivered data (prr.reduce_rate).
        tcb.cwnd = old
        begin_cwr(tcb, why)
    tell.cwnd(tcb, old, ssthresh, why, rfc)


def begin_cwr(tcb: Tcb, why: str) -> None:
    """Enter the phase CWR, as Linux does (tcp_enter_cwr).

    Until an ACK covers data sent after this time, cwnd falls to ssthresh as in fast recovery.
    """
    tcb.prr_delivered = 0
    tcb.prr_out = 0
    tcb.prr_flight = 0
    tcb.recover = tcb.snd_nxt
    tcb.ca_state = C.CA_CWR
    if tcb.core.probe is not None:
        fields = {"phase": PHASES[C.CA_CWR], "recover": tcb.recover}
        tcb.core.emit("tcp.recovery", tcb.subject(), tcb.ident, why, "RFC 9937 6.1", fields)
