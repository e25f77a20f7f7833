"""The settings of TCP: opening and closing, options, buffers, timers, sending, losses, congestion control, security.

The comment above each setting is its entry in docs/reference/settings.md: whole sentences, then `Unit:` and `Source:`.
"""

from pystack_c.settings.limits import MS, S
from pystack_c.settings.network import NetworkSettings


class TcpSettings(NetworkSettings):
    """The second group of a Config's settings."""

    def __init__(self) -> None:
        super().__init__()
        self._opening()
        self._closing()
        self._fast_open()
        self._options()
        self._buffers()
        self._memory()
        self._timeouts()
        self._acks()
        self._keepalive()
        self._sending()
        self._pacing()
        self._mtu_search()
        self._congestion()
        self._losses()
        self._ecn()
        self._security()

    def _opening(self) -> None:  # python
        """TCP: opening a connection"""
        #: The number of retransmissions of a SYN before `connect` fails with ETIMEDOUT. 6 of them take 127 s. RFC 9293
        #: MUST-23 wants 3 minutes, which the profile `rfc` has.
        #: Unit: retransmissions. Source: Linux tcp_syn_retries.
        self.tcp_syn_retries = 6
        #: The number of retransmissions of a SYN that are a constant RTO
        #: apart, before the backoff begins. Linux 6.5 and later have 4.
        #: Unit: retransmissions. Source: Linux tcp_syn_linear_timeouts.
        self.tcp_syn_linear_timeouts = 0
        #: The number of retransmissions of a SYN,ACK.
        #: Unit: retransmissions. Source: Linux tcp_synack_retries.
        self.tcp_synack_retries = 5
        #: The number of half-open connections that a listener holds.
        #: Unit: connections. Source: Linux tcp_max_syn_backlog.
        self.tcp_max_syn_backlog = 1024
        #: The stack answers SYNs with cookies: with 0 never, with 1 if the SYN queue is full, with 2 always.
        #: Unit: mode. Source: RFC 4987 3.6; Linux tcp_syncookies.
        self.tcp_syncookies = 1
        #: A listener with a full accept queue answers with a RST instead of silence.
        #: Source: Linux tcp_abort_on_overflow.
        self.tcp_abort_on_overflow = False
        #: The MSS of a peer that announces none.
        #: Unit: bytes. Source: RFC 9293 MUST-15.
        self.tcp_mss_default = 536
        #: The smallest MSS that the stack accepts from a peer. A
        #: search for the path MTU does not fall below it, either.
        #: Unit: bytes. Source: Linux tcp_min_snd_mss.
        self.tcp_min_snd_mss = 48
        #: The MSS that the stack announces. With 0, it follows from the MTU of the interface.
        #: Unit: bytes. Source: RFC 9293 3.7.1.
        self.tcp_mss = 0
        #: The first sequence number of every connection. With -1, it follows a clock and a keyed hash.
        #: Unit: sequence number. Source: RFC 9293 3.4.1.
        self.tcp_isn = -1

    def _closing(self) -> None:  # python
        """TCP: closing a connection"""
        #: The time for which a connection that the application has closed stays in FIN-WAIT-2.
        #: Source: Linux tcp_fin_timeout.
        self.tcp_fin_timeout = 60 * S
        #: The time for which a connection stays in TIME-WAIT, 2 MSL. RFC 9293 3.6.1 says 4 minutes, Linux has 60 s.
        #: Source: RFC 9293 3.6.1.
        self.tcp_time_wait = 60 * S
        #: The number of connections in TIME-WAIT that the stack keeps.
        #: Unit: connections. Source: Linux tcp_max_tw_buckets.
        self.tcp_max_tw_buckets = 65536
        #: An active open may reuse the addresses and ports of a connection in TIME-WAIT, protected by timestamps: with
        #: 0 never, with 1 always, with 2 only to this host itself.
        #: Unit: mode. Source: RFC 6191; Linux tcp_tw_reuse.
        self.tcp_tw_reuse = 2
        #: A RST does not end TIME-WAIT. Linux has this off, FreeBSD on.
        #: Source: RFC 1337 3; Linux tcp_rfc1337.
        self.tcp_rfc1337 = False
        #: The number of connections that the application has closed
        #: and that still need the stack. The stack resets one more.
        #: Unit: connections. Source: Linux tcp_max_orphans.
        self.tcp_max_orphans = 65536

    def _fast_open(self) -> None:  # python
        """TCP: Fast Open and TCP in UDP"""
        #: TCP Fast Open: with 1 as a client, with 2 as a server, with 3 as both. Linux's further bits are accepted.
        #: Unit: bits. Source: RFC 7413; Linux tcp_fastopen.
        self.tcp_fastopen = 1
        #: The key of the cookies as 32 hexadecimal digits, for
        #: servers that share it. If it is empty, the stack draws one.
        #: Source: Linux tcp_fastopen_key.
        self.tcp_fastopen_key = ""
        #: The time for which the stack sends plain SYNs to a peer after a SYN with data got no answer. Linux has 0,
        #: which disables this.
        #: Source: Linux tcp_fastopen_blackhole_timeout_sec.
        self.tcp_fastopen_blackhole_timeout = 3600 * S
        #: The time for which the stack sends plain SYNs to a server that
        #: neither took the data nor gave a cookie. FreeBSD has 900 s.
        #: Source: FreeBSD fastopen.path_disable_time.
        self.tcp_fastopen_path_disable = 0
        #: The UDP port of this host at which segments arrive and leave inside datagrams. With 0, there is none.
        #: Unit: port number. Source: FreeBSD udp_tunneling_port.
        self.tcp_udp_port = 0

    def _options(self) -> None:  # python
        """TCP: options"""
        #: The stack offers and accepts timestamps.
        #: Source: RFC 7323 3; Linux tcp_timestamps.
        self.tcp_timestamps = True
        #: The stack offers and accepts selective acknowledgements.
        #: Source: RFC 2018; Linux tcp_sack.
        self.tcp_sack = True
        #: The stack offers and accepts window scaling.
        #: Source: RFC 7323 2; Linux tcp_window_scaling.
        self.tcp_window_scaling = True
        #: The window scale that the stack announces. With -1, it is what the largest buffer needs.
        #: Unit: bits. Source: RFC 7323 2.2.
        self.tcp_wscale = -1

    def _buffers(self) -> None:  # python
        """TCP: buffers"""
        #: The default size of a receive buffer. SO_RCVBUF overrides it.
        #: Unit: bytes. Source: Linux tcp_rmem.
        self.tcp_rmem = 256 << 10
        #: The largest size that autotuning gives a receive buffer.
        #: Unit: bytes. Source: Linux tcp_rmem.
        self.tcp_rmem_max = 6 << 20
        #: The default size of a send buffer. SO_SNDBUF overrides it.
        #: Unit: bytes. Source: Linux tcp_wmem.
        self.tcp_wmem = 256 << 10
        #: The largest size that autotuning gives a send buffer.
        #: Unit: bytes. Source: Linux tcp_wmem.
        self.tcp_wmem_max = 4 << 20
        #: Receive buffers grow with the data that the application reads in a round trip.
        #: Source: Linux tcp_moderate_rcvbuf.
        self.tcp_moderate_rcvbuf = True
        #: Send buffers grow with the congestion window.
        self.tcp_moderate_sndbuf = True
        #: A socket is writable while fewer unsent bytes than this are in its buffer, if it sets no TCP_NOTSENT_LOWAT
        #: itself. With 0, there is no such limit.
        #: Unit: bytes. Source: Linux tcp_notsent_lowat.
        self.tcp_notsent_lowat = 0

    def _memory(self) -> None:  # python
        """TCP: memory of all connections"""
        #: Memory pressure ends when all buffers together hold less than this.
        #: Source: Linux tcp_mem.
        self.tcp_mem_low = 192 << 20
        #: Memory pressure begins when all buffers together hold more than this: no buffer grows and windows stay small.
        #: Source: Linux tcp_mem.
        self.tcp_mem_pressure = 256 << 20
        #: The most that all buffers together hold, apart from 4 KiB in each direction of a connection. At this limit
        #: the stack drops out-of-order data and refuses new connections.
        #: Source: Linux tcp_mem.
        self.tcp_mem_high = 384 << 20
        #: The part of `tcp_mem_high` that one peer address may use
        #: under memory pressure. Peers that hold much share it.
        #: Unit: percent.
        self.tcp_mem_share = 75

    def _timeouts(self) -> None:  # python
        """TCP: retransmission timeouts"""
        #: The RTO before the first sample of the round-trip time.
        #: Source: RFC 6298 2.1.
        self.tcp_rto_initial = 1 * S
        #: The lower bound of the RTO. RFC 6298 2.4 says 1 s; see also `tcp_rto_var_min`.
        #: Source: RFC 6298 2.4.
        self.tcp_rto_min = 0
        #: The upper bound of the RTO.
        #: Source: RFC 6298 2.5; Linux tcp_rto_max_ms.
        self.tcp_rto_max = 120 * S
        #: The lower bound of the term 4 * RTTVAR. Linux bounds the RTO in this way; RFC 6298 calls the term G.
        #: Source: RFC 6298 2.2; Linux tcp_rto_min_us.
        self.tcp_rto_var_min = 200 * MS
        #: The time for which the smallest round-trip time counts.
        #: Source: Linux tcp_min_rtt_wlen.
        self.tcp_min_rtt_wlen = 300 * S
        #: The number of retransmissions after which the stack doubts the route (R1).
        #: Unit: retransmissions. Source: RFC 9293 3.8.3; Linux tcp_retries1.
        self.tcp_retries1 = 3
        #: The number of retransmissions after which the stack gives a connection up (R2).
        #: Unit: retransmissions. Source: RFC 9293 3.8.3; Linux tcp_retries2.
        self.tcp_retries2 = 15
        #: The number of retransmissions after which the stack gives up a connection that the application has closed.
        #: Unit: retransmissions. Source: Linux tcp_orphan_retries.
        self.tcp_orphan_retries = 8
        #: The upper bound of the time between two probes of a zero window.
        #: Source: RFC 9293 3.8.6.1.
        self.tcp_persist_max = 120 * S
        #: The stack probes a zero window. Turn this off only to show why the probes exist.
        #: Source: RFC 9293 MUST-36.
        self.tcp_persist = True

    def _acks(self) -> None:  # python
        """TCP: delayed acknowledgements"""
        #: The longest time for which an ACK waits.
        #: Source: RFC 9293 MUST-40 (below 500 ms).
        self.tcp_delack_time = 40 * MS
        #: The number of full-sized segments that force an ACK.
        #: Unit: segments. Source: RFC 9293 SHLD-19.
        self.tcp_delack_segs = 2
        #: The number of segments that the stack acknowledges at once when a connection starts.
        #: Unit: segments. Source: Linux TCP_MAX_QUICKACKS.
        self.tcp_quickack_segs = 16
        #: The stack acknowledges a full-sized segment with PSH at once, unless the application answers.
        #: Source: Linux tcp_measure_rcv_mss.
        self.tcp_ack_pushed = True

    def _keepalive(self) -> None:  # python
        """TCP: keep-alives"""
        #: The idle time before the first keep-alive.
        #: Source: RFC 9293 MUST-28; Linux tcp_keepalive_time.
        self.tcp_keepalive_time = 7200 * S
        #: The time between two keep-alives.
        #: Source: Linux tcp_keepalive_intvl.
        self.tcp_keepalive_intvl = 75 * S
        #: The number of unanswered keep-alives after which the connection fails with ETIMEDOUT.
        #: Unit: keep-alives. Source: Linux tcp_keepalive_probes.
        self.tcp_keepalive_probes = 9

    def _sending(self) -> None:  # python
        """TCP: when to send"""
        #: The stack uses Nagle's algorithm. TCP_NODELAY turns it off for one socket.
        #: Source: RFC 9293 SHLD-7.
        self.tcp_nagle = True
        #: Nagle's algorithm holds a small segment only while another small one is unacknowledged (Minshall's variant).
        #: Source: Linux tcp_nagle_check.
        self.tcp_minshall = True
        #: Sender and receiver avoid silly windows. Turn this off only to show why the rule exists.
        #: Source: RFC 9293 MUST-38, MUST-39.
        self.tcp_sws = True
        #: The last segment of a burst that the windows end carries PSH, so that its ACK need not wait.
        #: Source: Linux, on offloaded groups.
        self.tcp_push_bursts = True
        #: The most payload that the stack hands to a device in one piece.
        #: Unit: bytes. Source: Linux gso_max_size.
        self.tcp_gso_max = 65226

    def _pacing(self) -> None:  # python
        """TCP: pacing"""
        #: The stack spreads segments over the round trip even with congestion controls that set no rate of their own.
        #: Source: Linux with the queue discipline fq.
        self.tcp_pacing = False
        #: The pacing rate in slow start, relative to one window per round trip.
        #: Unit: percent. Source: Linux tcp_pacing_ss_ratio.
        self.tcp_pacing_ss_ratio = 200
        #: The pacing rate in congestion avoidance, relative to one window per round trip.
        #: Unit: percent. Source: Linux tcp_pacing_ca_ratio.
        self.tcp_pacing_ca_ratio = 120

    def _mtu_search(self) -> None:  # python
        """TCP: search for the path MTU"""
        #: TCP searches for the path MTU by itself: with 0 never, with 1 if it suspects a black hole, with 2 on every
        #: connection, from `tcp_base_mss` upwards.
        #: Unit: mode. Source: RFC 4821; Linux tcp_mtu_probing.
        self.tcp_mtu_probing = 0
        #: The MSS with which a search begins.
        #: Unit: bytes. Source: RFC 4821 7.2; Linux tcp_base_mss.
        self.tcp_base_mss = 1024
        #: A search does not fall below this MSS on its own.
        #: Unit: bytes. Source: Linux tcp_mtu_probe_floor.
        self.tcp_mtu_probe_floor = 48
        #: A finished search begins again after this time.
        #: Source: Linux tcp_probe_interval.
        self.tcp_probe_interval = 600 * S
        #: A search ends when it knows the path MTU to within this size.
        #: Unit: bytes. Source: Linux tcp_probe_threshold.
        self.tcp_probe_threshold = 8

    def _congestion(self) -> None:  # python
        """TCP: congestion control"""
        #: The name of the congestion control: `reno`, `cubic`, `bbr`, `tahoe`, `fixed`, `fixed(n)`, or one of your own
        #: (docs/howto/congestion.md).
        #: Source: Linux tcp_congestion_control.
        self.tcp_congestion = "reno"
        #: The initial congestion window.
        #: Unit: segments. Source: RFC 6928 2.
        self.tcp_init_cwnd = 10
        #: The initial window is one segment if the SYN or SYN,ACK was retransmitted
        #: this often. RFC 5681 3.1 says 1. Linux has 2, because the first time may mean
        #: only that a round trip is longer than the RTO. With 0, this never happens.
        #: Unit: retransmissions. Source: RFC 5681 3.1; RFC 6928 2.
        self.tcp_init_cwnd_retrans = 1
        #: The initial slow start threshold.
        #: Source: RFC 5681 3.1.
        self.tcp_init_ssthresh = 1 << 30
        #: The limit L of Appropriate Byte Counting. With 0, the window grows by the number of ACKs instead of bytes.
        #: Unit: segments. Source: RFC 3465 2.2.
        self.tcp_abc_l = 2
        #: The number of segments by which one ACK may grow the window in CUBIC's slow start. With 0, the window grows
        #: by all that the ACK acknowledges, as Linux's.
        #: Unit: segments. Source: RFC 9406 4.2 (L).
        self.tcp_hystart_limit = 8
        #: The congestion window after an idle time longer than the RTO: with 0 it is the restart window, with 1 it
        #: halves for each RTO, with 2 it stays for five minutes.
        #: Unit: mode. Source: RFC 5681 4.1 (0); RFC 2861 and Linux (1); RFC 7661 4.4 (2).
        self.tcp_idle_cwnd = 0
        #: An idle time reduces the congestion window. If this is off, the window outlasts every idle time.
        #: Source: Linux tcp_slow_start_after_idle.
        self.tcp_slow_start_after_idle = True

    def _losses(self) -> None:  # python
        """TCP: loss recovery"""
        #: The number of duplicate ACKs that mean a loss.
        #: Unit: ACKs. Source: RFC 5681 3.2; Linux tcp_reordering.
        self.tcp_reordering = 3
        #: The stack finds losses by time instead of by count.
        #: Source: RFC 8985 (RACK); Linux tcp_recovery.
        self.tcp_rack = True
        #: The stack sends a loss probe if the last segments of a flight are not acknowledged.
        #: Source: RFC 8985 7 (TLP); Linux tcp_early_retrans.
        self.tcp_tlp = True
        #: The time by which a peer may delay the ACK of a lone segment.
        #: Source: RFC 8985 7.2.
        self.tcp_tlp_max_ack_delay = 200 * MS
        #: Fast recovery reduces the rate in proportion to the data that is delivered.
        #: Source: RFC 9937 6 (PRR).
        self.tcp_prr = True
        #: PRR is that of RFC 9937, which sends a segment beyond the delivered data only on a safe ACK. If this is off,
        #: PRR is that of RFC 6937, which does so on every ACK.
        #: Source: RFC 9937 6.2; Linux.
        self.tcp_prr_safe = False
        #: The stack detects spurious timeouts.
        #: Source: RFC 5682; Linux tcp_frto.
        self.tcp_frto = True
        #: The stack undoes congestion responses that turn out to be wrong.
        #: Source: RFC 4015.
        self.tcp_undo = True
        #: The first two duplicate ACKs may each send a new segment.
        #: Source: RFC 3042.
        self.tcp_limited_transmit = True
        #: The number of segments in flight that the stack cuts because a SACK block ends inside of them.
        #: Unit: segments. Source: FreeBSD sack.maxholes.
        self.tcp_sack_maxholes = 128

    def _ecn(self) -> None:  # python
        """TCP: ECN"""
        #: ECN and accurate ECN. The first of each pair is what the stack accepts, the
        #: second what it requests: 0 none and none, 1 ECN and ECN, 2 ECN and none
        #: (Linux's default), 3 AccECN and AccECN, 4 AccECN and ECN, 5 AccECN and none.
        #: Unit: mode. Source: RFC 3168; RFC 9768; Linux tcp_ecn.
        self.tcp_ecn = 2
        #: The stack sends the AccECN option: with 0 never, with 1 as
        #: rarely as RFC 9768 allows, with 2 whenever a counter changed.
        #: Unit: mode. Source: RFC 9768 3.2.3; Linux tcp_ecn_option.
        self.tcp_ecn_option = 2
        #: The stack stops asking for ECN if a SYN got no answer, and
        #: distrusts a handshake that reports impossible IP-ECN fields.
        #: Source: RFC 3168 6.1.1.1; RFC 9768 3.2.2.3.
        self.tcp_ecn_fallback = True

    def _security(self) -> None:  # python
        """TCP: limits against attacks"""
        #: The number of challenge ACKs on all connections together. The stack draws the actual number from half to one
        #: and a half times this one. With 2147483647, only `tcp_invalid_ratelimit` limits each connection, as in Linux.
        #: Unit: ACKs per second. Source: RFC 5961 7; Linux tcp_challenge_ack_limit.
        self.tcp_challenge_ack_limit = 0x7FFFFFFF
        #: The least time between two ACKs that answer bad segments of one connection, and between two SYN,ACKs that
        #: answer the same SYN.
        #: Source: Linux tcp_invalid_ratelimit.
        self.tcp_invalid_ratelimit = 500 * MS
        #: The number of holes in the received data of one connection. The stack does not keep data behind one more.
        #: Unit: holes.
        self.tcp_max_ooo = 4096
