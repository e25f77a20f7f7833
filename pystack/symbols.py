"""The names that scripts use for numbers. The numbers are Linux's, on any system."""

import errno

_NAMES: dict[str, int] = {
    "NULL": 0,
    # families, types, protocols, levels
    "AF_UNSPEC": 0, "AF_INET": 2, "AF_INET6": 10, "PF_INET": 2, "PF_INET6": 10,
    "SOCK_STREAM": 1, "SOCK_DGRAM": 2, "SOCK_RAW": 3, "SOCK_NONBLOCK": 0o4000, "SOCK_CLOEXEC": 0o2000000,
    "IPPROTO_IP": 0, "IPPROTO_ICMP": 1, "IPPROTO_TCP": 6, "IPPROTO_UDP": 17, "IPPROTO_IPV6": 41,
    "IPPROTO_SCTP": 132, "IPPROTO_UDPLITE": 136, "IPPROTO_MPTCP": 262,
    "SOL_IP": 0, "SOL_SOCKET": 1, "SOL_TCP": 6, "SOL_UDP": 17, "SOL_IPV6": 41,
    # SOL_SOCKET
    "SO_DEBUG": 1, "SO_REUSEADDR": 2, "SO_TYPE": 3, "SO_ERROR": 4, "SO_DONTROUTE": 5, "SO_BROADCAST": 6, "SO_SNDBUF": 7,
    "SO_RCVBUF": 8, "SO_KEEPALIVE": 9, "SO_OOBINLINE": 10, "SO_NO_CHECK": 11, "SO_PRIORITY": 12, "SO_LINGER": 13,
    "SO_BSDCOMPAT": 14, "SO_REUSEPORT": 15, "SO_RCVLOWAT": 18, "SO_SNDLOWAT": 19, "SO_RCVTIMEO": 20,
    "SO_SNDTIMEO": 21, "SO_BINDTODEVICE": 25, "SO_TIMESTAMP": 29, "SO_ACCEPTCONN": 30, "SO_SNDBUFFORCE": 32,
    "SO_RCVBUFFORCE": 33, "SO_TIMESTAMPNS": 35, "SO_MARK": 36, "SO_TIMESTAMPING": 37, "SO_PROTOCOL": 38,
    "SO_DOMAIN": 39, "SO_BUSY_POLL": 46, "SO_MAX_PACING_RATE": 47, "SO_MEMINFO": 55, "SO_INCOMING_NAPI_ID": 56,
    "SO_ZEROCOPY": 60, "SO_TXTIME": 61,
    # SOL_IP
    "IP_TOS": 1, "IP_TTL": 2, "IP_HDRINCL": 3, "IP_OPTIONS": 4, "IP_PKTINFO": 8, "IP_MTU_DISCOVER": 10,
    "IP_RECVERR": 11, "IP_RECVTTL": 12, "IP_RECVTOS": 13, "IP_MTU": 14, "IP_FREEBIND": 15, "IP_TRANSPARENT": 19,
    "IP_MINTTL": 21, "IP_BIND_ADDRESS_NO_PORT": 24, "IP_LOCAL_PORT_RANGE": 51,
    "IP_PMTUDISC_DONT": 0, "IP_PMTUDISC_WANT": 1, "IP_PMTUDISC_DO": 2, "IP_PMTUDISC_PROBE": 3,
    **{f"IPTOS_DSCP_CS{n}": n << 5 for n in range(8)}, **{f"IPTOS_DSCP_AF{n}{m}": (8 * n + 2 * m) << 2 for n in (1, 2, 3, 4) for m in (1, 2, 3)}, "IPTOS_DSCP_EF": 0xB8, "IPTOS_LOWDELAY": 0x10,
    # SOL_TCP
    "TCP_NODELAY": 1, "TCP_MAXSEG": 2, "TCP_CORK": 3, "TCP_NOPUSH": 3, "TCP_KEEPIDLE": 4, "TCP_KEEPINTVL": 5,
    "TCP_KEEPCNT": 6, "TCP_SYNCNT": 7, "TCP_LINGER2": 8, "TCP_DEFER_ACCEPT": 9, "TCP_WINDOW_CLAMP": 10,
    "TCP_INFO": 11, "TCP_QUICKACK": 12, "TCP_CONGESTION": 13, "TCP_MD5SIG": 14, "TCP_USER_TIMEOUT": 18,
    "TCP_REPAIR": 19, "TCP_FASTOPEN": 23, "TCP_TIMESTAMP": 24, "TCP_NOTSENT_LOWAT": 25, "TCP_CC_INFO": 26,
    "TCP_SAVE_SYN": 27, "TCP_SAVED_SYN": 28, "TCP_FASTOPEN_CONNECT": 30, "TCP_ULP": 31, "TCP_FASTOPEN_KEY": 33,
    "TCP_FASTOPEN_NO_COOKIE": 34, "TCP_ZEROCOPY_RECEIVE": 35, "TCP_INQ": 36, "TCP_CM_INQ": 36, "TCP_TX_DELAY": 37,
    # FreeBSD's options have numbers of the core's own
    "TCP_NOOPT": 0x10008, "TCP_KEEPINIT": 0x10080, "TCP_REMOTE_UDP_ENCAPS_PORT": 0x10047,
    # flags of send and recv
    "MSG_OOB": 1, "MSG_PEEK": 2, "MSG_DONTROUTE": 4, "MSG_CTRUNC": 8, "MSG_TRUNC": 0x20, "MSG_DONTWAIT": 0x40,
    "MSG_EOR": 0x80, "MSG_WAITALL": 0x100, "MSG_NOSIGNAL": 0x4000, "MSG_MORE": 0x8000, "MSG_ERRQUEUE": 0x2000,
    "MSG_ZEROCOPY": 0x4000000, "MSG_FASTOPEN": 0x20000000,
    "SPLICE_F_MOVE": 1, "SPLICE_F_NONBLOCK": 2, "SPLICE_F_MORE": 4,
    "SHUT_RD": 0, "SHUT_WR": 1, "SHUT_RDWR": 2,
    # files
    "O_RDONLY": 0, "O_WRONLY": 1, "O_RDWR": 2, "O_NONBLOCK": 0o4000, "F_GETFL": 3, "F_SETFL": 4, "F_GETFD": 1,
    "F_SETFD": 2, "FD_CLOEXEC": 1, "FIONREAD": 0x541B, "SIOCINQ": 0x541B, "SIOCOUTQ": 0x5411,
    "SIOCOUTQNSD": 0x894B, "SIOCATMARK": 0x8905, "FIONBIO": 0x5421,
    # poll and epoll
    "POLLIN": 1, "POLLPRI": 2, "POLLOUT": 4, "POLLERR": 8, "POLLHUP": 0x10, "POLLNVAL": 0x20, "POLLRDNORM": 0x40,
    "POLLRDBAND": 0x80, "POLLWRNORM": 0x100, "POLLWRBAND": 0x200, "POLLRDHUP": 0x2000,
    "EPOLLIN": 1, "EPOLLPRI": 2, "EPOLLOUT": 4, "EPOLLERR": 8, "EPOLLHUP": 0x10, "EPOLLRDNORM": 0x40,
    "EPOLLRDBAND": 0x80, "EPOLLWRNORM": 0x100, "EPOLLWRBAND": 0x200, "EPOLLRDHUP": 0x2000,
    "EPOLLEXCLUSIVE": 1 << 28, "EPOLLWAKEUP": 1 << 29, "EPOLLONESHOT": 1 << 30, "EPOLLET": 1 << 31,
    "EPOLL_CTL_ADD": 1, "EPOLL_CTL_DEL": 2, "EPOLL_CTL_MOD": 3,
    # error queue and timestamping
    "SCM_TIMESTAMPING": 37, "SCM_TSTAMP_SND": 0, "SCM_TSTAMP_SCHED": 1, "SCM_TSTAMP_ACK": 2,
    "ICMP_DEST_UNREACH": 3, "ICMP_UNREACH": 3, "ICMP_TIME_EXCEEDED": 11, "ICMP_TIMXCEED": 11, "ICMP_PARAMETERPROB": 12,
    "ICMP_PARAMPROB": 12, "ICMP_NET_UNREACH": 0, "ICMP_HOST_UNREACH": 1, "ICMP_PROT_UNREACH": 2, "ICMP_PORT_UNREACH": 3,
    "ICMP_FRAG_NEEDED": 4, "ICMP_UNREACH_NET": 0, "ICMP_UNREACH_HOST": 1, "ICMP_UNREACH_PROTOCOL": 2,
    "ICMP_UNREACH_PORT": 3, "ICMP_UNREACH_NEEDFRAG": 4,
    "SO_EE_ORIGIN_NONE": 0, "SO_EE_ORIGIN_LOCAL": 1, "SO_EE_ORIGIN_ICMP": 2, "SO_EE_ORIGIN_TIMESTAMPING": 4,
    "SO_EE_ORIGIN_ZEROCOPY": 5, "SO_EE_CODE_ZEROCOPY_COPIED": 1,
    "SOF_TIMESTAMPING_TX_HARDWARE": 1, "SOF_TIMESTAMPING_TX_SOFTWARE": 2, "SOF_TIMESTAMPING_RX_HARDWARE": 4,
    "SOF_TIMESTAMPING_RX_SOFTWARE": 8, "SOF_TIMESTAMPING_SOFTWARE": 16, "SOF_TIMESTAMPING_OPT_ID": 128,
    "SOF_TIMESTAMPING_TX_SCHED": 256, "SOF_TIMESTAMPING_TX_ACK": 512, "SOF_TIMESTAMPING_OPT_TSONLY": 2048,
}  # fmt: skip

#: a number that no socket option has
NO_OPTION = 0x1FFFF

#: names that code blocks know besides the fields of tcp_info
CODE_NAMES: dict[str, int] = {
    "TCP_ESTABLISHED": 1, "TCP_SYN_SENT": 2, "TCP_SYN_RECV": 3, "TCP_FIN_WAIT1": 4, "TCP_FIN_WAIT2": 5,
    "TCP_TIME_WAIT": 6, "TCP_CLOSE": 7, "TCP_CLOSE_WAIT": 8, "TCP_LAST_ACK": 9, "TCP_LISTEN": 10, "TCP_CLOSING": 11,
    "TCPI_ESTABLISHED": 1, "TCPI_SYN_SENT": 2, "TCPI_SYN_RECEIVED": 3, "TCPI_FIN_WAIT_1": 4, "TCPI_FIN_WAIT_2": 5,
    "TCPI_TIME_WAIT": 6, "TCPI_CLOSED": 7, "TCPI_CLOSE_WAIT": 8, "TCPI_LAST_ACK": 9, "TCPI_LISTEN": 10,
    "TCPI_CLOSING": 11,
    "TCP_CA_Open": 0, "TCP_CA_Disorder": 1, "TCP_CA_CWR": 2, "TCP_CA_Recovery": 3, "TCP_CA_Loss": 4,
    "TCP_CA_OPEN": 0, "TCP_CA_DISORDER": 1, "TCP_CA_RECOVERY": 3, "TCP_CA_LOSS": 4, "TCP_INFINITE_SSTHRESH": 0x7FFFFFFF,
    "TCPI_OPT_TIMESTAMPS": 1, "TCPI_OPT_SACK": 2, "TCPI_OPT_WSCALE": 4, "TCPI_OPT_ECN": 8, "TCPI_OPT_ECN_SEEN": 16,
    "TCPI_OPT_SYN_DATA": 32, "TCPI_OPT_USEC_TS": 64, "TCPI_OPT_TFO_CHILD": 128,
}  # fmt: skip


def value_of(name: str) -> int | None:
    """Return the number of a name, or None."""
    value = _NAMES.get(name)
    if value is None and name.startswith(("TCP_RACK_", "TCP_BBR_")):
        # These configure FreeBSD's TCP stacks, which this one does not have.
        return NO_OPTION
    if value is None:
        value = getattr(errno, name, None) if name[:1] == "E" else None
    return value


def errno_name(code: int) -> str:
    """Return the name of an errno: EAGAIN for 11."""
    return errno.errorcode.get(code, str(code))


def flag_names(value: int, prefix: str) -> str:
    """Return a mask of POLL* or EPOLL* bits in words."""
    names = [n for n, bit in _NAMES.items() if n.startswith(prefix) and bit & (bit - 1) == 0 and value & bit]
    names = [n for n in names if "_CTL_" not in n]
    return "|".join(names) if names else "0"


def option_name(level: int, number: int) -> str:
    """Return the name of a socket option, or its numbers if it has no name here."""
    prefix = {0: "IP_", 1: "SO_", 6: "TCP_"}.get(level)
    if prefix is not None:
        for name, value in _NAMES.items():
            if value == number and name.startswith(prefix) and not name.startswith(("IP_PMTUDISC_", "SO_EE_")):
                return name
    return f"{number} of level {level}"
