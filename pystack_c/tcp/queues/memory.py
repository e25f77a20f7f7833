"""The memory of all connections together, and what they release if it is scarce (Linux tcp(7), tcp_mem).

The total counts the data that waits to be sent, acknowledged, read or put in order, and the records of segments in
flight. A block of data that many connections send is not counted.

Above `tcp_mem_pressure`, no buffer grows, send buffers are halved, and the windows of connections that the application
does not read stay small, until the total falls below `tcp_mem_low`. In this time, each peer (an address with all its
connections) has a share. Above `tcp_mem_share` per cent of `tcp_mem_high`, this amount is divided equally among the
peers that hold much, and a peer that exceeds its part gets no more. Above the middle between that amount and
`tcp_mem_high`, no peer that holds much gets more.

Above `tcp_mem_high`, out-of-order data is discarded first (RFC 2018 8 allows it). Then arriving data is dropped, the
window closes, and new connections are refused. But LEAST bytes in each direction belong to every connection, so that
all of them can continue.
"""

from typing import Any

import pystack_c.const as C
from pystack_c.base.address import key
from pystack_c.base.seqnum import seq_add
from pystack_c.core import Core
from pystack_c.tcp.queues.share import LARGE, LEAST, over_share
from pystack_c.tcp.tcb import Tcb

# The bytes that an out-of-order piece costs besides its data: its record, its place in the list, and the frame's
# headers.
_PIECE = 200
PIECE = _PIECE
# The bytes that the record of a segment in flight costs, with its place in the list.
_RECORD = 136
RECORD = _RECORD
# The out-of-order data of all connections is examined at most once in this time (ns).
RECLAIM_EVERY = 100_000_000

RULE = "Linux tcp(7) tcp_mem"


def settle(tcb: Tcb) -> None:
    """Update the total after a change of the connection's buffers. Every function that changes them calls this."""
    n = tcb.recvbuf.used + tcb.recvbuf.ooo_bytes + _PIECE * tcb.recvbuf.ooo_pieces + _RECORD * tcb.rtxq.count
    if tcb.sendbuf.head != tcb.sendbuf.tail:
        n += tcb.sendbuf.own()
    if n == tcb.charged:
        return
    core = tcb.core
    core.tcp_memory += n - tcb.charged
    if core.tcp_pressure:
        _settle_scarce(core, tcb, n)
        return
    tcb.charged = n
    if core.tcp_memory > core.config.tcp_mem_pressure:
        pressed(core)


def _settle_scarce(core: Core, tcb: Tcb, n: int) -> None:
    """Update the peer's count while memory is scarce. The connection holds `n` bytes now."""
    count(core, key(tcb.raddr), n - tcb.charged)
    tcb.charged = n
    if core.tcp_memory < core.config.tcp_mem_low:
        relieved(core)


def pressed(core: Core) -> None:
    """Enter memory pressure: count the bytes of each peer."""
    core.tcp_pressure = True
    core.tcp_pressure_at = core.now
    core.counters.TcpExtTCPMemoryPressures += 1
    core.tcp_peers = {}
    core.tcp_large = 0
    for tcb in core.tcp.all():
        if tcb.charged > 0:
            count(core, key(tcb.raddr), tcb.charged)
    if core.probe is not None:
        tell(core, "pressure", "all buffers hold more than tcp_mem_pressure, so windows stay small")


def relieved(core: Core) -> None:
    """Leave memory pressure."""
    core.tcp_pressure = False
    core.tcp_peers = None
    core.counters.TcpExtTCPMemoryPressuresChrono += (core.now - core.tcp_pressure_at) // 1_000_000
    if core.probe is not None:
        tell(core, "relief", "all buffers hold less than tcp_mem_low")


def count(core: Core, addr: int, n: int) -> None:
    """Add `n` bytes to the count of a peer while memory is scarce."""
    old = core.tcp_peers.get(addr, 0)
    new = old + n
    large = core.config.tcp_mem_high // LARGE
    core.tcp_large += (new > large) - (old > large)
    if new > 0:
        core.tcp_peers[addr] = new
    else:
        core.tcp_peers.pop(addr, None)


def tell(core: Core, action: str, why: str) -> None:
    """Emit an event about the memory of all connections."""
    core.emit("tcp.memory", "tcp", 0, why, RULE, {"action": action, "used": core.tcp_memory})


def over(core: Core, n: int) -> bool:
    """Return True if `n` more bytes would exceed tcp_mem_high."""
    return core.tcp_memory + n > core.config.tcp_mem_high


def short(tcb: Tcb, n: int) -> bool:
    """Return True if `n` more bytes would exceed tcp_mem_high, or the share of the connection's peer."""
    return over(tcb.core, n) or over_share(tcb.core, tcb.raddr, n)


def refuses(tcb: Tcb, addr: int) -> bool:
    """Return True, after counting a drop, if there is no memory for a connection of `tcb` with the peer `addr`.

    The caller drops or refuses the connection.
    """
    core = tcb.core
    if over(core, LEAST):
        core.drop("tcp-no-memory", tcb.subject(), "there is no memory for another connection", RULE)
        return True
    if core.tcp_pressure and over_share(core, addr, LEAST):
        core.drop(
            "tcp-no-memory", tcb.subject(), "memory is scarce, and this peer's connections hold their share", RULE
        )
        return True
    return False


def window(tcb: Tcb, free: int) -> int:
    """Return how many of the receive buffer's `free` bytes to announce under pressure (Linux __tcp_select_window)."""
    buf = tcb.recvbuf
    if short(tcb, LEAST):
        most = LEAST - buf.used
    elif free < buf.size // 2:
        # More than half of the buffer waits for the application to read it.
        most = 4 * tcb.rcv_mss
    else:
        return free
    if most < 0:
        most = 0
    return most if most < free else free


def admits(tcb: Tcb, n: int, in_order: bool) -> bool:
    """Return True if `n` bytes of arriving data may be stored although memory is short.

    This is so if discarded out-of-order data makes enough room, or if in-order data keeps the buffer within LEAST
    bytes.
    """
    core = tcb.core
    core.counters.TcpExtPruneCalled += 1
    if over(core, n):
        reclaim(core)
    if not short(tcb, n):
        return True
    if in_order:
        if tcb.recvbuf.ooo is not None:
            prune(tcb)
        if not short(tcb, n) or tcb.recvbuf.used + n <= LEAST:
            return True
    core.counters.TcpExtRcvPruned += 1
    if in_order:
        core.counters.TcpExtTCPRcvQDrop += 1
    else:
        core.counters.TcpExtTCPOFODrop += 1
    why = f"all buffers hold {core.tcp_memory} bytes, which leaves no room for this data"
    if not over(core, n):
        why = f"this peer's buffers hold {core.tcp_peers[key(tcb.raddr)]} bytes, which is its share"
    core.drop("tcp-no-memory", tcb.subject(), why, RULE)
    # As in Linux, this violates SHLD-14: the window closes, and segments that the peer sends until it opens are probes.
    free = window(tcb, tcb.recvbuf.size - tcb.recvbuf.used)
    edge = seq_add(tcb.rcv_nxt, free)
    if tcb.rcv_wnd() > free:
        tcb.rcv_adv = edge
        tcb.syn_window = False
    return False


def reclaim(core: Core) -> None:
    """Discard out-of-order data, the largest queues first, until the total is at most tcp_mem_pressure."""
    if core.tcp_reclaimed >= 0 and core.now - core.tcp_reclaimed < RECLAIM_EVERY:
        return
    core.tcp_reclaimed = core.now
    found: list[Any] = []
    for tcb in core.tcp.all():
        if tcb.recvbuf.ooo is not None:
            found.append((-tcb.recvbuf.ooo_bytes, tcb.ident, tcb))
    found.sort()
    for item in found:
        tcb = item[2]
        if core.tcp_memory <= core.config.tcp_mem_pressure:
            return
        prune(tcb)


def prune(tcb: Tcb) -> None:
    """Discard a connection's out-of-order data. The peer still has it (RFC 2018 8: SACK is advisory)."""
    buf = tcb.recvbuf
    n = buf.ooo_bytes
    buf.forget_ooo()
    tcb.sacks = None
    tcb.core.counters.TcpExtOfoPruned += 1
    settle(tcb)
    if tcb.core.probe is not None:
        why = f"memory is scarce, so {n} out-of-order bytes, which the peer still has, were discarded"
        fields = {"action": "pruned", "used": tcb.core.tcp_memory}
        tcb.core.emit("tcp.memory", tcb.subject(), tcb.ident, why, "RFC 2018 8", fields)


# Orphans: connections that the application has closed, but that still hold data.


def orphaned(tcb: Tcb) -> bool:
    """Count a connection that the application has closed. Return False if there are too many (tcp_too_many_orphans)."""
    core = tcb.core
    if not tcb.registered or tcb.state == C.TIME_WAIT or tcb.orphan:
        return True
    tcb.orphan = True
    core.tcp_orphans += 1
    if core.tcp_orphans > core.config.tcp_max_orphans:
        return False
    return not (over(core, LEAST) and tcb.sendbuf.tail - tcb.sendbuf.head > LEAST)


def adopted(tcb: Tcb) -> None:
    """Stop counting a connection as an orphan: it has ended, or holds nothing in TIME-WAIT."""
    if tcb.orphan:
        tcb.orphan = False
        tcb.core.tcp_orphans -= 1
