"""The values that each setting may have.

Both builds accept the same values. The compiled core keeps counts
in 32 bits, and sums and products of times and sizes fit into 64.
"""

MS = 1_000_000
S = 1_000_000_000

#: the smallest and the largest value of numbers that are not
#: plain times, sizes or counts; -1 means that the stack chooses
LIMITS = {
    "ip_default_ttl": (1, 255),
    "fib_multipath_hash_policy": (0, 1),
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
    "tcp_mem_share": (0, 100),
    # The window is the product of segments and bytes. The pacing
    # rate is the product of the window, the ratio and a million.
    "tcp_init_cwnd": (0, 65535),
    "tcp_pacing_ss_ratio": (0, 1000),
    "tcp_pacing_ca_ratio": (0, 1000),
    # These times still fit into 64 bits after they are doubled 20 times.
    "tcp_rto_initial": (0, 3600 * S),
    "tcp_rto_min": (0, 3600 * S),
    "tcp_rto_max": (0, 3600 * S),
    # No window is larger, and urgent data at the end of a buffer must not be 2 GB ahead (tcp/marks.py).
    "tcp_rmem": (0, 1 << 30),
    "tcp_rmem_max": (0, 1 << 30),
    "tcp_wmem": (0, 1 << 30),
    "tcp_wmem_max": (0, 1 << 30),
    "tcp_window_start": (0, 1 << 30),
    "tcp_notsent_lowat": (0, 0xFFFFFFFF),
    # The longest time is a year, and the product of the rate and a year fits into 64 bits.
    "service_idle_time": (0, 365 * 86400 * S),
    "service_head_time": (0, 365 * 86400 * S),
    "service_stall_time": (0, 365 * 86400 * S),
    "service_total_time": (0, 365 * 86400 * S),
    "service_min_rate": (0, 1 << 27),
    "service_max_conns": (1, 1 << 24),
    "nf_conntrack_max": (1, 1 << 24),
    "nat_filtering": (0, 2),
}
#: counts, from 0 to 2**31 - 1, because the compiled core keeps them in 32 bits
COUNTS = (
    "ipfrag_max_fragments icmp_burst igmp_max_memberships igmp_max_msf igmp_qrv neigh_mcast_solicit neigh_ucast_solicit neigh_queue_len neigh_max_entries neigh_max_unresolved tcp_probe_threshold "
    "somaxconn tcp_syn_retries tcp_syn_linear_timeouts tcp_synack_retries tcp_max_syn_backlog tcp_fastopen tcp_max_tw_buckets "
    "tcp_max_orphans tcp_retries1 tcp_retries2 tcp_orphan_retries tcp_delack_segs tcp_quickack_segs tcp_keepalive_probes "
    "tcp_abc_l tcp_reordering tcp_hystart_limit tcp_gso_max tcp_challenge_ack_limit tcp_max_ooo tcp_ecn_retries tcp_min_tso_segs "
    "tcp_init_cwnd_retrans tcp_sack_maxholes nf_conntrack_tcp_max_retrans"
).split()
#: sizes of buffers and windows in bytes, from 0 to 1 TiB
SIZES = (
    "ipfrag_high_thresh neigh_queue_bytes udp_rmem udp_wmem tcp_mem_low tcp_mem_pressure tcp_mem_high tcp_init_ssthresh"
).split()
COUNT_MOST = (1 << 31) - 1
SIZE_MOST = 1 << 40
#: all others are times from 0 to ten years; their sums and small
#: multiples fit into 64 bits, even with a clock of 200 years
TIME_MOST = 10 * 365 * 86400 * S


def limits(name: str) -> tuple[int, int]:  # python
    """Return the smallest and the largest value of a numeric setting."""
    if name in LIMITS:
        return LIMITS[name]
    if name in COUNTS:
        return 0, COUNT_MOST
    return 0, SIZE_MOST if name in SIZES else TIME_MOST
