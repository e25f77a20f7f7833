"""Socket options as bytes: structures packed as Linux packs them (socket(7), ip(7), tcp(7))."""

import errno
import os
import struct
from typing import Any

SOCK_STREAM = 1
SOL_SOCKET = 1
SOL_PACKET = 263
SO_TYPE = 3
SO_LINGER = 13
SO_RCVTIMEO = 20
SO_SNDTIMEO = 21
SO_BINDTODEVICE = 25
SO_ATTACH_FILTER = 26
SO_TIMESTAMP = 29
SO_ACCEPTCONN = 30
SO_TIMESTAMPNS = 35
SO_PROTOCOL = 38
SO_DOMAIN = 39
#: the same two with times of 64 bits, which is what they have on a machine of 64 bits anyway
SO_TIMESTAMP_NEW = 63
SO_TIMESTAMPNS_NEW = 64
IPPROTO_IP = 0
IP_TOS = 1
IP_TTL = 2
IP_OPTIONS = 4
IP_RECVOPTS = 6
IP_RETOPTS = 7
IP_PKTINFO = 8
IP_RECVERR = 11
IP_RECVTTL = 12
IP_RECVTOS = 13
IP_ORIGDSTADDR = 20
IP_MULTICAST_IF = 32
IP_ADD_MEMBERSHIP = 35
IP_DROP_MEMBERSHIP = 36
IP_DROP_SOURCE_MEMBERSHIP = 40
IPPROTO_TCP = 6
TCP_INFO = 11
TCP_CONGESTION = 13

#: options and constants that the stack knows and that CPython (or an older one) does not name: linux/in.h, linux/socket.h, linux/errqueue.h
NAMES = {
    "IP_RECVOPTS": IP_RECVOPTS,
    "IP_RETOPTS": IP_RETOPTS,
    "IP_PKTINFO": IP_PKTINFO,
    "IP_MTU_DISCOVER": 10,
    "IP_RECVERR": IP_RECVERR,
    "IP_RECVTTL": IP_RECVTTL,
    "IP_RECVTOS": IP_RECVTOS,
    "IP_MTU": 14,
    "IP_FREEBIND": 15,
    "IP_ORIGDSTADDR": IP_ORIGDSTADDR,
    "IP_RECVORIGDSTADDR": IP_ORIGDSTADDR,
    "IP_UNBLOCK_SOURCE": 37,
    "IP_BLOCK_SOURCE": 38,
    "IP_ADD_SOURCE_MEMBERSHIP": 39,
    "IP_DROP_SOURCE_MEMBERSHIP": IP_DROP_SOURCE_MEMBERSHIP,
    "IP_MULTICAST_ALL": 49,
    "IP_PMTUDISC_DONT": 0,
    "IP_PMTUDISC_WANT": 1,
    "IP_PMTUDISC_DO": 2,
    "IP_PMTUDISC_PROBE": 3,
    "IP_PMTUDISC_INTERFACE": 4,
    "IP_PMTUDISC_OMIT": 5,
    "SO_ATTACH_FILTER": SO_ATTACH_FILTER,
    "SO_DETACH_FILTER": 27,
    "SO_LOCK_FILTER": 44,
    "SO_TIMESTAMP": SO_TIMESTAMP,
    "SO_TIMESTAMPNS": SO_TIMESTAMPNS,
    "SCM_TIMESTAMP": SO_TIMESTAMP,
    "SCM_TIMESTAMPNS": SO_TIMESTAMPNS,
    "SO_EE_ORIGIN_LOCAL": 1,
    "SO_EE_ORIGIN_ICMP": 2,
}

_INT = struct.Struct("=i")
_LINGER = struct.Struct("=ii")
_TIMEVAL = struct.Struct("@ll")
_FPROG = struct.Struct("@HP")
#: seconds that no longer fit into the kernel's count of ticks (250 or 1000 in a second); the kernel then waits for ever
_FOREVER_FROM = (1 << 63) // 1000 - 1

# linux/tcp.h, struct tcp_info: (format, names); names are those of `tcp_info()`'s dict, without the tcpi_ in front
_TCP_INFO_U8 = ("state", "ca_state", "retransmits", "probes", "backoff", "options", "wscale", "flags")
_TCP_INFO_U32 = (
    "rto ato snd_mss rcv_mss unacked sacked lost retrans fackets last_data_sent last_ack_sent last_data_recv "
    "last_ack_recv pmtu rcv_ssthresh rtt rttvar snd_ssthresh snd_cwnd advmss reordering rcv_rtt rcv_space total_retrans"
).split()
_TCP_INFO_REST = (
    ("Q", "pacing_rate max_pacing_rate bytes_acked bytes_received"),
    ("I", "segs_out segs_in notsent_bytes min_rtt data_segs_in data_segs_out"),
    ("Q", "delivery_rate busy_time rwnd_limited sndbuf_limited"),
    ("I", "delivered delivered_ce"),
    ("Q", "bytes_sent bytes_retrans"),
    ("I", "dsack_dups reord_seen rcv_ooopack snd_wnd rcv_wnd rehash"),
    ("H", "total_rto total_rto_recoveries"),
    ("I", "total_rto_time received_ce delivered_e1_bytes delivered_e0_bytes delivered_ce_bytes"),
    ("I", "received_e1_bytes received_e0_bytes received_ce_bytes"),
    ("H", "accecn_fail_mode accecn_opt_seen"),
)


def _mask(value: Any, bits: int) -> int:
    return min(max(int(value), 0), (1 << bits) - 1)


def pack_tcp_info(info: dict[str, Any]) -> bytes:
    """struct tcp_info from the dict of `tcp_info`. Fields that the dict does not have are zero."""
    values = {key.removeprefix("tcpi_"): value for key, value in info.items()}
    values["wscale"] = _mask(values.get("snd_wscale", 0), 4) | _mask(values.get("rcv_wscale", 0), 4) << 4
    values["flags"] = values.get("delivery_rate_app_limited", 0) | _mask(values.get("fastopen_client_fail", 0), 2) << 1
    out = bytearray(struct.pack("=8B", *(_mask(values.get(name, 0), 8) for name in _TCP_INFO_U8)))
    out += struct.pack("=24I", *(_mask(values.get(name, 0), 32) for name in _TCP_INFO_U32))
    for kind, names in _TCP_INFO_REST:
        bits = 8 * struct.calcsize("=" + kind)
        for name in names.split():
            out += struct.pack("=" + kind, _mask(values.get(name, 0), bits))
    return bytes(out)


def pack(level: int, name: int, value: Any) -> bytes:
    """A value as getsockopt(2) would store it."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode() + b"\0"
    if isinstance(value, dict):
        return pack_tcp_info(value)
    if isinstance(value, tuple):
        return _LINGER.pack(*value)
    return _INT.pack(int(value))


def unpack_int(value: Any) -> int:
    """The int in the argument of setsockopt(). Less than four bytes is EINVAL, as in the kernel."""
    if isinstance(value, int):
        return value
    raw = bytes(value)
    if len(raw) < 4:
        if len(raw) == 1:
            # ip(7): options of one byte may be given as one byte.
            return raw[0]
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    return int(_INT.unpack_from(raw)[0])


def unpack_linger(value: Any) -> tuple[int, int]:
    """struct linger: (on, seconds)."""
    raw = bytes(value) if not isinstance(value, int) else b""
    if len(raw) < _LINGER.size:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    on, seconds = _LINGER.unpack_from(raw)
    return on, seconds


def pack_linger(seconds: int | None) -> bytes:
    """struct linger."""
    return _LINGER.pack(0, 0) if seconds is None else _LINGER.pack(1, seconds)


def unpack_timeval(value: Any) -> float | None:
    """struct timeval in seconds. Zero means for ever."""
    raw = bytes(value) if not isinstance(value, int) else b""
    if len(raw) < _TIMEVAL.size:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    sec, usec = _TIMEVAL.unpack_from(raw)
    if not 0 <= usec < 1_000_000:
        raise OSError(errno.EDOM, os.strerror(errno.EDOM))
    if sec < 0:
        # The kernel does not wait at all then.
        return 0.0
    if sec >= _FOREVER_FROM:
        return None
    return sec + usec / 1e6 or None


def pack_timeval(seconds: float | None) -> bytes:
    """struct timeval."""
    micros = round((seconds or 0) * 1e6)
    return _TIMEVAL.pack(micros // 1_000_000, micros % 1_000_000)


# -- options of a description: those that concern only the API are here, all others are in the core --------------------------

#: these select control messages of recvmsg(); the description keeps them
_CMSG_OPTIONS = (IP_RECVOPTS, IP_RETOPTS, IP_PKTINFO, IP_RECVTTL, IP_RECVTOS, IP_ORIGDSTADDR)
#: these select the time of arrival; a socket has one of them at most
TIMESTAMPS = (SO_TIMESTAMP, SO_TIMESTAMPNS, SO_TIMESTAMP_NEW, SO_TIMESTAMPNS_NEW)


def set_option(description: Any, level: int, name: int, value: Any) -> None:
    """setsockopt(2)."""
    if level == SOL_SOCKET:
        if name == SO_RCVTIMEO:
            description.rcvtimeo = unpack_timeval(value)
            return
        if name == SO_SNDTIMEO:
            description.sndtimeo = unpack_timeval(value)
            return
        if name in (SO_TYPE, SO_DOMAIN, SO_PROTOCOL, SO_ACCEPTCONN):
            raise OSError(errno.ENOPROTOOPT, os.strerror(errno.ENOPROTOOPT))
        if name == SO_LINGER:
            on, seconds = unpack_linger(value)
            description.linger = seconds if on else None
            if description.type == SOCK_STREAM:
                description.setsockopt(level, name, (on, seconds))
            return
        if name == SO_BINDTODEVICE:
            description.setsockopt(level, name, _text(value))
            return
        if name == SO_ATTACH_FILTER and description.type != SOCK_STREAM:
            description.setsockopt(level, name, _instructions(value))
            return
        if name in TIMESTAMPS and description.type != SOCK_STREAM:
            # The latest option counts, and 0 switches all of them off.
            description.timestamp = name if unpack_int(value) else 0
            return
    elif level == IPPROTO_IP and name in _CMSG_OPTIONS:
        description.cmsgs[name] = int(unpack_int(value) != 0)
        if name == IP_RECVTOS and description.type == SOCK_STREAM:
            # A stream reports it by IP_PKTOPTIONS.
            description.setsockopt(level, name, unpack_int(value))
        return
    elif level == IPPROTO_IP and (
        name in (IP_OPTIONS, IP_MULTICAST_IF) or IP_ADD_MEMBERSHIP <= name <= IP_DROP_SOURCE_MEMBERSHIP
    ):
        description.setsockopt(level, name, value if isinstance(value, int) else bytes(value))
        return
    elif level == IPPROTO_TCP and name == TCP_CONGESTION and description.type == SOCK_STREAM:
        description.setsockopt(level, name, _text(value))
        return
    elif level == SOL_PACKET:
        description.setsockopt(level, name, value if isinstance(value, int) else bytes(value))
        return
    description.setsockopt(level, name, unpack_int(value))


def get_option(description: Any, level: int, name: int) -> Any:
    """getsockopt(2): an int, bytes, str, or tcp_info's dict."""
    if level == SOL_SOCKET:
        if name == SO_RCVTIMEO:
            return pack_timeval(description.rcvtimeo)
        if name == SO_SNDTIMEO:
            return pack_timeval(description.sndtimeo)
        if name == SO_TYPE:
            return description.type
        if name == SO_DOMAIN:
            return description.family
        if name == SO_PROTOCOL:
            return description.proto
        if name == SO_ACCEPTCONN:
            return int(getattr(description, "listening", False))
        if name == SO_LINGER:
            return pack_linger(description.linger)
        if name in TIMESTAMPS and description.type != SOCK_STREAM:
            found = description.timestamp
            # Linux reports the first of the two new options for the second, too.
            return int(found == name or (found == SO_TIMESTAMPNS_NEW and name == SO_TIMESTAMP_NEW))
    elif level == IPPROTO_IP and name in _CMSG_OPTIONS:
        return description.cmsgs.get(name, 0)
    elif level == IPPROTO_TCP and name == TCP_INFO and hasattr(description, "info"):
        return description.info()
    return description.getsockopt(level, name)


def _instructions(value: Any) -> bytes:
    """The instructions to which a struct sock_fprog points: their number, and the address of an array of 8 bytes each."""
    raw = b"" if isinstance(value, int) else bytes(value)
    if len(raw) != _FPROG.size:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    count, address = _FPROG.unpack(raw)
    if address == 0:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    # A read of the memory's file fails for a wrong address, as the kernel's read does, instead of ending the process.
    memory = os.open("/proc/self/mem", os.O_RDONLY | os.O_CLOEXEC)
    try:
        found = os.pread(memory, 8 * count, address)
    except (OSError, OverflowError):
        found = b""
    finally:
        os.close(memory)
    if len(found) != 8 * count:
        raise OSError(errno.EFAULT, os.strerror(errno.EFAULT))
    return found


def _text(value: Any) -> str:
    if isinstance(value, int):
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    return bytes(value).split(b"\0", 1)[0].decode("ascii", "replace")


def as_int(value: Any) -> int:
    """The result of getsockopt() without a length: the first four bytes."""
    if isinstance(value, int):
        return value
    raw = pack(0, 0, value)
    return int(_INT.unpack_from(raw.ljust(4, b"\0"))[0])
