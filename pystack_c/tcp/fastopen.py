"""TCP Fast Open (RFC 7413): data in the SYN for those who show a cookie that we gave them."""

from struct import pack

from pystack_c.seqnum import seq_add
from pystack_c.tcp.rtxq import SentSegment
from pystack_c.tcp.tcb import Tcb

CLIENT = 1
SERVER = 2

# After a SYN with data got no answer, how long plain SYNs are sent to that peer (4.1.3.1 leaves it open; Linux starts here).
BLACKHOLE_TIME = 3_600_000_000_000
CACHE_MAX = 1024


def make_cookie(core, raddr: int, laddr: int) -> bytes:
    """4.1.2: 8 bytes that bind the cookie to the client's address."""
    return pack(">Q", core.rng.keyed_hash(b"fastopen" + pack(">II", raddr, laddr)))


def data_in_syn(tcb: Tcb) -> int:
    """How many bytes may ride on the first SYN (4.2.1): as many as fit beside the longest options."""
    cached = tcb.core.tcp.fastopen_cache.get(tcb.raddr)
    if cached is None:
        return 0
    cookie, mss, blocked_until = cached
    if not cookie or blocked_until > tcb.core.now:
        return 0
    room = min(mss, tcb.route.mtu - 40) - 40
    return min(room, tcb.sendbuf.tail - tcb.sendbuf.head)


def record_data(tcb: Tcb, n: int) -> None:
    """`n` bytes went with the SYN."""
    seg = SentSegment(tcb.snd_nxt, seq_add(tcb.snd_nxt, n), tcb.core.now)
    tcb.rtxq.append(seg)
    tcb.snd_nxt = seg.end
    tcb.bytes_sent += n
    tcb.core.counters.TcpExtTCPFastOpenActive += 1


def answered(tcb: Tcb, pkt) -> None:
    """4.1.3: keep the cookie of a SYN-ACK with the MSS; what it did not take of our data goes again at once (4.2.1)."""
    core = tcb.core
    cache = core.tcp.fastopen_cache
    if pkt.opt_fastopen is not None and 4 <= len(pkt.opt_fastopen) <= 16:
        if len(cache) >= CACHE_MAX:
            cache.pop(next(iter(cache)))
        cache[tcb.raddr] = (pkt.opt_fastopen, tcb.peer_mss, -1)
    q = tcb.rtxq
    for item in q.segs[q.first :]:
        q.mark_lost(item)
        core.counters.TcpExtTCPFastOpenActiveFail += 1
    tcb.force_retransmit = True


def no_answer(tcb: Tcb) -> None:
    """4.1.3.1: a SYN with our data or option vanished: something on the path may dislike it."""
    cache = tcb.core.tcp.fastopen_cache
    cached = cache.get(tcb.raddr)
    if tcb.fastopen_asked and cached is not None:
        cache[tcb.raddr] = (cached[0], cached[1], tcb.core.now + BLACKHOLE_TIME)
    tcb.fastopen_asked = False


def accept_data(tcb: Tcb, listener: Tcb, pkt) -> bool:
    """4.1.2 and 4.2.2, server: may the data of this SYN be taken now? Sets the cookie to hand out where one is due."""
    core = tcb.core
    if not core.config.tcp_fastopen & SERVER or listener.fastopen_qlen <= 0 or pkt.opt_fastopen is None:
        return False
    cookie = make_cookie(core, pkt.src, pkt.dst)
    if pkt.opt_fastopen != cookie:
        # No cookie, or a wrong one: a fresh one, and the plain handshake.
        tcb.fastopen_cookie = cookie
        if len(pkt.opt_fastopen) > 0:
            core.counters.TcpExtTCPFastOpenPassiveFail += 1
        else:
            core.counters.TcpExtTCPFastOpenCookieReqd += 1
        return False
    if listener.listener.fastopen_pending >= listener.fastopen_qlen:
        core.counters.TcpExtTCPFastOpenListenOverflow += 1
        return False
    core.counters.TcpExtTCPFastOpenPassive += 1
    return True


def take_data(tcb: Tcb, pkt) -> None:
    """The SYN's data is good: in order, after the SYN."""
    n = pkt.l4_end - pkt.data_off
    if n > tcb.recvbuf.size:
        n = tcb.recvbuf.size
    tcb.recvbuf.put(pkt.frame, pkt.data_off, pkt.data_off + n)
    tcb.rcv_nxt = seq_add(tcb.rcv_nxt, n)
    tcb.bytes_received += n
    tcb.rcv_adv = tcb.rcv_nxt
    tcb.last_recv = tcb.core.now
