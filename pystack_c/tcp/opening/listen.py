"""Process SYNs at a listener (RFC 9293 section 3.10.7.2): queues, SYN cookies, Fast Open."""

from typing import Any

import pystack_c.const as C
from pystack_c.base.seqnum import seq_add
from pystack_c.packet import Packet
from pystack_c.tcp import quirks, tell
from pystack_c.tcp.close import finish
from pystack_c.tcp.opening import cookies, fastopen
from pystack_c.tcp.opening.handshake import fresh_child, start_congestion_control, take_syn, to_accept_queue
from pystack_c.tcp.opening.isn import start_sequence
from pystack_c.tcp.opening.listener import Listener
from pystack_c.tcp.reset import send_reset
from pystack_c.tcp.schedule import schedule
from pystack_c.tcp.state import set_state
from pystack_c.tcp.tables import TcpTables
from pystack_c.tcp.tcb import Tcb


def listen_state(listener: Tcb, pkt: Packet, old: Tcb | None) -> Any:
    """Process a segment at a listener (RFC 9293 3.10.7.2).

    Return the connection that a SYN cookie restored, so that the caller processes the rest of its segment, or None.
    `old` is the connection in TIME-WAIT that the SYN reopens, or None. As in Linux, such a SYN needs no room in the SYN
    queue, because it replaces a connection. Its answer carries no cookie, because a cookie does not lie beyond the old
    connection's sequence numbers.
    """
    core = listener.core
    flags = pkt.tcp_flags
    rfc = "RFC 9293 3.10.7.2"
    # First, ignore a RST.
    if flags & C.RST:
        core.drop("tcp-reset-unknown", listener.subject(), "a RST arrived at a listener", rfc)
        return None
    # Second, an ACK belongs to no connection, unless it answers a SYN cookie.
    if flags & C.ACK:
        if core.config.tcp_syncookies and not flags & C.SYN:
            child = cookies.redeem(listener, pkt)
            if child is not None:
                return None if child is listener else child
        core.drop("tcp-no-connection", listener.subject(), "an ACK arrived at a listener", rfc)
        if quirks.listener_resets(core, flags):
            send_reset(
                core, pkt.dst, pkt.src, pkt.dport, pkt.sport, pkt.ack, 0, C.RST, "an ACK arrived at a listener", rfc
            )
        return None
    # Third, a SYN opens a connection.
    if not quirks.syn_opens(core, flags):
        core.drop("tcp-no-syn", listener.subject(), "the segment has none of RST, ACK and SYN", rfc)
        return None
    queue: Listener = listener.listener
    if queue.accept_full():
        core.counters.TcpExtListenOverflows += 1
        core.counters.TcpExtListenDrops += 1
        core.drop("tcp-accept-queue-full", listener.subject(), "the accept queue is full", "Linux listen(2)")
        if core.config.tcp_abort_on_overflow:
            ack = seq_add(pkt.seq, 1)
            why = "the accept queue is full"
            send_reset(core, pkt.dst, pkt.src, pkt.dport, pkt.sport, 0, ack, C.RST | C.ACK, why, rfc)
        return None
    if old is not None:
        spawn(listener, queue, pkt, old)
        return None
    if core.config.tcp_syncookies > 1 or (core.config.tcp_syncookies and queue.syn_full(core.config)):
        why = "the SYN queue is full, so the answer carries a cookie and the listener keeps no state"
        if core.config.tcp_syncookies > 1:
            why = "every SYN is answered with a cookie (tcp_syncookies 2), so the listener keeps no state"
        core.counters.TcpExtTCPReqQFullDoCookies += 1
        tell.listen(listener, "syn", why, "RFC 4987 3.6")
        cookies.answer(listener, pkt)
        return None
    if queue.syn_full(core.config):
        core.counters.TcpExtTCPReqQFullDrop += 1
        core.counters.TcpExtListenDrops += 1
        core.drop("tcp-syn-queue-full", listener.subject(), "the SYN queue is full", "RFC 4987 2")
        return None
    spawn(listener, queue, pkt, None)
    return None


def spawn(listener: Tcb, queue: Listener, pkt: Packet, old: Tcb | None) -> None:
    """Create a connection in SYN-RECEIVED. It replaces `old` in TIME-WAIT, if that is not None."""
    core = listener.core
    tcb = fresh_child(listener, pkt)
    if tcb is None:
        return
    take_syn(tcb, pkt)
    start_sequence(tcb, old)
    if old is not None:
        finish(old, "a new SYN reopens the address pair", "RFC 6191 2")
    tables: TcpTables = core.tcp
    tables.register(tcb)
    queue.add_syn(tcb)
    core.counters.TcpPassiveOpens += 1
    tcb.opened_at = core.now
    # To the RFC, the connection is the listener itself, which leaves LISTEN.
    tcb.state = C.LISTEN
    set_state(tcb, C.SYN_RECEIVED, "a SYN arrived at the listener", "RFC 9293 3.10.7.2")
    tell.listen(listener, "syn", "a half-open connection was added", "RFC 9293 3.10.7.2")
    asks = pkt.opt_fastopen is not None or pkt.l4_end > pkt.data_off
    if asks and listener.tfo is not None and fastopen.accept_data(tcb, listener, pkt):
        tcb.fastopen = True
        fastopen.take_data(tcb, pkt)
        queue.fastopen_pending += 1
        start_congestion_control(tcb)
        to_accept_queue(tcb, listener)
    schedule(tcb)
