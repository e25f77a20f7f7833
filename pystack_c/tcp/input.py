"""Segment arrival: RFC 9293 section 3.10.7, in the RFC's own order."""

import errno
from typing import Any

import pystack_c.const as C
from pystack_c.base.seqnum import seq_add, seq_diff, seq_ge, seq_gt, seq_le, seq_lt
from pystack_c.packet import Packet
from pystack_c.tcp import tunnel
from pystack_c.tcp.ack import process_ack
from pystack_c.tcp.challenge import bad_segment_ack, challenge_ack
from pystack_c.tcp.close import abort_connection, await_fin, enter_time_wait, fail_connection, finish
from pystack_c.tcp.data import fin_again, option_may_be_blocked, segment_fin, segment_text
from pystack_c.tcp.delack import ack_now
from pystack_c.tcp.ecn import accecn, ecn
from pystack_c.tcp.encap import received_route
from pystack_c.tcp.opening.handshake import became_established, syn_received_ack, syn_sent_state
from pystack_c.tcp.opening.listen import listen_state
from pystack_c.tcp.opening.repeat import syn_received_syn
from pystack_c.tcp.reset import refuse
from pystack_c.tcp.state import set_state
from pystack_c.tcp.tables import TcpTables
from pystack_c.tcp.tcb import STATE_NAMES, Tcb
from pystack_c.tcp.timestamps import count_paws, newer_stamp, note_timestamp, paws_reject
from pystack_c.tcp.timewait import reopen, time_wait
from pystack_c.tcp.urgent import urgent
from pystack_c.wire.checksum import checksum, pseudo_sum
from pystack_c.wire.tcp import parse_tcp, segment_len


def segment_arrives(core: Any, pkt: Packet) -> None:
    """A checked IPv4 packet with protocol 6 arrived for this host; its TCP segment lies at [l4_off, l4_end)."""
    core.counters.TcpInSegs += 1
    if parse_tcp(pkt) != 0:
        core.counters.TcpInErrs += 1
        core.drop("tcp-malformed", "tcp", "the TCP header length does not fit the segment", "RFC 9293 3.1")
        return
    if not pkt.flags & C.RX_CSUM_OK:
        # MUST-3
        acc = pseudo_sum(pkt.src, pkt.dst, C.IPPROTO_TCP, pkt.l4_end - pkt.l4_off)
        if checksum(pkt.frame, pkt.l4_off, pkt.l4_end, acc) != 0:
            core.counters.TcpInCsumErrors += 1
            core.counters.TcpInErrs += 1
            core.drop("tcp-bad-checksum", f"tcp port {pkt.dport}", "the TCP checksum is wrong", "RFC 9293 3.1")
            return
    if pkt.dst_kind != C.DST_UNICAST or pkt.l2_group:
        # MUST-57: nothing of TCP belongs to a broadcast or multicast address.
        core.drop("tcp-not-unicast", f"tcp port {pkt.dport}", "the addresses are not both unicast", "RFC 9293 3.9.2.3")
        return
    if pkt.tcp_flags & C.FIN and pkt.tcp_flags & C.SYN and core.config.tcp_drop_synfin > 1:
        core.drop("tcp-no-syn", f"tcp port {pkt.dport}", "SYN and FIN are both set", "FreeBSD tcp(4) drop_synfin")
        return
    tables: TcpTables = core.tcp
    tcb: Tcb = tables.lookup(pkt)
    if tcb is None:
        closed_state(core, pkt)
        return
    if (core.tunnel is not None or tcb.encap is not None) and came_another_way(tcb, pkt):
        return
    if pkt.ttl < tcb.min_ttl:
        core.counters.TcpExtTCPMinTTLDrop += 1
        core.drop("tcp-min-ttl", tcb.subject(), "the TTL is below IP_MINTTL", "RFC 5082 3")
        return
    if core.probe is not None:
        explain_arrival(tcb, pkt)
    tcb.segs_in += pkt.segments()
    if pkt.l4_end > pkt.data_off:
        tcb.data_segs_in += pkt.segments()
    if tcb.state == C.LISTEN:
        child: Tcb = listen_state(tcb, pkt, None)
        if child is not None:
            became_established(child, pkt, "the ACK carries a valid SYN cookie")
            other_states(child, pkt)
    elif tcb.state == C.SYN_SENT:
        syn_sent_state(tcb, pkt)
    elif not goes_first(tcb, pkt):
        other_states(tcb, pkt)


def goes_first(tcb: Tcb, pkt: Packet) -> bool:
    """The cases that come before the sequence number: TIME-WAIT, and a SYN in SYN-RECEIVED. True if the segment is done with."""
    if tcb.state == C.TIME_WAIT:
        return time_wait(tcb, pkt)
    if tcb.state == C.SYN_RECEIVED and pkt.tcp_flags & C.SYN and pkt.seq == tcb.irs:
        return syn_received_syn(tcb, pkt)
    return False


def came_another_way(tcb: Tcb, pkt: Packet) -> bool:
    """TCP in UDP: a segment in another datagram than the connection's, or plain, belongs to no connection (FreeBSD tcp_input)."""
    core = tcb.core
    if tcb.state == C.LISTEN or tunnel.port_of(core.tunnel) == tunnel.port_of(tcb.encap):
        return False
    flags = pkt.tcp_flags
    if tcb.state == C.TIME_WAIT and flags & C.SYN and not flags & (C.RST | C.ACK) and reopen(tcb, pkt):
        return True
    rfc = "FreeBSD tcp(4) udp_tunneling_port"
    core.drop("tcp-another-way", tcb.subject(), "the segment's UDP encapsulation is not the connection's", rfc)
    if not flags & C.RST:
        refuse(core, pkt, "the segment's UDP encapsulation is not the connection's", rfc)
    return True


def explain_arrival(tcb: Tcb, pkt: Packet) -> None:
    """The tcp.in event."""
    fields = {
        "seq": pkt.seq,
        "ack": pkt.ack,
        "flags": pkt.tcp_flags,
        "length": pkt.data_len(),
        "window": pkt.window << (0 if pkt.tcp_flags & C.SYN else tcb.snd_wscale),
    }
    reason = f"a segment arrived in state {STATE_NAMES[tcb.state]}"
    tcb.core.emit("tcp.in", tcb.subject(), tcb.ident, reason, "RFC 9293 3.10.7", fields)


def closed_state(core: Any, pkt: Packet) -> None:
    """3.10.7.1: no connection: everything but a RST is answered with a RST."""
    subject = f"tcp port {pkt.dport}"
    if pkt.tcp_flags & C.RST:
        core.drop("tcp-reset-unknown", subject, "the RST belongs to no connection", "RFC 9293 3.10.7.1")
        return
    core.drop("tcp-no-connection", subject, "no connection and no listener matches the segment", "RFC 9293 3.10.7.1")
    refuse(core, pkt, "no socket listens on the port", "RFC 9293 3.10.7.1")


def acceptable(tcb: Tcb, pkt: Packet, length: int) -> bool:
    """3.10.7.4, first: the four cases of the acceptability test."""
    wnd = tcb.rcv_wnd()
    if tcb.core.config.tcp_buffer_window and tcb.state != C.TIME_WAIT and tcb.parent is None:
        wnd = max(wnd, tcb.recvbuf.size - tcb.recvbuf.used)
    seq = pkt.seq
    if wnd == 0:
        return length == 0 and seq == tcb.rcv_nxt
    edge = seq_add(tcb.rcv_nxt, wnd)
    if seq_le(tcb.rcv_nxt, seq) and seq_lt(seq, edge):
        return True
    if length == 0:
        return False
    last = seq_add(seq, length - 1)
    return seq_le(tcb.rcv_nxt, last) and seq_lt(last, edge)


def other_states(tcb: Tcb, pkt: Packet) -> None:
    """3.10.7.4: SYN-RECEIVED and all synchronized states."""
    core = tcb.core
    flags = pkt.tcp_flags
    length = segment_len(pkt)
    # First, the sequence number.
    if paws_reject(tcb, pkt):
        count_paws(tcb, pkt)
        core.drop("tcp-paws", tcb.subject(), "the timestamp is older than the last one", "RFC 7323 5.3 R1")
        bad_segment_ack(tcb, "the timestamp of the segment is too old", True)
        return
    zero_window = tcb.rcv_wnd() == 0 and pkt.seq == tcb.rcv_nxt
    if not zero_window and not acceptable(tcb, pkt, length):
        unacceptable(tcb, pkt)
        return
    # Second, the RST bit.
    if flags & C.RST:
        reset_arrived(tcb, pkt)
        return
    # (Third, security and compartment, is not implemented, as the RFC allows.)
    # Fourth, the SYN bit.
    if flags & C.SYN:
        syn_arrived(tcb)
        return
    # Fifth, the ACK field.
    if not flags & C.ACK:
        core.drop("tcp-no-ack", tcb.subject(), "the segment has no ACK bit", "RFC 9293 3.10.7.4")
        return
    tcb.last_recv = core.now
    tcb.rcv_tos = pkt.tos
    if tcb.ecn_ok:
        ecn.segment_received(tcb, pkt)
    if not ack_field(tcb, pkt):
        return
    if pkt.ip_options > 0 and tcb.passive:
        # SHLD-24 (an acceptable segment's only: who can guess no sequence number shall not turn the traffic aside).
        received_route(tcb, pkt)
    if tcb.accecn and accecn.arrived(tcb, pkt):
        ack_now(tcb, "congestion marks are reported at once", "RFC 9768 3.2.2.5.1")
    # Sixth, the URG bit.
    if flags & C.URG and pkt.urg > 0:
        urgent(tcb, pkt)
    # Seventh, the segment text.
    if pkt.l4_end > pkt.data_off and not text_allowed(tcb, pkt):
        return
    # Eighth, the FIN bit.
    if flags & C.FIN or tcb.fin_expected:
        if tcb.state == C.TIME_WAIT:
            fin_again(tcb)
        else:
            segment_fin(tcb, pkt)


def syn_arrived(tcb: Tcb) -> None:
    """RFC 5961 4.2: a SYN on an open connection is challenged."""
    if tcb.core.config.tcp_insecure_syn and tcb.state != C.TIME_WAIT:
        # As before RFC 5961.
        abort_connection(tcb, errno.ECONNRESET, "a SYN arrived inside the window", "RFC 9293 3.10.7.4")
        return
    tcb.core.counters.TcpExtTCPSYNChallenge += 1
    challenge_ack(tcb, "a SYN arrived on an established connection", "RFC 5961 4.2")


def text_allowed(tcb: Tcb, pkt: Packet) -> bool:
    """Process the text where the state allows it. False where the connection ended by it."""
    state = tcb.state
    if state == C.ESTABLISHED or state == C.FIN_WAIT_1 or state == C.FIN_WAIT_2:
        if tcb.detached:
            # SHLD-3: the application is gone, nobody will read this.
            tcb.core.counters.TcpExtTCPAbortOnData += 1
            why = "data arrived for an application that has closed its socket"
            # (At SEG.ACK, which is the peer's RCV.NXT, so that RFC 5961 lets it count.)
            refuse(tcb.core, pkt, why, "RFC 9293 3.6.1")
            fail_connection(tcb, errno.ECONNRESET, why, "RFC 9293 3.6.1")
            return False
        segment_text(tcb, pkt)
    else:
        tcb.core.drop("tcp-text-after-fin", tcb.subject(), "data arrived after the peer's FIN", "RFC 9293 3.10.7.4")
    return True


def unacceptable(tcb: Tcb, pkt: Packet) -> None:
    """Not in the window: drop it, but say where the window is (unless it is a RST)."""
    core = tcb.core
    core.drop("tcp-out-of-window", tcb.subject(), "the sequence numbers are outside the window", "RFC 9293 3.10.7.4")
    if pkt.tcp_flags & C.RST:
        return
    if tcb.state == C.TIME_WAIT and pkt.tcp_flags & C.FIN:
        fin_again(tcb)
        return
    n = pkt.l4_end - pkt.data_off
    if seq_ge(pkt.seq, tcb.rcv_nxt):
        core.counters.TcpExtBeyondWindow += 1
    elif segment_len(pkt) > 0:
        # It came again: perhaps our ACK was lost.
        core.counters.TcpExtDelayedACKLost += 1
    if core.config.tcp_old_ack and seq_add(pkt.seq, segment_len(pkt)) == tcb.rcv_nxt and old_ack(tcb, pkt):
        return
    if tcb.accecn and pkt.tcp_flags & C.SYN and pkt.tcp_flags & C.ACK and pkt.seq == tcb.irs and not tcb.passive:
        # RFC 9768 3.2.2.1: a SYN-ACK once more.
        ecn.syn_ack_marks(tcb, pkt)
    if n > 0 and tcb.accecn and seq_lt(pkt.seq, tcb.rcv_nxt):
        if core.config.tcp_accecn_linux and seq_ge(seq_add(pkt.seq, n), tcb.last_ack_sent):
            # (Linux takes what ends at the last ACK for acceptable.)
            accecn.arrived(tcb, pkt)
        option_may_be_blocked(tcb)
    if n > 0 and tcb.sack_ok and seq_lt(pkt.seq, tcb.rcv_nxt):
        # RFC 2883 4: an old duplicate is reported.
        tcb.dsack = (pkt.seq, seq_add(pkt.seq, n))
        core.counters.TcpExtTCPDSACKOldSent += 1
    if n == 0 and pkt.tcp_flags & C.SYN:
        # RFC 5961 4.2, wherever it is, with the limit of section 7.
        bad_segment_ack(tcb, "the segment is outside the window, so an ACK reports the window", False)
        return
    if n > 0 or pkt.tcp_flags & (C.SYN | C.FIN) or seq_add(pkt.seq, 1) == tcb.rcv_nxt:
        # (One below RCV.NXT: a probe of our window, or a keep-alive; both want their answer.)
        ack_now(tcb, "the segment is outside the window, so an ACK reports the window", "RFC 9293 3.10.7.4")
    else:
        bad_segment_ack(tcb, "the segment is outside the window, so an ACK reports the window", False)


def reset_arrived(tcb: Tcb, pkt: Packet) -> None:
    """RFC 5961 3.2: a RST counts only at exactly RCV.NXT; elsewhere in the window it is challenged."""
    if pkt.seq != tcb.rcv_nxt and not tcb.core.config.tcp_insecure_rst:
        challenge_ack(tcb, "the RST is inside the window, but not at RCV.NXT", "RFC 5961 3.2")
        return
    state = tcb.state
    counters = tcb.core.counters
    if state == C.TIME_WAIT and tcb.core.config.tcp_rfc1337:
        tcb.core.drop("tcp-reset-time-wait", tcb.subject(), "a RST does not end TIME-WAIT", "RFC 1337 3 F1")
        return
    why = "the peer reset the connection"
    rfc = "RFC 9293 3.10.7.4"
    if state == C.SYN_RECEIVED:
        counters.TcpAttemptFails += 1
        if tcb.passive and not tcb.fastopen:
            # (A passive open returns to LISTEN: the listener itself never left it.)
            counters.TcpExtEmbryonicRsts += 1
            finish(tcb, "the peer reset the connection before it was established", rfc)
        else:
            fail_connection(tcb, errno.ECONNRESET if tcb.fastopen else errno.ECONNREFUSED, why, rfc)
        return
    if state != C.TIME_WAIT and tcb.core.config.tcp_reset_error:
        fail_connection(tcb, errno.ECONNRESET, why, rfc)
        return
    if state == C.TIME_WAIT or state == C.CLOSING or state == C.LAST_ACK:
        tcb.was_reset = True
        finish(tcb, why, rfc)
        return
    error = errno.EPIPE if state == C.CLOSE_WAIT else errno.ECONNRESET
    fail_connection(tcb, error, why, rfc)


def old_ack(tcb: Tcb, pkt: Packet) -> bool:
    """Linux and FreeBSD: what an old duplicate acknowledges counts, where it ends at RCV.NXT. True where that is the end of it."""
    if pkt.tcp_flags & (C.SYN | C.RST) or not pkt.tcp_flags & C.ACK or pkt.seq == tcb.rcv_nxt:
        return False
    if not seq_lt(tcb.snd_una, pkt.ack) or seq_gt(pkt.ack, tcb.snd_nxt):
        return False
    return not ack_field(tcb, pkt)


def ack_field(tcb: Tcb, pkt: Packet) -> bool:
    """3.10.7.4, fifth. False where the segment goes no further."""
    core = tcb.core
    ack = pkt.ack
    if tcb.state == C.SYN_RECEIVED:
        if not (seq_lt(tcb.snd_una, ack) and seq_le(ack, tcb.snd_nxt)):
            core.drop("tcp-bad-ack", tcb.subject(), "it acknowledges data that was never sent", "RFC 9293 3.10.7.4")
            refuse(core, pkt, "it acknowledges data that was never sent", "RFC 9293 3.10.7.4")
            return False
        if not syn_received_ack(tcb, pkt):
            return False
    if seq_gt(ack, tcb.snd_nxt):
        if not core.config.tcp_ack_unsent and (tcb.state == C.ESTABLISHED or tcb.state == C.CLOSE_WAIT):
            core.drop("tcp-bad-ack", tcb.subject(), "it acknowledges data that was never sent", "Linux tcp_ack")
            return False
        challenge_ack(tcb, "it acknowledges data that was never sent", "RFC 5961 5.2")
        return False
    if seq_lt(ack, tcb.snd_una) and seq_diff(tcb.snd_una, ack) > tcb.max_window:
        challenge_ack(tcb, "the segment acknowledges data that was acknowledged long ago", "RFC 5961 5.2")
        return False
    # RFC 9768 A.1: an ACK with a newer timestamp has not been superseded, whatever it acknowledges.
    tcb.acc_newer = tcb.accecn and tcb.ts_ok and pkt.opt_ts and pkt.tsval != tcb.ts_recent and newer_stamp(tcb, pkt)
    # Only now: a segment with an impossible ACK must not set TS.Recent for those that follow.
    note_timestamp(tcb, pkt)
    if tcb.state == C.TIME_WAIT:
        return True
    if tcb.ecn_ok:
        ecn.ack_received(tcb, pkt)
    process_ack(tcb, pkt)
    if tcb.fin_sent and seq_gt(tcb.snd_una, tcb.fin_seq):
        return fin_acked(tcb)
    return True


def fin_acked(tcb: Tcb) -> bool:
    """Our FIN is acknowledged. False where the connection is over."""
    state = tcb.state
    rfc = "RFC 9293 3.10.7.4"
    if state == C.FIN_WAIT_1:
        set_state(tcb, C.FIN_WAIT_2, "our FIN is acknowledged", rfc)
        if tcb.detached:
            return await_fin(tcb)
    elif state == C.CLOSING:
        enter_time_wait(tcb, "our FIN is acknowledged after a simultaneous close", rfc)
    elif state == C.LAST_ACK:
        finish(tcb, "our FIN is acknowledged", rfc)
        return False
    return True
