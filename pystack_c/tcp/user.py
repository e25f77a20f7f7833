"""The user calls (RFC 9293 section 3.9.1), with the errors of BSD sockets.

The endpoint is the first argument, and the time `now` (ns) the last. An OSError carries the errno. If a blocking socket
would wait, recv and accept return None, and send returns 0.
"""

import errno
from typing import Any

import pystack_c.const as C
from pystack_c.base.address import loopback_for, normal
from pystack_c.ip import encap
from pystack_c.ip.routing import route_endpoint, route_output
from pystack_c.sockets import ports
from pystack_c.tcp import quirks, tell
from pystack_c.tcp.close import abort_connection, await_fin, finish
from pystack_c.tcp.errors import error
from pystack_c.tcp.mss import have_route
from pystack_c.tcp.opening import fastopen
from pystack_c.tcp.opening.handshake import window_scale
from pystack_c.tcp.opening.isn import start_sequence
from pystack_c.tcp.opening.listener import Listener
from pystack_c.tcp.opening.tfostate import FastOpen
from pystack_c.tcp.queues import chunks, errqueue, memory
from pystack_c.tcp.queues.autotune import tune_receive_buffer
from pystack_c.tcp.schedule import schedule
from pystack_c.tcp.state import set_state
from pystack_c.tcp.tables import TcpTables
from pystack_c.tcp.tcb import Tcb, new_tcb
from pystack_c.tcp.urgent import pass_mark, recv_urgent, up_to_mark
from pystack_c.tcp.window import window_update

SHUT_RD = 0
SHUT_WR = 1
SHUT_RDWR = 2


def tcp_open(core: Any, now: int) -> Tcb:
    """Return a new stream endpoint that is CLOSED and unbound."""
    core.now = now
    tcb = new_tcb(core)
    tcb.keepalive = quirks.keeps_alive(core)
    core.endpoints[tcb.ident] = tcb
    return tcb


def bind(tcb: Tcb, addr: int, port: int, now: int) -> None:
    """Bind to a local address (0 means any; MUST-43) and a port (0 means an ephemeral port).

    Raise OSError with EINVAL if the endpoint is not CLOSED, or with the error from the port table.
    """
    core = tcb.core
    core.now = now
    if tcb.state != C.CLOSED:
        raise error(errno.EINVAL)
    ports.bind(core, tcb, core.tcp, normal(addr), port)


def listen(tcb: Tcb, backlog: int, now: int) -> None:
    """Perform a passive OPEN (RFC 9293 3.9.1.1). On a listener, change the backlog.

    Raise OSError with EINVAL if the endpoint is in use, or with EADDRINUSE if another listener has the port.
    """
    core = tcb.core
    core.now = now
    backlog = max(0, min(backlog, core.config.somaxconn))
    if tcb.state == C.LISTEN:
        tcb.listener.backlog = backlog
        return
    if tcb.state != C.CLOSED or tcb.raddr != 0:
        raise error(errno.EINVAL)
    if not tcb.bound:
        bind(tcb, 0, 0, now)
    for other in core.tcp.listeners.get(tcb.lport, ()):
        same = other.laddr == 0 or tcb.laddr == 0 or other.laddr == tcb.laddr
        if same and not (other.reuseport and tcb.reuseport):
            raise error(errno.EADDRINUSE)
    tcb.listener = Listener(backlog)
    fastopen.wanted_at_listen(tcb, backlog)
    tcb.listener.defer_accept = tcb.defer_accept
    set_state(tcb, C.LISTEN, "the application started to listen (passive OPEN)", "RFC 9293 3.10.1")
    core.tcp.listen(tcb)


def accept(tcb: Tcb, now: int) -> Any:
    """Return the next established connection, or None if there is none.

    Raise EINVAL if the endpoint does not listen.
    """
    tcb.core.now = now
    if tcb.state != C.LISTEN:
        raise error(errno.EINVAL)
    if not tcb.listener.accept_queue:
        return None
    child = tcb.listener.accept_queue.popleft()
    tell.listen(tcb, "accept", "the application accepted a connection", "RFC 9293 3.9.1")
    return child


def connect(tcb: Tcb, addr: int, port: int, now: int) -> None:
    """Perform an active OPEN (RFC 9293 3.9.1.1): send the SYN.

    The readiness event EV_OUT or an error in `so_error` reports the result. Raise OSError if the endpoint is in use, or
    if there is no route, local address, port or memory for the connection.
    """
    core = tcb.core
    core.now = now
    if tcb.state == C.SYN_SENT or (tcb.state == C.SYN_RECEIVED and not tcb.passive):
        raise error(errno.EISCONN if tcb.tfo is not None and tcb.tfo.deferred else errno.EALREADY)
    if tcb.state == C.LISTEN or tcb.state != C.CLOSED or tcb.raddr != 0:
        raise error(errno.EISCONN)
    # Linux: the unspecified address as a destination means this host.
    addr = normal(addr) if addr != 0 else loopback_for(addr)
    # MUST-51: follow the source route, if the application set one.
    if core.policy is not None and tcb.encap is None:
        route = route_endpoint(core, tcb, addr, tcb.bound_iface, tcb.dontroute, C.IPPROTO_TCP, port)
    elif tcb.encap is None:
        route = route_output(core, addr, tcb.laddr, tcb.bound_iface, tcb.dontroute)
    else:
        route = encap.route_to(core, tcb.encap, addr, tcb.laddr, tcb.bound_iface, tcb.dontroute)
    if route is None:
        raise error(core.route_error)
    if route.kind == C.DST_BROADCAST or route.kind == C.DST_MULTICAST:
        # MUST-46
        raise error(errno.ENETUNREACH)
    laddr = tcb.laddr if tcb.laddr != 0 else route.src
    if laddr == 0:
        raise error(errno.EADDRNOTAVAIL)
    tables: TcpTables = core.tcp
    if tcb.lport == 0:
        ports.connect_port(core, tcb, tables, laddr, addr, port)
    elif tables.tuple_busy(laddr, tcb.lport, addr, port):
        raise error(errno.EADDRNOTAVAIL)
    if memory.refuses(tcb, addr):
        raise error(errno.ENOBUFS)
    tcb.laddr = laddr
    tcb.raddr = addr
    tcb.rport = port
    tcb.so_error = 0
    tcb.was_reset = False
    tcb.rcv_wscale = window_scale(tcb)
    old: Tcb = tables.find(laddr, tcb.lport, addr, port)
    start_sequence(tcb, old)
    if old is not None:
        core.counters.TcpExtTWRecycled += 1
        finish(old, "a new connection takes over its addresses and ports", "RFC 6191 2")
    have_route(tcb)
    tables.register(tcb)
    core.counters.TcpActiveOpens += 1
    set_state(tcb, C.SYN_SENT, "the application called connect (active OPEN)", "RFC 9293 3.10.1")
    if tcb.tfo is not None and tcb.tfo.connect and core.config.tcp_fastopen & fastopen.CLIENT:
        # TCP_FASTOPEN_CONNECT: if the SYN may carry data, it waits for the first write.
        tcb.tfo.asked = True
        tcb.tfo.deferred = fastopen.may_carry_data(tcb)
        if tcb.tfo.deferred:
            tcb.wake(C.EV_OUT)
            return
    schedule(tcb)


def check_error(tcb: Tcb) -> None:
    """Raise the pending error, if any, and clear it."""
    code = tcb.take_error()
    if code:
        raise error(code)


def send(tcb: Tcb, data: bytes, flags: int, now: int) -> int:
    """SEND (RFC 9293 3.10.2): put as many bytes as fit into the send buffer, and return their number.

    Raise OSError with the pending error, or with EPIPE if the connection can send no more.
    """
    core = tcb.core
    core.now = now
    check_error(tcb)
    state = tcb.state
    if tcb.shut_wr:
        raise error(errno.EPIPE)
    if tcb.tfo is not None and tcb.tfo.deferred:
        n = syn_with_data(tcb, data)
        if tcb.errqueue is not None and n > 0:
            errqueue.written(tcb, flags, n)
        return n
    if (state == C.SYN_SENT or state == C.SYN_RECEIVED) and not tcb.fastopen:
        return 0
    if state != C.ESTABLISHED and state != C.CLOSE_WAIT and state != C.SYN_RECEIVED:
        raise error(errno.EPIPE)
    buf = tcb.sendbuf
    room = tcb.send_limit() - (buf.tail - buf.head)
    n = len(data)
    pieces = chunks.of(tcb, flags) if flags & C.MSG_EOR or _linux_queue(tcb) else tcb.chunks
    if pieces is not None and pieces.linux:
        room = pieces.admit(tcb, n, flags)
    more = flags & C.MSG_MORE != 0
    if room <= 0 and n > 0:
        tcb.no_space = True
        if tcb.more:
            # The rest of the message has to wait for room. The data already buffered must not wait for it.
            tcb.more = False
            schedule(tcb)
        return 0
    if n > room:
        tcb.no_space = True
        more = False
        n = room
        data = data[:n]
    if pieces is not None and not pieces.linux and n > 0:
        pieces.written(tcb, n, flags)
    buf.append(data)
    memory.settle(tcb)
    if tcb.errqueue is not None and n > 0:
        errqueue.written(tcb, flags, n)
    tcb.more = more
    if flags & C.MSG_OOB:
        # RFC 9293 3.8.5: the urgent pointer points to the byte after the urgent data (MUST-62).
        tcb.snd_up = (tcb.snd_una + buf.tail - buf.head) & C.M32
    schedule(tcb)
    return n


def recv(tcb: Tcb, n: int, flags: int, now: int) -> bytes | None:
    """RECEIVE (RFC 9293 3.10.3): return up to `n` bytes.

    Return b"" at the end of the stream, and None if no data has arrived. Raise OSError with the pending error, or with
    ENOTCONN.
    """
    tcb.core.now = now
    buf = tcb.recvbuf
    if flags & C.MSG_OOB:
        return recv_urgent(tcb, flags)
    if buf.used > 0 and n > 0:
        if tcb.urgent is not None:
            n = up_to_mark(tcb, n)
        data = buf.get(n, flags & C.MSG_PEEK != 0)
        if not flags & C.MSG_PEEK:
            memory.settle(tcb)
            if tcb.urgent is not None:
                pass_mark(tcb, len(data))
            tune_receive_buffer(tcb, len(data))
            window_update(tcb)
        return data
    check_error(tcb)
    if tcb.fin_received or tcb.shut_rd or tcb.was_reset:
        return b""
    state = tcb.state
    if state == C.CLOSED or state == C.LISTEN:
        raise error(errno.ENOTCONN)
    if n == 0:
        return b""
    return None


def skip(tcb: Tcb, n: int, now: int) -> int:
    """Discard up to `n` bytes, as recv with MSG_TRUNC does on Linux's TCP. Return the number of bytes discarded."""
    tcb.core.now = now
    buf = tcb.recvbuf
    if n > buf.used:
        n = buf.used
    if tcb.urgent is not None:
        n = up_to_mark(tcb, n)
    if n <= 0:
        return 0
    buf.drop(n)
    memory.settle(tcb)
    if tcb.urgent is not None:
        pass_mark(tcb, n)
    tune_receive_buffer(tcb, n)
    window_update(tcb)
    return n


def at_mark(tcb: Tcb, now: int) -> bool:
    """Return True if the next byte is the first one after the urgent data (SIOCATMARK, MUST-33)."""
    tcb.core.now = now
    return tcb.urgent is not None and tcb.urgent.mark_left == 0


def unread(tcb: Tcb, now: int) -> int:
    """Return the number of bytes that can be read at once (TCP_INQ). A FIN from the peer counts as one more."""
    tcb.core.now = now
    return tcb.recvbuf.used + 1 if tcb.fin_received else tcb.recvbuf.used


def connect_fastopen(tcb: Tcb, data: bytes, addr: int, port: int, now: int) -> int:
    """Perform an active OPEN with data (sendto with MSG_FASTOPEN, RFC 7413 4.2.2). Return how many bytes the SYN takes.

    The result is 0 if no cookie is known: the SYN then requests one, and the data waits for the handshake. Raise
    EOPNOTSUPP if Fast Open is off, or the errors of connect.
    """
    core = tcb.core
    core.now = now
    if not core.config.tcp_fastopen & fastopen.CLIENT:
        raise error(errno.EOPNOTSUPP)
    tfo: FastOpen = fastopen.of(tcb)
    if not tfo.deferred:
        tfo.connect = False
        connect(tcb, addr, port, now)
    tfo.asked = True
    return syn_with_data(tcb, data)


def syn_with_data(tcb: Tcb, data: bytes) -> int:
    """Send the SYN now with as many bytes of the data as it may carry, and return their number."""
    tcb.tfo.deferred = False
    n = fastopen.syn_room(tcb) if fastopen.may_carry_data(tcb) else 0
    if len(data) < n:
        n = len(data)
    tcb.sendbuf.append(data[:n])
    memory.settle(tcb)
    schedule(tcb)
    return n


def shutdown(tcb: Tcb, how: int, now: int) -> None:
    """Close the connection for writing (SHUT_WR sends a FIN, RFC 9293 3.6), for reading, or both.

    Raise OSError with EINVAL for an unknown `how`, or with ENOTCONN if there is no connection.
    """
    tcb.core.now = now
    if how not in (SHUT_RD, SHUT_WR, SHUT_RDWR):
        raise error(errno.EINVAL)
    if tcb.state == C.LISTEN:
        if how != SHUT_WR:
            close_listener(tcb)
            tcb.wake(C.EV_IN | C.EV_HUP)
        return
    if tcb.state in (C.CLOSED, C.SYN_SENT) or tcb.state == C.TIME_WAIT:
        raise error(errno.ENOTCONN)
    if how != SHUT_WR:
        tcb.shut_rd = True
        tcb.wake(C.EV_IN | C.EV_RDHUP)
    if how != SHUT_RD and not tcb.shut_wr:
        close_write(tcb)


def close_write(tcb: Tcb) -> None:
    """CLOSE (RFC 9293 3.10.4): send a FIN after the queued data.

    In SYN-RECEIVED, the FIN follows the handshake (see became_established).
    """
    tcb.shut_wr = True
    tcb.fin_pending = True
    if tcb.state == C.ESTABLISHED:
        set_state(tcb, C.FIN_WAIT_1, "the application closed its side", "RFC 9293 3.10.4")
    elif tcb.state == C.CLOSE_WAIT:
        set_state(tcb, C.LAST_ACK, "the application closed its side after the peer", "RFC 9293 3.10.4")
    tcb.wake(C.EV_OUT)
    schedule(tcb)


def close_listener(tcb: Tcb) -> None:
    """Close a listener and reset the connections in its queues."""
    queue = tcb.listener
    tcb.core.tcp.unlisten(tcb)
    for child in list(queue.syn_queue.values()):
        child.parent = None
        child.detached = True
        abort_connection(child, errno.ECONNABORTED, "the listener was closed", "RFC 9293 3.10.4")
    for child in list(queue.accept_queue):
        child.detached = True
        abort_connection(child, errno.ECONNABORTED, "the listener was closed", "RFC 9293 3.10.4")
    queue.syn_queue.clear()
    queue.accept_queue.clear()
    set_state(tcb, C.CLOSED, "the listener was closed", "RFC 9293 3.10.4")


def close(tcb: Tcb, now: int) -> None:
    """Release the endpoint for the application (RFC 9293 3.10.4). TCP completes the close by itself."""
    core = tcb.core
    core.now = now
    if tcb.detached:
        return
    tcb.detached = True
    tcb.waiter = None
    state = tcb.state
    if state == C.LISTEN:
        close_listener(tcb)
        ports.release(tcb, core.tcp)
        core.tcp.release(tcb)
    elif state == C.CLOSED:
        ports.release(tcb, core.tcp)
        core.tcp.release(tcb)
        tcb.recvbuf.clear()
        memory.settle(tcb)
    elif state == C.SYN_SENT:
        finish(tcb, "the application closed the socket before the connection was established", "RFC 9293 3.10.4")
    elif tcb.recvbuf.used > 0 and state != C.TIME_WAIT:
        # SHLD-3: unread data is lost, so a RST informs the peer.
        core.counters.TcpExtTCPAbortOnClose += 1
        abort_connection(tcb, 0, "the application closed the socket with unread data", "RFC 9293 3.6.1")
    elif tcb.linger == 0 and state != C.TIME_WAIT:
        core.counters.TcpExtTCPAbortOnData += 1
        abort_connection(tcb, 0, "the application closed the socket with SO_LINGER set to zero", "POSIX SO_LINGER")
    elif not tcb.shut_wr:
        close_write(tcb)
    elif state == C.FIN_WAIT_2:
        await_fin(tcb)
    if not memory.orphaned(tcb):
        core.counters.TcpExtTCPAbortOnMemory += 1
        abort_connection(tcb, 0, "too many closed connections are unfinished, or memory is short", "Linux tcp_close")


def abort(tcb: Tcb, now: int) -> None:
    """ABORT (RFC 9293 3.10.5): send a RST and release the connection."""
    core = tcb.core
    core.now = now
    if tcb.state == C.LISTEN or tcb.state == C.CLOSED:
        close(tcb, now)
        return
    abort_connection(tcb, errno.ECONNABORTED, "the application aborts the connection", "RFC 9293 3.10.5")
    close(tcb, now)


# -- quirks ----------------------------------------------------------------------------------------------------------


def _linux_queue(tcb: Tcb) -> bool:
    """For Linux, the write queue is kept in chunks from the first write on (queues/chunks.py)."""
    return tcb.core.config.tcp_linux_queue
