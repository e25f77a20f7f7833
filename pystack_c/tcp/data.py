"""Process the text and the FIN of an acceptable segment (RFC 9293 section 3.10.7.4, seventh and eighth)."""

import pystack_c.const as C
from pystack_c.base.seqnum import seq_add, seq_diff, seq_ge, seq_gt, seq_le, seq_lt
from pystack_c.packet import Packet
from pystack_c.tcp import marks, quirks, tell
from pystack_c.tcp.close import enter_time_wait, start_wait
from pystack_c.tcp.delack import ack_now, ack_policy, answering, delay_ack
from pystack_c.tcp.ecn import accecn
from pystack_c.tcp.loss import rtt
from pystack_c.tcp.queues import memory
from pystack_c.tcp.state import set_state
from pystack_c.tcp.tcb import Tcb
from pystack_c.tcp.urgent import urgent_byte


def segment_text(tcb: Tcb, pkt: Packet) -> None:
    """Process the payload: deliver data that is in order, store early data, and report a duplicate."""
    seq = pkt.seq
    begin = pkt.data_off
    end = pkt.l4_end
    tcb.last_data_recv = tcb.core.now
    if 0 < tcb.rcv_limit < tcb.recvbuf.size:
        # Linux: tcp_grow_window.
        tcb.rcv_limit += 2 * (pkt.l4_end - pkt.data_off)
    if end - begin > tcb.rcv_mss:
        # Estimate the size of the peer's full-sized segments. An offloaded group counts as its segments.
        seen = pkt.gso_size if pkt.gso_size > 0 else end - begin
        if seen > tcb.rcv_mss and seen <= 65495:
            tcb.rcv_mss = seen
    rtt.receiver_sample(tcb, pkt)
    old = seq_diff(tcb.rcv_nxt, seq)
    if old > 0:
        if old >= end - begin:
            duplicate_text(tcb, seq, seq_add(seq, end - begin))
            return
        if tcb.sack_ok:
            tcb.dsack = (seq, tcb.rcv_nxt)
            tcb.core.counters.TcpExtTCPDSACKOldSent += 1
        begin += old
        seq = tcb.rcv_nxt
    over = seq_diff(seq_add(seq, end - begin), tcb.rcv_adv)
    if over > 0:
        # RFC 9293 3.10.7.4: trim the data to the window.
        end -= over
        if end <= begin:
            tcb.core.drop("tcp-zero-window", tcb.subject(), "the data is beyond the window", "RFC 9293 3.10.7.4")
            if tcb.rcv_wnd() == 0:
                tcb.core.counters.TcpExtTCPZeroWindowDrop += 1
            else:
                tcb.core.counters.TcpExtBeyondWindow += 1
            ack_now(tcb, "data beyond the window arrived, so an ACK reports the window", "RFC 9293 3.10.7.4")
            return
    core = tcb.core
    if core.tcp_memory + (end - begin) > core.config.tcp_mem_high or (
        core.tcp_pressure and memory.short(tcb, end - begin)
    ):
        if not memory.admits(tcb, end - begin, seq == tcb.rcv_nxt):
            ack_now(tcb, "there is no memory for the data, so an ACK announces a small window", "Linux tcp_data_queue")
            return
    if seq == tcb.rcv_nxt:
        in_order(tcb, pkt, begin, end)
    else:
        out_of_order(tcb, pkt, seq, begin, end)


def duplicate_text(tcb: Tcb, left: int, right: int) -> None:
    """Report at once that the whole segment is a duplicate, with a D-SACK block if SACK is on (RFC 2883 4)."""
    tcb.core.counters.TcpExtDelayedACKLost += 1
    if tcb.sack_ok:
        tcb.dsack = (left, right)
        tcb.core.counters.TcpExtTCPDSACKOldSent += 1
    if tcb.accecn is not None:
        option_may_be_blocked(tcb)
    tcb.core.drop("tcp-duplicate", tcb.subject(), "all data of the segment was received before", "RFC 9293 3.10.7.4")
    ack_now(tcb, "the segment is a duplicate, so our ACK may have been lost", "RFC 9293 3.10.7.4")


def option_may_be_blocked(tcb: Tcb) -> None:
    """Stop sending AccECN options if the path seems to drop the segments that carry them (RFC 9768 3.2.3.2.2).

    The sign is that the peer twice in a row retransmits data that an ACK with an option had acknowledged.
    """
    if not tcb.accecn.opt_last:
        return
    tcb.accecn.opt_dups += 1
    if tcb.accecn.opt_dups >= 2 and not tcb.accecn.opt_off:
        tcb.accecn.opt_off = True
        accecn.fail(tcb, accecn.OPT_FAIL_SEND, False)


def in_order(tcb: Tcb, pkt: Packet, begin: int, end: int) -> None:
    """Deliver the bytes at RCV.NXT, and the stored bytes that become contiguous."""
    buf = tcb.recvbuf
    if tcb.accecn is not None and tcb.accecn.opt_last:
        # Data arrived in order, so the last ACK with an option got through.
        tcb.accecn.opt_dups = 0
    before = tcb.rcv_nxt
    was_empty = buf.used < tcb.rcvlowat
    buf.put(pkt.frame, begin, end)
    tcb.rcv_nxt = seq_add(before, end - begin)
    filled = False
    if buf.ooo is not None:
        filled = True
        tcb.rcv_nxt = buf.pull(tcb.rcv_nxt)
        if tcb.sack_ok and tcb.dsack is None and buf.known is not None:
            # RFC 2883 4: part of the data was already here, out of order.
            tcb.dsack = buf.known
            tcb.core.counters.TcpExtTCPDSACKOfoSent += 1
        forget_sacks(tcb)
    if buf.joined > 0:
        tcb.core.counters.TcpExtTCPRcvCoalesce += buf.joined
        buf.joined = 0
    memory.settle(tcb)
    if (tcb.rcv_nxt ^ before) >> C.MARK_SHIFT != 0:
        marks.received(tcb)
    n = seq_diff(tcb.rcv_nxt, before)
    tcb.bytes_received += n
    if tcb.core.probe is not None:
        tell.received(tcb, "tcp.data", before, n, "the data is in order and can be read", "RFC 9293 3.10.7.4")
    if tcb.urgent is not None and tcb.urgent.state == C.OOB_EXPECTED and seq_ge(tcb.rcv_nxt, tcb.rcv_up):
        urgent_byte(tcb)
    if was_empty or tcb.waiter is not None or tcb.service is not None:
        # A service may be waiting for the rest of a message, of which it left the first part in the buffer.
        tcb.wake(C.EV_IN)
    if filled:
        # RFC 5681 4.2: acknowledge a segment that fills a gap at once.
        ack_now(tcb, "the segment fills a gap", "RFC 5681 4.2")
    elif tcb.dsack is not None:
        ack_now(tcb, "part of the data arrived twice, which a D-SACK block reports", "RFC 2883 4")
    elif tcb.core.config.tcp_ack_pushed and pkt.tcp_flags & C.PSH and end - begin >= tcb.rcv_mss and not answering(tcb):
        ack_now(tcb, "a full-sized segment has PSH, so the sender may wait for its ACK", "Linux tcp_measure_rcv_mss")
    else:
        ack_policy(tcb)


def out_of_order(tcb: Tcb, pkt: Packet, seq: int, begin: int, end: int) -> None:
    """Store the data (SHLD-31), and send a duplicate ACK at once (MAY-13).

    RFC 2018 4 sets the order of its SACK blocks.
    """
    buf = tcb.recvbuf
    core = tcb.core
    right = seq_add(seq, end - begin)
    if buf.ooo is not None and len(buf.ooo) >= core.config.tcp_max_ooo and not buf.touches(seq, right):
        core.counters.TcpExtTCPOFODrop += 1
        core.drop("tcp-ooo-full", tcb.subject(), "the received data has too many holes", "RFC 9293 3.10.7.4")
    elif buf.insert(pkt.frame, begin, end, seq):
        core.counters.TcpExtTCPOFOQueue += 1
        if buf.known is not None:
            core.counters.TcpExtTCPOFOMerge += 1
        memory.settle(tcb)
        tcb.rcv_ooopack += pkt.segments()
        if core.probe is not None:
            why = f"{seq_diff(seq, tcb.rcv_nxt)} bytes are missing before it"
            tell.received(tcb, "tcp.ooo", seq, end - begin, why, "RFC 9293 3.10.7.4")
    else:
        # The buffer holds all of this data already.
        core.counters.TcpExtTCPOFOQueue += 1
        core.counters.TcpExtTCPOFOMerge += 1
    if tcb.sack_ok:
        if buf.known is not None:
            tcb.dsack = buf.known
            buf.known = None
            core.counters.TcpExtTCPDSACKOfoSent += 1
        note_sack(tcb, seq)
    ack_now(tcb, "the segment is out of order, so a duplicate ACK is due", "RFC 5681 4.2")


def note_sack(tcb: Tcb, seq: int) -> None:
    """Update the SACK blocks: the block with this segment comes first, then the most recent others (RFC 2018 4)."""
    block = tcb.recvbuf.block_at(seq)
    if block is None:
        return
    left, right = block
    rest = []
    if tcb.sacks is not None:
        for old in tcb.sacks:
            if seq_lt(old[1], left) or seq_gt(old[0], right):
                rest.append(old)
    rest.insert(0, block)
    tcb.sacks = rest[:4]


def forget_sacks(tcb: Tcb) -> None:
    """Remove the SACK blocks that RCV.NXT has passed."""
    if tcb.sacks is None:
        return
    rest = [block for block in tcb.sacks if seq_gt(block[0], tcb.rcv_nxt)]
    tcb.sacks = rest if rest else None


def segment_fin(tcb: Tcb, pkt: Packet) -> None:
    """Process a FIN (RFC 9293 3.10.7.4, eighth). It takes effect when all data before it has arrived.

    Until then, the connection remembers the FIN's sequence number.
    """
    if pkt.tcp_flags & C.FIN:
        seq = seq_add(pkt.seq, pkt.l4_end - pkt.data_off)
        if not tcb.fin_received and seq_ge(seq, tcb.rcv_nxt) and seq_le(seq, tcb.rcv_adv):
            tcb.fin_expected = True
            tcb.fin_expected_seq = seq
    if not tcb.fin_expected or tcb.fin_expected_seq != tcb.rcv_nxt:
        if tcb.fin_expected and pkt.tcp_flags & C.FIN and pkt.l4_end == pkt.data_off:
            ack_now(tcb, "the FIN is out of order, so a duplicate ACK is due", "RFC 5681 4.2")
        return
    tcb.fin_expected = False
    tcb.fin_received = True
    if tcb.recvbuf.ooo is not None or tcb.recvbuf.known is not None:
        # Data after the FIN cannot come from the peer, so discard it.
        tcb.recvbuf.forget_ooo()
        memory.settle(tcb)
    tcb.sacks = None
    tcb.rcv_nxt = seq_add(tcb.rcv_nxt, 1)
    if seq_lt(tcb.rcv_adv, tcb.rcv_nxt):
        tcb.rcv_adv = tcb.rcv_nxt
    tell.received(tcb, "tcp.fin", seq_add(tcb.rcv_nxt, -1), 0, "the peer has no more data to send", "RFC 9293 3.10.7.4")
    tcb.wake(C.EV_IN | C.EV_RDHUP)
    state = tcb.state
    if quirks.fin_may_wait(tcb):
        delay_ack(tcb)
    else:
        ack_now(tcb, "the peer's FIN arrived", "RFC 9293 3.10.7.4")
    if state == C.SYN_RECEIVED or state == C.ESTABLISHED:
        set_state(tcb, C.CLOSE_WAIT, "the peer closed its side", "RFC 9293 3.10.7.4")
    elif state == C.FIN_WAIT_1:
        # Our FIN is not acknowledged yet, or the ACK processing would have entered FIN-WAIT-2.
        tcb.closing_fin = quirks.repeats_fin(tcb)
        set_state(tcb, C.CLOSING, "both sides closed at the same time", "RFC 9293 3.6")
    elif state == C.FIN_WAIT_2:
        enter_time_wait(tcb, "both sides are closed", "RFC 9293 3.10.7.4")
        ack_now(tcb, "the peer's FIN arrived", "RFC 9293 3.10.7.4")


def fin_again(tcb: Tcb) -> None:
    """Acknowledge a retransmitted FIN in TIME-WAIT, and restart the 2 MSL timer."""
    ack_now(tcb, "the peer retransmitted its FIN, so our ACK was probably lost", "RFC 9293 3.10.7.4")
    start_wait(tcb, C.TIMER_TIME_WAIT, tcb.core.config.tcp_time_wait)
