"""The error queue of a stream socket, which reports what became of the application's sends.

It reports when the application may change data sent with MSG_ZEROCOPY, and when data was queued, sent and acknowledged
(SO_TIMESTAMPING). The documents msg_zerocopy and timestamping of Linux define the rules. The core always keeps its own
copy of the bytes. So a completion says that the data was copied, as Linux does in that case.
"""

import errno
from collections import deque

import pystack_c.const as C
from pystack_c.tcp.tcb import Tcb
from pystack_c.wire.icmpv4 import quoted

MSG_ZEROCOPY = 0x4000000
#: A flag of pystack, not of Linux. A blocking caller passes its data in parts, which are one send until `end_send`.
MSG_PART = 0x40000000

#: Constants of linux/errqueue.h and linux/net_tstamp.h.
ORIGIN_ICMP, ORIGIN_TIMESTAMPING, ORIGIN_ZEROCOPY = 2, 4, 5
CODE_COPIED = 1
SENT, SCHEDULED, ACKED = 0, 1, 2
TX_SOFTWARE, OPT_ID, TX_SCHED, TX_ACK, OPT_TSONLY = 2, 128, 256, 512, 2048
KNOWN_STAMPS = 0x3FFFF
#: The maximum number of records for an application that does not read them.
MOST = 1024


class Told:
    """A record in the error queue: Linux's sock_extended_err, and the time (ns) of a timestamp (otherwise -1)."""

    def __init__(self, code: int, origin: int, info: int, data: int, stamp: int) -> None:
        self.errno = errno.ENOMSG if origin == ORIGIN_TIMESTAMPING else 0
        self.origin = origin
        self.type = 0
        self.code = code
        self.info = info
        self.data = data
        self.stamp = stamp
        #: The number of payload bytes that Linux would return with a timestamp.
        self.length = 0
        #: For an ICMP error: its sender, the destination of the segment, and the quoted segment.
        self.offender = 0
        self.dst = 0
        self.dport = 0
        self.payload = b""


class Send:
    """A send that the queue will report, identified by the stream offset of its end."""

    def __init__(self, end: int, ident: int, key: int, length: int) -> None:
        self.end = end
        self.ident = ident
        self.key = key
        self.length = length
        self.sent = False
        #: More parts of the send will follow.
        self.open = False


class ErrorQueue:
    """The error queue of one socket: the requested reports, the sends in progress, and the records to read."""

    def __init__(self) -> None:
        self.zerocopy = False
        self.stamps = 0
        #: The stream offset at which the keys of OPT_ID start.
        self.base = 0
        self.next_ident = 0
        self.sends: deque[Send] = deque()
        self.queue: deque[Told] = deque()


def of(tcb: Tcb) -> ErrorQueue:
    """Return the connection's error queue, and create it if necessary."""
    if tcb.errqueue is None:
        tcb.errqueue = ErrorQueue()
    found: ErrorQueue = tcb.errqueue
    return found


def icmp(tcb: Tcb, code: int, kind: int, icmp_code: int) -> None:
    """Queue an ICMP error about the SYN of a socket with IP_RECVERR (ip(7)). The packet that is being processed contains it."""
    queue = of(tcb).queue
    if len(queue) >= MOST:
        return
    told = Told(icmp_code, ORIGIN_ICMP, 0, 0, -1)
    told.errno = code
    told.type = kind
    pkt = tcb.core.packet
    told.offender = pkt.src
    told.dst = tcb.raddr
    told.dport = tcb.rport
    told.payload = quoted(pkt.frame[pkt.data_off : pkt.l4_end])
    told.length = len(told.payload)
    queue.append(told)
    tcb.wake(C.EV_ERR)


def set_stamps(tcb: Tcb, flags: int) -> int:
    """Set the SO_TIMESTAMPING flags. Return an errno, or 0."""
    if flags & ~KNOWN_STAMPS:
        return errno.EINVAL
    queue = of(tcb)
    if flags & OPT_ID and not queue.stamps & OPT_ID:
        if tcb.state in (C.CLOSED, C.LISTEN):
            return errno.EINVAL
        queue.base = tcb.sendbuf.head
    queue.stamps = flags
    return 0


def written(tcb: Tcb, flags: int, length: int) -> None:
    """Record a send after the application has put `length` bytes at the end of the send buffer."""
    queue: ErrorQueue = tcb.errqueue
    end = tcb.sendbuf.tail
    if queue.sends and queue.sends[-1].open:
        send = queue.sends[-1]
        send.end = end
        send.length += length
        if queue.stamps & OPT_ID and send.key >= 0:
            send.key = (end - 1 - queue.base) & C.M32
        return
    ident = -1
    if flags & MSG_ZEROCOPY and queue.zerocopy:
        ident = queue.next_ident
        queue.next_ident = (ident + 1) & C.M32
    stamped = queue.stamps & (TX_SOFTWARE | TX_SCHED | TX_ACK)
    key = -1
    if stamped:
        key = (end - 1 - queue.base) & C.M32 if queue.stamps & OPT_ID else 0
    if ident >= 0 or key >= 0:
        queue.sends.append(Send(end, ident, key, length))
        queue.sends[-1].open = flags & MSG_PART != 0


def note(tcb: Tcb, flags: int, length: int, now: int) -> None:
    """Record the send of a SYN's data, with the flags that connect_fastopen does not take."""
    tcb.core.now = now
    if tcb.errqueue is not None and length > 0:
        written(tcb, flags, length)


def end_send(tcb: Tcb, now: int) -> None:
    """Report the send whose last part was written."""
    tcb.core.now = now
    queue: ErrorQueue = tcb.errqueue
    if queue.sends and queue.sends[-1].open:
        queue.sends[-1].open = False
        sent(tcb, tcb.send_offset())
        acked(tcb, tcb.sendbuf.head)


def sent(tcb: Tcb, offset: int) -> None:
    """Report the sends before stream offset `offset` as sent. There is no queue between TCP and the device."""
    queue: ErrorQueue = tcb.errqueue
    for send in queue.sends:
        if send.end > offset or send.open:
            return
        if not send.sent:
            send.sent = True
            if send.key >= 0 and queue.stamps & TX_SCHED:
                _stamp(tcb, queue, SCHEDULED, send)
            if send.key >= 0 and queue.stamps & TX_SOFTWARE:
                _stamp(tcb, queue, SENT, send)


def acked(tcb: Tcb, offset: int) -> None:
    """Report the sends before stream offset `offset`, which are acknowledged and freed."""
    queue: ErrorQueue = tcb.errqueue
    while queue.sends and queue.sends[0].end <= offset and not queue.sends[0].open:
        send = queue.sends.popleft()
        if send.key >= 0 and queue.stamps & TX_ACK:
            _stamp(tcb, queue, ACKED, send)
        if send.ident >= 0:
            _complete(tcb, queue, send.ident)


def over(tcb: Tcb) -> None:
    """Complete all sends of a connection that has ended, because the stack holds none of their data any more."""
    queue: ErrorQueue = tcb.errqueue
    while queue.sends:
        send = queue.sends.popleft()
        if send.ident >= 0:
            _complete(tcb, queue, send.ident)


def _complete(tcb: Tcb, queue: ErrorQueue, ident: int) -> None:
    """Add a completion. Consecutive sends share one record until it is read; [info, data] is their range."""
    last = queue.queue[-1] if queue.queue else None
    if last is not None and last.origin == ORIGIN_ZEROCOPY and (last.data + 1) & C.M32 == ident:
        last.data = ident
        tcb.wake(C.EV_ERR)
        return
    _tell(tcb, queue, Told(CODE_COPIED, ORIGIN_ZEROCOPY, ident, ident, -1))


def _stamp(tcb: Tcb, queue: ErrorQueue, what: int, send: Send) -> None:
    told = Told(0, ORIGIN_TIMESTAMPING, what, send.key, tcb.core.now)
    told.length = 0 if queue.stamps & OPT_TSONLY else send.length
    _tell(tcb, queue, told)


def _tell(tcb: Tcb, queue: ErrorQueue, told: Told) -> None:
    if len(queue.queue) >= MOST:
        return
    queue.queue.append(told)
    tcb.wake(C.EV_ERR)


def take(tcb: Tcb, now: int) -> Told | None:
    """Return the next record, as recvmsg with MSG_ERRQUEUE does, or None."""
    tcb.core.now = now
    if tcb.errqueue is None or not tcb.errqueue.queue:
        return None
    told: Told = tcb.errqueue.queue.popleft()
    return told
