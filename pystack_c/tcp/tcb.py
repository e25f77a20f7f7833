"""The transmission control block: all variables of one connection (RFC 9293 section 3.3.1)."""

from typing import Any

import pystack_c.const as C
from pystack_c.base.address import addr_text
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
        """Give every field its first value."""
        Endpoint.begin(self, core, ident)
        # state
        self.state = C.CLOSED
        self.listener: Any = None
        self.parent: Any = None
        self.passive = False
        #: why the SYN or SYN,ACK goes again though no timer was due; "" where none does
        self.syn_why = ""
        self.detached = False
        self.output_queued = False
        self.registered = False
        # route and demultiplexing
        self.route: Any = None
        self.key: Any = None
        # send sequence variables (RFC 9293 3.3.1)
        self.iss = 0
        self.snd_una = 0
        self.snd_nxt = 0
        self.snd_wnd = 0
        self.snd_wl1 = 0
        self.snd_wl2 = 0
        self.snd_up = 0
        self.max_window = 0
        self.snd_sml = 0
        # receive sequence variables
        self.irs = 0
        self.rcv_nxt = 0
        self.rcv_adv = 0
        self.syn_window = False
        self.rcv_wnd_told = 1  # the window last announced; not zero, so that the first SYN opens nothing
        self.rcv_up = 0
        # options agreed on
        self.mss = self.core.config.tcp_mss_default
        self.path_mtu = 0
        self.mtup: Any = None  # the search for the path MTU (mtuprobe.py)
        self.peer_mss = self.core.config.tcp_mss_default
        self.user_mss = 0
        self.rcv_mss = self.core.config.tcp_mss_default
        self.snd_wscale = 0
        self.rcv_wscale = 0
        self.wscale_ok = False
        self.sack_ok = False
        self.ts_ok = False
        self.ts_recent = 0
        self.ts_recent_stamp = 0
        self.ts_offset = 0
        self.syn_stamp = 0
        self.rcv_limit = 0
        # buffers
        self.sendbuf = new_sendbuf()
        self.recvbuf = new_recvbuf(self.core.config.tcp_rmem)
        self.sndbuf_size = self.core.config.tcp_wmem
        self.rtxq = new_rtxq()
        # closing
        self.fin_pending = False
        self.fin_sent = False
        self.fin_seq = 0
        self.fin_received = False
        self.closing_fin = False
        self.syn_text: Any = None
        self.shut_rd = False
        self.shut_wr = False
        self.was_reset = False
        # acknowledging
        self.ack_now = False
        self.ack_reason = ""
        self.last_ack_sent = 0
        self.quickack = self.core.config.tcp_quickack_segs
        self.sacks: Any = None
        self.dsack: Any = None
        self.last_bad_ack = -1
        # round trip and timeout (RFC 6298)
        self.srtt = 0
        self.rttvar = 0
        self.rto = self.core.config.tcp_rto_initial
        self.backoff = 0
        self.min_rtt = -1
        # congestion control and loss recovery (RFC 5681, 6582, 6675)
        self.cc: Any = None
        self.cwnd = 0
        self.ssthresh = self.core.config.tcp_init_ssthresh
        self.cwnd_limited = False
        self.max_out = 0
        self.cwnd_round = 0
        self.ca_state = C.CA_OPEN
        self.recover = 0
        self.dupacks = 0
        self.reno_sacked = 0
        self.force_retransmit = False
        #: NewReno: a partial ACK of this recovery restarted the retransmission timer already
        self.partial_seen = False
        self.fin_expected = False
        self.fin_expected_seq = 0
        # RACK-TLP, PRR, undo (RFC 8985, 6937, 4015)
        self.rack_started = False
        self.rack_order = 0
        self.rack_end = 0
        self.rack_rtt = 0
        self.rack_fack = 0
        self.rack_reordering = False
        self.rack_mult = 1
        self.rack_persist = 16
        self.rack_dsack_round = False
        self.rack_dsack_seq = 0
        self.tlp_out = False
        self.tlp_new = False
        self.rto_deadline = 0
        self.ack_dsack = False
        self.ack_orig = False
        self.ack_delivered = 0
        self.tlp_is_retrans = False
        self.tlp_end = 0
        self.prr_delivered = 0
        self.prr_out = 0
        self.prr_flight = 0
        self.undo_possible = False
        self.undo_retrans = 0
        self.undo_stamp = 0
        self.undo_end = 0
        self.undo_marker = 0
        self.dsack_end = 0
        self.prior_cwnd = 0
        self.prior_ssthresh = 0
        self.frto = False
        self.frto_end = 0
        # ECN (RFC 3168)
        self.ecn_ok = False
        self.ecn_asked = False
        self.ecn_echo = False
        self.ecn_cwr = False
        self.ecn_recover = 0
        self.ecn_recover_set = False
        # accurate ECN (RFC 9768; accecn.py)
        self.accecn = False
        self.acc_asked = False
        self.acc_syn = 0
        self.acc_again = False
        self.acc_answer = -1
        self.acc_counted = False
        self.acc_respond = False
        self.acc_skip = False
        self.acc_first = False
        self.acc_newer = False
        self.acc_no_ect = False
        self.acc_deaf = False
        self.acc_fail = 0
        self.acc_last = 0
        self.acc_last_data = 0
        self.acc_switched = 0
        self.acc_unacked_ce = 0
        self.acc_opt_seen = 0
        self.acc_opt_off = False
        self.acc_opt_due = 0
        self.acc_opt_dups = 0
        self.acc_per_ack = 0
        self.acc_opt_last = False
        self.acc_chosen = -1
        self.r_cep = 0
        self.r_e0b = 0
        self.r_ceb = 0
        self.r_e1b = 0
        self.s_cep = 0
        self.s_e0b = 0
        self.s_ceb = 0
        self.s_e1b = 0
        self.told_e0b = 0
        self.told_ceb = 0
        self.told_e1b = 0
        # buffer autotuning
        self.rcvbuf_fixed = False
        self.sndbuf_fixed = False
        self.rcv_copied = 0
        self.rcv_space_at = 0
        self.last_rtt = -1
        # Fast Open (RFC 7413), urgent data (RFC 9293 3.8.5), limits the application set
        self.fastopen = False
        self.fastopen_asked = False
        self.fastopen_cookie: Any = None
        self.fastopen_qlen = 0
        self.fastopen_exp = False
        self.fastopen_option = False
        self.fastopen_key = b""
        self.fastopen_no_cookie = False
        self.fastopen_connect = False
        self.fastopen_deferred = False
        self.syn_data = False
        self.syn_data_acked = False
        self.syn_again = False
        self.opened_at = 0
        self.defer_accept = 0
        self.window_clamp = 0
        self.notsent_lowat = 0
        self.linger2 = 0
        self.min_ttl = 0
        self.urg_seen = False
        self.oob_byte = -1
        self.oob_state = 0
        self.mark_left = -1
        # delivery rate and pacing
        self.rate: Any = None
        self.own_recovery = False
        self.pacing_rate = 0
        self.max_pacing_rate = 0
        self.pace_at = 0
        self.pace_timer: Any = None
        # timers
        self.reorder_timer: Any = None
        self.rto_timer: Any = None
        self.delack_timer: Any = None
        self.wait_timer: Any = None
        self.keep_timer: Any = None
        self.retries = 0
        self.retry_start = -1
        self.probes = 0
        self.last_recv = 0
        self.last_send = 0
        # socket options
        self.nodelay = not self.core.config.tcp_nagle
        self.cork = False
        self.more = False
        self.keepalive = False
        self.keepidle = self.core.config.tcp_keepalive_time
        self.keepintvl = self.core.config.tcp_keepalive_intvl
        self.keepcnt = self.core.config.tcp_keepalive_probes
        self.user_timeout = 0
        self.keepinit = self.core.config.tcp_keepinit
        self.syn_retries = self.core.config.tcp_syn_retries
        self.linger = -1
        self.push_now = False
        self.time_waiting = False
        self.keep_probes = 0
        self.congestion = self.core.config.tcp_congestion
        self.oobinline = False
        self.pmtudisc = 1
        self.noopt = False
        self.options_given = False
        self.recverr = False
        self.rcv_tos = 0
        self.errqueue: Any = None
        self.chunks: Any = None
        self.rcvlowat = 1
        # what tcp_info tells
        self.segs_in = 0
        self.segs_out = 0
        self.data_segs_in = 0
        self.data_segs_out = 0
        self.bytes_received = 0
        self.bytes_acked = 0
        self.bytes_sent = 0
        self.bytes_retrans = 0
        self.total_retrans = 0
        self.soft_error = 0
        self.delivered = 0
        self.delivered_ce = 0
        self.dsack_dups = 0
        self.reordering = self.core.config.tcp_reordering
        self.reord_seen = 0
        self.ack_reordered = False
        self.rcv_ooopack = 0
        self.last_data_recv = 0
        self.last_ack_recv = 0
        self.total_rto = 0
        self.rto_recoveries = 0
        self.rto_time = 0
        self.rto_stamp = -1
        self.fastopen_fail = 0
        self.ecn_seen = False
        self.rcv_space = 0
        # what the sum of all memory counts of this, and whether the application has let go of it (memory.py)
        self.charged = 0
        self.orphan = False
        # what holds the sender up, since when, and for how long in all (chrono.py)
        self.chrono = 0
        self.chrono_at = 0
        self.chrono_busy = 0
        self.chrono_rwnd = 0
        self.chrono_sndbuf = 0
        self.no_space = False
        # the round trip as a receiver sees it (rtt.py)
        self.rcv_rtt = 0
        self.rcv_rtt_at = -1
        self.rcv_rtt_seq = 0
        self.rcv_rtt_echo = 0
        self.min_rtt_at = 0

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
        if core.tcp_memory + LEAST > core.config.tcp_mem_high or over_share(core, self.raddr, LEAST):
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
