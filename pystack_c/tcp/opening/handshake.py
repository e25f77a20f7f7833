"""Open connections: answers to our SYN, and the transition to ESTABLISHED (RFC 9293 section 3.10.7.2 to 3.10.7.4).

The functions that a listener needs to process a SYN are here, too.
"""

import errno
from typing import Any

import pystack_c.const as C
from pystack_c.base.seqnum import seq_add, seq_gt, seq_le
from pystack_c.packet import Packet
from pystack_c.tcp import mtuprobe, quirks, tell
from pystack_c.tcp.ack import clean_rtxq, data_acked, measure, restart_rto
from pystack_c.tcp.close import abort_connection, fail_connection
from pystack_c.tcp.congestion.base import create
from pystack_c.tcp.congestion.rate import new_rate, set_pacing
from pystack_c.tcp.data import segment_fin, segment_text
from pystack_c.tcp.delack import ack_now, ack_policy
from pystack_c.tcp.ecn import ecn
from pystack_c.tcp.encap import received_route
from pystack_c.tcp.loss.rtt import backed_off
from pystack_c.tcp.mss import have_route, update_mss
from pystack_c.tcp.opening import fastopen
from pystack_c.tcp.opening.listener import Listener
from pystack_c.tcp.queues import errqueue, memory
from pystack_c.tcp.reset import send_reset
from pystack_c.tcp.schedule import schedule
from pystack_c.tcp.state import set_state
from pystack_c.tcp.tcb import Tcb, new_tcb
from pystack_c.tcp.timers import keepalive_arm
from pystack_c.tcp.timestamps import ts_now
from pystack_c.tcp.window import opening_window


def window_scale(tcb: Tcb) -> int:
    """Return the window shift to announce, at most 14 (RFC 7323 2.3).

    It is the smallest one that can express the whole receive buffer.
    """
    config = tcb.core.config
    if not config.tcp_window_scaling:
        return 0
    if config.tcp_wscale >= 0:
        return config.tcp_wscale if config.tcp_wscale < 14 else 14
    most = tcb.recvbuf.size
    if config.tcp_moderate_rcvbuf and not tcb.rcvbuf_fixed and most < config.tcp_rmem_max:
        most = config.tcp_rmem_max
    shift = 0
    while shift < 14 and (0xFFFF << shift) < most:
        shift += 1
    return shift


def take_syn(tcb: Tcb, pkt: Packet) -> None:
    """Process a SYN: set IRS, the peer's window and its options. Options count only on a SYN."""
    config = tcb.core.config
    if tcb.noopt:
        # TCP_NOOPT: act as if the peer had sent no options.
        pkt.opt_mss = 0
        pkt.opt_sack_ok = False
        pkt.opt_ts = False
        pkt.opt_wscale = -1
    tcb.irs = pkt.seq
    tcb.rcv_tos = pkt.tos
    tcb.rcv_nxt = seq_add(pkt.seq, 1)
    tcb.rcv_adv = tcb.rcv_nxt
    tcb.rcv_up = tcb.rcv_nxt
    tcb.last_ack_sent = tcb.rcv_nxt
    old = tcb.snd_wnd
    tcb.snd_wnd = pkt.window
    tcb.max_window = pkt.window
    tcb.snd_wl1 = pkt.seq
    tell.window(tcb, old, "the SYN announces this window, which is never scaled", "RFC 7323 2.2")
    # MUST-15: without an MSS option, the MSS is 536. A tiny MSS is a way to cause work, so there is a minimum; Linux's
    # is 88 - 40.
    tcb.peer_mss = pkt.opt_mss if pkt.opt_mss > 0 else config.tcp_mss_default
    if tcb.peer_mss < config.tcp_min_snd_mss:
        tcb.peer_mss = config.tcp_min_snd_mss
    tcb.sack_ok = config.tcp_sack and pkt.opt_sack_ok
    tcb.ts_ok = config.tcp_timestamps and pkt.opt_ts
    tcb.wscale_ok = config.tcp_window_scaling and pkt.opt_wscale >= 0
    ecn.syn_received(tcb, pkt)
    if tcb.ts_ok:
        tcb.ts_recent = pkt.tsval
        tcb.ts_recent_stamp = tcb.core.now
    if tcb.wscale_ok:
        tcb.snd_wscale = pkt.opt_wscale if pkt.opt_wscale < 14 else 14
    else:
        tcb.snd_wscale = 0
        tcb.rcv_wscale = 0
    if tcb.route is not None:
        update_mss(tcb)
    if not tcb.passive:
        quirks.round_buffer(tcb)


def fresh_child(listener: Tcb, pkt: Packet) -> Any:
    """Return a Tcb for a SYN, or for the ACK of a SYN cookie, at a listener, with the listener's options.

    Return None, and count the drop, if there is no memory or no route back.
    """
    core = listener.core
    if memory.refuses(listener, pkt.src):
        core.counters.TcpExtListenDrops += 1
        return None
    tcb = new_tcb(core)
    tcb.laddr = pkt.dst
    tcb.lport = pkt.dport
    tcb.raddr = pkt.src
    tcb.rport = pkt.sport
    tcb.passive = True
    tcb.parent = listener
    inherit(tcb, listener)
    if core.tunnel is not None:
        # TCP in UDP: the answer uses the encapsulation of the SYN.
        tcb.encap = core.tunnel
        tcb.options_given = True
    tcb.rcv_wscale = window_scale(tcb)
    if pkt.ip_options > 0:
        received_route(tcb, pkt)
    if not have_route(tcb):
        core.counters.TcpExtListenDrops += 1
        core.drop("tcp-no-route", listener.subject(), "there is no route to the sender of the SYN", "RFC 9293 3.10.7.2")
        return None
    return tcb


def to_accept_queue(tcb: Tcb, listener: Tcb) -> None:
    """Move a connection to the accept queue, and wake the listener."""
    queue: Listener = listener.listener
    queue.to_accept(tcb)
    listener.wake(C.EV_IN)
    tell.listen(listener, "accept", "a connection is ready to be accepted", "RFC 9293 3.10.7.4")


def inherit(tcb: Tcb, listener: Tcb) -> None:
    """Copy the options that an accepted socket inherits from its listener, as in Linux."""
    tcb.nodelay = listener.nodelay
    tcb.keepalive = listener.keepalive
    tcb.keepidle = listener.keepidle
    tcb.keepintvl = listener.keepintvl
    tcb.keepcnt = listener.keepcnt
    tcb.user_timeout = listener.user_timeout
    tcb.keepinit = listener.keepinit
    tcb.user_mss = listener.user_mss
    tcb.linger = listener.linger
    tcb.ttl = listener.ttl
    tcb.tos = listener.tos
    tcb.pmtudisc = listener.pmtudisc
    tcb.noopt = listener.noopt
    tcb.recverr = listener.recverr
    tcb.oobinline = listener.oobinline
    tcb.reuseaddr = listener.reuseaddr
    tcb.sndbuf_size = listener.sndbuf_size
    tcb.recvbuf.size = listener.recvbuf.size
    tcb.rcvbuf_fixed = listener.rcvbuf_fixed
    tcb.sndbuf_fixed = listener.sndbuf_fixed
    tcb.bound_iface = listener.bound_iface
    tcb.dontroute = listener.dontroute
    tcb.mark = listener.mark
    tcb.congestion = listener.congestion
    tcb.window_clamp = listener.window_clamp
    tcb.notsent_lowat = listener.notsent_lowat
    tcb.max_pacing_rate = listener.max_pacing_rate
    tcb.rcvlowat = listener.rcvlowat
    tcb.linger2 = listener.linger2
    tcb.min_ttl = listener.min_ttl
    if listener.options is not None:
        tcb.options = dict(listener.options)
    if listener.errqueue is not None and listener.errqueue.zerocopy:
        errqueue.of(tcb).zerocopy = True


def syn_sent_state(tcb: Tcb, pkt: Packet) -> None:
    """Process a segment in SYN-SENT (RFC 9293 3.10.7.3)."""
    core = tcb.core
    flags = pkt.tcp_flags
    rfc = "RFC 9293 3.10.7.3"
    ack_ok = False
    # First, the ACK bit.
    if flags & C.ACK:
        if seq_le(pkt.ack, tcb.iss) or seq_gt(pkt.ack, tcb.snd_nxt):
            core.drop("tcp-bad-ack", tcb.subject(), "the segment does not acknowledge our SYN", rfc)
            if not flags & C.RST:
                send_reset(core, pkt.dst, pkt.src, pkt.dport, pkt.sport, pkt.ack, 0, C.RST, "the ACK is not valid", rfc)
            return
        ack_ok = True
        if quirks.foreign_stamp(tcb, pkt, ts_now(tcb)):
            core.counters.TcpExtPAWSActive += 1
            core.drop("tcp-paws", tcb.subject(), "it echoes a timestamp that was never sent", "RFC 7323 3.2")
            send_reset(
                core, pkt.dst, pkt.src, pkt.dport, pkt.sport, pkt.ack, 0, C.RST, "the timestamp is not ours", rfc
            )
            return
    # Second, the RST bit.
    if flags & C.RST:
        if ack_ok:
            core.counters.TcpAttemptFails += 1
            fail_connection(tcb, errno.ECONNREFUSED, "the peer refused the connection", rfc)
        else:
            core.drop("tcp-reset-unknown", tcb.subject(), "the RST does not acknowledge our SYN", rfc)
        return
    # Third, security: not implemented. Fourth, the SYN bit.
    if not flags & C.SYN:
        core.drop("tcp-no-syn", tcb.subject(), "the segment has neither SYN nor RST", rfc)
        return
    take_syn(tcb, pkt)
    tcb.last_recv = core.now
    if ack_ok:
        sample = clean_rtxq(tcb, pkt.ack)
        data_acked(tcb, pkt.ack)
        measure(tcb, pkt, sample)
        restart_rto(tcb, True)
        ack_now(tcb, "the third step of the handshake acknowledges the peer's SYN", rfc)
        became_established(tcb, pkt, "our SYN is acknowledged")
        fastopen.answered(tcb, pkt)
        rest_of_syn(tcb, pkt)
        return
    crossed_syns(tcb, pkt)


def crossed_syns(tcb: Tcb, pkt: Packet) -> None:
    """Process the SYN of a simultaneous open: answer with a SYN-ACK.

    Text and FIN wait until the connection is established.
    """
    core = tcb.core
    quirks.keep_crossed_text(tcb, pkt)
    set_state(tcb, C.SYN_RECEIVED, "both sides opened at the same time", "RFC 9293 3.5")
    core.cancel_timer(tcb.rto_timer, "our SYN is retransmitted as a SYN,ACK", "RFC 9293 3.5")
    if tcb.syn_data:
        # With Fast Open, only the SYN is retransmitted, because its data is already in flight (RFC 7413 4.2.2).
        tcb.rtxq.mark_lost(tcb.rtxq.head())
        tcb.force_retransmit = True
        tcb.syn_why = "both sides opened at the same time, so our SYN is retransmitted as a SYN,ACK"
    else:
        tcb.rtxq.clear()
        memory.settle(tcb)
        tcb.snd_nxt = tcb.iss
    schedule(tcb)


def rest_of_syn(tcb: Tcb, pkt: Packet) -> None:
    """Process the text and the FIN of a SYN-ACK."""
    if pkt.l4_end > pkt.data_off or pkt.tcp_flags & C.FIN:
        pkt.seq = seq_add(pkt.seq, 1)
        pkt.tcp_flags &= ~C.SYN
        tcb.rcv_adv = seq_add(tcb.rcv_nxt, opening_window(tcb))
        if pkt.l4_end > pkt.data_off:
            segment_text(tcb, pkt)
        segment_fin(tcb, pkt)


def syn_received_ack(tcb: Tcb, pkt: Packet) -> bool:
    """Process an ACK of our SYN in SYN-RECEIVED: enter ESTABLISHED if the accept queue has room.

    Return False if the ACK is ignored.
    """
    core = tcb.core
    parent = tcb.parent
    if parent is not None and not tcb.fastopen:
        queue: Listener = parent.listener
        if queue.defer_accept > 0 and pkt.l4_end == pkt.data_off and core.now - tcb.opened_at < queue.defer_accept:
            core.counters.TcpExtTCPDeferAcceptDrop += 1
            core.drop("tcp-defer-accept", tcb.subject(), "the listener waits for data first", "Linux tcp(7)")
            return False
        if queue.accept_full():
            core.counters.TcpExtListenOverflows += 1
            core.counters.TcpExtListenDrops += 1
            if core.config.tcp_abort_on_overflow:
                abort_connection(tcb, errno.ECONNABORTED, "the accept queue is full", "Linux tcp_abort_on_overflow")
            else:
                core.drop("tcp-accept-queue-full", tcb.subject(), "the accept queue is full", "Linux listen(2)")
            return False
    old = tcb.snd_wnd
    tcb.snd_wnd = pkt.window << tcb.snd_wscale
    tcb.max_window = tcb.snd_wnd
    tcb.snd_wl1 = pkt.seq
    tcb.snd_wl2 = pkt.ack
    tell.window(tcb, old, "the last ACK of the handshake announces this window", "RFC 9293 3.10.7.4")
    if tcb.accecn is not None and not tcb.accecn.skip:
        ecn.third_ack(tcb, pkt)
    sample = clean_rtxq(tcb, pkt.ack)
    if tcb.passive:
        # Linux's counter of delivered segments excludes the SYN-ACK.
        core.counters.TcpExtTCPDelivered -= 1
    data_acked(tcb, pkt.ack)
    measure(tcb, pkt, sample)
    restart_rto(tcb, True)
    became_established(tcb, pkt, "the peer acknowledged our SYN")
    if parent is None:
        fastopen.answered(tcb, pkt)
    if tcb.syn_text is not None:
        text_of_syn(tcb)
    if parent is not None:
        tcb.parent = None
        if tcb.fastopen:
            queue = parent.listener
            queue.fastopen_pending -= 1
        else:
            to_accept_queue(tcb, parent)
    return True


def text_of_syn(tcb: Tcb) -> None:
    """Deliver the data of the SYN of a simultaneous open, which waited for ESTABLISHED (RFC 9293 3.10.7.3)."""
    n = len(tcb.syn_text)
    if n > 0:
        tcb.recvbuf.put(tcb.syn_text, 0, n)
        memory.settle(tcb)
        before = tcb.rcv_nxt
        tcb.rcv_nxt = seq_add(before, n)
        tcb.bytes_received += n
        tell.received(tcb, "tcp.data", before, n, "the data of the SYN is accepted now", "RFC 9293 3.10.7.3")
        ack_policy(tcb)
        tcb.wake(C.EV_IN)
    tcb.syn_text = None


def became_established(tcb: Tcb, pkt: Packet, why: str) -> None:
    """Enter ESTABLISHED: start congestion control and keep-alive, and wake the writer."""
    core = tcb.core
    set_state(tcb, C.ESTABLISHED, why, "RFC 9293 3.10.7")
    if tcb.srtt == 0 and tcb.total_retrans > 0:
        # RFC 6298 5.7: the SYN was retransmitted, so it gave no sample.
        timeout = backed_off(tcb)
        tcb.rto = max(tcb.rto, 3 * core.config.tcp_rto_initial)
        tcb.backoff = 0
        tell.rto(tcb, timeout, "the SYN was retransmitted and gave no RTT sample", "RFC 6298 5.7")
    tcb.rto_ended()
    # As in Linux, the handshake counts as the last data received until data arrives.
    tcb.last_data_recv = core.now
    tcb.ca_state = C.CA_OPEN
    mtuprobe.established(tcb)
    fresh = tcb.cc is None
    start_congestion_control(tcb)
    if fresh and syn_lost(tcb, pkt) and tcb.cc.keeps_window and tcb.cwnd > tcb.mss:
        old = tcb.cwnd
        tcb.cwnd = tcb.mss
        tell.cwnd(tcb, old, tcb.ssthresh, "the SYN or its answer was lost, so cwnd is one segment", "RFC 5681 3.1")
    ecn.established(tcb)
    if tcb.fin_pending:
        # 3.10.4: the application called CLOSE during the handshake.
        set_state(tcb, C.FIN_WAIT_1, "the application closed its side during the handshake", "RFC 9293 3.10.4")
    if tcb.passive:
        quirks.round_buffer(tcb)
    if tcb.keepalive:
        keepalive_arm(tcb)
    tcb.wake(C.EV_OUT)
    schedule(tcb)


def syn_lost(tcb: Tcb, pkt: Packet) -> bool:
    """Return True if the SYN or SYN-ACK was retransmitted so often that the path may be congested (RFC 5681 3.1).

    If `pkt`, the segment that opens the connection, echoes the timestamp of the first one, nothing was lost (RFC 3522).
    """
    least = tcb.core.config.tcp_init_cwnd_retrans
    if least == 0 or tcb.total_retrans < least or (tcb.total_rto == 0 and not tcb.passive):
        return False
    return not (tcb.ts_ok and pkt.opt_ts and pkt.tsecr == tcb.syn_stamp)


def start_congestion_control(tcb: Tcb) -> None:
    """Start the congestion control algorithm of the socket with its initial window, once per connection."""
    if tcb.cc is None:
        try:
            tcb.cc = create(tcb.congestion)
        except ValueError:
            # The setting was changed to an unknown name after the stack started. Linux falls back to Reno, too.
            tcb.congestion = "reno"
            tcb.cc = create("reno")
        tcb.rate = new_rate()
        tcb.rcv_space = min(tcb.recvbuf.size, 10 * tcb.mss)
        old = tcb.cwnd
        ssthresh = tcb.ssthresh
        tcb.cc.conn_init(tcb)
        set_pacing(tcb)
        tell.cwnd(tcb, old, ssthresh, "the connection begins with the initial window", "RFC 6928 2")
