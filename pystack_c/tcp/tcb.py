"""The transmission control block: all variables of one connection (RFC 9293 section 3.3.1)."""

from typing import Any

import pystack_c.const as C
from pystack_c.base.address import addr_text, key
from pystack_c.base.seqnum import seq_diff
from pystack_c.core import Core
from pystack_c.endpoint import Endpoint
from pystack_c.probe import TIMER_NAMES
from pystack_c.tcp.queues.recvbuf import new_recvbuf
from pystack_c.tcp.queues.rtxq import new_rtxq
from pystack_c.tcp.queues.sendbuf import new_sendbuf

STATE_NAMES = {
    C.ESTABLISHED: "ESTABLISHED",
    C.SYN_SENT: "SYN-SENT",
    C.SYN_RECEIVED: "SYN-RECEIVED",
    C.FIN_WAIT_1: "FIN-WAIT-1",
    C.FIN_WAIT_2: "FIN-WAIT-2",
    C.TIME_WAIT: "TIME-WAIT",
    C.CLOSED: "CLOSED",
    C.CLOSE_WAIT: "CLOSE-WAIT",
    C.LAST_ACK: "LAST-ACK",
    C.LISTEN: "LISTEN",
    C.CLOSING: "CLOSING",
}

PHASES = {
    C.CA_OPEN: "open",
    C.CA_DISORDER: "disorder",
    C.CA_CWR: "cwr",
    C.CA_RECOVERY: "recovery",
    C.CA_LOSS: "loss",
}

# What a connection's buffers may hold each way, however scarce memory is (Linux: the least of tcp_rmem and of tcp_wmem).
LEAST = 4096
# A peer holds much that holds more than this part of tcp_mem_high.
LARGE = 64

# What a snapshot of a TCB holds (probe events, the stepper).
SNAPSHOT = (
    "snd_una snd_nxt snd_wnd snd_wl1 snd_wl2 max_window iss rcv_nxt rcv_adv irs mss peer_mss rcv_mss snd_wscale "
    "rcv_wscale sack_ok ts_ok ts_recent srtt rttvar min_rtt rto backoff cwnd ssthresh dupacks retries probes "
    "fin_sent fin_received shut_rd shut_wr quickack nodelay total_retrans congestion"
).split()


class Tcb(Endpoint):
    """One connection (or one listener, or a socket that is neither yet)."""

    def __init__(self, core: Any, ident: int) -> None:
        self.begin(core, ident)

    def begin(self, core: Any, ident: int) -> None:  # inherited
        """Give every field its first value.

        The fields are grouped by mechanism. Times are nanoseconds, sizes are bytes, and sequence numbers are 32 bits wide
        (tcp/marks.py says how each stays comparable), unless a comment says otherwise. -1 means "never" or "none".
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
        self._begin_accecn()
        self._begin_accecn_counters()
        self._begin_fastopen()
        self._begin_urgent()
        self._begin_options()
        self._begin_statistics()
        self._begin_progress()
        # the queues: SND.UNA to what is unsent, RCV.NXT and what waits beyond it, and the records of what is in flight
        self.sendbuf = new_sendbuf()
        self.recvbuf = new_recvbuf(self.core.config.tcp_rmem)
        self.rtxq = new_rtxq()

    def _begin_connection(self) -> None:
        """The state (RFC 9293 3.3.2), how the connection is opened, and who knows it."""
        self.state = C.CLOSED
        self.passive = False  # opened by a SYN that came in
        self.listener: Any = None  # LISTEN: the queue of connections to accept (opening/listener.py)
        self.parent: Any = None  # the listening Tcb, until the connection is handed to it
        self.key: Any = None  # the key in the table of connections (tables.conn_key)
        self.registered = False  # in that table
        self.detached = False  # closed by the application: nobody reads, and only the protocol goes on
        self.time_waiting = False  # counted among those in TIME-WAIT (tcp_max_tw_buckets)
        self.output_queued = False  # in core.output_queue (schedule.py)
        self.route: Any = None  # the route.Dst that segments take
        self.opened_at = 0  # when the SYN came, for TCP_DEFER_ACCEPT
        self.syn_why = ""  # why the SYN or SYN,ACK goes again though no timer was due; "" if it does not
        self.syn_text: Any = None  # data that came with the SYN of a simultaneous open (3.10.7.3)
        self.soft_error = 0  # errno that ICMP or IP reported and that aborts nothing (RFC 1122 4.2.3.9)
        self.was_reset = False  # ended by a RST, or as if by one: reads return the end of the stream
        # what the sum of all memory counts of this connection (queues/memory.py)
        self.charged = 0
        self.orphan = False  # counted among those that the application has let go of (tcp_max_orphans)

    def _begin_sequence_spaces(self) -> None:
        """The send and receive sequence variables (RFC 9293 3.3.1)."""
        self.iss = 0  # ISS
        self.snd_una = 0  # SND.UNA
        self.snd_nxt = 0  # SND.NXT
        self.snd_up = 0  # SND.UP, the byte after the urgent data
        self.snd_sml = 0  # the end of the last segment that was not full (Minshall's Nagle)
        self.irs = 0  # IRS
        self.rcv_nxt = 0  # RCV.NXT
        self.rcv_up = 0  # RCV.UP
        self.last_ack_sent = 0  # Last.ACK.sent (RFC 7323 4.3)

    def _begin_segment_size(self) -> None:
        """The size of segments, the path MTU, and the options agreed on in the handshake."""
        default = self.core.config.tcp_mss_default
        self.mss = default  # Eff.snd.MSS (3.7.1), less the options of every segment
        self.peer_mss = default  # SendMSS: what the peer announced
        self.rcv_mss = default  # the peer's full-sized segments, as seen
        self.user_mss = 0  # TCP_MAXSEG; 0: no bound
        self.path_mtu = 0  # that of the route, when `mss` was last computed
        self.pmtudisc = 1  # IP_MTU_DISCOVER
        self.mtup: Any = None  # the search for the path MTU (RFC 4821, mtuprobe.py), or None
        self.sack_ok = False  # SACK permitted (RFC 2018)
        self.ts_ok = False  # Snd.TS.OK (RFC 7323 3)
        self.ts_recent = 0  # TS.Recent, of the peer's clock
        self.ts_recent_stamp = 0  # when it was set: it is invalid after 24 days (5.5)
        self.ts_offset = 0  # milliseconds that this connection's clock is ahead of ours (7.1)
        self.syn_stamp = 0  # the TSval of the first SYN, in milliseconds

    def _begin_windows(self) -> None:
        """Flow control: the peer's window, and ours (RFC 9293 3.8.6), with receive-buffer autotuning."""
        self.snd_wnd = 0  # SND.WND
        self.snd_wl1 = 0  # SND.WL1: SEG.SEQ of the segment that set SND.WND
        self.snd_wl2 = 0  # SND.WL2: its SEG.ACK
        self.max_window = 0  # Max(SND.WND) (3.8.6.2.1)
        self.wscale_ok = False  # both sides scale (RFC 7323 2)
        self.snd_wscale = 0  # Snd.Wind.Shift, a count of bits
        self.rcv_wscale = 0  # Rcv.Wind.Shift
        self.rcv_adv = 0  # RCV.NXT + RCV.WND: the right edge that was announced
        self.rcv_wnd_told = 1  # the window last announced; not zero, so that the first SYN opens nothing
        self.syn_window = False  # the peer has seen no window but that of our SYN
        self.rcv_limit = 0  # the window grows with what comes, up to the buffer (tcp_window_start); 0: no bound
        self.window_clamp = 0  # TCP_WINDOW_CLAMP; 0: none
        # autotuning (queues/autotune.py): bytes read in this round trip, since when, and the most in one
        self.rcv_copied = 0
        self.rcv_space_at = 0
        self.rcv_space = 0
        self.sndbuf_size = self.core.config.tcp_wmem  # SO_SNDBUF
        self.rcvbuf_fixed = False  # the application set SO_RCVBUF: no autotuning
        self.sndbuf_fixed = False

    def _begin_closing(self) -> None:
        """FIN and shutdown (RFC 9293 3.6)."""
        self.fin_pending = False  # a FIN follows the data that is queued
        self.fin_sent = False
        self.fin_seq = 0  # its sequence number, while fin_sent
        self.fin_received = False
        self.fin_expected = False  # a FIN came out of order, with this sequence number
        self.fin_expected_seq = 0
        self.closing_fin = False  # CLOSING: the next ACK carries the FIN again (FreeBSD, tcp_closing_fin)
        self.shut_rd = False  # shutdown(SHUT_RD)
        self.shut_wr = False  # shutdown(SHUT_WR), or close

    def _begin_acknowledging(self) -> None:
        """What the next ACK says, and when it is due (3.8.6.3, RFC 5681 4.2; delack.py)."""
        self.ack_now = False  # an ACK is owed, and goes at the next poll
        self.ack_reason = ""  # why, for the probe
        self.quickack = self.core.config.tcp_quickack_segs  # segments that are acknowledged at once (TCP_QUICKACK)
        self.sacks: Any = None  # blocks to report, the most recent first (RFC 2018 4), or None
        self.dsack: Any = None  # a duplicate to report once (RFC 2883), or None
        self.last_bad_ack = -1  # when a bad segment was answered last (tcp_invalid_ratelimit, RFC 5961 7)

    def _begin_round_trip(self) -> None:
        """The round trip and the retransmission timeout (RFC 6298; loss/rtt.py)."""
        self.srtt = 0  # SRTT; 0: no sample yet
        self.rttvar = 0  # RTTVAR
        self.rto = self.core.config.tcp_rto_initial  # RTO, without backoff
        self.backoff = 0  # how often the RTO is doubled (5.5)
        self.last_rtt = -1  # the latest sample
        self.min_rtt = -1  # the least in tcp_min_rtt_wlen
        self.min_rtt_at = 0
        # the round trip as a receiver sees it: the time from one window (or timestamp) to the next
        self.rcv_rtt = 0
        self.rcv_rtt_at = -1
        self.rcv_rtt_seq = 0
        self.rcv_rtt_echo = 0  # the TSecr of the last sample

    def _begin_timers(self) -> None:
        """The timers (base/timer.py), each None until it is first set, and what they count."""
        self.rto_timer: Any = None  # retransmission, loss probe, or persist: one runs at a time (rtotimer.py)
        self.rto_deadline = 0  # when the retransmission is due, while a loss probe has the timer
        self.reorder_timer: Any = None  # RACK's reordering window (RFC 8985 6.2)
        self.pace_timer: Any = None  # the next segment at the pacing rate
        self.delack_timer: Any = None  # the delayed ACK
        self.wait_timer: Any = None  # TIME-WAIT, or an orphan in FIN-WAIT-2
        self.keep_timer: Any = None  # keep-alive (3.8.4)
        self.retries = 0  # retransmissions in a row by timeout (R1 and R2, 3.8.3)
        self.retry_start = -1  # when what is unacknowledged was sent first: TCP_USER_TIMEOUT counts from here
        self.probes = 0  # window probes in a row (3.8.6.1)
        self.keep_probes = 0  # keep-alive probes in a row
        self.last_recv = 0  # when a segment came last (keep-alive)
        self.last_send = 0  # when data was sent last (the restart after an idle time, RFC 5681 4.1)

    def _begin_congestion(self) -> None:
        """Congestion control (RFC 5681, RFC 7661), delivery rate, and pacing."""
        self.congestion = self.core.config.tcp_congestion  # the algorithm's name (TCP_CONGESTION)
        self.cc: Any = None  # the algorithm, from ESTABLISHED on (congestion/base.py)
        self.cwnd = 0  # cwnd
        self.ssthresh = self.core.config.tcp_init_ssthresh  # ssthresh
        self.cwnd_limited = False  # cwnd was filled in this round trip: it may grow (RFC 7661)
        self.max_out = 0  # the most that was in flight in it
        self.cwnd_round = 0  # where it ends
        self.rate: Any = None  # the sampler of the delivery rate (congestion/rate.py)
        self.pacing_rate = 0  # bytes a second that the algorithm asks for; 0: no pacing
        self.max_pacing_rate = 0  # SO_MAX_PACING_RATE; 0: no bound
        self.pace_at = 0  # when pacing allows the next segment
        # what holds the sender up, since when, and for how long in all (congestion/chrono.py)
        self.chrono = 0
        self.chrono_at = 0
        self.chrono_busy = 0
        self.chrono_rwnd = 0
        self.chrono_sndbuf = 0
        self.no_space = False  # the application found the send buffer full

    def _begin_recovery(self) -> None:
        """Loss recovery (RFC 6582, RFC 6675) and proportional rate reduction (RFC 6937)."""
        self.ca_state = C.CA_OPEN  # the phase, one of C.CA_*
        self.recover = 0  # recover, RecoveryPoint: the phase ends when this is acknowledged
        self.dupacks = 0  # duplicate ACKs in a row
        self.reno_sacked = 0  # bytes that duplicate ACKs without SACK stand for
        self.force_retransmit = False  # one lost segment goes whatever cwnd says (fast retransmit)
        self.partial_seen = False  # NewReno: a partial ACK restarted the retransmission timer already
        self.own_recovery = False  # the algorithm has a recovery of its own (BBR): no PRR
        self.prr_delivered = 0  # prr_delivered
        self.prr_out = 0  # prr_out
        self.prr_flight = 0  # RecoverFS
        # what one ACK tells: set anew by each
        self.ack_dsack = False  # it reports a duplicate
        self.ack_orig = False  # it delivers something that was sent once
        self.ack_delivered = 0  # bytes that it acknowledges or SACKs
        self.ack_reordered = False  # it shows reordering
        self.reordering = self.core.config.tcp_reordering  # segments by which the path reorders

    def _begin_rack(self) -> None:
        """RACK-TLP (RFC 8985; loss/rack.py)."""
        self.rack_started = False  # something was delivered
        self.rack_order = 0  # RACK.segment: which transmission, by its count (RFC: xmit_ts)
        self.rack_end = 0  # RACK.segment.end_seq
        self.rack_rtt = 0  # RACK.rtt
        self.rack_fack = 0  # RACK.fack
        self.rack_reordering = False  # RACK.reordering_seen
        self.rack_mult = 1  # RACK.reo_wnd_mult
        self.rack_persist = 16  # RACK.reo_wnd_persist, recoveries
        self.rack_dsack_round = False  # RACK.dsack_round is set,
        self.rack_dsack_seq = 0  # and ends here
        self.tlp_out = False  # a probe is out: TLP.end_seq is valid
        self.tlp_end = 0  # TLP.end_seq
        self.tlp_is_retrans = False  # TLP.is_retrans
        self.tlp_new = False  # a probe of new data is to go, one segment beyond cwnd (7.3)

    def _begin_undo(self) -> None:
        """Taking back a wrong response to a loss: Eifel, D-SACK, F-RTO (RFC 3522, RFC 3708, RFC 5682; loss/undo.py)."""
        self.undo_possible = False  # the state before the response is saved
        self.prior_cwnd = 0  # cwnd before it
        self.prior_ssthresh = 0
        self.undo_marker = 0  # SND.UNA when it began
        self.undo_retrans = 0  # retransmissions since that no D-SACK has reported
        self.undo_stamp = 0  # TSval of the first retransmission, in milliseconds; 0: none
        self.undo_end = 0  # and where it ended
        self.dsack_end = 0  # the end of the last duplicate that was reported
        self.frto = False  # F-RTO is under way
        self.frto_end = 0  # SND.NXT at the timeout

    def _begin_ecn(self) -> None:
        """Classic ECN (RFC 3168; ecn/ecn.py)."""
        self.ecn_asked = False  # our SYN asked for it
        self.ecn_ok = False  # agreed on, and not accurate ECN
        self.ecn_echo = False  # ECE on each ACK, until the sender says CWR
        self.ecn_cwr = False  # CWR on the next segment of new data
        self.ecn_recover = 0  # one response a window: the next one beyond this,
        self.ecn_recover_set = False  # if it was set
        self.ecn_seen = False  # a packet with an ECT or CE codepoint came

    def _begin_accecn(self) -> None:
        """Accurate ECN (RFC 9768; ecn/accecn.py): the handshake, and what is not to be trusted."""
        self.accecn = False  # AccECN mode
        self.acc_asked = False  # our SYN asked for it
        self.acc_syn = 0  # IP-ECN of the last SYN, which the SYN,ACK feeds back
        self.acc_again = False  # another SYN came (3.1.5)
        self.acc_answer = -1  # IP-ECN of the SYN,ACK as a handshake code, due on a pure ACK (3.2.2.1)
        self.acc_counted = False  # a mark of the SYN,ACK was counted
        self.acc_respond = False  # the handshake met a mark: respond in ESTABLISHED
        self.acc_skip = False  # the next ACE field is a handshake code, and not a counter
        self.acc_first = False  # the next one is the first counter, which is not 0 (3.2.2.4)
        self.acc_newer = False  # this ACK has a newer timestamp than any before (A.1)
        self.acc_no_ect = False  # send without ECT from now on
        self.acc_deaf = False  # the ACE field is not to be trusted: no response to it
        self.acc_fail = 0  # accecn.*_FAIL_*, a sum of bits (tcpi_accecn_fail_mode)
        self.acc_last = 0  # IP-ECN of the last packet,
        self.acc_last_data = 0  # and of the last one with data
        self.acc_switched = 0  # options still due because that changed (3.2.3.3)
        self.acc_unacked_ce = 0  # packets with CE since the last ACK (3.2.2.5.1)
        self.acc_per_ack = 0  # the mean of segments that an ACK acknowledges, 6 bits after the point
        self.acc_opt_seen = 0  # what was seen of the peer's option (tcpi_accecn_opt_seen)
        self.acc_opt_off = False  # we send no option any more
        self.acc_opt_due = 0  # accecn.FIRST_*: options due whatever the counters say
        self.acc_opt_dups = 0  # duplicates in a row behind an ACK with the option (3.2.3.2.2)
        self.acc_opt_last = False  # the last ACK had it

    def _begin_accecn_counters(self) -> None:
        """Accurate ECN's counters (RFC 9768 3.2.1): r_ ours as a receiver, s_ the sender's copies, told_ what our option said last."""
        self.r_cep = 0  # packets with CE
        self.r_e0b = 0  # bytes under ECT(0), CE and ECT(1)
        self.r_ceb = 0
        self.r_e1b = 0
        self.s_cep = 0
        self.s_e0b = 0
        self.s_ceb = 0
        self.s_e1b = 0
        self.told_e0b = 0
        self.told_ceb = 0
        self.told_e1b = 0

    def _begin_fastopen(self) -> None:
        """Fast Open (RFC 7413; opening/fastopen.py)."""
        self.fastopen = False  # opened by data in the SYN
        self.fastopen_asked = False  # the application asked for it, or for a cookie
        self.fastopen_cookie: Any = None  # the cookie for the SYN, or for the SYN,ACK
        self.fastopen_qlen = 0  # TCP_FASTOPEN: how many may wait; 0: off
        self.fastopen_exp = False  # with the experimental option kind (254)
        self.fastopen_option = False  # our SYN carried the option
        self.fastopen_key = b""  # TCP_FASTOPEN_KEY
        self.fastopen_no_cookie = False  # TCP_FASTOPEN_NO_COOKIE
        self.fastopen_connect = False  # TCP_FASTOPEN_CONNECT
        self.fastopen_deferred = False  # the SYN waits for the first write
        self.fastopen_fail = 0  # why it failed (tcpi_fastopen_client_fail)
        self.syn_data = False  # our SYN carried data,
        self.syn_data_acked = False  # and it was acknowledged
        self.syn_again = False  # our SYN went again, without it

    def _begin_urgent(self) -> None:
        """Urgent data (RFC 9293 3.8.5, RFC 6093; urgent.py)."""
        self.urg_seen = False  # tell the application (EV_PRI)
        self.oob_byte = -1  # the last urgent byte, taken out of the stream
        self.oob_state = 0  # one of C.OOB_*
        self.mark_left = -1  # bytes to read until the mark; -1: no mark
        self.oobinline = False  # SO_OOBINLINE

    def _begin_options(self) -> None:
        """What the application set: socket(7), tcp(7), ip(7)."""
        self.nodelay = not self.core.config.tcp_nagle  # TCP_NODELAY
        self.cork = False  # TCP_CORK
        self.more = False  # MSG_MORE of the last write
        self.push_now = False  # TCP_NODELAY was just set: what is pending goes
        self.notsent_lowat = 0  # TCP_NOTSENT_LOWAT; 0: what the setting says
        self.rcvlowat = 1  # SO_RCVLOWAT
        self.keepalive = False  # SO_KEEPALIVE
        self.keepidle = self.core.config.tcp_keepalive_time  # TCP_KEEPIDLE
        self.keepintvl = self.core.config.tcp_keepalive_intvl  # TCP_KEEPINTVL
        self.keepcnt = self.core.config.tcp_keepalive_probes  # TCP_KEEPCNT
        self.keepinit = self.core.config.tcp_keepinit  # FreeBSD's TCP_KEEPINIT
        self.syn_retries = self.core.config.tcp_syn_retries  # TCP_SYNCNT
        self.user_timeout = 0  # TCP_USER_TIMEOUT (RFC 5482); 0: none
        self.defer_accept = 0  # TCP_DEFER_ACCEPT
        self.linger = -1  # SO_LINGER; -1: off
        self.linger2 = 0  # TCP_LINGER2; 0: what the setting says
        self.min_ttl = 0  # IP_MINTTL (RFC 5082)
        self.noopt = False  # FreeBSD's TCP_NOOPT
        self.options_given = False  # the application chose `encap`: a received route does not replace it (MUST-52)
        self.recverr = False  # IP_RECVERR
        self.rcv_tos = 0  # the DS field of the last packet (IP_RECVTOS)
        self.errqueue: Any = None  # queues/errqueue.py, or None: nobody asked for it
        self.chunks: Any = None  # queues/chunks.py, or None: writes leave no borders (tcp_linux_queue, MSG_EOR)

    def _begin_statistics(self) -> None:
        """What only tcp_info tells (RFC 4898; info.py)."""
        self.segs_in = 0
        self.segs_out = 0
        self.data_segs_in = 0
        self.data_segs_out = 0
        self.bytes_sent = 0
        self.bytes_retrans = 0
        self.delivered_ce = 0  # segments that were delivered with a mark
        self.reord_seen = 0  # times that reordering was seen
        self.rcv_ooopack = 0  # segments that came out of order
        self.last_ack_recv = 0
        # retransmission timeouts: how many, in how many recoveries, how long these took, and since when one lasts (-1: none)
        self.total_rto = 0
        self.rto_recoveries = 0
        self.rto_time = 0
        self.rto_stamp = -1

    def _begin_progress(self) -> None:
        """Sums that tcp_info tells, and that decisions use too."""
        self.bytes_received = 0
        self.bytes_acked = 0  # 0: our SYN may still be out (syn_out)
        self.total_retrans = 0  # segments sent again
        self.dsack_dups = 0  # of which the peer reported so many as duplicates
        self.delivered = 0  # segments that were acknowledged or SACKed
        self.last_data_recv = 0

    def on_timer(self, kind: int) -> None:  # inherited
        """A timer of this connection is due: `tcp.timers` knows what to do."""
        self.core.tcp.on_timer(self, kind)

    def subject(self) -> str:  # inherited
        """local-remote, as events name it."""
        return f"tcp {addr_text(self.laddr)}:{self.lport}-{addr_text(self.raddr)}:{self.rport}"

    def listening(self) -> bool:  # inherited
        """True in LISTEN (the rules of SO_REUSEADDR ask)."""
        return self.state == C.LISTEN

    def in_flight(self) -> int:
        """Bytes believed to be in the network: FlightSize less what left it, plus what was sent again (RFC 6675 "pipe")."""
        q = self.rtxq
        sacked = q.sacked_out if self.sack_ok else self.reno_sacked
        pipe = seq_diff(self.snd_nxt, self.snd_una) - sacked - q.lost_out + q.retrans_out
        return pipe if pipe > 0 else 0

    def may_grow(self) -> bool:
        """RFC 7661: the window was filled; in slow start, half of it is enough (tcp_is_cwnd_limited)."""
        return self.cwnd_limited or (self.cwnd < self.ssthresh and self.cwnd < 2 * self.max_out)

    def rcv_wnd(self) -> int:
        """RCV.WND: what the last window told the peer still leaves open."""
        wnd = seq_diff(self.rcv_adv, self.rcv_nxt)
        return wnd if wnd > 0 else 0

    def unsent(self) -> int:
        """Bytes written and not yet sent once."""
        return self.sendbuf.tail - self.send_offset()

    def send_offset(self) -> int:
        """Stream offset of the first byte never sent."""
        n = seq_diff(self.snd_nxt, self.snd_una)
        head = self.sendbuf.head
        if self.fin_sent and n > 0:
            n -= 1
        if n > 0 and self.syn_out():
            n -= 1
        return head + n

    def syn_out(self) -> bool:
        """True until our SYN is acknowledged, whatever the state (FIN-WAIT-1 may follow SYN-RECEIVED)."""
        return self.snd_una == self.iss and self.bytes_acked == 0

    def readiness(self) -> int:  # inherited
        """EV_* bits as poll(2) reports them for a stream socket."""
        bits = 0
        if self.state == C.LISTEN:
            return C.EV_IN if self.listener is not None and self.listener.accept_queue else 0
        if self.so_error:
            bits |= C.EV_ERR | C.EV_IN | C.EV_OUT
        if self.errqueue is not None and len(self.errqueue.queue) > 0:
            bits |= C.EV_ERR
        if self.state == C.SYN_SENT or (self.state == C.SYN_RECEIVED and not self.passive):
            return bits | C.EV_OUT if self.fastopen_deferred else bits
        if self.state == C.CLOSED:
            return bits | C.EV_HUP | C.EV_OUT | (C.EV_IN | C.EV_RDHUP if self.was_reset or self.fin_received else 0)
        if self.recvbuf.used >= self.rcvlowat or self.fin_received or self.shut_rd:
            bits |= C.EV_IN
        if self.fin_received or self.shut_rd:
            bits |= C.EV_RDHUP
        if self.shut_wr and self.fin_received:
            bits |= C.EV_HUP
        if self.urg_seen:
            bits |= C.EV_PRI
        if self.shut_wr or (self.send_space() > 0 and self.few_unsent()):
            bits |= C.EV_OUT
        return bits

    def few_unsent(self) -> bool:
        """TCP_NOTSENT_LOWAT: is so little unsent that the application may write more?"""
        lowat = self.notsent_lowat if self.notsent_lowat > 0 else self.core.config.tcp_notsent_lowat
        return lowat == 0 or self.unsent() < lowat

    def send_space(self) -> int:
        """Bytes that send() would take now; writable again only when a third is free, as Linux does."""
        if self.chunks is not None and self.core.config.tcp_linux_queue:
            return self.chunks.space(self)
        size = self.send_limit()
        used = self.sendbuf.tail - self.sendbuf.head
        if size - used >= size // 3:
            return size - used
        return 0

    def send_limit(self) -> int:
        """What the send buffer may hold now: half of its size where memory is scarce, and LEAST where there is none."""
        size = self.sndbuf_size
        core = self.core
        if not core.tcp_pressure:
            return size
        limit = size // 2
        if core.tcp_memory + LEAST > core.config.tcp_mem_high or over_share(core, key(self.raddr), LEAST):
            limit = LEAST
        if limit < LEAST:
            limit = LEAST
        return limit if limit < size else size

    def rto_ended(self) -> None:
        """What began with a retransmission timeout is over (tcpi_total_rto_time)."""
        if self.rto_stamp >= 0:
            self.rto_time += self.core.now - self.rto_stamp
            self.rto_stamp = -1

    def snapshot(self) -> dict[str, Any]:  # inherited
        """The variables a learner looks at, by their RFC names; `timers` are the deadlines of those that run."""
        result: dict[str, Any] = {"state": STATE_NAMES[self.state]}
        for name in SNAPSHOT:
            result[name] = getattr(self, name)
        result["rcv_wnd"] = self.rcv_wnd()
        result["in_flight"] = self.in_flight()
        result["sacked"] = self.rtxq.sacked_out
        result["lost"] = self.rtxq.lost_out
        result["retransmitted"] = self.rtxq.retrans_out
        result["phase"] = PHASES[self.ca_state]
        result["sendbuf"] = self.sendbuf.tail - self.sendbuf.head
        result["recvbuf"] = self.recvbuf.used
        result["ooo"] = self.recvbuf.ooo_bytes
        timers = {}
        for timer in (
            self.rto_timer,
            self.reorder_timer,
            self.pace_timer,
            self.delack_timer,
            self.wait_timer,
            self.keep_timer,
        ):
            if timer is not None and timer.deadline >= 0:
                timers[TIMER_NAMES[timer.kind]] = timer.deadline
        result["timers"] = timers
        return result


def new_tcb(core: Any) -> Tcb:
    """A new block with the next number: Tcb(...) without its cost."""
    tcb: Tcb = Tcb.__new__(Tcb)
    tcb.begin(core, core.new_ident())
    return tcb


def over_share(core: Core, addr: int, n: int) -> bool:
    """Under pressure: would a peer's connections hold more than its share with `n` bytes more? (See memory.)"""
    if not core.tcp_pressure:
        return False
    share = core.config.tcp_mem_high * core.config.tcp_mem_share // 100
    if core.tcp_memory + n <= share:
        return False
    if core.tcp_memory + n > (share + core.config.tcp_mem_high) // 2:
        # (Some had their part before others came.)
        share = 0
    elif core.tcp_large > 1:
        share //= core.tcp_large
    if share < core.config.tcp_mem_high // LARGE:
        share = core.config.tcp_mem_high // LARGE
    return core.tcp_peers.get(addr, 0) + n > share  # type: ignore[no-any-return]
