"""TCP Fast Open (RFC 7413): data in the SYN for those who show a cookie that we gave them.

The option has two forms: the RFC's own kind, and the experimental one that came before it (`exp`).
"""

from struct import pack
from typing import Any

import pystack_c.const as C
from pystack_c.base.address import addr_bytes, key
from pystack_c.base.seqnum import seq_add
from pystack_c.base.siphash import siphash
from pystack_c.packet import Packet
from pystack_c.tcp import tell
from pystack_c.tcp.queues import memory
from pystack_c.tcp.queues.sentseg import sent_segment
from pystack_c.tcp.tcb import Tcb

# Bits of the setting tcp_fastopen, as Linux has them.
CLIENT = 1
SERVER = 2
CLIENT_NO_COOKIE = 4
SERVER_NO_COOKIE = 0x200
SERVER_ALL_LISTENERS = 0x400

# What became of our data in the SYN (tcpi_fastopen_client_fail, as Linux numbers it).
COOKIE_UNAVAILABLE = 1
DATA_NOT_ACKED = 2
SYN_RETRANSMITTED = 3

CACHE_MAX = 1024
COOKIE_MIN = 4
COOKIE_MAX = 16


class Cached:
    """What is known of a server: its cookie, and the form it came in; its MSS; how to ask the next time."""

    def __init__(self) -> None:
        self.cookie = b""
        self.exp = False
        self.mss = 0
        self.try_exp = 0
        self.blocked_until = -1


def remember(core: Any, raddr: int) -> Cached:
    """The entry of a server, made where there is none."""
    cache = core.tcp.fastopen_cache
    entry = cache.get(key(raddr))
    if entry is None:
        if len(cache) >= CACHE_MAX:
            cache.pop(next(iter(cache)))
        entry = Cached()
        cache[key(raddr)] = entry
    return entry


# The server.


def make_cookie(core: Any, key: bytes, raddr: int, laddr: int) -> bytes:
    """4.1.2: 8 bytes that bind the cookie to the two addresses. With a key given, they are Linux's for that key."""
    if not key and core.config.tcp_fastopen_key:
        # A sysctl's key is four 32-bit numbers; they are used in memory order.
        text = core.config.tcp_fastopen_key
        key = pack("<4I", *[int(text[i : i + 8], 16) for i in (0, 8, 16, 24)])
    addresses = addr_bytes(raddr) + addr_bytes(laddr)
    if key:
        return siphash(key, addresses).to_bytes(8, "little")
    return pack(">Q", core.rng.keyed_hash(b"fastopen" + addresses))


def cookie_of(pkt: Packet) -> bytes | None:
    """The cookie that a SYN or SYN-ACK carries; b"" asks for one; None where there is no sound one (4.1.1)."""
    cookie = pkt.opt_fastopen
    if cookie is None or len(cookie) & 1:
        return None
    if len(cookie) > 0 and not COOKIE_MIN <= len(cookie) <= COOKIE_MAX:
        return None
    return cookie


def accept_data(tcb: Tcb, listener: Tcb, pkt: Packet) -> bool:
    """4.1.2 and 4.2.2, server: may the data of this SYN be taken now? Sets the cookie to hand out where one is due."""
    core = tcb.core
    bits = core.config.tcp_fastopen
    given = cookie_of(pkt)
    has_data = pkt.l4_end > pkt.data_off
    if not bits & SERVER or listener.fastopen_qlen <= 0 or (given is None and not has_data):
        return False
    if listener.listener.fastopen_pending >= listener.fastopen_qlen:
        core.counters.TcpExtTCPFastOpenListenOverflow += 1
        tell.fastopen(tcb, "refused", "too many Fast Open connections wait already", "RFC 7413 5.1")
        return False
    if bits & SERVER_NO_COOKIE or listener.fastopen_no_cookie:
        core.counters.TcpExtTCPFastOpenPassive += 1
        tell.fastopen(tcb, "accepted", "this listener does not require a cookie", "RFC 7413 4.1.3")
        return True
    if given is None:
        tell.fastopen(tcb, "refused", "the SYN has data, but no cookie", "RFC 7413 4.2.2")
        return False
    cookie = make_cookie(core, listener.fastopen_key, pkt.src, pkt.dst)
    if given != cookie:
        # No cookie, or a wrong one: a fresh one, and the plain handshake.
        tcb.fastopen_cookie = cookie
        tcb.fastopen_exp = pkt.opt_fastopen_exp
        if len(given) > 0:
            core.counters.TcpExtTCPFastOpenPassiveFail += 1
            tell.fastopen(tcb, "refused", "the cookie is not valid, so the server sends a new one", "RFC 7413 4.2.2")
        else:
            core.counters.TcpExtTCPFastOpenCookieReqd += 1
            tell.fastopen(tcb, "cookie", "the peer asks for a cookie", "RFC 7413 4.1.2")
        return False
    core.counters.TcpExtTCPFastOpenPassive += 1
    tell.fastopen(tcb, "accepted", "the cookie is valid, so the server accepts the data of the SYN", "RFC 7413 4.2.2")
    return True


def take_data(tcb: Tcb, pkt: Packet) -> None:
    """The SYN's data is good: in order, after the SYN."""
    n = pkt.l4_end - pkt.data_off
    if n > tcb.recvbuf.size:
        n = tcb.recvbuf.size
    if n > 0:
        tcb.recvbuf.put(pkt.frame, pkt.data_off, pkt.data_off + n)
        memory.settle(tcb)
        tcb.syn_data_acked = True
    before = tcb.rcv_nxt
    tcb.rcv_nxt = seq_add(before, n)
    tcb.bytes_received += n
    if n > 0:
        tell.received(tcb, "tcp.data", before, n, "the application can read the data of the SYN", "RFC 7413 4.2.2")
    tcb.rcv_adv = tcb.rcv_nxt
    tcb.last_recv = tcb.core.now


# The client.


def may_carry_data(tcb: Tcb) -> bool:
    """May our SYN carry data to this server: is a cookie known, or none needed?"""
    config = tcb.core.config
    if not config.tcp_fastopen & CLIENT:
        return False
    entry = tcb.core.tcp.fastopen_cache.get(key(tcb.raddr))
    if entry is not None and entry.blocked_until > tcb.core.now:
        return False
    if config.tcp_fastopen & CLIENT_NO_COOKIE or tcb.fastopen_no_cookie:
        return True
    return entry is not None and len(entry.cookie) > 0


def syn_option(tcb: Tcb) -> bytes | None:
    """The cookie for the option of our SYN: b"" asks for one; None: no option. Sets `fastopen_exp`, its form."""
    if not tcb.fastopen_asked or tcb.retries > 0:
        return None
    entry = tcb.core.tcp.fastopen_cache.get(key(tcb.raddr))
    if entry is not None and entry.blocked_until > tcb.core.now:
        return None
    if tcb.core.config.tcp_fastopen & CLIENT_NO_COOKIE or tcb.fastopen_no_cookie:
        return None
    tcb.fastopen_option = True
    if entry is not None:
        tcb.fastopen_exp = entry.exp if len(entry.cookie) > 0 else entry.try_exp == 1
    if entry is None or len(entry.cookie) == 0:
        tell.fastopen(tcb, "asked", "no cookie of this server is known, so the SYN asks for one", "RFC 7413 4.1.2")
        return b""
    tell.fastopen(tcb, "shown", "the SYN carries the server's cookie", "RFC 7413 4.2.1")
    return entry.cookie


def syn_room(tcb: Tcb) -> int:
    """How many bytes may ride on the SYN (4.2.1): a segment of the MSS last heard, less the longest options."""
    entry = tcb.core.tcp.fastopen_cache.get(key(tcb.raddr))
    mss = tcb.route.mtu - tcb.route.overhead - C.TCP_HLEN
    if entry is not None and 0 < entry.mss < mss:
        mss = entry.mss
    if 0 < tcb.user_mss < mss:
        mss = tcb.user_mss
    if tcb.encap is not None:
        mss -= tcb.encap.length
    return max(0, mss - 40)


def data_in_syn(tcb: Tcb) -> int:
    """How many bytes of the send buffer ride on the first SYN."""
    if not may_carry_data(tcb):
        tcb.fastopen_fail = COOKIE_UNAVAILABLE
        return 0
    room = syn_room(tcb)
    have = tcb.sendbuf.tail - tcb.sendbuf.head
    return room if room < have else have


def record_data(tcb: Tcb, n: int) -> None:
    """`n` bytes went with the SYN."""
    seg = sent_segment(tcb.snd_nxt, seq_add(tcb.snd_nxt, n), tcb.core.now)
    seg.push = True
    tcb.rtxq.append(seg)
    tcb.snd_nxt = seg.end
    tcb.syn_data = True


def answered(tcb: Tcb, pkt: Packet) -> None:
    """4.1.3: keep the cookie of a SYN-ACK with the MSS; what it did not take of our data goes again at once (4.2.1)."""
    if not tcb.fastopen_option and not tcb.syn_data:
        return
    core = tcb.core
    entry = remember(core, tcb.raddr)
    cookie = cookie_of(pkt) if tcb.fastopen_option else None
    entry.mss = tcb.peer_mss
    if cookie is not None and len(cookie) > 0:
        entry.cookie = cookie
        entry.exp = pkt.opt_fastopen_exp
        tell.fastopen(tcb, "kept", "the server's cookie is kept for the next time", "RFC 7413 4.1.3")
    elif cookie is None and core.config.tcp_fastopen_path_disable > 0 and (not tcb.syn_data or tcb.rtxq.count > 0):
        core.counters.TcpExtTCPFastOpenBlackhole += 1
        entry.blocked_until = core.now + core.config.tcp_fastopen_path_disable
    elif cookie is None and not tcb.syn_data and tcb.fastopen_option and not tcb.syn_again and len(entry.cookie) == 0:
        # It does not know the option: the older form the next time, then the RFC's again.
        entry.try_exp = max(entry.try_exp, 2 if tcb.fastopen_exp else 1)
    if not tcb.syn_data:
        return
    q = tcb.rtxq
    if len(q) == 0:
        tcb.syn_data_acked = True
        # (Linux: the SYN and its data were one segment.)
        tcb.delivered -= 1
        core.counters.TcpExtTCPDelivered -= 1
        core.counters.TcpExtTCPFastOpenActive += 1
        tell.fastopen(tcb, "worked", "the server accepted the data of the SYN", "RFC 7413 4.2.1")
        return
    tcb.fastopen_fail = SYN_RETRANSMITTED if tcb.syn_again else DATA_NOT_ACKED
    for item in q.segs[q.first :]:
        q.mark_lost(item)
    core.counters.TcpExtTCPFastOpenActiveFail += 1
    tell.fastopen(tcb, "failed", "the server did not accept the data of the SYN", "RFC 7413 4.2.1")
    tcb.force_retransmit = True


def no_answer(tcb: Tcb) -> None:
    """4.1.3.1: a SYN with our data or option vanished; some path may dislike it, so the next SYN is a plain one."""
    timeout = tcb.core.config.tcp_fastopen_blackhole_timeout
    entry = tcb.core.tcp.fastopen_cache.get(key(tcb.raddr))
    if tcb.fastopen_asked and entry is not None and timeout > 0:
        tcb.core.counters.TcpExtTCPFastOpenBlackhole += 1
        entry.blocked_until = tcb.core.now + timeout
    tcb.fastopen_asked = False
    tcb.syn_again = True
    tell.fastopen(tcb, "failed", "no answer arrived, so the next SYN is sent without Fast Open", "RFC 7413 4.1.3.1")


def wanted_at_listen(tcb: Tcb, backlog: int) -> None:
    """Linux's bit 0x400: every listener takes Fast Open, without TCP_FASTOPEN."""
    bits = tcb.core.config.tcp_fastopen
    if bits & SERVER and bits & SERVER_ALL_LISTENERS and tcb.fastopen_qlen == 0:
        tcb.fastopen_qlen = backlog
