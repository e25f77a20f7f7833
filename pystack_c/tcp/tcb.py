"""The transmission control block (TCB): the variables of one connection (RFC 9293 section 3.3.1)."""

from typing import Any

import pystack_c.const as C
from pystack_c.base.address import addr_text
from pystack_c.base.seqnum import seq_diff
from pystack_c.endpoint import Endpoint
from pystack_c.tcp.queues.recvbuf import new_recvbuf
from pystack_c.tcp.queues.rtxq import new_rtxq
from pystack_c.tcp.queues.sendbuf import new_sendbuf
from pystack_c.tcp.queues.share import LEAST, over_share
from pystack_c.tcp.snapshot import snapshot


class Tcb(Endpoint):
    """One connection, one listener, or a socket that is neither yet."""

    def __init__(self, core: Any, ident: int) -> None:
        self.begin(core, ident)

    def begin(self, core: Any, ident: int) -> None:  # inherited
        """Give every field its initial value.

        The fields are grouped by mechanism. Times are nanoseconds, sizes are bytes, and sequence numbers are 32 bits
        wide (tcp/marks.py says how each stays comparable), unless a comment says otherwise. -1 means "never" or "none".
        """
        Endpoint.begin(self, core, ident)
        self._begin_connection()
        self._begin_sequence_spaces()
        self._begin_segment_size()
        self._begin_windows()
        self._begin_closing()
        self._begin_acknowledging()
        self._begin_round_trip()
        self._begin_timers()
        self._begin_congestion()
        self._begin_recovery()
        self._begin_rack()
        self._begin_undo()
        self._begin_ecn()
        self._begin_options()
        self._begin_statistics()
        self._begin_progress()
        # The queues: data from SND.UNA to the last byte written, data around RCV.NXT, and the records of segments in
        # flight.
        self.sendbuf = new_sendbuf()
        self.recvbuf = new_recvbuf(self.core.config.tcp_rmem)
        self.rtxq = new_rtxq()

    def _begin_connection(self) -> None:
        """The state (RFC 9293 3.3.2), how the connection was opened, and where it is registered."""
        self.state = C.CLOSED
        self.passive = False  # opened by a SYN from the peer
        self.listener: Any = None  # LISTEN: the queue of connections to accept (opening/listener.py)
        self.parent: Any = None  # the listening Tcb, until the connection is established
        self.registered = False  # in the connection table
        self.detached = False  # closed by the application: nothing reads any more, and only the protocol continues
        self.time_waiting = False  # counted among the connections in TIME-WAIT (tcp_max_tw_buckets)
        self.output_queued = False  # in core.output_queue (schedule.py)
        self.route: Any = None  # the route.Dst of outgoing segments
        # Fast Open (RFC 7413; opening/fastopen.py)
        self.tfo: Any = None  # its variables (opening/tfostate.py), or None if nothing has requested it
        self.fastopen = False  # data in the SYN opened the connection
        self.syn_data = False  # our SYN carried data
        self.opened_at = 0  # the time when the SYN arrived, for TCP_DEFER_ACCEPT
        self.syn_why = ""  # why the SYN or SYN-ACK is retransmitted before its timer expires, or ""
        self.syn_text: Any = None  # data in the SYN of a simultaneous open (3.10.7.3)
        self.soft_error = 0  # the errno of a transient error from ICMP or IP (RFC 1122 4.2.3.9)
        self.was_reset = False  # ended by a RST or an error: reads return the end of the stream
        # The connection's part of the total memory (queues/memory.py).
        self.charged = 0
        self.orphan = False  # counted among the connections that the application has closed (tcp_max_orphans)

    def _begin_sequence_spaces(self) -> None:
        """The send and receive sequence variables (RFC 9293 3.3.1)."""
        self.iss = 0  # ISS
        self.snd_una = 0  # SND.UNA
        self.snd_nxt = 0  # SND.NXT
        self.snd_up = 0  # SND.UP, the byte after the urgent data
        self.snd_sml = 0  # the end of the last segment that was not full-sized (Minshall's variant of Nagle)
        self.irs = 0  # IRS
        self.rcv_nxt = 0  # RCV.NXT
        self.rcv_up = 0  # RCV.UP
        self.urgent: Any = None  # urgstate.py, or None if the peer has sent no urgent data
        self.last_ack_sent = 0  # Last.ACK.sent (RFC 7323 4.3)

    def _begin_segment_size(self) -> None:
        """The segment size, the path MTU, and the options negotiated in the handshake."""
        default = self.core.config.tcp_mss_default
        self.mss = default  # Eff.snd.MSS (3.7.1), less the options in every segment
        self.peer_mss = default  # SendMSS: the peer's MSS option
        self.rcv_mss = default  # the size of the peer's full-sized segments, as observed
        self.user_mss = 0  # TCP_MAXSEG; 0: no limit
        self.path_mtu = 0  # the route's path MTU when `mss` was last computed
        self.pmtudisc = 1  # IP_MTU_DISCOVER
        self.mtup: Any = None  # the search for the path MTU (RFC 4821, mtuprobe.py), or None
        self.sack_ok = False  # SACK permitted (RFC 2018)
        self.ts_ok = False  # Snd.TS.OK (RFC 7323 3)
        self.ts_recent = 0  # TS.Recent, from the peer's clock
        self.ts_recent_stamp = 0  # the time when it was set: it is invalid after 24 days (5.5)
        self.ts_offset = 0  # how far this connection's timestamp clock is ahead, in milliseconds (7.1)
        self.syn_stamp = 0  # the TSval of the first SYN, in milliseconds

    def _begin_windows(self) -> None:
        """Flow control: the peer's window and the local one (RFC 9293 3.8.6), with receive-buffer autotuning."""
        self.snd_wnd = 0  # SND.WND
        self.snd_wl1 = 0  # SND.WL1: SEG.SEQ of the segment that set SND.WND
        self.snd_wl2 = 0  # SND.WL2: its SEG.ACK
        self.max_window = 0  # Max(SND.WND) (3.8.6.2.1)
        self.wscale_ok = False  # both sides use window scaling (RFC 7323 2)
        self.snd_wscale = 0  # Snd.Wind.Shift, in bits
        self.rcv_wscale = 0  # Rcv.Wind.Shift, in bits
        self.rcv_adv = 0  # RCV.NXT + RCV.WND: the right edge of the announced window
        self.rcv_wnd_told = 1  # the last announced window; not 0, so that the first one does not count as reopened
        self.syn_window = False  # the peer knows only the window of our SYN
        self.rcv_limit = 0  # a limit of the window that grows with the data received (tcp_window_start); 0: none
        self.window_clamp = 0  # TCP_WINDOW_CLAMP; 0: none
        # Autotuning (queues/autotune.py): the bytes read in this round trip, its start, and the most bytes read in one.
        self.rcv_copied = 0
        self.rcv_space_at = 0
        self.rcv_space = 0
        self.sndbuf_size = self.core.config.tcp_wmem  # SO_SNDBUF
        self.rcvbuf_fixed = False  # the application set SO_RCVBUF, so autotuning is off
        self.sndbuf_fixed = False

    def _begin_closing(self) -> None:
        """FIN and shutdown (RFC 9293 3.6)."""
        self.fin_pending = False  # a FIN will follow the queued data
        self.fin_sent = False
        self.fin_seq = 0  # the FIN's sequence number, if fin_sent
        self.fin_received = False
        self.fin_expected = False  # a FIN arrived out of order, with this sequence number
        self.fin_expected_seq = 0
        self.closing_fin = False  # CLOSING: the next ACK repeats the FIN (FreeBSD, tcp_closing_fin)
        self.shut_rd = False  # shutdown(SHUT_RD)
        self.shut_wr = False  # shutdown(SHUT_WR), or close

    def _begin_acknowledging(self) -> None:
        """The content of the next ACK, and when it is due (3.8.6.3, RFC 5681 4.2; delack.py)."""
        self.ack_now = False  # an ACK is due at the next poll
        self.ack_reason = ""  # the reason for the probe event
        self.quickack = self.core.config.tcp_quickack_segs  # segments to acknowledge at once (TCP_QUICKACK)
        self.sacks: Any = None  # SACK blocks to report, the most recent first (RFC 2018 4), or None
        self.dsack: Any = None  # a D-SACK block to report once (RFC 2883), or None
        self.last_bad_ack = -1  # when an invalid segment was last answered (tcp_invalid_ratelimit, RFC 5961 7)

    def _begin_round_trip(self) -> None:
        """The round-trip time and the retransmission timeout (RFC 6298; loss/rtt.py)."""
        self.srtt = 0  # SRTT; 0: no sample yet
        self.rttvar = 0  # RTTVAR
        self.rto = self.core.config.tcp_rto_initial  # RTO, without backoff
        self.backoff = 0  # the number of times that the RTO is doubled (5.5)
        self.last_rtt = -1  # the latest sample
        self.min_rtt = -1  # the minimum within tcp_min_rtt_wlen
        self.min_rtt_at = 0
        # The round-trip time at the receiver: the time to receive one window, or from a timestamp to its echo.
        self.rcv_rtt = 0
        self.rcv_rtt_at = -1
        self.rcv_rtt_seq = 0
        self.rcv_rtt_echo = 0  # the TSecr of the last sample

    def _begin_timers(self) -> None:
        """The timers (base/timer.py), each None until it is first set, and their counts."""
        self.rto_timer: Any = None  # retransmission, loss probe or persist, one at a time (rtotimer.py)
        self.rto_deadline = 0  # when the retransmission is due, while a loss probe uses the timer
        self.reorder_timer: Any = None  # RACK's reordering timer (RFC 8985 6.2)
        self.pace_timer: Any = None  # the timer for the next segment at the pacing rate
        self.delack_timer: Any = None  # the delayed ACK
        self.wait_timer: Any = None  # TIME-WAIT, or an orphan in FIN-WAIT-2
        self.keep_timer: Any = None  # keep-alive (3.8.4)
        self.retries = 0  # consecutive retransmission timeouts (R1 and R2, 3.8.3)
        self.retry_start = -1  # when data in flight was first sent, or last acknowledged (TCP_USER_TIMEOUT)
        self.probes = 0  # consecutive window probes (3.8.6.1)
        self.keep_probes = 0  # consecutive keep-alive probes
        self.last_recv = 0  # when a segment last arrived (keep-alive)
        self.last_send = 0  # when data was last sent (restart after an idle time, RFC 5681 4.1)

    def _begin_congestion(self) -> None:
        """Congestion control (RFC 5681, RFC 7661), delivery rate and pacing."""
        self.congestion = self.core.config.tcp_congestion  # the algorithm's name (TCP_CONGESTION)
        self.cc: Any = None  # the algorithm, from ESTABLISHED on (congestion/base.py)
        self.cwnd = 0  # cwnd
        self.ssthresh = self.core.config.tcp_init_ssthresh  # ssthresh
        self.cwnd_limited = False  # cwnd was filled in this round trip, so it may grow (RFC 7661)
        self.max_out = 0  # the most bytes in flight in this round trip
        self.cwnd_round = 0  # the sequence number that ends this round trip
        self.rate: Any = None  # the sampler of the delivery rate (congestion/rate.py)
        self.pacing_rate = 0  # bytes per second that the algorithm requests; 0: no pacing
        self.max_pacing_rate = 0  # SO_MAX_PACING_RATE; 0: no limit
        self.pace_at = 0  # when pacing allows the next segment
        # What limits the sender now, the start of this period, and the total times of each limit
        # (congestion/chrono.py).
        self.chrono = 0
        self.chrono_at = 0
        self.chrono_busy = 0
        self.chrono_rwnd = 0
        self.chrono_sndbuf = 0
        self.no_space = False  # the application found the send buffer full

    def _begin_recovery(self) -> None:
        """Loss recovery (RFC 6582, RFC 6675) and proportional rate reduction (RFC 9937)."""
        self.ca_state = C.CA_OPEN  # the phase, one of C.CA_*
        self.recover = 0  # recover, RecoveryPoint: the phase ends when this number is acknowledged
        self.dupacks = 0  # consecutive duplicate ACKs
        self.reno_sacked = 0  # bytes that left the network according to duplicate ACKs without SACK
        self.force_retransmit = False  # retransmit one lost segment regardless of cwnd (fast retransmit)
        self.partial_seen = False  # NewReno: a partial ACK has restarted the retransmission timer
        self.own_recovery = False  # the algorithm replaces the recovery of this stack (BBR), so PRR is off
        self.prr_delivered = 0  # prr_delivered
        self.prr_out = 0  # prr_out
        self.prr_flight = 0  # RecoverFS
        # The results of the current ACK. Each ACK resets them.
        self.ack_dsack = False  # it reports a duplicate
        self.ack_orig = False  # it covers a segment that was sent only once
        self.ack_delivered = 0  # bytes that it acknowledges or SACKs
        self.ack_reordered = False  # it reveals reordering
        self.reordering = self.core.config.tcp_reordering  # the degree of reordering on the path, in segments

    def _begin_rack(self) -> None:
        """RACK-TLP (RFC 8985; loss/rack.py)."""
        self.rack_started = False  # a segment was delivered
        self.rack_order = 0  # RACK.segment: the transmission's ordinal number (RFC: xmit_ts)
        self.rack_end = 0  # RACK.segment.end_seq
        self.rack_rtt = 0  # RACK.rtt
        self.rack_fack = 0  # RACK.fack
        self.rack_reordering = False  # RACK.reordering_seen
        self.rack_mult = 1  # RACK.reo_wnd_mult
        self.rack_persist = 16  # RACK.reo_wnd_persist, in recoveries
        self.rack_dsack_round = False  # RACK.dsack_round is set
        self.rack_dsack_seq = 0  # RACK.dsack_round: the sequence number that ends the round
        self.tlp_out = False  # a probe is in flight: TLP.end_seq is valid
        self.tlp_end = 0  # TLP.end_seq
        self.tlp_is_retrans = False  # TLP.is_retrans
        self.tlp_new = False  # a probe with new data is due, and may exceed cwnd by one segment (7.3)

    def _begin_undo(self) -> None:
        """Undo a spurious response to loss: Eifel, D-SACK, F-RTO (RFC 3522, RFC 3708, RFC 5682; loss/undo.py)."""
        self.undo_possible = False  # the state before the response is saved
        self.prior_cwnd = 0  # cwnd before the response
        self.prior_ssthresh = 0
        self.undo_marker = 0  # SND.UNA when the response began
        self.undo_retrans = 0  # retransmissions since then that no D-SACK block has reported
        self.undo_stamp = 0  # TSval of the first retransmission, in milliseconds; 0: none
        self.undo_end = 0  # the end of that retransmission's data
        self.dsack_end = 0  # the end of the last duplicate that the peer reported
        self.frto = False  # F-RTO is in progress
        self.frto_end = 0  # SND.NXT at the timeout

    def _begin_ecn(self) -> None:
        """Classic ECN (RFC 3168; ecn/ecn.py), and accurate ECN (RFC 9768; ecn/accecn.py)."""
        self.accecn: Any = None  # its variables (ecn/accstate.py) in AccECN mode, else None
        self.accecn_asked = False  # our SYN requested AccECN
        self.ecn_asked = False  # our SYN requested ECN, of either kind
        self.ecn_ok = False  # classic ECN is in use, not AccECN
        self.ecn_echo = False  # set ECE on each ACK until the sender sets CWR
        self.ecn_cwr = False  # set CWR on the next segment with new data
        self.ecn_recover = 0  # respond again only to an ACK beyond this number: one response per window
        self.ecn_recover_set = False  # ecn_recover is valid
        self.ecn_seen = False  # a packet with an ECT or CE codepoint arrived

    def _begin_options(self) -> None:
        """The options that the application set: socket(7), tcp(7), ip(7)."""
        self.nodelay = not self.core.config.tcp_nagle  # TCP_NODELAY
        self.cork = False  # TCP_CORK
        self.more = False  # MSG_MORE of the last write
        self.push_now = False  # TCP_NODELAY was just set: send pending data
        self.notsent_lowat = 0  # TCP_NOTSENT_LOWAT; 0: use the setting
        self.rcvlowat = 1  # SO_RCVLOWAT
        self.oobinline = False  # SO_OOBINLINE
        self.keepalive = False  # SO_KEEPALIVE
        self.keepidle = self.core.config.tcp_keepalive_time  # TCP_KEEPIDLE
        self.keepintvl = self.core.config.tcp_keepalive_intvl  # TCP_KEEPINTVL
        self.keepcnt = self.core.config.tcp_keepalive_probes  # TCP_KEEPCNT
        self.keepinit = 0  # FreeBSD's TCP_KEEPINIT; 0: use the setting (quirks.opening_time)
        self.syn_retries = self.core.config.tcp_syn_retries  # TCP_SYNCNT
        self.user_timeout = 0  # TCP_USER_TIMEOUT (RFC 5482); 0: none
        self.defer_accept = 0  # TCP_DEFER_ACCEPT
        self.linger = -1  # SO_LINGER; -1: off
        self.linger2 = 0  # TCP_LINGER2; 0: use the setting
        self.min_ttl = 0  # IP_MINTTL (RFC 5082)
        self.noopt = False  # FreeBSD's TCP_NOOPT
        self.options_given = False  # the application chose `encap`: a received route does not replace it (MUST-52)
        self.recverr = False  # IP_RECVERR
        self.rcv_tos = 0  # the DS field of the last packet (IP_RECVTOS)
        self.errqueue: Any = None  # queues/errqueue.py, or None if the application did not request it
        self.chunks: Any = None  # queues/chunks.py, or None if no write boundaries are kept (tcp_linux_queue, MSG_EOR)

    def _begin_statistics(self) -> None:
        """Statistics that only tcp_info reports (RFC 4898; info.py)."""
        self.segs_in = 0
        self.segs_out = 0
        self.data_segs_in = 0
        self.data_segs_out = 0
        self.bytes_sent = 0
        self.bytes_retrans = 0
        self.delivered_ce = 0  # segments that were delivered with a CE mark
        self.reord_seen = 0  # the number of ACKs that revealed reordering
        self.rcv_ooopack = 0  # segments that arrived out of order
        self.last_ack_recv = 0
        # Retransmission timeouts: their number, the number of recoveries with one, the time these took, and the start
        # of the current one (-1: none).
        self.total_rto = 0
        self.rto_recoveries = 0
        self.rto_time = 0
        self.rto_stamp = -1

    def _begin_progress(self) -> None:
        """Totals that tcp_info reports and that decisions use, too."""
        self.bytes_received = 0
        self.bytes_acked = 0  # 0: our SYN may still be in flight (syn_out)
        self.total_retrans = 0  # retransmitted segments
        self.dsack_dups = 0  # retransmitted segments that the peer reported as duplicates
        self.delivered = 0  # segments that were acknowledged or SACKed
        self.last_data_recv = 0

    def on_timer(self, kind: int) -> None:  # inherited
        """Pass the expiry of a timer to `tcp.timers`."""
        self.core.tcp.on_timer(self, kind)

    def subject(self) -> str:  # inherited
        """Return the connection's name in events, with its local and remote addresses and ports."""
        return f"tcp {addr_text(self.laddr)}:{self.lport}-{addr_text(self.raddr)}:{self.rport}"

    def listening(self) -> bool:  # inherited
        """Return True in LISTEN. The rules of SO_REUSEADDR use this."""
        return self.state == C.LISTEN

    def in_flight(self) -> int:
        """Return the bytes believed to be in the network, RFC 6675's "pipe".

        These are FlightSize less the SACKed and lost bytes, plus the retransmitted ones.
        """
        q = self.rtxq
        sacked = q.sacked_out if self.sack_ok else self.reno_sacked
        pipe = seq_diff(self.snd_nxt, self.snd_una) - sacked - q.lost_out + q.retrans_out
        return pipe if pipe > 0 else 0

    def may_grow(self) -> bool:
        """Return True if cwnd was filled, or in slow start more than half filled, so that it may grow (RFC 7661)."""
        return self.cwnd_limited or (self.cwnd < self.ssthresh and self.cwnd < 2 * self.max_out)

    def rcv_wnd(self) -> int:
        """Return RCV.WND in bytes: the part of the announced window that is still open."""
        wnd = seq_diff(self.rcv_adv, self.rcv_nxt)
        return wnd if wnd > 0 else 0

    def unsent(self) -> int:
        """Return the number of bytes written but never sent."""
        return self.sendbuf.tail - self.send_offset()

    def send_offset(self) -> int:
        """Return the stream offset of the first byte that was never sent."""
        n = seq_diff(self.snd_nxt, self.snd_una)
        head = self.sendbuf.head
        if self.fin_sent and n > 0:
            n -= 1
        if n > 0 and self.syn_out():
            n -= 1
        return head + n

    def syn_out(self) -> bool:
        """Return True until our SYN is acknowledged, in any state: FIN-WAIT-1 can follow SYN-RECEIVED."""
        return self.snd_una == self.iss and self.bytes_acked == 0

    def readiness(self) -> int:  # inherited
        """Return the EV_* bits that poll(2) reports for a stream socket."""
        bits = 0
        if self.state == C.LISTEN:
            return C.EV_IN if self.listener is not None and self.listener.accept_queue else 0
        if self.so_error:
            bits |= C.EV_ERR | C.EV_IN | C.EV_OUT
        if self.errqueue is not None and len(self.errqueue.queue) > 0:
            bits |= C.EV_ERR
        if self.state == C.SYN_SENT or (self.state == C.SYN_RECEIVED and not self.passive):
            return bits | C.EV_OUT if self.tfo is not None and self.tfo.deferred else bits
        if self.state == C.CLOSED:
            return bits | C.EV_HUP | C.EV_OUT | (C.EV_IN | C.EV_RDHUP if self.was_reset or self.fin_received else 0)
        if self.recvbuf.used >= self.rcvlowat or self.fin_received or self.shut_rd:
            bits |= C.EV_IN
        if self.fin_received or self.shut_rd:
            bits |= C.EV_RDHUP
        if self.shut_wr and self.fin_received:
            bits |= C.EV_HUP
        if self.urgent is not None and self.urgent.seen:
            bits |= C.EV_PRI
        if self.shut_wr or (self.send_space() > 0 and self.few_unsent()):
            bits |= C.EV_OUT
        return bits

    def few_unsent(self) -> bool:
        """Return True if so few bytes are unsent that the application may write more (TCP_NOTSENT_LOWAT)."""
        lowat = self.notsent_lowat if self.notsent_lowat > 0 else self.core.config.tcp_notsent_lowat
        return lowat == 0 or self.unsent() < lowat

    def send_space(self) -> int:
        """Return the number of bytes that send() would accept now, but 0 if less than a third of the buffer is free.

        Linux also reports a socket as writable only if a third is free.
        """
        if self.chunks is not None and self.chunks.linux:
            return self.chunks.space(self)
        size = self.send_limit()
        used = self.sendbuf.tail - self.sendbuf.head
        if size - used >= size // 3:
            return size - used
        return 0

    def send_limit(self) -> int:
        """Return the number of bytes that the send buffer may hold now.

        This is half of its size if memory is scarce, and LEAST if there is none left, or if the peer exceeds its share.
        """
        size = self.sndbuf_size
        core = self.core
        if not core.tcp_pressure:
            return size
        limit = size // 2
        if core.tcp_memory + LEAST > core.config.tcp_mem_high or over_share(core, self.raddr, LEAST):
            limit = LEAST
        if limit < LEAST:
            limit = LEAST
        return limit if limit < size else size

    def rto_ended(self) -> None:
        """Stop the clock of tcpi_total_rto_time at the end of a recovery that began with a timeout."""
        if self.rto_stamp >= 0:
            self.rto_time += self.core.now - self.rto_stamp
            self.rto_stamp = -1

    def snapshot(self) -> dict[str, Any]:  # inherited
        """Return the variables that a learner examines, by their RFC names.

        `timers` has the deadlines of running timers.
        """
        return snapshot(self)


def new_tcb(core: Any) -> Tcb:
    """Return a new TCB with the next number. This is faster than a call of Tcb(...)."""
    tcb: Tcb = Tcb.__new__(Tcb)
    tcb.begin(core, core.new_ident())
    return tcb
