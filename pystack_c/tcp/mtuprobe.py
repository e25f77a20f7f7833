"""Packetization layer path MTU discovery (RFC 4821, RFC 8899): find the path MTU without ICMP.

A router that drops large packets without an ICMP error, or whose errors are filtered, creates a black hole: small
segments pass, but full-sized ones never do. After R1 timeouts, the segments shrink to `tcp_base_mss` (tcp_mtu_probing
1), or they start with it (2). From there, the sender searches upwards with one larger segment at a time, a probe. If
only the probe is lost, this indicates that it was too large, and not that there is congestion.
"""

import pystack_c.const as C
from pystack_c.base.seqnum import seq_add, seq_diff, seq_ge
from pystack_c.tcp import quirks, tell
from pystack_c.tcp.congestion import rate
from pystack_c.tcp.loss import undo
from pystack_c.tcp.mss import headers, path_mtu, update_mss
from pystack_c.tcp.queues.rtxq import RtxQueue
from pystack_c.tcp.queues.sentseg import SentSegment
from pystack_c.tcp.tcb import Tcb


class MtuProbe:
    """A connection's search for the path MTU. All sizes are those of IP packets, in bytes.

    Packets of size `low` pass, and packets larger than `high` do not. `size` is the size of the probe in flight, or 0.
    The probe covers the sequence numbers [start, end). `top` is true if the largest size was tried, and `since` is the
    start time (ns).
    """

    def __init__(self, low: int, high: int, now: int) -> None:
        self.low = low
        self.high = high
        self.size = 0
        self.start = 0
        self.end = 0
        self.top = False
        self.since = now


def header(tcb: Tcb) -> int:
    """Return the bytes of a full-sized packet that are not data: the headers, and the options in each segment."""
    n = headers(tcb) + (12 if tcb.ts_ok else 0)
    if tcb.encap is not None:
        n += tcb.encap.length + tcb.encap.overhead
    return n


def largest(tcb: Tcb) -> int:
    """Return the size of the largest packet worth a probe: what the first hop carries and the peer accepts."""
    mtu = path_mtu(tcb)
    bare = headers(tcb)
    if tcb.peer_mss + bare < mtu:
        mtu = tcb.peer_mss + bare
    if 0 < tcb.user_mss < mtu - bare:
        mtu = tcb.user_mss + bare
    return mtu


def start(tcb: Tcb, why: str, rfc: str) -> None:
    """Start a search with the base MSS (RFC 4821 7.2)."""
    core = tcb.core
    high = largest(tcb)
    low = core.config.tcp_base_mss + header(tcb)
    if low > high:
        low = high
    tcb.mtup = MtuProbe(low, high, core.now)
    tell_mtu(tcb, "search", low, why, rfc)
    update_mss(tcb)


def established(tcb: Tcb) -> None:
    """Start a search for every new connection if tcp_mtu_probing is 2."""
    if tcb.core.config.tcp_mtu_probing >= 2 and tcb.mtup is None and tcb.pmtudisc != 0:
        start(tcb, "the connection begins with the base MSS and searches upwards", "RFC 4821 7.2")


def timed_out(tcb: Tcb) -> None:
    """Reduce the segment size after R1 consecutive timeouts (RFC 4821 7.7, RFC 8899 4.3).

    The segments may be too large for the path.
    """
    config = tcb.core.config
    if config.tcp_mtu_probing == 0 or tcb.pmtudisc == 0 or tcb.retries <= config.tcp_retries1 or tcb.route is None:
        return
    search: MtuProbe = tcb.mtup
    why = "many retransmissions got no answer, so the path may drop large packets and the sender tries small segments"
    if search is None:
        start(tcb, why, "RFC 4821 7.7")
        tcb.rtxq.recut(tcb.mss)
        return
    # The smaller segments are lost, too. Halve their size, as far as the settings allow.
    mss = (search.low - header(tcb)) >> 1
    if mss > config.tcp_base_mss:
        mss = config.tcp_base_mss
    if mss < config.tcp_mtu_probe_floor:
        mss = config.tcp_mtu_probe_floor
    if mss < config.tcp_min_snd_mss:
        mss = config.tcp_min_snd_mss
    if mss + header(tcb) >= search.low:
        return
    search.low = mss + header(tcb)
    search.size = 0
    tell_mtu(tcb, "search", search.low, why, "RFC 4821 7.7")
    update_mss(tcb)
    tcb.rtxq.recut(tcb.mss)


def next_size(tcb: Tcb) -> int:
    """Return the packet size of the next probe, or 0 if the search is complete (RFC 4821 7.3).

    The first probe has the largest size, in case the losses were an outage and not a black hole. Each later probe has
    the middle of the unknown range.
    """
    config = tcb.core.config
    search: MtuProbe = tcb.mtup
    span = search.high - search.low
    if span <= 0 or span < config.tcp_probe_threshold:
        if tcb.core.now - search.since < config.tcp_probe_interval:
            return 0
        # RFC 4821 7.2: routes change, so after some time the path may carry more.
        search.since = tcb.core.now
        search.high = largest(tcb)
        search.top = False
        span = search.high - search.low
        if span <= 0:
            return 0
        tell_mtu(tcb, "again", search.high, "the last search is old, and the path may have changed", "RFC 4821 7.2")
    if quirks.probes_largest(tcb) and not search.top:
        return search.high
    return (search.high + search.low) >> 1


def payload(tcb: Tcb, mss: int, unsent: int, usable: int, room: int) -> int:
    """Return the number of data bytes that the next segment carries as a probe (RFC 4821 7.4).

    0 means that no probe is due, and -1 that the probe must wait for cwnd. There is no probe during loss recovery, or
    if too little data would follow to detect its loss.
    """
    search: MtuProbe = tcb.mtup
    if search.size != 0 or tcb.ca_state != C.CA_OPEN or tcb.sacks is not None or tcb.dsack is not None:
        return 0
    size = next_size(tcb)
    if size == 0:
        return 0
    n = size - header(tcb)
    needed = n + (tcb.core.config.tcp_reordering + 1) * mss
    if mss < tcb.mss or n <= mss or unsent < needed or usable < needed or tcb.cwnd < needed:
        return 0
    if tcb.chunks is not None and not tcb.chunks.linux and tcb.chunks.rest(tcb, tcb.send_offset()) < n:
        # A record ends inside the probe (MSG_EOR).
        return 0
    if room < n:
        return -1 if tcb.in_flight() > 0 else 0
    return n


def sent(tcb: Tcb, begin: int, n: int) -> None:
    """Record that a probe with `n` bytes from `begin` on was sent (RFC 4821 7.5)."""
    search: MtuProbe = tcb.mtup
    search.size = n + header(tcb)
    search.start = begin
    search.end = seq_add(begin, n)
    if search.size >= search.high:
        search.top = True
    why = f"a probe of {search.size} bytes tests the path, whose MTU is from {search.low} to {search.high}"
    tell_mtu(tcb, "probe", search.size, why, "RFC 4821 7.5")


def acked(tcb: Tcb) -> None:
    """Raise the segment size if SND.UNA has passed the probe (RFC 4821 7.6.1)."""
    search: MtuProbe = tcb.mtup
    if search.size == 0 or not seq_ge(tcb.snd_una, search.end):
        return
    tcb.core.counters.TcpExtTCPMTUPSuccess += 1
    search.low = search.size
    search.size = 0
    tell_mtu(tcb, "success", search.low, "the probe arrived, so the path carries packets of its size", "RFC 4821 7.6.1")
    update_mss(tcb)


def alone_is_lost(tcb: Tcb) -> bool:
    """Return True if the probe was lost and nothing else (RFC 4821 7.6.2 and 7.6.4).

    More losses indicate congestion.
    """
    search: MtuProbe = tcb.mtup
    if search.size == 0 or tcb.snd_una != search.start:
        return False
    q = tcb.rtxq
    head: SentSegment = q.head()
    if head is None or head.sacked or head.end != search.end or head.retrans > 0:
        return False
    lost = q.lost_out
    if head.lost:
        return lost == seq_diff(head.end, head.seq)
    # Without SACK, nothing is marked as lost yet. Three duplicate ACKs indicate that the head is missing.
    return lost == 0 and not tcb.sack_ok


def failed(tcb: Tcb) -> None:
    """Record that the path does not carry the probe's size, and retransmit the data (RFC 4821 7.6.2).

    The loss does not indicate congestion.
    """
    search: MtuProbe = tcb.mtup
    q: RtxQueue = tcb.rtxq
    tcb.core.counters.TcpExtTCPMTUPFail += 1
    size = search.size
    search.high = size - 1
    search.size = 0
    tell_mtu(tcb, "failed", size, "only the probe was lost, so it was too large, and cwnd stays", "RFC 4821 7.6.2")
    head: SentSegment = q.head()
    if head.lost and tcb.rate is not None:
        # Do not count the probe as a loss, either, for algorithms that use the loss rate.
        rate.lost(tcb, -seq_diff(head.end, head.seq))
    q.mark_lost(head)
    q.recut(tcb.mss)
    tcb.recover = tcb.snd_nxt
    tcb.frto = False
    tcb.force_retransmit = True
    undo.forget(tcb)


def inconclusive(tcb: Tcb) -> None:
    """Abandon the probe, because another segment was lost, too (RFC 4821 7.6.4). A later probe may tell more."""
    search: MtuProbe = tcb.mtup
    if search.size == 0:
        return
    size = search.size
    search.size = 0
    tell_mtu(tcb, "inconclusive", size, "other segments are missing too, so the probe proves nothing", "RFC 4821 7.6.4")


def tell_mtu(tcb: Tcb, action: str, size: int, why: str, rfc: str) -> None:
    """Emit the tcp.mtu event."""
    if tcb.core.probe is not None:
        tell.mtu_search(tcb, action, size, why, rfc)
