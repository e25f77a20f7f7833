"""TCP Fast Open (RFC 7413): data in the SYN of a client that presents a cookie which the server issued.

The option has two forms: the kind that the RFC assigns, and the earlier experimental one (`exp`).
"""

from struct import pack
from typing import Any

import pystack_c.const as C
from pystack_c.base.address import addr_bytes, key
from pystack_c.base.seqnum import seq_add
from pystack_c.base.siphash import siphash
from pystack_c.packet import Packet
from pystack_c.tcp import tell
from pystack_c.tcp.opening.tfostate import FastOpen
from pystack_c.tcp.queues import memory
from pystack_c.tcp.queues.sentseg import sent_segment
from pystack_c.tcp.tcb import Tcb

# Bits of the setting tcp_fastopen, as in Linux.
CLIENT = 1
SERVER = 2
CLIENT_NO_COOKIE = 4
SERVER_NO_COOKIE = 0x200
SERVER_ALL_LISTENERS = 0x400

# The fate of our data in the SYN (tcpi_fastopen_client_fail, with Linux's numbers).
COOKIE_UNAVAILABLE = 1
DATA_NOT_ACKED = 2
SYN_RETRANSMITTED = 3

CACHE_MAX = 1024
COOKIE_MIN = 4
COOKIE_MAX = 16


class Cached:
    """The cache entry for a server.

    It holds the cookie and the option's form, the MSS (bytes), and the form in which to request a cookie next time.
    """

    def __init__(self) -> None:
        self.cookie = b""
        self.exp = False
        self.mss = 0
        self.try_exp = 0
        self.blocked_until = -1


def of(tcb: Tcb) -> FastOpen:
    """The variables of Fast Open of a socket, made if there are none."""
    if tcb.tfo is None:
        tcb.tfo = FastOpen()
    return tcb.tfo


def remember(core: Any, raddr: int) -> Cached:
    """Return the cache entry of a server, and create it if necessary. The oldest entry makes room for a new one."""
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
    """Return a cookie of 8 bytes for the two addresses (RFC 7413 4.1.2).

    With a configured key, it equals Linux's cookie.
    """
    if not key and core.config.tcp_fastopen_key:
        # A sysctl's key consists of four 32-bit numbers, in memory order.
        text = core.config.tcp_fastopen_key
        key = pack("<4I", *[int(text[i : i + 8], 16) for i in (0, 8, 16, 24)])
    addresses = addr_bytes(raddr) + addr_bytes(laddr)
    if key:
        return siphash(key, addresses).to_bytes(8, "little")
    return pack(">Q", core.rng.keyed_hash(b"fastopen" + addresses))


def cookie_of(pkt: Packet) -> bytes | None:
    """Return the cookie in a SYN or SYN-ACK (RFC 7413 4.1.1).

    b"" requests a cookie, and None means that there is no valid one.
    """
    cookie = pkt.opt_fastopen
    if cookie is None or len(cookie) & 1:
        return None
    if len(cookie) > 0 and not COOKIE_MIN <= len(cookie) <= COOKIE_MAX:
        return None
    return cookie


def accept_data(tcb: Tcb, listener: Tcb, pkt: Packet) -> bool:
    """Return True if a server may accept the data of this SYN now (RFC 7413 4.1.2, 4.2.2).

    `tcb.fastopen_cookie` becomes the cookie to issue, if one is due.
    """
    core = tcb.core
    bits = core.config.tcp_fastopen
    given = cookie_of(pkt)
    has_data = pkt.l4_end > pkt.data_off
    if not bits & SERVER or listener.tfo is None or listener.tfo.qlen <= 0 or (given is None and not has_data):
        return False
    if listener.listener.fastopen_pending >= listener.tfo.qlen:
        core.counters.TcpExtTCPFastOpenListenOverflow += 1
        tell.fastopen(tcb, "refused", "too many Fast Open connections wait already", "RFC 7413 5.1")
        return False
    if bits & SERVER_NO_COOKIE or listener.tfo.no_cookie:
        core.counters.TcpExtTCPFastOpenPassive += 1
        tell.fastopen(tcb, "accepted", "this listener does not require a cookie", "RFC 7413 7.3")
        return True
    if given is None:
        tell.fastopen(tcb, "refused", "the SYN has data, but no cookie", "RFC 7413 4.2.2")
        return False
    cookie = make_cookie(core, listener.tfo.key, pkt.src, pkt.dst)
    if given != cookie:
        # There is no cookie, or an invalid one: issue a new one, and perform the ordinary handshake.
        tfo = of(tcb)
        tfo.cookie = cookie
        tfo.exp = pkt.opt_fastopen_exp
        if len(given) > 0:
            core.counters.TcpExtTCPFastOpenPassiveFail += 1
            tell.fastopen(tcb, "refused", "the cookie is not valid, so the server sends a new one", "RFC 7413 4.2.2")
        else:
            core.counters.TcpExtTCPFastOpenCookieReqd += 1
            tell.fastopen(tcb, "cookie", "the peer requests a cookie", "RFC 7413 4.2.1")
        return False
    core.counters.TcpExtTCPFastOpenPassive += 1
    tell.fastopen(tcb, "accepted", "the cookie is valid, so the server accepts the data of the SYN", "RFC 7413 4.2.2")
    return True


def take_data(tcb: Tcb, pkt: Packet) -> None:
    """Accept the data of a SYN, in order after the SYN."""
    n = pkt.l4_end - pkt.data_off
    if n > tcb.recvbuf.size:
        n = tcb.recvbuf.size
    if n > 0:
        tcb.recvbuf.put(pkt.frame, pkt.data_off, pkt.data_off + n)
        memory.settle(tcb)
        of(tcb).data_acked = True
    before = tcb.rcv_nxt
    tcb.rcv_nxt = seq_add(before, n)
    tcb.bytes_received += n
    if n > 0:
        tell.received(tcb, "tcp.data", before, n, "the application can read the data of the SYN", "RFC 7413 4.2.2")
    tcb.rcv_adv = tcb.rcv_nxt
    tcb.last_recv = tcb.core.now


# The client.


def may_carry_data(tcb: Tcb) -> bool:
    """Return True if our SYN may carry data to this server: a cookie is known, or none is needed."""
    config = tcb.core.config
    if not config.tcp_fastopen & CLIENT:
        return False
    entry = tcb.core.tcp.fastopen_cache.get(key(tcb.raddr))
    if entry is not None and entry.blocked_until > tcb.core.now:
        return False
    if config.tcp_fastopen & CLIENT_NO_COOKIE or tcb.tfo.no_cookie:
        return True
    return entry is not None and len(entry.cookie) > 0


def syn_option(tcb: Tcb) -> bytes | None:
    """Return the cookie for the option of our SYN. b"" requests one, and None means no option.

    `tcb.tfo.exp` becomes the option's form.
    """
    if tcb.tfo is None or not tcb.tfo.asked or tcb.retries > 0:
        return None
    entry = tcb.core.tcp.fastopen_cache.get(key(tcb.raddr))
    if entry is not None and entry.blocked_until > tcb.core.now:
        return None
    if tcb.core.config.tcp_fastopen & CLIENT_NO_COOKIE or tcb.tfo.no_cookie:
        return None
    tcb.tfo.option = True
    if entry is not None:
        tcb.tfo.exp = entry.exp if len(entry.cookie) > 0 else entry.try_exp == 1
    if entry is None or len(entry.cookie) == 0:
        tell.fastopen(tcb, "asked", "no cookie of this server is known, so the SYN requests one", "RFC 7413 4.2.1")
        return b""
    tell.fastopen(tcb, "shown", "the SYN carries the server's cookie", "RFC 7413 4.2.2")
    return entry.cookie


def syn_room(tcb: Tcb) -> int:
    """Return how many bytes of data the SYN may carry (RFC 7413 4.2.2).

    That is a segment of the last known MSS, less the longest options.
    """
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
    """Return how many bytes of the send buffer the first SYN carries."""
    if not may_carry_data(tcb):
        tcb.tfo.fail = COOKIE_UNAVAILABLE
        return 0
    room = syn_room(tcb)
    have = tcb.sendbuf.tail - tcb.sendbuf.head
    return room if room < have else have


def record_data(tcb: Tcb, n: int) -> None:
    """Record that the SYN carried `n` bytes of data."""
    seg = sent_segment(tcb.snd_nxt, seq_add(tcb.snd_nxt, n), tcb.core.now)
    seg.push = True
    tcb.rtxq.append(seg)
    tcb.snd_nxt = seg.end
    tcb.syn_data = True


def answered(tcb: Tcb, pkt: Packet) -> None:
    """Store the cookie and MSS from a SYN-ACK (4.1.3), and retransmit data that it did not accept at once (4.2.2)."""
    if tcb.tfo is None or (not tcb.tfo.option and not tcb.syn_data):
        return
    core = tcb.core
    entry = remember(core, tcb.raddr)
    cookie = cookie_of(pkt) if tcb.tfo.option else None
    entry.mss = tcb.peer_mss
    if cookie is not None and len(cookie) > 0:
        entry.cookie = cookie
        entry.exp = pkt.opt_fastopen_exp
        tell.fastopen(tcb, "kept", "the server's cookie is kept for the next time", "RFC 7413 4.1.3")
    elif cookie is None and core.config.tcp_fastopen_path_disable > 0 and (not tcb.syn_data or tcb.rtxq.count > 0):
        core.counters.TcpExtTCPFastOpenBlackhole += 1
        entry.blocked_until = core.now + core.config.tcp_fastopen_path_disable
    elif cookie is None and not tcb.syn_data and tcb.tfo.option and not tcb.tfo.again and len(entry.cookie) == 0:
        # The server does not know this form of the option. Try the older form next time, and then the RFC's form again.
        entry.try_exp = max(entry.try_exp, 2 if tcb.tfo.exp else 1)
    if not tcb.syn_data:
        return
    q = tcb.rtxq
    if len(q) == 0:
        tcb.tfo.data_acked = True
        # In Linux, the SYN and its data are one segment.
        tcb.delivered -= 1
        core.counters.TcpExtTCPDelivered -= 1
        core.counters.TcpExtTCPFastOpenActive += 1
        tell.fastopen(tcb, "worked", "the server accepted the data of the SYN", "RFC 7413 4.2.2")
        return
    tcb.tfo.fail = SYN_RETRANSMITTED if tcb.tfo.again else DATA_NOT_ACKED
    for item in q.segs[q.first :]:
        q.mark_lost(item)
    core.counters.TcpExtTCPFastOpenActiveFail += 1
    tell.fastopen(tcb, "failed", "the server did not accept the data of the SYN", "RFC 7413 4.2.2")
    tcb.force_retransmit = True


def no_answer(tcb: Tcb) -> None:
    """Send the next SYN without Fast Open, because one with data or the option got no answer (RFC 7413 4.1.3.1).

    A middlebox on the path may drop such SYNs.
    """
    timeout = tcb.core.config.tcp_fastopen_blackhole_timeout
    entry = tcb.core.tcp.fastopen_cache.get(key(tcb.raddr))
    if tcb.tfo.asked and entry is not None and timeout > 0:
        tcb.core.counters.TcpExtTCPFastOpenBlackhole += 1
        entry.blocked_until = tcb.core.now + timeout
    tcb.tfo.asked = False
    tcb.tfo.again = True
    tell.fastopen(tcb, "failed", "no answer arrived, so the next SYN is sent without Fast Open", "RFC 7413 4.1.3.1")


def wanted_at_listen(tcb: Tcb, backlog: int) -> None:
    """Enable Fast Open on a listener without TCP_FASTOPEN, if Linux's bit 0x400 is set."""
    bits = tcb.core.config.tcp_fastopen
    if bits & SERVER and bits & SERVER_ALL_LISTENERS and of(tcb).qlen == 0:
        of(tcb).qlen = backlog
