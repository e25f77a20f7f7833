"""recvmsg with MSG_ERRQUEUE: sock_extended_err, and the time of SO_TIMESTAMPING, as control messages."""

import errno
from typing import Any

from pystack.pkt.calls import Attempt, Calls, Fd, Result
from pystack.pkt.errors import Difference, Failure, Unsupported
from pystack.pkt.host import START
from pystack.pkt.model import Struct
from pystack.symbols import value_of
from pystack_c.sockets import udp
from pystack_c.tcp.queues import errqueue

MSG_TRUNC, MSG_ERRQUEUE = 0x20, 0x2000
SOL_SOCKET, SOL_IP, SCM_TIMESTAMPING, IP_RECVERR = 1, 0, 37, 11
ORIGIN_LOCAL, ORIGIN_ICMP = 1, 2
SECOND = 1_000_000_000

#: a control message: level, type, and its members by name
Message = tuple[int, int, dict[str, int]]


def receive(calls: Calls, fd: Fd, message: Struct, size: int) -> Attempt:
    """Read the next record of the error queue. It never waits."""
    line = calls.line
    wanted = [_expected(calls, item) for item in message.fields.get("msg_control") or []]
    flags = calls.value(message.fields["msg_flags"]) if "msg_flags" in message.fields else -1

    def attempt() -> Result:
        taken = _take(calls, fd, size)
        if taken is None:
            return Result(-1, errno.EAGAIN)
        length, found, cut = taken
        return Result(length, 0, lambda: _check(calls, line, (flags, wanted), (MSG_ERRQUEUE | cut, found)))

    return attempt


def _take(calls: Calls, fd: Fd, size: int) -> "tuple[int, list[Message], int] | None":
    """Return the number of payload bytes, the control messages, and MSG_TRUNC if the payload does not fit."""
    if fd.kind == "udp":
        datagram = calls.host.call(udp.recvfrom, fd.endpoint, MSG_ERRQUEUE)
        if datagram is None:
            return None
        icmp = datagram.icmp
        fields = {"ee_errno": datagram.error, "ee_origin": ORIGIN_ICMP if icmp else ORIGIN_LOCAL}
        fields |= {"ee_type": icmp[0] if icmp else 0, "ee_code": icmp[1] if icmp else 0}
        fields |= {"ee_info": datagram.info, "ee_data": 0}
        cut = MSG_TRUNC if len(datagram.data) > size else 0
        return min(size, len(datagram.data)), [(SOL_IP, IP_RECVERR, fields)], cut
    told = calls.host.call(errqueue.take, fd.endpoint)
    if told is None:
        return None
    found: list[Message] = []
    if told.stamp >= 0:
        since = told.stamp - START
        found.append((SOL_SOCKET, SCM_TIMESTAMPING, {"scm_sec": since // SECOND, "scm_nsec": since % SECOND}))
    names = ("errno", "origin", "type", "code", "info", "data")
    found.append((SOL_IP, IP_RECVERR, {f"ee_{name}": getattr(told, name) for name in names}))
    # The core does not keep the payload that Linux loops back, but MSG_TRUNC reports that it would not have fitted.
    return 0, found, MSG_TRUNC if told.length > size else 0


def _expected(calls: Calls, item: Any) -> Message:
    fields = item.fields if isinstance(item, Struct) else {}
    data = fields.get("cmsg_data")
    if not isinstance(data, Struct):
        raise Unsupported(calls.line, "this control message is not supported")
    values = {}
    for name, value in data.fields.items():
        number = value_of(getattr(value, "name", "")) if name == "ee_errno" else None
        values[name] = calls.value(value) if number is None else number
    return calls.value(fields.get("cmsg_level", 0)), calls.value(fields.get("cmsg_type", 0)), values


def _check(calls: Calls, line: int, wanted: tuple[int, list[Message]], found: tuple[int, list[Message]]) -> None:
    if wanted[0] >= 0 and wanted[0] != found[0]:
        _fail(line, "msg_flags", f"{wanted[0]:#x}", f"{found[0]:#x}")
    kinds = [[message[:2] for message in side[1]] for side in (wanted, found)]
    if kinds[0] != kinds[1]:
        _fail(line, "control messages (level, type)", str(kinds[0]), str(kinds[1]))
    tolerance = calls.runner.settings.tolerance_usecs * 1000
    for want, have in zip(wanted[1], found[1], strict=True):
        if want[1] == SCM_TIMESTAMPING:
            times = [m.get("scm_sec", 0) * SECOND + m.get("scm_nsec", 0) for m in (want[2], have[2])]
            if abs(times[0] - times[1]) > tolerance:
                _fail(line, "timestamp", f"{times[0] / SECOND:.6f} s", f"{times[1] / SECOND:.6f} s")
            continue
        for name, value in want[2].items():
            if name not in have[2]:
                raise Unsupported(line, f"the member {name} of a control message is not available")
            if value != have[2][name]:
                _fail(line, name, str(value), str(have[2][name]))


def _fail(line: int, name: str, expected: str, actual: str) -> None:
    difference = Difference(name, expected, actual)
    raise Failure(line, f"recvmsg: {difference}", expected, actual, [difference])
