"""The user calls (RFC 9293 section 3.9.1), with the errors a BSD socket gives.

The endpoint comes first, `now` last. OSError carries the errno; None (recv, accept) or 0 (send) says
that a blocking socket would wait now.
"""

import errno
from typing import Any

import pystack_c.const as C
from pystack_c.base.address import loopback_for, normal
from pystack_c.ip import encap
from pystack_c.ip.routing import route_output
from pystack_c.sockets import ports
from pystack_c.tcp import tell
from pystack_c.tcp.close import abort_connection, await_fin, finish
from pystack_c.tcp.errors import error
from pystack_c.tcp.mss import have_route
from pystack_c.tcp.opening import fastopen
from pystack_c.tcp.opening.handshake import window_scale
from pystack_c.tcp.opening.isn import start_sequence
from pystack_c.tcp.opening.listener import Listener
from pystack_c.tcp.queues import chunks, errqueue, memory
from pystack_c.tcp.queues.autotune import tune_receive_buffer
from pystack_c.tcp.schedule import schedule
from pystack_c.tcp.state import set_state
from pystack_c.tcp.tables import TcpTables
from pystack_c.tcp.tcb import Tcb, new_tcb
from pystack_c.tcp.urgent import pass_mark, recv_urgent
from pystack_c.tcp.window import window_update

SHUT_RD = 0
SHUT_WR = 1
SHUT_RDWR = 2


def tcp_open(core: Any, now: int) -> Tcb:
    """A new stream endpoint, CLOSED and unbound."""
    core.now = now
    tcb = new_tcb(core)
    if core.config.tcp_always_keepalive:
        tcb.keepalive = True
    core.endpoints[tcb.ident] = tcb
    return tcb


def bind(tcb: Tcb, addr: int, port: int, now: int) -> None:
    """Bind to a local address (0: any; MUST-43) and port (0: an ephemeral one)."""
    core = tcb.core
    core.now = now
    if tcb.state != C.CLOSED:
        raise error(errno.EINVAL)
    ports.bind(core, tcb, core.tcp, normal(addr), port)


def listen(tcb: Tcb, backlog: int, now: int) -> None:
    """A passive OPEN (3.9.1.1); on a listener, it changes the backlog."""
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
    """The next established connection, or None."""
    tcb.core.now = now
    if tcb.state != C.LISTEN:
        raise error(errno.EINVAL)
    if not tcb.listener.accept_queue:
        return None
    child = tcb.listener.accept_queue.popleft()
    tell.listen(tcb, "accept", "the application accepted a connection", "RFC 9293 3.10.2")
    return child


def connect(tcb: Tcb, addr: int, port: int, now: int) -> None:
    """An active OPEN (3.9.1.1): sends the SYN; readiness EV_OUT, or so_error, tells the end."""
    core = tcb.core
    core.now = now
    if tcb.state == C.SYN_SENT or (tcb.state == C.SYN_RECEIVED and not tcb.passive):
        raise error(errno.EISCONN if tcb.fastopen_deferred else errno.EALREADY)
    if tcb.state == C.LISTEN or tcb.state != C.CLOSED or tcb.raddr != 0:
        raise error(errno.EISCONN)
    # Linux: the unspecified address as a destination means this host.
    addr = normal(addr) if addr != 0 else loopback_for(addr)
    # MUST-51: along the source route that the application gave, if it did.
    if tcb.encap is None:
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
    if tcb.fastopen_connect and core.config.tcp_fastopen & fastopen.CLIENT:
        # TCP_FASTOPEN_CONNECT: where the SYN may carry data, it waits for the first write.
        tcb.fastopen_asked = True
        tcb.fastopen_deferred = fastopen.may_carry_data(tcb)
        if tcb.fastopen_deferred:
            tcb.wake(C.EV_OUT)
            return
    schedule(tcb)


def check_error(tcb: Tcb) -> None:
    """Raise the pending error, once."""
    code = tcb.take_error()
    if code:
        raise error(code)


def send(tcb: Tcb, data: bytes, flags: int, now: int) -> int:
    """SEND (3.10.2): put as much as fits into the send buffer; how much it was."""
    core = tcb.core
    core.now = now
    check_error(tcb)
    state = tcb.state
    if tcb.shut_wr:
        raise error(errno.EPIPE)
    if tcb.fastopen_deferred:
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
    pieces = chunks.of(tcb, flags) if tcb.core.config.tcp_linux_queue or flags & C.MSG_EOR else tcb.chunks
    if pieces is not None and pieces.linux:
        room = pieces.admit(tcb, n, flags)
    more = flags & C.MSG_MORE != 0
    if room <= 0 and n > 0:
        tcb.no_space = True
        if tcb.more:
            # What was to come has to wait for room: what is here must not wait for it.
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
        # RFC 9293 3.8.5: the urgent pointer names the byte after the urgent data (MUST-62).
        tcb.snd_up = (tcb.snd_una + buf.tail - buf.head) & C.M32
    schedule(tcb)
    return n


def recv(tcb: Tcb, n: int, flags: int, now: int) -> bytes | None:
    """RECEIVE (3.10.3): up to n bytes; b"" at the end of the stream; None where there is nothing yet."""
    tcb.core.now = now
    buf = tcb.recvbuf
    if flags & C.MSG_OOB:
        return recv_urgent(tcb, flags)
    if buf.used > 0 and n > 0:
        if tcb.mark_left > 0 and n > tcb.mark_left:
            # One read never crosses the mark.
            n = tcb.mark_left
        data = buf.get(n, flags & C.MSG_PEEK != 0)
        if not flags & C.MSG_PEEK:
            memory.settle(tcb)
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
    """Read and throw away up to n bytes, as recv with MSG_TRUNC does on Linux's TCP; how many it were."""
    tcb.core.now = now
    buf = tcb.recvbuf
    if n > buf.used:
        n = buf.used
    if tcb.mark_left > 0 and n > tcb.mark_left:
        n = tcb.mark_left
    if n <= 0:
        return 0
    buf.drop(n)
    memory.settle(tcb)
    pass_mark(tcb, n)
    tune_receive_buffer(tcb, n)
    window_update(tcb)
    return n


def at_mark(tcb: Tcb, now: int) -> bool:
    """SIOCATMARK (MUST-33): is the next byte the first after the urgent data?"""
    tcb.core.now = now
    return tcb.mark_left == 0


def unread(tcb: Tcb, now: int) -> int:
    """What TCP_INQ tells: how many bytes can be read at once; the peer's FIN is one more, as the end is there to be read."""
    tcb.core.now = now
    return tcb.recvbuf.used + 1 if tcb.fin_received else tcb.recvbuf.used


def connect_fastopen(tcb: Tcb, data: bytes, addr: int, port: int, now: int) -> int:
    """An active OPEN with data (sendto with MSG_FASTOPEN, RFC 7413 4.2.1): how much of it the SYN takes.

    0 where no cookie is known yet: the SYN asks for one, and the data waits for the handshake.
    """
    core = tcb.core
    core.now = now
    if not core.config.tcp_fastopen & fastopen.CLIENT:
        raise error(errno.EOPNOTSUPP)
    if not tcb.fastopen_deferred:
        tcb.fastopen_connect = False
        connect(tcb, addr, port, now)
    tcb.fastopen_asked = True
    return syn_with_data(tcb, data)


def syn_with_data(tcb: Tcb, data: bytes) -> int:
    """The SYN goes now, with as much of the data as it may carry; how much that is."""
    tcb.fastopen_deferred = False
    n = fastopen.syn_room(tcb) if fastopen.may_carry_data(tcb) else 0
    if len(data) < n:
        n = len(data)
    tcb.sendbuf.append(data[:n])
    memory.settle(tcb)
    schedule(tcb)
    return n


def shutdown(tcb: Tcb, how: int, now: int) -> None:
    """Half-close (3.6, SHUT_WR sends FIN), or stop reading."""
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
    """3.10.4 CLOSE: after what is queued comes the FIN (in SYN-RECEIVED: after the handshake, see became_established)."""
    tcb.shut_wr = True
    tcb.fin_pending = True
    if tcb.state == C.ESTABLISHED:
        set_state(tcb, C.FIN_WAIT_1, "the application closed its side", "RFC 9293 3.10.4")
    elif tcb.state == C.CLOSE_WAIT:
        set_state(tcb, C.LAST_ACK, "the application closed its side after the peer", "RFC 9293 3.10.4")
    tcb.wake(C.EV_OUT)
    schedule(tcb)


def close_listener(tcb: Tcb) -> None:
    """A listener goes: what waits in its queues is reset."""
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
    """The application lets go of the endpoint (3.10.4); TCP finishes what is under way by itself."""
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
        # SHLD-3: unread data is lost, and the peer must know.
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
    """ABORT (3.10.5): RST, and everything is forgotten."""
    core = tcb.core
    core.now = now
    if tcb.state == C.LISTEN or tcb.state == C.CLOSED:
        close(tcb, now)
        return
    abort_connection(tcb, errno.ECONNABORTED, "ABORT", "RFC 9293 3.10.5")
    close(tcb, now)
