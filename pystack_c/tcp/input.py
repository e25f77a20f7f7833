"""Segment arrival: RFC 9293 section 3.10.7, in the RFC's own order."""

import errno
from typing import Any

import pystack_c.const as C
from pystack_c.base.seqnum import seq_add, seq_diff, seq_ge, seq_gt, seq_le, seq_lt
from pystack_c.packet import Packet
from pystack_c.tcp import quirks, tunnel
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
from pystack_c.tcp.snapshot import STATE_NAMES
from pystack_c.tcp.state import set_state
from pystack_c.tcp.tables import TcpTables
from pystack_c.tcp.tcb import Tcb
from pystack_c.tcp.timestamps import count_paws, newer_stamp, note_timestamp, paws_reject
from pystack_c.tcp.timewait import reopen, time_wait
from pystack_c.tcp.urgent import urgent
from pystack_c.wire.checksum import checksum, pseudo_sum
from pystack_c.wire.tcp import parse_tcp, segment_len


def segment_arrives(core: Any, pkt: Packet) -> None:
    """Process a TCP segment that arrived for this host in a checked IPv4 packet.

    The segment occupies `[l4_off, l4_end)` of the frame (byte offsets). Every discarded segment is counted with
    `core.drop`.
    """
    core.counters.TcpInSegs += 1
    if parse_tcp(pkt) != 0:
        core.counters.TcpInErrs += 1
        core.drop("tcp-malformed", "tcp", "the TCP header length does not fit the segment", "RFC 9293 3.1")
        return
    if not pkt.flags & C.RX_CSUM_OK:
        # MUST-3: verify the checksum, unless the device has done so.
        acc = pseudo_sum(pkt.src, pkt.dst, C.IPPROTO_TCP, pkt.l4_end - pkt.l4_off)
        if checksum(pkt.frame, pkt.l4_off, pkt.l4_end, acc) != 0:
            core.counters.TcpInCsumErrors += 1
            core.counters.TcpInErrs += 1
            core.drop("tcp-bad-checksum", f"tcp port {pkt.dport}", "the TCP checksum is wrong", "RFC 9293 3.1")
            return
    if pkt.dst_kind != C.DST_UNICAST or pkt.l2_group:
        # MUST-57: TCP ignores segments from or to a broadcast or multicast address.
        core.drop("tcp-not-unicast", f"tcp port {pkt.dport}", "the addresses are not both unicast", "RFC 9293 3.9.2.3")
        return
    if pkt.tcp_flags & C.FIN and pkt.tcp_flags & C.SYN and quirks.drops_syn_fin(core):
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
    """Handle the cases that precede the sequence number check: TIME-WAIT, and a SYN in SYN-RECEIVED.

    Return True if nothing more is to be done with the segment.
    """
    if tcb.state == C.TIME_WAIT:
        return time_wait(tcb, pkt)
    if tcb.state == C.SYN_RECEIVED and pkt.tcp_flags & C.SYN and pkt.seq == tcb.irs:
        return syn_received_syn(tcb, pkt)
    return False


def came_another_way(tcb: Tcb, pkt: Packet) -> bool:
    """Discard a segment whose UDP encapsulation differs from the connection's (FreeBSD tcp_input).

    A segment that arrives in UDP with another port, or without UDP, does not belong to the connection. Return True if
    the segment was handled here.
    """
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
    """Emit the tcp.in event."""
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
    """CLOSED (RFC 9293 3.10.7.1): no connection matches, so answer every segment except a RST with a RST."""
    subject = f"tcp port {pkt.dport}"
    if pkt.tcp_flags & C.RST:
        core.drop("tcp-reset-unknown", subject, "the RST belongs to no connection", "RFC 9293 3.10.7.1")
        return
    core.drop("tcp-no-connection", subject, "no connection and no listener matches the segment", "RFC 9293 3.10.7.1")
    refuse(core, pkt, "no socket listens on the port", "RFC 9293 3.10.7.1")


def acceptable(tcb: Tcb, pkt: Packet, length: int) -> bool:
    """Return True if the segment passes the four cases of the acceptability test (RFC 9293 3.10.7.4, first).

    `length` is the segment's length in sequence space: SYN and FIN count as one each.
    """
    wnd = tcb.rcv_wnd()
    if _buffer_is_window(tcb):
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
    """Process a segment in SYN-RECEIVED or a synchronized state, in the order of RFC 9293 3.10.7.4."""
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
    # Third, security and compartment: not implemented, as the RFC allows.
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
        # SHLD-24. Only an acceptable segment may set the route, so that an attacker who cannot guess a sequence number
        # cannot divert the traffic.
        received_route(tcb, pkt)
    if tcb.accecn is not None and accecn.arrived(tcb, pkt):
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
    """Answer a SYN on an open connection with a challenge ACK (RFC 5961 4.2)."""
    if quirks.syn_resets(tcb):
        abort_connection(tcb, errno.ECONNRESET, "a SYN arrived inside the window", "RFC 9293 3.10.7.4")
        return
    tcb.core.counters.TcpExtTCPSYNChallenge += 1
    challenge_ack(tcb, "a SYN arrived on an established connection", "RFC 5961 4.2")


def text_allowed(tcb: Tcb, pkt: Packet) -> bool:
    """Process the text if the state allows it. Return False if this ended the connection."""
    state = tcb.state
    if state == C.ESTABLISHED or state == C.FIN_WAIT_1 or state == C.FIN_WAIT_2:
        if tcb.detached:
            # SHLD-3: the application has closed its socket, so nothing will read this data.
            tcb.core.counters.TcpExtTCPAbortOnData += 1
            why = "data arrived for an application that has closed its socket"
            # The RST is sent at SEG.ACK, which is the peer's RCV.NXT, so RFC 5961 lets the peer accept it.
            refuse(tcb.core, pkt, why, "RFC 9293 3.6.1")
            fail_connection(tcb, errno.ECONNRESET, why, "RFC 9293 3.6.1")
            return False
        segment_text(tcb, pkt)
    else:
        tcb.core.drop("tcp-text-after-fin", tcb.subject(), "data arrived after the peer's FIN", "RFC 9293 3.10.7.4")
    return True


def unacceptable(tcb: Tcb, pkt: Packet) -> None:
    """Drop a segment outside the window. Unless it is a RST, an ACK tells the peer where the window is."""
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
        # The peer retransmitted the segment, so our ACK may have been lost.
        core.counters.TcpExtDelayedACKLost += 1
    if quirks.old_duplicate_counts(tcb, pkt) and not ack_field(tcb, pkt):
        return
    if (
        tcb.accecn is not None
        and pkt.tcp_flags & C.SYN
        and pkt.tcp_flags & C.ACK
        and pkt.seq == tcb.irs
        and not tcb.passive
    ):
        # RFC 9768 3.2.2.1: the SYN-ACK was retransmitted.
        ecn.syn_ack_marks(tcb, pkt)
    if n > 0 and tcb.accecn is not None and seq_lt(pkt.seq, tcb.rcv_nxt):
        if quirks.late_marks_count(tcb, pkt):
            accecn.arrived(tcb, pkt)
        option_may_be_blocked(tcb)
    if n > 0 and tcb.sack_ok and seq_lt(pkt.seq, tcb.rcv_nxt):
        # RFC 2883 4: the next ACK reports the old duplicate in a D-SACK block.
        tcb.dsack = (pkt.seq, seq_add(pkt.seq, n))
        core.counters.TcpExtTCPDSACKOldSent += 1
    if n == 0 and pkt.tcp_flags & C.SYN:
        # RFC 5961 4.2: answer a SYN wherever it lies, within the rate limit of section 7.
        bad_segment_ack(tcb, "the segment is outside the window, so an ACK reports the window", False)
        return
    if n > 0 or pkt.tcp_flags & (C.SYN | C.FIN) or seq_add(pkt.seq, 1) == tcb.rcv_nxt:
        # A segment at RCV.NXT - 1 is a window probe or a keep-alive. Both require an answer.
        ack_now(tcb, "the segment is outside the window, so an ACK reports the window", "RFC 9293 3.10.7.4")
    else:
        bad_segment_ack(tcb, "the segment is outside the window, so an ACK reports the window", False)


def reset_arrived(tcb: Tcb, pkt: Packet) -> None:
    """Process a RST (RFC 5961 3.2). Only a RST exactly at RCV.NXT resets; another one in the window is challenged."""
    if pkt.seq != tcb.rcv_nxt and not quirks.any_reset_counts(tcb):
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
            # After a passive open, the connection returns to LISTEN. The listener itself never left LISTEN.
            counters.TcpExtEmbryonicRsts += 1
            finish(tcb, "the peer reset the connection before it was established", rfc)
        else:
            fail_connection(tcb, errno.ECONNRESET if tcb.fastopen else errno.ECONNREFUSED, why, rfc)
        return
    if quirks.reset_is_error(tcb):
        fail_connection(tcb, errno.ECONNRESET, why, rfc)
        return
    if state == C.TIME_WAIT or state == C.CLOSING or state == C.LAST_ACK:
        tcb.was_reset = True
        finish(tcb, why, rfc)
        return
    error = errno.EPIPE if state == C.CLOSE_WAIT else errno.ECONNRESET
    fail_connection(tcb, error, why, rfc)


def ack_field(tcb: Tcb, pkt: Packet) -> bool:
    """Check and process the ACK field (RFC 9293 3.10.7.4, fifth).

    Return False if processing of the segment ends here.
    """
    core = tcb.core
    ack = pkt.ack
    opened = tcb.state == C.SYN_RECEIVED
    if opened:
        if not (seq_lt(tcb.snd_una, ack) and seq_le(ack, tcb.snd_nxt)):
            core.drop("tcp-bad-ack", tcb.subject(), "it acknowledges data that was never sent", "RFC 9293 3.10.7.4")
            refuse(core, pkt, "it acknowledges data that was never sent", "RFC 9293 3.10.7.4")
            return False
        if not syn_received_ack(tcb, pkt):
            return False
    if seq_gt(ack, tcb.snd_nxt):
        if quirks.ignores_unsent(tcb):
            core.drop("tcp-bad-ack", tcb.subject(), "it acknowledges data that was never sent", "Linux tcp_ack")
            return False
        challenge_ack(tcb, "it acknowledges data that was never sent", "RFC 5961 5.2")
        return False
    if seq_lt(ack, tcb.snd_una) and seq_diff(tcb.snd_una, ack) > tcb.max_window:
        challenge_ack(tcb, "the segment acknowledges data that was acknowledged long ago", "RFC 5961 5.2")
        return False
    # RFC 9768 A.1: an ACK with a newer timestamp has not been superseded, whatever it acknowledges.
    if tcb.accecn is not None:
        tcb.accecn.newer = tcb.ts_ok and pkt.opt_ts and pkt.tsval != tcb.ts_recent and newer_stamp(tcb, pkt)
    # Record the timestamp only now: a segment with an impossible ACK must not set TS.Recent.
    note_timestamp(tcb, pkt)
    if tcb.state == C.TIME_WAIT:
        return True
    if tcb.ecn_ok:
        ecn.ack_received(tcb, pkt)
    process_ack(tcb, pkt, opened)
    if tcb.fin_sent and seq_gt(tcb.snd_una, tcb.fin_seq):
        return fin_acked(tcb)
    return True


def fin_acked(tcb: Tcb) -> bool:
    """Change the state after our FIN was acknowledged. Return False if the connection has ended."""
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


# -- quirks ----------------------------------------------------------------------------------------------------------


def _buffer_is_window(tcb: Tcb) -> bool:
    """For FreeBSD, the whole receive buffer counts as the window, even if the header cannot express its size."""
    return tcb.core.config.tcp_buffer_window and tcb.state != C.TIME_WAIT and tcb.parent is None
