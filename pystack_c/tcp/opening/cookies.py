"""SYN cookies: a listener under a SYN flood answers without keeping state (RFC 4987 section 3.6).

The SYN-ACK's sequence number holds a coarse time, the peer's MSS as one of eight values, and a keyed hash of the rest.
With timestamps, the low bits of TSval hold the window scale, SACK and ECN. The ACK returns all of this.
"""

from struct import pack
from typing import Any

import pystack_c.const as C
from pystack_c.base.address import addr_bytes
from pystack_c.base.seqnum import seq_add
from pystack_c.packet import Packet
from pystack_c.tcp import tell
from pystack_c.tcp.ecn import ecn
from pystack_c.tcp.opening.handshake import fresh_child, take_syn, to_accept_queue
from pystack_c.tcp.opening.syn import send_syn
from pystack_c.tcp.state import set_state
from pystack_c.tcp.tcb import Tcb
from pystack_c.tcp.timestamps import ts_now
from pystack_c.tcp.window import opening_window

# The eight values of the MSS that a cookie can carry.
MSS_TABLE = (536, 1024, 1220, 1300, 1360, 1400, 1440, 1460)

# A cookie is valid in the period of 64 s in which it was made, and in the next one.
PERIOD = 64_000_000_000

NO_SCALE = 15


def mac(core: Any, pkt: Packet, irs: int, period: int, mss_index: int) -> int:
    """Return a 24-bit keyed hash of the SYN, which only this stack can compute."""
    data = b"cookie" + addr_bytes(pkt.src) + addr_bytes(pkt.dst)
    data += pack(">HHIBB", pkt.sport, pkt.dport, irs, period & 0xFF, mss_index)
    return core.rng.keyed_hash(data) & 0xFFFFFF


def answer(listener: Tcb, pkt: Packet) -> None:
    """Answer the SYN with a SYN-ACK that carries a cookie, and keep no state."""
    core = listener.core
    tcb = fresh_child(listener, pkt)
    if tcb is None:
        return
    take_syn(tcb, pkt)
    index = 0
    for i, mss in enumerate(MSS_TABLE):
        if mss <= tcb.peer_mss:
            index = i
    period = core.now // PERIOD
    tcb.iss = (period & 31) << 27 | index << 24 | mac(core, pkt, pkt.seq, period, index)
    tcb.ts_offset = core.tcp.ts_offset(tcb)
    if tcb.ts_ok:
        scale = tcb.snd_wscale if tcb.wscale_ok else NO_SCALE
        bits = scale | (16 if tcb.sack_ok else 0) | (32 if tcb.ecn_ok else 0)
        value = ts_now(tcb)
        # Use the largest value not above the clock that ends in these bits.
        coded = (value & ~63) | bits
        if coded > value:
            coded -= 64
        tcb.ts_offset = (tcb.ts_offset + coded - value) & 0xFFFFFFFF
    else:
        tcb.wscale_ok = False
        tcb.sack_ok = False
        tcb.ecn_ok = False
    tcb.state = C.SYN_RECEIVED
    core.tcp.cookie_at = core.now
    core.counters.TcpExtSyncookiesSent += 1
    send_syn(tcb, "the answer to the SYN carries a cookie, so the listener keeps no state", "RFC 4987 3.6", 0)
    tcb.state = C.CLOSED


def redeem(listener: Tcb, pkt: Packet) -> Any:
    """Return the Tcb for an ACK with a valid cookie, or None without a valid cookie.

    The result is the listener itself if the cookie is valid, but no connection can be opened. The ACK is then dropped
    without an answer, as in Linux. Its sender considers the connection open, and its next segment carries the cookie
    again and may succeed. A RST would end the connection for good.
    """
    core = listener.core
    if core.tcp.cookie_at < 0 or core.now - core.tcp.cookie_at > 2 * PERIOD:
        return None
    cookie = seq_add(pkt.ack, -1)
    irs = seq_add(pkt.seq, -1)
    period = core.now // PERIOD
    if (cookie >> 27) != (period & 31):
        period -= 1
    index = (cookie >> 24) & 7
    if (cookie >> 27) != (period & 31) or cookie & 0xFFFFFF != mac(core, pkt, irs, period, index):
        core.counters.TcpExtSyncookiesFailed += 1
        return None
    queue = listener.listener
    if queue.accept_full():
        core.counters.TcpExtListenOverflows += 1
        core.counters.TcpExtListenDrops += 1
        core.drop("tcp-accept-queue-full", listener.subject(), "the accept queue is full", "Linux listen(2)")
        return listener
    tcb = fresh_child(listener, pkt)
    if tcb is None:
        return listener
    core.counters.TcpExtSyncookiesRecv += 1
    core.counters.TcpPassiveOpens += 1
    restore(tcb, pkt, cookie, irs, MSS_TABLE[index])
    core.tcp.register(tcb)
    tcb.state = C.LISTEN
    set_state(tcb, C.SYN_RECEIVED, "the ACK carries a valid SYN cookie", "RFC 4987 3.6")
    # The connection never was half-open. It must not refer to the listener, or its end would count as that of a
    # half-open one.
    tcb.parent = None
    to_accept_queue(tcb, listener)
    return tcb


def restore(tcb: Tcb, pkt: Packet, cookie: int, irs: int, mss: int) -> None:
    """Set up the Tcb as if the SYN had been kept."""
    seq = pkt.seq
    window = pkt.window
    pkt.opt_mss = mss
    pkt.opt_wscale = -1
    pkt.opt_sack_ok = False
    if pkt.opt_ts:
        bits = pkt.tsecr & 63
        pkt.opt_wscale = bits & 15 if bits & 15 != NO_SCALE else -1
        pkt.opt_sack_ok = bits & 16 != 0
        tcb.ecn_ok = bits & 32 != 0
    pkt.seq = irs
    ecn_ok = tcb.ecn_ok
    take_syn(tcb, pkt)
    tcb.ecn_ok = ecn_ok
    ecn.cookie_returned(tcb, pkt)
    pkt.seq = seq
    tcb.iss = cookie
    tcb.snd_una = seq_add(cookie, 1)
    tcb.snd_nxt = tcb.snd_una
    tcb.snd_up = tcb.snd_una
    tcb.snd_sml = tcb.snd_una
    tcb.cwnd_round = tcb.snd_una
    old = tcb.snd_wnd
    tcb.snd_wnd = window << tcb.snd_wscale
    tcb.max_window = tcb.snd_wnd
    tell.window(tcb, old, "the ACK with the SYN cookie announces this window", "RFC 4987 3.6")
    tcb.snd_wl1 = seq
    tcb.snd_wl2 = pkt.ack
    tcb.rcv_adv = seq_add(tcb.rcv_nxt, opening_window(tcb))
    tcb.ts_offset = tcb.core.tcp.ts_offset(tcb)
