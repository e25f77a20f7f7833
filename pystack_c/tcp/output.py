"""Decide what to send: lost segments first, then new data, the FIN, and last a pure ACK (RFC 9293 section 3.8)."""

import pystack_c.const as C
from pystack_c.base.seqnum import seq_add, seq_diff, seq_gt
from pystack_c.tcp import hold, mtuprobe, tell
from pystack_c.tcp.congestion import chrono, rate
from pystack_c.tcp.congestion.idle import after_idle, note_cwnd_use
from pystack_c.tcp.loss.retransmit import retransmit_lost
from pystack_c.tcp.loss.rtt import backed_off
from pystack_c.tcp.mss import have_route
from pystack_c.tcp.nagle import may_send_small, small_follows
from pystack_c.tcp.opening import fastopen
from pystack_c.tcp.opening.syn import send_syn
from pystack_c.tcp.optionroom import accecn_option, new_data_options
from pystack_c.tcp.queues import chunks, errqueue, memory
from pystack_c.tcp.queues.sentseg import sent_segment
from pystack_c.tcp.rtotimer import arm_retransmit, set_persist_timer, set_rto_timer
from pystack_c.tcp.schedule import schedule
from pystack_c.tcp.segment import send_segment
from pystack_c.tcp.tcb import Tcb

# The number of segments, or of groups of them with offload, that a connection may send before others get their turn.
BURST = 64

# A result of next_size: the segment is held back until a larger group can be sent (tcp_linux_queue).
_HELD = -1


def tcp_output(tcb: Tcb) -> None:
    """Send everything that the connection may send now. Stack.poll_transmit calls this for scheduled connections."""
    core = tcb.core
    state = tcb.state
    if state == C.CLOSED or state == C.LISTEN:
        return
    if not have_route(tcb):
        tcb.soft_error = core.route_error
        if tcb.rtxq.lost_out > 0:
            core.counters.TcpExtTCPRetransFail += 1
        if core.probe is not None and tcb.unsent() > 0:
            hold.one(tcb, "route", "there is no route to the peer", "RFC 1122 3.3.1", tcb.unsent())
        if waiting(tcb) and not (tcb.rto_timer is not None and tcb.rto_timer.deadline >= 0):
            set_persist_timer(tcb)
        return
    if state == C.TIME_WAIT or state == C.FIN_WAIT_2:
        if tcb.ack_now:
            send_ack(tcb)
        return
    records = tcb.rtxq.count
    if tcb.ack_now and (tcb.dsack is not None or (tcb.accecn is not None and tcb.accecn.answer >= 0)):
        # Send a D-SACK block on its own, because it would take room from the first data segment. The feedback about the
        # SYN-ACK's IP-ECN field also goes on its own, because it needs a pure ACK (RFC 9768 3.2.2.1).
        send_ack(tcb)
    if retransmit_lost(tcb) and not (tcb.partial_seen and not tcb.sack_ok):
        set_rto_timer(tcb, core.now + backed_off(tcb))
    if state == C.SYN_SENT or (state == C.SYN_RECEIVED and tcb.rtxq.count == 0):
        if tcb.rtxq.count == 0 and (tcb.tfo is None or not tcb.tfo.deferred):
            first_syn(tcb)
            memory.settle(tcb)
        tcb.ack_now = False
        if not tcb.fastopen:
            return
    before = tcb.snd_nxt
    if state != C.SYN_RECEIVED or tcb.fastopen:
        send_new(tcb)
    if tcb.ack_now:
        send_ack(tcb)
    if tcb.rtxq.count != records:
        memory.settle(tcb)
    arm_retransmit(tcb, tcb.snd_nxt != before)


def waiting(tcb: Tcb) -> bool:
    """Return True if nothing is in flight, but the SYN, data or the FIN has yet to be sent."""
    if tcb.rtxq.count > 0 or tcb.state == C.TIME_WAIT or tcb.state == C.FIN_WAIT_2:
        return False
    return tcb.syn_out() or tcb.unsent() > 0 or (tcb.fin_pending and not tcb.fin_sent)


def send_ack(tcb: Tcb) -> None:
    """Send a pure ACK. After a simultaneous close, FreeBSD's ACK carries the FIN, too (tcp_closing_fin)."""
    reason = tcb.ack_reason
    if tcb.closing_fin:
        tcb.closing_fin = False
        send_segment(tcb, tcb.fin_seq, C.ACK | C.FIN, 0, 0, 0, reason, "FreeBSD tcp_output")
        return
    send_segment(tcb, tcb.snd_nxt, C.ACK, 0, 0, 0, reason if reason else "acknowledge", "RFC 9293 3.8.6.3")


def first_syn(tcb: Tcb) -> None:
    """Send the SYN or SYN-ACK for the first time, and put it on the retransmission queue."""
    core = tcb.core
    seg = sent_segment(tcb.iss, seq_add(tcb.iss, 1), core.now)
    seg.syn_fin = C.SYN
    tcb.rtxq.append(seg)
    tcb.snd_nxt = seg.end
    tcb.retry_start = core.now
    n = fastopen.data_in_syn(tcb) if tcb.tfo is not None and tcb.tfo.asked else 0
    why = "the application opens the connection" if tcb.state == C.SYN_SENT else "the SYN,ACK answers the peer's SYN"
    send_syn(tcb, why, "RFC 9293 3.10.7", n)
    if n > 0:
        core.counters.TcpExtTCPOrigDataSent += 1
        fastopen.record_data(tcb, n)
    set_rto_timer(tcb, core.now + tcb.rto)


def send_new(tcb: Tcb) -> None:
    """Send new data as far as the peer's window and cwnd allow, with sender-side SWS avoidance (RFC 9293 3.8.6.2.1)."""
    mss = tcb.mss - new_data_options(tcb)
    after_idle(tcb)
    if tcb.cwnd < tcb.mss:
        one_segment(tcb)
    if tcb.mtup is not None and mtu_probe_waits(tcb, mss):
        return
    burst = 0
    n = 0
    unsent = tcb.unsent()
    while unsent > 0:
        n = next_size(tcb, mss, unsent)
        if n <= 0:
            break
        if burst >= BURST:
            schedule(tcb)
            chrono.switch(tcb, C.CHRONO_BUSY)
            return
        burst += 1
        send_next(tcb, mss, n, unsent)
        unsent -= n
    note_limits(tcb, mss, unsent, burst > 0, n == _HELD)
    if tcb.fin_pending and not tcb.fin_sent and tcb.unsent() <= 0:
        send_fin(tcb)


def peer_room(tcb: Tcb) -> int:
    """Return the usable window in bytes: what the peer's window still admits (RFC 9293 3.8.6.2.1).

    It can be negative.
    """
    usable = seq_diff(seq_add(tcb.snd_una, tcb.snd_wnd), tcb.snd_nxt)
    # With Fast Open, the SYN in flight takes a sequence number, but no room in the window.
    return usable + 1 if tcb.syn_out() else usable


def path_room(tcb: Tcb, mss: int) -> int:
    """Return the number of bytes that cwnd still admits. It can be negative."""
    room = tcb.cwnd - tcb.in_flight()
    if tcb.syn_out():
        room += 1
    # RFC 8985 7.3: a tail loss probe may exceed cwnd by one segment.
    return mss if tcb.tlp_new and room < mss else room


def next_size(tcb: Tcb, mss: int, unsent: int) -> int:
    """Return the payload length in bytes of the next segment, or of a group of segments with offload.

    The result is 0 if nothing may be sent now, and `_HELD` if it is better to wait for a larger group.
    """
    offset = tcb.sendbuf.tail - unsent
    usable = peer_room(tcb)
    room = path_room(tcb, mss)
    n = usable if usable < room else room
    rest = unsent if tcb.chunks is None else tcb.chunks.rest(tcb, offset)
    if rest < n:
        n = rest
    if n >= mss:
        if tcb.chunks is not None and tcb.chunks.defers(tcb, offset, mss, usable, room):
            if tcb.core.probe is not None:
                why = "the next ACK is due soon, and a larger group of segments can leave then"
                hold.one(tcb, "group", why, "Linux tcp_tso_should_defer", unsent)
            return _HELD
        n = group_size(tcb, n, mss, unsent)
    elif n > 0 and n == rest and rest < unsent:
        # A record ends here (MSG_EOR) and another follows, so waiting would not make this segment larger.
        pass
    elif n <= 0 or not may_send_small(tcb, n, unsent, usable):
        if tcb.core.probe is not None:
            hold.new_data(tcb, mss, unsent, usable, room)
        return 0
    if not rate.may_send_now(tcb) and (tcb.chunks is None or not tcb.chunks.within(offset)):
        if tcb.core.probe is not None:
            hold.waits_for_pace(tcb, unsent)
        return 0
    if n > mss and n > rate.quantum(tcb, mss):
        n = rate.quantum(tcb, mss) // mss * mss
    return mss if tcb.tlp_new and n > mss else n


def send_next(tcb: Tcb, mss: int, n: int, unsent: int) -> None:
    """Send the next `n` of `unsent` bytes. The segment that empties the buffer or ends a burst carries PSH."""
    offset = tcb.sendbuf.tail - unsent
    if tcb.chunks is not None:
        room = min(peer_room(tcb), path_room(tcb, mss))
        tcb.tlp_new = False
        push = tcb.chunks.sending(tcb, offset, n, mss, room)
    else:
        push = 1 if n == unsent or (n >= mss and ends_burst(tcb, n, mss)) else 0
        tcb.tlp_new = False
    send_data(tcb, offset, n, mss, n == unsent, push)


def note_limits(tcb: Tcb, mss: int, unsent: int, sent: bool, held: bool) -> None:
    """Record what limits the sender: cwnd (which may grow only in this case), the peer's window, or the application."""
    usable = 0
    limited = False
    if unsent > 0:
        usable = peer_room(tcb)
        room = path_room(tcb, mss)
        limited = (room < mss and room <= usable) or (held and room < usable)
    pipe = tcb.in_flight()
    if limited or sent:
        note_cwnd_use(tcb, limited or pipe > tcb.cwnd - mss)
    chrono.after_output(tcb, unsent, usable, tcb.cwnd - pipe)
    if tcb.no_space and tcb.chunks is not None and tcb.chunks.linux:
        chunks.check_space(tcb)
    if tcb.rate is not None and unsent <= 0 and pipe < tcb.cwnd:
        rate.note_app_limited(tcb, pipe)


def ends_burst(tcb: Tcb, n: int, mss: int) -> bool:
    """Return True if a burst of more than one full-sized segment ends with these `n` bytes.

    A receiver that delays ACKs waits after an odd number of segments for one more, but the sender may not send it
    before the ACK arrives. PSH lets the receiver acknowledge at once. RFC 9293 3.9.1.2 requires PSH only when the
    buffer becomes empty, and leaves other uses to the sender.
    """
    if not tcb.core.config.tcp_push_bursts or rate.pacing_limit(tcb) > 0:
        return False
    if min(peer_room(tcb), path_room(tcb, mss)) - n >= mss:
        return False
    return n > mss or tcb.last_send == tcb.core.now


def one_segment(tcb: Tcb) -> None:
    """Raise cwnd to one segment, the loss window of RFC 5681 3.1, after a user's algorithm set it below that."""
    old = tcb.cwnd
    tcb.cwnd = tcb.mss
    tell.cwnd(tcb, old, tcb.ssthresh, "cwnd must be at least one full-sized segment", "RFC 5681 3.1")


def mtu_probe_waits(tcb: Tcb, mss: int) -> bool:
    """Send a path MTU probe if one is due. Return True if the probe waits for cwnd; new data then waits behind it."""
    offset = tcb.send_offset()
    unsent = tcb.sendbuf.tail - offset
    usable = seq_diff(seq_add(tcb.snd_una, tcb.snd_wnd), tcb.snd_nxt)
    room = tcb.cwnd - tcb.in_flight()
    n = mtuprobe.payload(tcb, mss, unsent, usable, room)
    if n < 0:
        if tcb.core.probe is not None:
            why = "a probe of the path MTU waits until cwnd has room for it, and the data waits behind the probe"
            hold.one(tcb, "mtu-probe", why, "RFC 4821 7.4", unsent)
        note_cwnd_use(tcb, True)
        return True
    if n > 0:
        mtuprobe.sent(tcb, tcb.snd_nxt, n)
        # Pass n as the MSS, so that the device does not cut the probe.
        send_data(tcb, offset, n, n, False, 0)
    return False


def group_size(tcb: Tcb, n: int, mss: int, unsent: int) -> int:
    """Return the number of bytes to pass to the device in one piece.

    That is one full-sized segment, or as many as the device accepts with offload. A small segment may end the last
    group.
    """
    gso_max = tcb.route.iface.gso_max
    if gso_max <= mss:
        return mss
    if tcb.dsack is not None or tcb.ecn_cwr or tcb.encap is not None or seq_gt(tcb.snd_up, tcb.snd_nxt):
        # The device repeats the header in each segment. A field that must be sent once (RFC 2883 4), or that is
        # relative to SEG.SEQ, rules out a group.
        return mss
    if tcb.accecn is not None and (tcb.accecn.r_cep & 2 or accecn_option(tcb, True) >= 0):
        # Devices clear the CWR bit in all segments but the first. Here the bit belongs to the ACE field
        # (RFC 9768 3.3.4).
        return mss
    if gso_max > tcb.core.config.tcp_gso_max:
        gso_max = tcb.core.config.tcp_gso_max
    if n > gso_max:
        n = gso_max
    if n == unsent and small_follows(tcb):
        return n
    n = n // mss * mss
    return n if n > 0 else mss


def send_data(tcb: Tcb, offset: int, n: int, mss: int, final: bool, last: int) -> None:
    """Send `n` new bytes. The segment that empties the buffer carries PSH (MUST-61), and the FIN if it is due.

    `final` is true if these are the last unsent bytes. `last` is 1 if PSH is due, and 2 if only an offloaded group ends
    here (see chunks.py).
    """
    core = tcb.core
    flags = C.ACK | C.ECT
    end = seq_add(tcb.snd_nxt, n)
    if last:
        flags |= C.PSH
    if final and tcb.fin_pending:
        flags |= C.FIN
    seq = tcb.snd_nxt
    seg = sent_segment(seq, end, core.now)
    seg.push = last == 1
    if n > mss:
        seg.gso = mss
    if flags & C.FIN:
        seg.syn_fin = C.FIN
        seg.end = seq_add(end, 1)
        tcb.fin_sent = True
        tcb.fin_seq = end
    if tcb.rate is not None:
        rate.sent(tcb, seg)
    rate.paced(tcb, n)
    tcb.rtxq.append(seg)
    tcb.snd_nxt = seg.end
    if n < mss or n % mss != 0:
        tcb.snd_sml = seg.end
    tcb.last_send = core.now
    if tcb.ca_state == C.CA_RECOVERY or tcb.ca_state == C.CA_CWR:
        tcb.prr_out += n
    if tcb.retry_start < 0:
        tcb.retry_start = core.now
    if (tcb.bytes_received > 0 or tcb.ack_now) and core.now - tcb.last_recv < core.config.tcp_delack_time:
        # An application that answers needs no quick ACKs, because its data carries the ACKs, also that of the
        # handshake.
        tcb.quickack = 0
    core.counters.TcpExtTCPOrigDataSent += 1 if n <= mss else (n + mss - 1) // mss
    send_segment(tcb, seq, flags, offset, n, mss if n > mss else 0, "the data fits in window and cwnd", "RFC 9293 3.8")
    if tcb.errqueue is not None:
        errqueue.sent(tcb, offset + n)


def send_fin(tcb: Tcb) -> None:
    """Send a FIN without data, after all data was sent."""
    core = tcb.core
    seg = sent_segment(tcb.snd_nxt, seq_add(tcb.snd_nxt, 1), core.now)
    seg.syn_fin = C.FIN
    tcb.fin_sent = True
    tcb.fin_seq = tcb.snd_nxt
    if tcb.rate is not None:
        rate.sent(tcb, seg)
    tcb.rtxq.append(seg)
    tcb.snd_nxt = seg.end
    # Linux counts a FIN without data in this counter, too.
    core.counters.TcpExtTCPOrigDataSent += 1
    send_segment(tcb, seg.seq, C.ACK | C.FIN, 0, 0, 0, "the application closed its side", "RFC 9293 3.6")
