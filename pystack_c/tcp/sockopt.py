"""setsockopt and getsockopt for a stream endpoint. Option numbers and units are those of Linux."""

import errno
import struct
from typing import Any

import pystack_c.const as C
from pystack_c.ip import options as ip_options
from pystack_c.sockets import sockopt as common
from pystack_c.tcp import quirks, tell, tunnel
from pystack_c.tcp.congestion.base import create, known
from pystack_c.tcp.encap import use_encap
from pystack_c.tcp.errors import error
from pystack_c.tcp.info import tcp_info as tcp_info
from pystack_c.tcp.mss import update_mss
from pystack_c.tcp.opening import fastopen
from pystack_c.tcp.queues import chunks, errqueue
from pystack_c.tcp.schedule import schedule
from pystack_c.tcp.tcb import Tcb
from pystack_c.tcp.timers import keepalive_arm

SECOND = 1_000_000_000
MILLISECOND = 1_000_000

SOL_IP, SOL_SOCKET, SOL_TCP = 0, 1, 6

SO_REUSEADDR, SO_TYPE, SO_ERROR, SO_BROADCAST, SO_SNDBUF, SO_RCVBUF = 2, 3, 4, 6, 7, 8
SO_KEEPALIVE, SO_OOBINLINE, SO_LINGER, SO_REUSEPORT, SO_RCVLOWAT, SO_ACCEPTCONN = 9, 10, 13, 15, 18, 30
SO_PROTOCOL, SO_DOMAIN, SO_MAX_PACING_RATE, SO_TIMESTAMPING, SO_ZEROCOPY = 38, 39, 47, 37, 60
#: The smallest value that SO_RCVBUF reads back (Linux SOCK_MIN_RCVBUF), and the largest size of a buffer, in bytes.
LEAST_RCVBUF, BUFFER_MAX = 2304, 1 << 29
#: The highest pacing rate, in bytes per second.
RATE_MAX = 1 << 60
#: Options of the socket level that all endpoints share.
COMMON = (common.SO_DEBUG, common.SO_PRIORITY, common.SO_BINDTODEVICE, common.SO_MARK)
IP_TOS, IP_TTL, IP_OPTIONS, IP_PKTOPTIONS, IP_MTU_DISCOVER, IP_RECVERR, IP_RECVTOS = 1, 2, 4, 9, 10, 11, 13
IP_MTU, IP_FREEBIND, IP_MINTTL = 14, 15, 21
TCP_NODELAY, TCP_MAXSEG, TCP_CORK, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT, TCP_SYNCNT = 1, 2, 3, 4, 5, 6, 7
TCP_DEFER_ACCEPT, TCP_WINDOW_CLAMP, TCP_FASTOPEN, TCP_NOTSENT_LOWAT = 9, 10, 23, 25
TCP_FASTOPEN_CONNECT, TCP_FASTOPEN_KEY, TCP_FASTOPEN_NO_COOKIE, TCP_INQ = 30, 33, 34, 36
#: The maximum of TCP_LINGER2 in seconds (Linux TCP_FIN_TIMEOUT_MAX).
LINGER2_MAX = 120
#: A FreeBSD option. FreeBSD's number is that of Linux's TCP_LINGER2, so pystack uses its own.
TCP_NOOPT = 0x10008
#: A FreeBSD option: the time that an open may take, in seconds.
TCP_KEEPINIT = 0x10080
TCP_REMOTE_UDP_ENCAPS_PORT = 0x10047
TCP_LINGER2, TCP_QUICKACK, TCP_CONGESTION, TCP_USER_TIMEOUT = 8, 12, 13, 18


def setsockopt(tcb: Tcb, level: int, name: int, value: Any, now: int) -> None:
    """Set an option. The value is an int, but a str for TCP_CONGESTION and (onoff, seconds) for SO_LINGER.

    TCP_FASTOPEN_KEY and IP_OPTIONS take bytes. Raise OSError with the errno that Linux gives.
    """
    tcb.core.now = now
    common.check_width(value, 64 if level == SOL_SOCKET and name == SO_MAX_PACING_RATE else 32)
    if level == SOL_SOCKET:
        _set_socket(tcb, name, value)
    elif level == SOL_IP:
        _set_ip(tcb, name, value)
    elif level == SOL_TCP:
        _set_tcp(tcb, name, value)
    else:
        raise error(errno.ENOPROTOOPT)


def _set_socket(tcb: Tcb, name: int, value: Any) -> None:
    if name == SO_REUSEADDR:
        tcb.reuseaddr = bool(value)
    elif name == SO_REUSEPORT:
        tcb.reuseport = bool(value)
    elif name == SO_KEEPALIVE:
        tcb.keepalive = bool(value)
        keepalive_arm(tcb)
    elif name == SO_SNDBUF:
        tcb.sndbuf_fixed = True
        # socket(7): Linux doubles this value to allow for its bookkeeping, and getsockopt returns the doubled value.
        # The buffer then holds about as many bytes of data as were requested. Here it holds exactly that many.
        tcb.sndbuf_size = max(chunks.LEAST_SNDBUF // 2, _size(value))
        if quirks.linux_queue(tcb):
            tcb.sndbuf_size *= 2
    elif name == SO_RCVBUF:
        tcb.rcvbuf_fixed = True
        tcb.recvbuf.size = max(LEAST_RCVBUF // 2, _size(value))
    elif name == SO_LINGER:
        onoff, seconds = value
        tcb.linger = int(seconds) * SECOND if onoff else -1
    elif name == SO_OOBINLINE:
        tcb.oobinline = bool(value)
    elif name == SO_BROADCAST:
        tcb.broadcast = bool(value)
    elif name == common.SO_DONTROUTE:
        tcb.dontroute = bool(value)
        # Select the route again.
        tcb.route = None
    elif name == SO_MAX_PACING_RATE:
        # 2**32 - 1 and 2**64 - 1 mean no limit.
        limited = value not in (-1, 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF)
        tcb.max_pacing_rate = max(1, min(int(value), RATE_MAX)) if limited else 0
    elif name == SO_RCVLOWAT:
        tcb.rcvlowat = BUFFER_MAX if value < 0 else max(1, min(int(value), BUFFER_MAX))
    elif name == SO_ZEROCOPY:
        if value not in (0, 1):
            raise error(errno.EINVAL)
        errqueue.of(tcb).zerocopy = bool(value)
    elif name == SO_TIMESTAMPING:
        code = errqueue.set_stamps(tcb, int(value))
        if code:
            raise error(code)
    elif name not in COMMON or common.set_common(tcb.core, tcb, SOL_SOCKET, name, value) is None:
        raise error(errno.ENOPROTOOPT)


def _size(value: int) -> int:
    """Return the size in bytes for SO_RCVBUF or SO_SNDBUF. A negative number means a huge one, as in Linux."""
    return BUFFER_MAX if value < 0 or value > BUFFER_MAX else int(value)


def _set_ip(tcb: Tcb, name: int, value: Any) -> None:
    if name == IP_TTL:
        if value != -1 and not 1 <= value <= 255:
            raise error(errno.EINVAL)
        tcb.ttl = tcb.core.config.ip_default_ttl if value == -1 else value
    elif name == IP_TOS:
        # The two ECN bits belong to TCP (RFC 3168).
        tcb.tos = int(value) & 0xFC
    elif name == IP_MTU_DISCOVER:
        if not 0 <= value <= 5:
            raise error(errno.EINVAL)
        tcb.pmtudisc = value
        if tcb.route is not None and tcb.state != C.CLOSED:
            update_mss(tcb)
    elif name == IP_MINTTL:
        # RFC 5082 3
        if not 0 <= value <= 255:
            raise error(errno.EINVAL)
        tcb.min_ttl = value
    elif name == IP_FREEBIND:
        tcb.freebind = bool(value)
    elif name == IP_OPTIONS:
        # MUST-51, MUST-52
        if tunnel.port_of(tcb.encap):
            raise error(errno.EINVAL)
        options = ip_options.make(value)
        tcb.options_given = options is not None
        use_encap(tcb, options)
    elif name == IP_RECVERR:
        tcb.recverr = bool(value)
    elif name == IP_RECVTOS:
        common.set_common(tcb.core, tcb, SOL_IP, name, value)
    else:
        raise error(errno.ENOPROTOOPT)


def _set_tcp(tcb: Tcb, name: int, value: Any) -> None:
    if not (_set_sending(tcb, name, value) or _set_timing(tcb, name, value) or _set_opening(tcb, name, value)):
        raise error(errno.ENOPROTOOPT)


def _set_sending(tcb: Tcb, name: int, value: Any) -> bool:
    """Set an option of the sender. Return False if `name` is not one."""
    if name == TCP_NODELAY:
        tcb.nodelay = bool(value)
        if value:
            # tcp(7): setting the option flushes pending data, even data that TCP_CORK holds.
            tcb.push_now = tcb.unsent() > 0
        schedule(tcb)
    elif name == TCP_CORK:
        tcb.cork = bool(value)
        schedule(tcb)
    elif name == TCP_MAXSEG:
        if value != 0 and not 88 <= value <= 32767:
            raise error(errno.EINVAL)
        # The value 0 removes the bound.
        tcb.user_mss = value
        if tcb.route is not None and tcb.state != C.CLOSED:
            update_mss(tcb)
    elif name == TCP_NOTSENT_LOWAT:
        # The value is unsigned: -1 means no limit, and 0 means the system's setting.
        tcb.notsent_lowat = int(value) & 0xFFFFFFFF
        if tcb.send_space() > 0:
            tcb.wake(C.EV_OUT)
    elif name == TCP_CONGESTION:
        _set_congestion(tcb, value)
    elif name == TCP_NOOPT:
        tcb.noopt = bool(value)
    else:
        return False
    return True


def _set_timing(tcb: Tcb, name: int, value: Any) -> bool:
    """Set an option about times or numbers of attempts. Return False if `name` is not one."""
    if name == TCP_KEEPIDLE:
        tcb.keepidle = _seconds(value, 32767)
        keepalive_arm(tcb)
    elif name == TCP_KEEPINTVL:
        tcb.keepintvl = _seconds(value, 32767)
    elif name == TCP_KEEPCNT:
        if not 1 <= value <= 127:
            raise error(errno.EINVAL)
        tcb.keepcnt = value
    elif name == TCP_KEEPINIT:
        if value < 0:
            raise error(errno.EINVAL)
        tcb.keepinit = value * SECOND
    elif name == TCP_SYNCNT:
        if not 1 <= value <= 127:
            raise error(errno.EINVAL)
        tcb.syn_retries = value
    elif name == TCP_QUICKACK:
        tcb.quickack = 1 << 30 if value else 0
    elif name == TCP_DEFER_ACCEPT:
        tcb.defer_accept = _deferral(value) * SECOND
        if tcb.listener is not None:
            tcb.listener.defer_accept = tcb.defer_accept
    elif name == TCP_LINGER2:
        tcb.linger2 = -1 if value < 0 else min(value, LINGER2_MAX) * SECOND
    elif name == TCP_USER_TIMEOUT:
        if value < 0:
            raise error(errno.EINVAL)
        tcb.user_timeout = value * MILLISECOND
    else:
        return False
    return True


def _set_opening(tcb: Tcb, name: int, value: Any) -> bool:
    """Set an option about Fast Open, the window or encapsulation. Return False if `name` is not one."""
    if name == TCP_WINDOW_CLAMP:
        if value == 0 and tcb.state != C.CLOSED:
            raise error(errno.EINVAL)
        tcb.window_clamp = max(LEAST_RCVBUF // 2, value) if value else 0
    elif name == TCP_FASTOPEN:
        if value < 0 or tcb.state not in (C.CLOSED, C.LISTEN):
            raise error(errno.EINVAL)
        fastopen.of(tcb).qlen = min(value, tcb.core.config.somaxconn)
    elif name == TCP_FASTOPEN_NO_COOKIE:
        if value not in (0, 1):
            raise error(errno.EINVAL)
        fastopen.of(tcb).no_cookie = bool(value)
    elif name == TCP_FASTOPEN_CONNECT:
        if not tcb.core.config.tcp_fastopen & 1:
            raise error(errno.EOPNOTSUPP)
        if tcb.state != C.CLOSED or value not in (0, 1):
            raise error(errno.EINVAL)
        fastopen.of(tcb).connect = bool(value)
    elif name == TCP_FASTOPEN_KEY:
        if not isinstance(value, bytes) or len(value) != 16:
            raise error(errno.EINVAL)
        fastopen.of(tcb).key = value
    elif name == TCP_INQ:
        if value not in (0, 1):
            raise error(errno.EINVAL)
        common.remember(tcb, (SOL_TCP, TCP_INQ), value)
    elif name == TCP_REMOTE_UDP_ENCAPS_PORT:
        _set_tunnel(tcb, value)
    else:
        return False
    return True


def _set_tunnel(tcb: Tcb, port: int) -> None:
    """Set the peer's port for TCP in UDP, before the connection opens. 0 means plain TCP."""
    if tcb.state != C.CLOSED or not 0 <= port <= 0xFFFF or (port and not tcb.core.config.tcp_udp_port):
        raise error(errno.EINVAL)
    if tcb.encap is not None and not tunnel.port_of(tcb.encap):
        raise error(errno.EINVAL)
    tcb.encap = tunnel.Tunnel(port) if port else None
    tcb.options_given = port != 0


def _deferral(seconds: int) -> int:
    """Round `seconds` up to the time of a number of SYN-ACK retransmissions, as Linux does.

    Linux stores TCP_DEFER_ACCEPT as this number (255 at most). The retransmissions are 1, 2, 4, ... seconds apart, at
    most 120.
    """
    total, step, count = 0, 1, 0
    while total < seconds and count < 255:
        total += step
        step = min(2 * step, 120)
        count += 1
    return total


def _seconds(value: int, most: int) -> int:
    if not 1 <= value <= most:
        raise error(errno.EINVAL)
    return value * SECOND


def _set_congestion(tcb: Tcb, name: str) -> None:
    if not known(name):
        raise error(errno.ENOENT)
    tcb.congestion = name
    if tcb.cc is None:
        return
    tcb.cc = create(name)
    tcb.own_recovery = False
    tcb.pacing_rate = 0
    cwnd = tcb.cwnd
    ssthresh = tcb.ssthresh
    tcb.cc.conn_init(tcb)
    if tcb.cc.keeps_window:
        tcb.cwnd = cwnd
        tcb.ssthresh = ssthresh
    tell.cwnd(tcb, cwnd, ssthresh, f"the application chose {name}", "RFC 5681 3")


def getsockopt(tcb: Tcb, level: int, name: int, now: int) -> Any:
    """Return the value of an option, in the form that setsockopt takes.

    Raise OSError with ENOPROTOOPT if it is unknown.
    """
    tcb.core.now = now
    getters = GETTERS.get(level)
    if level == SOL_SOCKET and name in COMMON:
        return common.get_common(tcb, level, name)
    if getters is None or name not in getters:
        raise error(errno.ENOPROTOOPT)
    return getters[name](tcb)  # type: ignore[no-untyped-call]


def _linger(tcb: Tcb) -> tuple[Any, ...]:
    return (0, 0) if tcb.linger < 0 else (1, tcb.linger // SECOND)


def _maxseg(tcb: Tcb) -> int:
    if tcb.state in (C.CLOSED, C.LISTEN) and tcb.user_mss:
        return tcb.user_mss
    return tcb.mss


def _packet_options(tcb: Tcb) -> bytes:
    """Return IP_PKTOPTIONS (ip(7)): the control messages that recvmsg would give for the last packet.

    There is one, with the packet's DS field (MAY-9), if IP_RECVTOS is set; otherwise the result is empty.
    """
    if not common.get_common(tcb, SOL_IP, IP_RECVTOS):
        return b""
    return struct.pack("=QiiB7x", 17, SOL_IP, IP_TOS, tcb.rcv_tos)


def _mtu(tcb: Tcb) -> int:
    """Return the route's path MTU in bytes. Raise OSError with ENOTCONN without a connection."""
    if tcb.route is None or tcb.state in (C.CLOSED, C.LISTEN):
        raise error(errno.ENOTCONN)
    return tcb.route.mtu  # type: ignore[no-any-return]


OF_PATHS = {
    IP_MTU: _mtu,
    IP_MTU_DISCOVER: lambda t: t.pmtudisc,
    IP_MINTTL: lambda t: t.min_ttl,
    IP_FREEBIND: lambda t: int(t.freebind),
    IP_RECVERR: lambda t: int(t.recverr),
    IP_RECVTOS: lambda t: common.get_common(t, SOL_IP, IP_RECVTOS),
    IP_PKTOPTIONS: _packet_options,
    IP_OPTIONS: lambda t: b"" if t.encap is None else t.encap.asked,
}

GETTERS = {
    SOL_SOCKET: {
        SO_REUSEADDR: lambda t: int(t.reuseaddr),
        SO_REUSEPORT: lambda t: int(t.reuseport),
        SO_KEEPALIVE: lambda t: int(t.keepalive),
        SO_SNDBUF: lambda t: t.sndbuf_size if quirks.linux_queue(t) else quirks.buffer_reads(t, t.sndbuf_size),
        SO_RCVBUF: lambda t: quirks.buffer_reads(t, t.recvbuf.size),
        SO_LINGER: _linger,
        SO_OOBINLINE: lambda t: int(t.oobinline),
        SO_BROADCAST: lambda t: int(t.broadcast),
        common.SO_DONTROUTE: lambda t: int(t.dontroute),
        SO_MAX_PACING_RATE: lambda t: t.max_pacing_rate or 0xFFFFFFFF,
        SO_RCVLOWAT: lambda t: t.rcvlowat,
        SO_ERROR: lambda t: t.take_error(),
        SO_TYPE: lambda t: 1,
        SO_PROTOCOL: lambda t: C.IPPROTO_TCP,
        SO_DOMAIN: lambda t: 2,
        SO_ZEROCOPY: lambda t: int(t.errqueue is not None and t.errqueue.zerocopy),
        SO_TIMESTAMPING: lambda t: t.errqueue.stamps if t.errqueue is not None else 0,
        SO_ACCEPTCONN: lambda t: int(t.state == C.LISTEN),
    },
    SOL_IP: {IP_TTL: lambda t: t.ttl, IP_TOS: lambda t: t.tos} | OF_PATHS,
    SOL_TCP: {
        TCP_NODELAY: lambda t: int(t.nodelay),
        TCP_NOOPT: lambda t: int(t.noopt),
        TCP_CORK: lambda t: int(t.cork),
        TCP_MAXSEG: _maxseg,
        TCP_KEEPIDLE: lambda t: t.keepidle // SECOND,
        TCP_KEEPINTVL: lambda t: t.keepintvl // SECOND,
        TCP_KEEPCNT: lambda t: t.keepcnt,
        TCP_SYNCNT: lambda t: t.syn_retries,
        TCP_LINGER2: lambda t: -1 if t.linger2 < 0 else (t.linger2 or t.core.config.tcp_fin_timeout) // SECOND,
        TCP_QUICKACK: lambda t: int(t.quickack > 0),
        TCP_DEFER_ACCEPT: lambda t: t.defer_accept // SECOND,
        TCP_WINDOW_CLAMP: lambda t: t.window_clamp,
        TCP_NOTSENT_LOWAT: lambda t: t.notsent_lowat - (t.notsent_lowat >> 31 << 32),
        TCP_FASTOPEN: lambda t: 0 if t.tfo is None else t.tfo.qlen,
        TCP_FASTOPEN_CONNECT: lambda t: int(t.tfo is not None and t.tfo.connect),
        TCP_FASTOPEN_KEY: lambda t: b"" if t.tfo is None else t.tfo.key,
        TCP_FASTOPEN_NO_COOKIE: lambda t: int(t.tfo is not None and t.tfo.no_cookie),
        TCP_INQ: lambda t: common.recall(t, (SOL_TCP, TCP_INQ), 0),
        TCP_REMOTE_UDP_ENCAPS_PORT: lambda t: tunnel.port_of(t.encap),
        TCP_KEEPINIT: lambda t: quirks.opening_time(t) // SECOND,
        TCP_USER_TIMEOUT: lambda t: t.user_timeout // MILLISECOND,
        TCP_CONGESTION: lambda t: t.congestion,
    },
}
