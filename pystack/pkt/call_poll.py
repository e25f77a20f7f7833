"""poll and epoll: level-triggered, edge-triggered and one-shot."""

from dataclasses import dataclass
from typing import Any

from pystack.pkt.call_open import once
from pystack.pkt.calls import Attempt, Calls, Fd, Result
from pystack.pkt.errors import Difference, Failure, ScriptError
from pystack.pkt.model import Struct, Syscall
from pystack.symbols import flag_names

IN, OUT, ERR, HUP, NVAL = 1, 4, 8, 0x10, 0x20
ONESHOT, EDGE = 1 << 30, 1 << 31
MILLISECOND = 1_000_000


def readiness(fd: Fd) -> int:
    """Return the POLL* bits, with the RDNORM and WRNORM that Linux adds."""
    if fd.endpoint is None:
        return 0
    bits = int(fd.endpoint.readiness())
    if bits & IN:
        bits |= 0x40
    if bits & OUT:
        bits |= 0x100
    return bits


def set_timeout(calls: Calls, milliseconds: int, result: Result) -> None:
    """Set the timeout of the call. A negative number waits for ever."""
    if milliseconds >= 0:
        calls.timeout = (calls.host.now + milliseconds * MILLISECOND, result)


def call_poll(calls: Calls, args: list[Any], call: Syscall) -> Attempt:
    """poll([{fd=, events=, revents=}], n, timeout)"""
    wanted = calls.arg(args, 0)
    if not isinstance(wanted, list) or len(wanted) != calls.number(args, 1):
        raise ScriptError(calls.line, "poll: the count differs from the size of the array")
    polled = [entry.fields for entry in wanted if isinstance(entry, Struct)]
    line = calls.line

    def check_with(found: list[int]) -> None:
        for fields, revents in zip(polled, found, strict=True):
            expected = calls.value(fields.get("revents", 0))
            if expected != revents:
                difference = Difference("revents", flag_names(expected, "POLL"), flag_names(revents, "POLL"))
                raise Failure(line, f"poll: {difference}", differences=[difference])

    def attempt() -> Result | None:
        found = []
        for fields in polled:
            fd = calls.fds.get(calls.value(fields["fd"]))
            mask = calls.value(fields["events"]) | ERR | HUP
            found.append(NVAL if fd is None else readiness(fd) & mask)
        count = sum(1 for revents in found if revents)
        if count == 0 and (timeout != 0):
            return None
        return Result(count, 0, lambda: check_with(found))

    timeout = calls.number(args, 2)
    set_timeout(calls, timeout, Result(0, 0, lambda: check_with([0] * len(polled))))
    return attempt


@dataclass
class EpollInterest:
    """The events of a file descriptor that an epoll instance watches."""

    fd: Fd
    events: int
    data: tuple[str, int]
    #: something has happened since the last report (edge-triggered)
    fresh: bool = True
    off: bool = False

    def report(self) -> int:
        """Return the events to report now, or 0."""
        if self.off or (self.events & EDGE and not self.fresh):
            return 0
        return readiness(self.fd) & (self.events | ERR | HUP) & 0xFFFF


def gather_wakes(calls: Calls) -> None:
    """Pass the endpoints' wake-ups on to the edge-triggered interests."""
    woken: dict[int, int] = {}
    for epoll in calls.fds.values():
        if epoll.kind == "epoll":
            for interest in epoll.interests.values():
                endpoint = interest.fd.endpoint
                if endpoint.ident not in woken:
                    woken[endpoint.ident] = int(endpoint.take_pending())
                if woken[endpoint.ident] & (interest.events | ERR | HUP):
                    interest.fresh = True


def call_epoll_create(calls: Calls, args: list[Any], call: Syscall) -> Attempt:
    """epoll_create(n)"""
    number = calls.value(call.result)
    calls.open(Fd("epoll", number, interests={}))
    return once(value=number)


def call_epoll_ctl(calls: Calls, args: list[Any], call: Syscall) -> Attempt:
    """epoll_ctl(epfd, op, fd, {events=..., fd=...})"""
    epoll, op, fd = calls.fd(args, 0, "epoll"), calls.number(args, 1), calls.fd(args, 2, "tcp udp")
    if op == 2:
        gone = epoll.interests.pop(fd.number, None)
        return once(value=0) if gone is not None else once(value=-1, code=2)
    event = calls.arg(args, 3)
    if not isinstance(event, Struct):
        raise ScriptError(calls.line, "epoll_ctl needs an epoll_event")
    if op == 1 and fd.number in epoll.interests:
        return once(value=-1, code=17)
    if op == 3 and fd.number not in epoll.interests:
        return once(value=-1, code=2)
    fd.endpoint.waiter = epoll
    fd.endpoint.take_pending()
    epoll.interests[fd.number] = EpollInterest(fd, calls.value(event.fields.get("events", 0)), _data(calls, event))
    return once(value=0)


def _data(calls: Calls, event: Struct) -> tuple[str, int]:
    for name in ("fd", "ptr", "u32", "u64"):
        if name in event.fields:
            return name, calls.value(event.fields[name])
    return "fd", 0


def call_epoll_wait(calls: Calls, args: list[Any], call: Syscall) -> Attempt:
    """epoll_wait(epfd, {events=..., fd=...}, maxevents, timeout)"""
    epoll, event, most, timeout = calls.fd(args, 0, "epoll"), calls.arg(args, 1), *_two(calls, args)
    if not isinstance(event, Struct):
        raise ScriptError(calls.line, "epoll_wait needs an epoll_event")
    line = calls.line

    def check_with(found: list[tuple[int, int]]) -> None:
        expected = (calls.value(event.fields.get("events", 0)) & 0xFFFFFFFF, _data(calls, event)[1])
        actual = found[0] if found else (0, 0)
        for name, want, have in zip(("events", "data"), expected, actual, strict=True):
            if want != have:
                texts = [flag_names(v, "EPOLL") if name == "events" else str(v) for v in (want, have)]
                difference = Difference(name, *texts)
                raise Failure(line, f"epoll_wait: {difference}", differences=[difference])

    def attempt() -> Result | None:
        found: list[tuple[int, int]] = []
        for interest in list(epoll.interests.values()):
            bits = interest.report() if len(found) < most else 0
            if bits:
                found.append((bits, interest.data[1]))
                interest.fresh = False
                interest.off = bool(interest.events & ONESHOT)
        if not found and timeout != 0:
            return None
        return Result(len(found), 0, lambda: check_with(found))

    set_timeout(calls, timeout, Result(0, 0, lambda: check_with([])))
    return attempt


def _two(calls: Calls, args: list[Any]) -> tuple[int, int]:
    return calls.number(args, 2), calls.number(args, 3)
