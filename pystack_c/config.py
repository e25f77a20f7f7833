"""Every constant of the stack in one object. Profiles differ only in it.

Times are nanoseconds, sizes bytes. Names follow Linux's sysctls where one exists.
"""

from typing import Any

MS = 1_000_000
S = 1_000_000_000


class Config:
    """The settings of one stack, `linux`-like by default."""

    def __init__(self) -> None:
        # IPv4 and ICMP
        #: TTL of packets sent (RFC 1122 3.2.1.7)
        self.ip_default_ttl = 64
        #: forward packets between interfaces (RFC 1812)
        self.ip_forward = False
        #: follow source routes, and answer along them (RFC 1122 3.2.1.8 wants it; RFC 7126 4.3, and Linux, say: off)
        self.accept_source_route = False
        #: lower the MSS of SYNs that are forwarded: -1 to what the two links carry, 0 not at all, else to this
        self.ip_forward_mss = 0
        #: reassembly timeout (RFC 1122 3.3.2; Linux 30 s)
        self.ipfrag_time = 30 * S
        #: bytes all reassemblies together may hold
        self.ipfrag_high_thresh = 4 << 20
        #: fragments one datagram may come in
        self.ipfrag_max_fragments = 256
        #: ICMP errors a second to all together, about: the stack draws from half to one and a half of it (Linux icmp_msgs_per_sec); 0: no limit of errors
        self.icmp_ratelimit = 1000
        #: one ICMP error to each host in this time (RFC 1812 4.3.2.8; Linux icmp_ratelimit), Fragmentation Needed apart; 0: no such limit
        self.icmp_peer_interval = 1 * S
        #: ICMP errors to one host at once
        self.icmp_burst = 6
        #: no answer to broadcast pings (RFC 1122 3.2.2.6 allows it)
        self.icmp_echo_ignore_broadcasts = True
        # ARP and neighbours
        #: between two ARP requests (RFC 1122 2.3.2.1)
        self.neigh_retrans_time = 1 * S
        #: broadcast requests before the address is unreachable
        self.neigh_mcast_solicit = 3
        #: unicast probes of a stale entry before it is asked for again
        self.neigh_ucast_solicit = 3
        #: a confirmation is good for this long
        self.neigh_reachable_time = 30 * S
        #: a stale entry in use waits this long for a hint before it is probed
        self.neigh_delay_probe_time = 5 * S
        #: an unused entry is dropped after this long
        self.neigh_gc_stale_time = 60 * S
        #: packets kept while an address is resolved
        self.neigh_queue_len = 3
        #: entries an interface's table may hold
        self.neigh_max_entries = 1024
        #: those of them whose address is not known (asked for, or without an answer): beyond that the oldest of these gives way
        self.neigh_max_unresolved = 256
        # routes
        #: a path MTU that an ICMP error told is forgotten after this long (RFC 1191 6.3: not before 10 minutes)
        self.mtu_expires = 600 * S
        #: smaller path MTUs are not believed: the packets stay that large, and routers may cut them (Linux; RFC 1191 says 68)
        self.min_pmtu = 552
        # path MTU found by TCP itself (RFC 4821)
        #: 0 not at all, 1 where a black hole is suspected, 2 on every connection, from tcp_base_mss upwards
        self.tcp_mtu_probing = 0
        #: the MSS that a search begins with
        self.tcp_base_mss = 1024
        #: the smallest MSS that a peer may announce, and that a search may fall to
        self.tcp_min_snd_mss = 48
        #: a search does not fall below this MSS on its own
        self.tcp_mtu_probe_floor = 48
        #: a finished search begins anew after so long
        self.tcp_probe_interval = 600 * S
        #: a search ends where it knows the path MTU but for so many bytes
        self.tcp_probe_threshold = 8
        #: the first probe has the largest size of all, as an outage is no black hole; False: the middle (Linux)
        self.tcp_mtu_probe_largest = True
        # ports and sockets
        #: first ephemeral port
        self.port_min = 32768
        #: last ephemeral port
        self.port_max = 60999
        #: upper bound of listen()'s backlog
        self.somaxconn = 4096
        #: bytes a UDP or raw socket's receive queue holds
        self.udp_rmem = 212992
        #: SO_SNDBUF of a UDP or raw socket
        self.udp_wmem = 212992
        # TCP: opening and closing
        #: retransmissions of a SYN before ETIMEDOUT (127 s in all, as Linux; RFC 9293 MUST-23 wants 3 minutes: profile rfc)
        self.tcp_syn_retries = 6
        #: so many of them a constant RTO apart, before the backoff begins (Linux since 6.5: 4)
        self.tcp_syn_linear_timeouts = 0
        #: retransmissions of a SYN-ACK
        self.tcp_synack_retries = 5
        #: half-open connections a listener holds
        self.tcp_max_syn_backlog = 1024
        #: answer SYNs with cookies (RFC 4987 3.6): 0 never, 1 when the SYN queue is full, 2 always (Linux)
        self.tcp_syncookies = 1
        #: TCP Fast Open (RFC 7413): 1 as a client, 2 as a server, 3 both
        self.tcp_fastopen = 1
        #: the key of cookies as 32 hex digits, for servers that share it (Linux tcp_fastopen_key); empty: a random one
        self.tcp_fastopen_key = ""
        #: after a SYN with data got no answer, plain SYNs to that peer for so long (Linux: 0, not at all)
        self.tcp_fastopen_blackhole_timeout = 3600 * S
        #: after a server took neither our data nor gave a cookie, plain SYNs for so long (FreeBSD: 900 s)
        self.tcp_fastopen_path_disable = 0
        #: answer a full accept queue with RST instead of silence
        self.tcp_abort_on_overflow = False
        #: how long an orphan stays in FIN-WAIT-2
        self.tcp_fin_timeout = 60 * S
        #: 2 MSL (RFC 9293 3.6.1 says 4 minutes; Linux 60 s)
        self.tcp_time_wait = 60 * S
        #: TIME-WAIT states kept
        self.tcp_max_tw_buckets = 65536
        #: an active OPEN may take four numbers in TIME-WAIT, by timestamps (RFC 6191): 0 never, 1 yes, 2 to this host only (Linux)
        self.tcp_tw_reuse = 2
        #: MSS of a peer that announces none (RFC 9293 MUST-15)
        self.tcp_mss_default = 536
        #: first sequence number of every connection; -1 chooses it by RFC 6528
        self.tcp_isn = -1
        #: Nagle holds a small segment only while another small one is unacknowledged (Minshall, as Linux does)
        self.tcp_minshall = True
        #: MSS to announce; 0 takes it from the interface's MTU
        self.tcp_mss = 0
        # TCP: options
        #: RFC 7323 timestamps
        self.tcp_timestamps = True
        #: RFC 2018 selective acknowledgements
        self.tcp_sack = True
        #: RFC 7323 window scaling
        self.tcp_window_scaling = True
        #: window scale to announce; -1 takes what the largest buffer needs
        self.tcp_wscale = -1
        # TCP: buffers
        #: default receive buffer (SO_RCVBUF overrides)
        self.tcp_rmem = 256 << 10
        #: the most that autotuning gives a receive buffer
        self.tcp_rmem_max = 6 << 20
        #: default send buffer (SO_SNDBUF overrides)
        self.tcp_wmem = 256 << 10
        #: the most that autotuning gives a send buffer
        self.tcp_wmem_max = 4 << 20
        #: bytes that all buffers together hold: above tcp_mem_pressure none grows and windows stay small, until it is below this
        self.tcp_mem_low = 192 << 20
        #: see tcp_mem_low
        self.tcp_mem_pressure = 256 << 20
        #: no more than this, but for 4 KiB each way a connection: out-of-order data goes, new connections are refused
        self.tcp_mem_high = 384 << 20
        #: per cent of tcp_mem_high that one peer (an address) gets under pressure; those that hold much share it
        self.tcp_mem_share = 75
        #: connections that were closed and are not over; one more is reset
        self.tcp_max_orphans = 65536
        #: grow receive buffers with what the application reads in a round trip
        self.tcp_moderate_rcvbuf = True
        #: grow send buffers with the congestion window
        self.tcp_moderate_sndbuf = True
        #: ECN (RFC 3168) and AccECN (RFC 9768), agree to / ask for: 0 none / none, 1 ECN / ECN, 2 ECN / none (Linux's
        #: default), 3 AccECN / AccECN, 4 AccECN / ECN, 5 AccECN / none
        self.tcp_ecn = 2
        #: the AccECN option: 0 never, 1 as little as RFC 9768 allows, 2 whenever a counter moved
        self.tcp_ecn_option = 2
        # TCP: timers
        #: RTO before the first sample (RFC 6298 2.1)
        self.tcp_rto_initial = 1 * S
        #: lower bound of RTO (RFC 6298 2.4 says 1 s; see tcp_rto_var_min)
        self.tcp_rto_min = 0
        #: the least round trip of so long counts (Linux tcp_min_rtt_wlen)
        self.tcp_min_rtt_wlen = 300 * S
        #: upper bound of RTO (RFC 6298 2.5)
        self.tcp_rto_max = 120 * S
        #: lower bound of the 4 * RTTVAR term (Linux's way to bound RTO; G in RFC 6298 2.2)
        self.tcp_rto_var_min = 200 * MS
        #: retransmissions before the route is doubted (R1, RFC 9293 3.8.3)
        self.tcp_retries1 = 3
        #: retransmissions before the connection is given up (R2)
        self.tcp_retries2 = 15
        #: retransmissions of a connection that the application has closed (Linux tcp_orphan_retries)
        self.tcp_orphan_retries = 8
        #: an ACK waits at most this long (RFC 9293 MUST-40: below 500 ms)
        self.tcp_delack_time = 40 * MS
        #: full-sized segments that force an ACK (RFC 9293 SHLD-19)
        self.tcp_delack_segs = 2
        #: segments acknowledged at once when a connection starts (Linux)
        self.tcp_quickack_segs = 16
        #: idle time before the first keep-alive (RFC 9293 MUST-28)
        self.tcp_keepalive_time = 7200 * S
        #: between keep-alives
        self.tcp_keepalive_intvl = 75 * S
        #: unanswered keep-alives before ETIMEDOUT
        self.tcp_keepalive_probes = 9
        #: upper bound of the zero-window probe interval
        self.tcp_persist_max = 120 * S
        #: probe a zero window (RFC 9293 MUST-36; off only to show why it exists)
        self.tcp_persist = True
        # TCP: sending
        #: Nagle's algorithm (RFC 9293 SHLD-7); TCP_NODELAY turns it off for one socket
        self.tcp_nagle = True
        #: silly window avoidance of sender and receiver (RFC 9293 MUST-38, MUST-39; off only to show why it exists)
        self.tcp_sws = True
        #: initial window in segments (RFC 6928)
        self.tcp_init_cwnd = 10
        #: the initial window is one segment where the SYN or SYN,ACK was sent again so often: 1 RFC 5681 3.1; 2 RFC 6928 2, as the
        #: first time may be a round trip longer than the RTO (Linux); 0 never
        self.tcp_init_cwnd_retrans = 1
        #: initial slow start threshold in bytes
        self.tcp_init_ssthresh = 1 << 30
        #: Appropriate Byte Counting's L (RFC 3465); 0 counts ACKs instead of bytes
        self.tcp_abc_l = 2
        #: duplicate ACKs that mean a loss (RFC 5681 3.2)
        self.tcp_reordering = 3
        #: segments by which one ACK may grow cwnd in CUBIC's slow start (RFC 9406 4.2: L); 0: all it acknowledges (Linux)
        self.tcp_hystart_limit = 8
        #: congestion control by name: reno, cubic, bbr, tahoe, fixed, fixed(n), or one of your own (docs/howto/congestion.md)
        self.tcp_congestion = "reno"
        #: losses found by time instead of by count (RFC 8985 RACK)
        self.tcp_rack = True
        #: probe a tail that nobody acknowledges (RFC 8985 TLP)
        self.tcp_tlp = True
        #: how long a peer may delay the ACK of a lone segment (RFC 8985 7.2)
        self.tcp_tlp_max_ack_delay = 200 * MS
        #: proportional rate reduction in fast recovery (RFC 6937)
        self.tcp_prr = True
        #: find spurious timeouts (RFC 5682)
        self.tcp_frto = True
        #: take back wrong congestion responses (RFC 4015)
        self.tcp_undo = True
        #: RFC 3042
        self.tcp_limited_transmit = True
        #: the last segment of a burst that the windows end carries PSH, so that its ACK need not wait (Linux, on offloaded groups)
        self.tcp_push_bursts = True
        #: a full-sized segment with PSH is acknowledged at once, unless the application answers (Linux)
        self.tcp_ack_pushed = True
        #: what an idle time longer than the RTO does to cwnd: 0 the restart window at once (RFC 5681 4.1), 1 half of it for each RTO
        #: (RFC 2861, Linux), 2 nothing for five minutes (RFC 7661 4.4)
        self.tcp_idle_cwnd = 0
        #: any of it at all (Linux); False: cwnd outlasts every idle time
        self.tcp_slow_start_after_idle = True
        #: most payload bytes handed to a device in one piece
        self.tcp_gso_max = 65226
        # TCP: security
        #: challenge ACKs a second over all connections, about (RFC 5961 7): the stack draws from half to one and a half of it.
        #: 2**31 - 1: no limit but each connection's own, tcp_invalid_ratelimit (Linux)
        self.tcp_challenge_ack_limit = 0x7FFFFFFF
        #: between two ACKs in answer to bad segments of one connection, challenge ACKs too, and two SYN,ACKs for a SYN that came again
        self.tcp_invalid_ratelimit = 500 * MS
        #: holes in what one connection received: data behind one more is not kept
        self.tcp_max_ooo = 4096

        # services (pystack_c/services and pystack/services; docs/reference/limits.md); a time of 0 is no limit
        #: a connection on which nothing moves is closed after this long
        self.service_idle_time = 300 * S
        #: a request's head has to be whole this long after its first byte
        self.service_head_time = 30 * S
        #: a peer that takes less than service_min_rate of what is sent to it is reset after this long; under memory pressure after
        #: a quarter of it
        self.service_stall_time = 60 * S
        #: bytes a second that a peer has to take, or has to send of a request's body
        self.service_min_rate = 500
        #: no connection lasts longer
        self.service_total_time = 14400 * S
        #: connections of one service; a peer may have as many as are still free
        self.service_max_conns = 262144

        # TCP: other stacks' ways, for their conformance scripts
        #: RSTs do not end TIME-WAIT (RFC 1337's first fix; Linux has it off, FreeBSD on)
        self.tcp_rfc1337 = False
        #: round SO_RCVBUF up to whole segments when the connection is made (FreeBSD)
        self.tcp_round_buffers = False
        #: SO_RCVBUF and SO_SNDBUF of streams tell twice what the buffer holds, as socket(7) says (FreeBSD: once)
        self.tcp_tell_double = True
        #: announce every free byte, not only worthwhile steps (FreeBSD, and Linux with a window scale)
        self.tcp_exact_window = False
        #: any RST in the window resets, any SYN in it too: before RFC 5961 (FreeBSD insecure_rst, insecure_syn)
        self.tcp_insecure_rst = False
        self.tcp_insecure_syn = False
        #: answer an ACK of what was never sent (RFC 5961 5.2; Linux drops it in silence on an open connection)
        self.tcp_ack_unsent = True
        #: the ACK of a FIN that crosses ours carries our FIN again (FreeBSD)
        self.tcp_closing_fin = False
        #: the whole receive buffer is the window, even where the header could not tell it (FreeBSD)
        self.tcp_buffer_window = False
        #: a second segment forces an ACK, whatever its size (FreeBSD)
        self.tcp_delack_any_size = False
        #: added to every timeout but a SYN's first (FreeBSD rexmit_slop)
        self.tcp_rto_slop = 0
        #: so many SYNs sent again still ask for ECN (RFC 3168 6.1.1.1; FreeBSD ecn.maxretries)
        self.tcp_ecn_retries = 0
        #: a RST is ECONNRESET in every state, in CLOSING and LAST-ACK too (FreeBSD)
        self.tcp_reset_error = False
        #: every ICMP error that ends an opening means ECONNREFUSED, and time exceeded ends it too (FreeBSD)
        self.tcp_icmp_refused = False
        #: drop SYN with FIN: 0 never, 1 at listeners (Linux), 2 always (FreeBSD drop_synfin)
        self.tcp_drop_synfin = 1
        #: in TIME-WAIT segments without ACK are dropped, and all but a plain duplicate ACK are answered (FreeBSD)
        self.tcp_tw_answer = False
        #: the write queue as Linux keeps it, and its count of SO_SNDBUF, which is doubled (see tcp/queues/chunks.py)
        self.tcp_linux_queue = False
        #: segments that Linux's offload would cut a piece into at least (with tcp_linux_queue)
        self.tcp_min_tso_segs = 2
        #: TCP_NOTSENT_LOWAT of sockets that set none; 0: no limit
        self.tcp_notsent_lowat = 0
        #: where the RTO is due before the loss probe, the probe takes its place (RFC 8985 7.2, as Linux does it)
        self.tcp_tlp_at_rto = False
        #: cwnd grows by what an ACK says was delivered, not by what it acknowledges: SACKed data counts once (Linux)
        self.tcp_grow_delivered = False
        #: PRR sends a segment beyond what was delivered only on a safe ACK (RFC 9937); False: on every one (RFC 6937)
        self.tcp_prr_safe = False
        #: the answer to a congestion mark is spread over a round trip by PRR, too, instead of being taken at once (Linux's CWR)
        self.tcp_prr_ecn = False
        #: every ICMP error ends an opening, host unreachable and time exceeded too (Linux)
        self.tcp_icmp_opening = False
        #: the MSS to announce follows the path MTU that ICMP told (Linux)
        self.tcp_advmss_pmtu = False
        #: CUBIC reduces from cwnd instead of from the flight size (RFC 9438 4.6 allows it; Linux)
        self.tcp_ssthresh_cwnd = False
        #: a SACK block counts for segments that it covers whole only (Linux)
        self.tcp_sack_whole = False
        #: so many segments in flight are cut where a SACK block ends inside of them (FreeBSD net.inet.tcp.sack.maxholes)
        self.tcp_sack_maxholes = 128
        #: a SYN,ACK that echoes a timestamp we never sent is refused with a RST (Linux)
        self.tcp_syn_ts_check = False
        #: the window announced begins here and grows by two segments for each that arrives (Linux rcv_ssthresh); 0: all there is
        self.tcp_window_start = 0
        #: the third SYN sent again, and those after it, offer only an MSS (FreeBSD rexmit_drop_options)
        self.tcp_syn_drop_options = False
        #: AccECN as Linux does it: ECT on every packet, and the option in every one once the peer sent one, before SACK, ECT(1) first
        self.tcp_accecn_linux = False
        #: the SYN,ACK of a simultaneous open is acknowledged at once (Linux); RFC 9293 3.5, figure 8 does without
        self.tcp_crossed_ack = False
        #: of a SYN that crosses ours: 1 keeps its text, 2 its FIN, 3 both (RFC 9293 3.10.7.3); 1 FreeBSD, 0 Linux
        self.tcp_crossed_text = 3
        #: added to the times of loss probe and reordering timer, which are cut to ticks elsewhere (Linux TCP_TIMEOUT_MIN: 2 ms)
        self.tcp_timeout_slack = 0
        #: keep-alives on every connection, asked for or not (FreeBSD always_keepalive; RFC 9293 MUST-25 has them off)
        self.tcp_always_keepalive = False
        #: TCP in UDP: the port of this host that takes and sends segments in datagrams; 0: none (FreeBSD udp_tunneling_port)
        self.tcp_udp_port = 0
        #: the ACK of a FIN waits for data, or for the application to close (Linux)
        self.tcp_delack_fin = False
        #: CUBIC in Linux's arithmetic (see congestion/cubic_linux.py): slow start ends by delay at once, growth by whole segments
        self.tcp_cubic_linux = False
        #: ask for ECN no more where a SYN got no answer (RFC 3168 6.1.1.1), and doubt a handshake that tells of impossible IP-ECN fields (RFC 9768 3.2.2.3)
        self.tcp_ecn_fallback = True
        #: spread segments over the round trip with algorithms that set no rate of their own, too (Linux with fq)
        self.tcp_pacing = False
        #: with tcp_pacing, percent of a window a round trip: in slow start
        self.tcp_pacing_ss_ratio = 200
        #: and in congestion avoidance
        self.tcp_pacing_ca_ratio = 120
        #: a RST has TOS and TTL of a socket that is bound to the port, though it neither listens nor is connected (FreeBSD)
        self.tcp_reset_bound = False
        #: a SYN,ACK at a listener is answered with a RST (RFC 9293 3.10.7.2; FreeBSD drops it)
        self.tcp_listen_reset = True
        #: an ICMP error may end an opening (RFC 9293 SHLD-26; FreeBSD icmp_may_rst)
        self.tcp_icmp_may_rst = True
        #: an opening that is not answered in this time is given up, however often the SYN was sent (FreeBSD keepinit); 0: count only
        self.tcp_keepinit = 0
        #: the ACK of an old duplicate that ends at RCV.NXT counts (Linux, FreeBSD)
        self.tcp_old_ack = False
        #: window updates by two segments and a quarter of the buffer, not by doubling (FreeBSD)
        self.tcp_update_quarter = False

    def as_dict(self) -> dict[str, Any]:  # python
        """All settings by name, in a fixed order (what a recording keeps)."""
        return {name: getattr(self, name) for name in FIELDS}

    def update(self, settings: dict[str, Any]) -> "Config":  # python
        """Set several by name. An unknown name, another type, or a number out of its bounds is a ValueError, and nothing is set.

        Returns self.
        """
        before = {name: getattr(self, name) for name in settings if name in FIELDS}
        try:
            for name, value in settings.items():
                self._set(name, value)
            self.check()
        except ValueError:
            for name, value in before.items():
                setattr(self, name, value)
            raise
        return self

    def verify(self) -> None:  # python
        """A ValueError if a setting that a program assigned is out of its bounds."""
        for name, least, most in BOUNDS:
            if not least <= getattr(self, name) <= most:
                raise ValueError(f"{name} must be from {least} to {most}, not {getattr(self, name)}")
        self.check()

    def _set(self, name: str, value: Any) -> None:  # python
        """Set one, if its value is one that the setting can have."""
        if name not in FIELDS:
            raise ValueError(f"no setting named {name!r}")
        was = getattr(self, name)
        if isinstance(was, str) != isinstance(value, str) or not isinstance(value, (int, str)):
            raise ValueError(f"{name} is set by {'a text' if isinstance(was, str) else 'a number'}, not {value!r}")
        if isinstance(value, int):
            least, most = limits(name) if not isinstance(was, bool) else (0, 1)
            if not least <= value <= most:
                raise ValueError(f"{name} must be from {least} to {most}, not {value}")
        setattr(self, name, bool(value) if isinstance(was, bool) else value)

    def check(self) -> None:  # python
        """A ValueError where two settings do not fit together."""
        if self.port_min > self.port_max:
            raise ValueError(f"port_min must not be above port_max, but {self.port_min} is above {self.port_max}")


#: what a number may be where it is more than a time, a size or a count; -1 is "the stack chooses"
LIMITS = {
    "ip_default_ttl": (1, 255),
    "icmp_ratelimit": (0, S),
    "port_min": (1, 65535),
    "port_max": (1, 65535),
    "tcp_isn": (-1, 0xFFFFFFFF),
    "tcp_wscale": (-1, 14),
    "tcp_ecn": (0, 5),
    "tcp_ecn_option": (0, 2),
    "tcp_crossed_text": (0, 3),
    "tcp_drop_synfin": (0, 2),
    "tcp_udp_port": (0, 65535),
    "tcp_syncookies": (0, 2),
    "ip_forward_mss": (-1, 65535),
    "min_pmtu": (68, 65535),
    "tcp_mtu_probing": (0, 2),
    "tcp_tw_reuse": (0, 2),
    "tcp_idle_cwnd": (0, 2),
    "tcp_base_mss": (48, 65495),
    "tcp_min_snd_mss": (48, 65495),
    "tcp_mtu_probe_floor": (48, 65495),
    "tcp_mss_default": (0, 65495),
    "tcp_mss": (0, 65495),
    # the window is a product of segments and bytes, and the pacing rate one of the window, the ratio and a million
    "tcp_init_cwnd": (0, 65535),
    "tcp_pacing_ss_ratio": (0, 1000),
    "tcp_pacing_ca_ratio": (0, 1000),
    # doubled 20 times, they still fit into 64 bits
    "tcp_rto_initial": (0, 3600 * S),
    "tcp_rto_min": (0, 3600 * S),
    "tcp_rto_max": (0, 3600 * S),
    # no window is larger; and urgent data at the end of a buffer must not lie 2 GB ahead (tcp/marks.py)
    "tcp_rmem": (0, 1 << 30),
    "tcp_rmem_max": (0, 1 << 30),
    "tcp_wmem": (0, 1 << 30),
    "tcp_wmem_max": (0, 1 << 30),
    "tcp_mem_share": (0, 100),
    "tcp_window_start": (0, 1 << 30),
    "tcp_notsent_lowat": (0, 0xFFFFFFFF),
    # (A year at most, and a rate whose product with it fits into 64 bits.)
    "service_idle_time": (0, 365 * 86400 * S),
    "service_head_time": (0, 365 * 86400 * S),
    "service_stall_time": (0, 365 * 86400 * S),
    "service_total_time": (0, 365 * 86400 * S),
    "service_min_rate": (0, 1 << 27),
    "service_max_conns": (1, 1 << 24),
}
#: counts, which the compiled core keeps in 32 bits: 0 to 2**31 - 1
COUNTS = (
    "ipfrag_max_fragments icmp_burst neigh_mcast_solicit neigh_ucast_solicit neigh_queue_len neigh_max_entries neigh_max_unresolved tcp_probe_threshold "
    "somaxconn tcp_syn_retries tcp_syn_linear_timeouts tcp_synack_retries tcp_max_syn_backlog tcp_fastopen tcp_max_tw_buckets "
    "tcp_max_orphans tcp_retries1 tcp_retries2 tcp_orphan_retries tcp_delack_segs tcp_quickack_segs tcp_keepalive_probes "
    "tcp_abc_l tcp_reordering tcp_hystart_limit tcp_gso_max tcp_challenge_ack_limit tcp_max_ooo tcp_ecn_retries tcp_min_tso_segs "
    "tcp_init_cwnd_retrans tcp_sack_maxholes"
).split()
#: sizes of buffers and windows, in bytes: 0 to a TiB
SIZES = ("ipfrag_high_thresh udp_rmem udp_wmem tcp_mem_low tcp_mem_pressure tcp_mem_high tcp_init_ssthresh").split()
COUNT_MOST = (1 << 31) - 1
SIZE_MOST = 1 << 40
#: all others are times: 0 to ten years, of which sums and small multiples fit into 64 bits, beside a clock of 200 years
TIME_MOST = 10 * 365 * 86400 * S


def limits(name: str) -> tuple[int, int]:  # python
    """The least and the largest value of a setting that is a number."""
    if name in LIMITS:
        return LIMITS[name]
    if name in COUNTS:
        return 0, COUNT_MOST
    return 0, SIZE_MOST if name in SIZES else TIME_MOST


FIELDS = (
    "ip_default_ttl",
    "ip_forward",
    "accept_source_route",
    "ip_forward_mss",
    "ipfrag_time",
    "ipfrag_high_thresh",
    "ipfrag_max_fragments",
    "icmp_ratelimit",
    "icmp_peer_interval",
    "icmp_burst",
    "icmp_echo_ignore_broadcasts",
    "neigh_retrans_time",
    "neigh_mcast_solicit",
    "neigh_ucast_solicit",
    "neigh_reachable_time",
    "neigh_delay_probe_time",
    "neigh_gc_stale_time",
    "neigh_queue_len",
    "neigh_max_entries",
    "neigh_max_unresolved",
    "mtu_expires",
    "min_pmtu",
    "tcp_mtu_probing",
    "tcp_base_mss",
    "tcp_min_snd_mss",
    "tcp_mtu_probe_floor",
    "tcp_probe_interval",
    "tcp_probe_threshold",
    "tcp_mtu_probe_largest",
    "port_min",
    "port_max",
    "somaxconn",
    "udp_rmem",
    "udp_wmem",
    "tcp_syn_retries",
    "tcp_syn_linear_timeouts",
    "tcp_synack_retries",
    "tcp_max_syn_backlog",
    "tcp_syncookies",
    "tcp_fastopen",
    "tcp_fastopen_key",
    "tcp_fastopen_blackhole_timeout",
    "tcp_fastopen_path_disable",
    "tcp_abort_on_overflow",
    "tcp_fin_timeout",
    "tcp_time_wait",
    "tcp_max_tw_buckets",
    "tcp_tw_reuse",
    "tcp_mss_default",
    "tcp_isn",
    "tcp_minshall",
    "tcp_mss",
    "tcp_timestamps",
    "tcp_sack",
    "tcp_window_scaling",
    "tcp_wscale",
    "tcp_rmem",
    "tcp_rmem_max",
    "tcp_wmem",
    "tcp_wmem_max",
    "tcp_mem_low",
    "tcp_mem_pressure",
    "tcp_mem_high",
    "tcp_mem_share",
    "tcp_max_orphans",
    "tcp_moderate_rcvbuf",
    "tcp_moderate_sndbuf",
    "tcp_ecn",
    "tcp_ecn_option",
    "tcp_rto_initial",
    "tcp_rto_min",
    "tcp_min_rtt_wlen",
    "tcp_rto_max",
    "tcp_rto_var_min",
    "tcp_retries1",
    "tcp_retries2",
    "tcp_orphan_retries",
    "tcp_delack_time",
    "tcp_delack_segs",
    "tcp_quickack_segs",
    "tcp_keepalive_time",
    "tcp_keepalive_intvl",
    "tcp_keepalive_probes",
    "tcp_persist_max",
    "tcp_persist",
    "tcp_nagle",
    "tcp_sws",
    "tcp_init_cwnd",
    "tcp_init_cwnd_retrans",
    "tcp_init_ssthresh",
    "tcp_abc_l",
    "tcp_reordering",
    "tcp_hystart_limit",
    "tcp_congestion",
    "tcp_rack",
    "tcp_tlp",
    "tcp_tlp_max_ack_delay",
    "tcp_prr",
    "tcp_frto",
    "tcp_undo",
    "tcp_limited_transmit",
    "tcp_push_bursts",
    "tcp_ack_pushed",
    "tcp_slow_start_after_idle",
    "tcp_idle_cwnd",
    "tcp_gso_max",
    "tcp_challenge_ack_limit",
    "tcp_invalid_ratelimit",
    "tcp_max_ooo",
    "service_idle_time",
    "service_head_time",
    "service_stall_time",
    "service_min_rate",
    "service_total_time",
    "service_max_conns",
    "tcp_rfc1337",
    "tcp_round_buffers",
    "tcp_tell_double",
    "tcp_exact_window",
    "tcp_insecure_rst",
    "tcp_insecure_syn",
    "tcp_ack_unsent",
    "tcp_closing_fin",
    "tcp_buffer_window",
    "tcp_delack_any_size",
    "tcp_rto_slop",
    "tcp_ecn_retries",
    "tcp_reset_error",
    "tcp_icmp_refused",
    "tcp_drop_synfin",
    "tcp_tw_answer",
    "tcp_linux_queue",
    "tcp_min_tso_segs",
    "tcp_notsent_lowat",
    "tcp_tlp_at_rto",
    "tcp_grow_delivered",
    "tcp_prr_safe",
    "tcp_prr_ecn",
    "tcp_icmp_opening",
    "tcp_advmss_pmtu",
    "tcp_ssthresh_cwnd",
    "tcp_sack_whole",
    "tcp_sack_maxholes",
    "tcp_syn_ts_check",
    "tcp_window_start",
    "tcp_accecn_linux",
    "tcp_crossed_ack",
    "tcp_crossed_text",
    "tcp_timeout_slack",
    "tcp_always_keepalive",
    "tcp_udp_port",
    "tcp_delack_fin",
    "tcp_cubic_linux",
    "tcp_ecn_fallback",
    "tcp_pacing",
    "tcp_pacing_ss_ratio",
    "tcp_pacing_ca_ratio",
    "tcp_reset_bound",
    "tcp_listen_reset",
    "tcp_icmp_may_rst",
    "tcp_keepinit",
    "tcp_old_ack",
    "tcp_update_quarter",
    "tcp_syn_drop_options",
)

# Profiles: what differs from the defaults above.
PROFILES: dict[str, dict[str, Any]] = {
    "linux": {},
    # The RFCs' own words where they differ from Linux: RTO at least a second, delayed ACK 200 ms, 2 MSL 4 minutes, SYNs for
    # three minutes (RFC 9293 MUST-23).
    "rfc": {
        "tcp_syn_retries": 7,
        "tcp_minshall": False,
        "tcp_rto_min": 1 * S,
        "tcp_rto_var_min": 1 * MS,
        "tcp_rto_max": 60 * S,
        "tcp_delack_time": 200 * MS,
        "tcp_quickack_segs": 0,
        "tcp_push_bursts": False,
        "tcp_ack_pushed": False,
        "tcp_time_wait": 240 * S,
        "tcp_fin_timeout": 240 * S,
        "min_pmtu": 68,
    },
    # For teaching: no options that blur the numbers, no quick ACKs, fixed buffers.
    "lab": {
        "tcp_timestamps": False,
        "tcp_quickack_segs": 0,
        "tcp_push_bursts": False,
        "tcp_ack_pushed": False,
        "tcp_moderate_rcvbuf": False,
        "tcp_moderate_sndbuf": False,
        "tcp_rmem": 4 << 20,
        "tcp_wmem": 4 << 20,
    },
    # TCP as of 1988: slow start from one segment after every loss, whole windows of 64 KiB, cumulative ACKs alone.
    "tahoe": {
        "tcp_congestion": "tahoe",
        "tcp_init_cwnd": 1,
        "tcp_abc_l": 0,
        "tcp_sack": False,
        "tcp_timestamps": False,
        "tcp_window_scaling": False,
        "tcp_ecn": 0,
        "tcp_rack": False,
        "tcp_tlp": False,
        "tcp_prr": False,
        "tcp_frto": False,
        "tcp_undo": False,
        "tcp_limited_transmit": False,
        "tcp_minshall": False,
        "tcp_syncookies": 0,
        "tcp_fastopen": 0,
        "tcp_quickack_segs": 0,
        "tcp_push_bursts": False,
        "tcp_ack_pushed": False,
        "tcp_moderate_rcvbuf": False,
        "tcp_moderate_sndbuf": False,
    },
}


def profile(name: str) -> Config:  # python
    """A Config by profile name; an unknown name is a ValueError that lists the known ones."""
    if name not in PROFILES:
        raise ValueError(f"no profile named {name!r}; there are {', '.join(PROFILES)}")
    return Config().update(PROFILES[name])


#: the settings that are numbers, each with its least and its largest value
BOUNDS = tuple((name, *limits(name)) for name in FIELDS if type(getattr(Config(), name)) is int)
