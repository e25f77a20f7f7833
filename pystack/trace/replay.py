"""Replays a recording: gives the same seed, settings and inputs to a new core, and compares every output.

If the core decides anything differently, the replay fails at the first frame or result that differs from the recorded
one. The ReplayMismatch names the record, the time and the field.
"""

import contextlib
import importlib
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, NamedTuple

from pystack.runtime.host import Host
from pystack.trace import calls, fields, values
from pystack.trace import format as fmt
from pystack.trace.cursor import decode_value
from pystack.trace.errors import TraceError
from pystack.trace.limits import Budget
from pystack.trace.recorder import digest, error_name, short_result
from pystack.trace.summary import Summarizer
from pystack.visible import one_line
from pystack_c.config import Config
from pystack_c.const import RT_UNICAST
from pystack_c.packet import Transmit

#: the most closed endpoints that are kept, because a later record may still name one
MAX_CLOSED = 4096
#: the most by which a clock may be wrong (sim/clock.py)
MOST_PPB = 500_000_000
#: the events that a NOTE may have, and the fields that the probes need
NOTES: dict[str, dict[str, type]] = {
    "frame.in": {"iface": str, "frame": bytes},
    "frame.out": {"iface": str, "frame": bytes, "gso_size": int},
    "drop": {"name": str},
    "box": {"action": str},
    "bridge": {"action": str},
    "qdisc": {"action": str},
    "clock": {"true": int, "ppb": int, "offset": int},
    # (sim/causes.py) why a program's next calls are made, and what a frame met on a link
    "program": {"number": int, "why": str, "began": int, "parent": int, "woken": int, "after": int},
    "wire": {
        "number": int, "parent": int, "link": str, "length": int, "crc": int, "sent": int, "begin": int, "end": int, "delay": int, "to": int,
        "arrivals": list,
    },
    "dhcp.state": {"old": str, "new": str},
    "dhcp.message": {"type": str},
    "dns": {"action": str},
}  # fmt: skip
_TEXT = {str}
#: the arguments of Stack.add_route, as far as a recording may leave them out, with `replace` set
ADD_ROUTE = (0, 0, 0, None, 0, 0, RT_UNICAST, 0, 0, 0, True)


class ReplayMismatch(AssertionError):
    """The core's output differs from the recorded one. `time` is in ns; `record` and `frame` count from 1."""

    def __init__(self, text: str, *, host: str, time: int, record: int, frame: int):
        super().__init__(text)
        self.host = host
        self.time = time
        self.record = record
        self.frame = frame


class ReplayHost(Host):
    """A host whose clock shows the recording's times."""

    def __init__(self, stack: Any):
        super().__init__(stack)
        self.time = 0
        self.endpoints: dict[int, Any] = {}
        self.closed: OrderedDict[int, Any] = OrderedDict()
        self.summarizer = Summarizer()
        self.frames = 0

    def clock(self) -> int:
        """Return the time of the current record, in ns."""
        return self.time

    def pump(self) -> None:
        """Do nothing, because the recording says when the stack was drained."""

    def learn(self, value: Any) -> bool:
        """Remember an endpoint that a call returned. Returns True if it is new."""
        ident: int = getattr(value, "ident", 0)
        new = ident != 0 and ident not in self.endpoints
        if ident:
            self.endpoints[ident] = value
        return new

    def forget(self, ident: int) -> None:
        """Note that an endpoint was closed."""
        if ident in self.endpoints:
            self.closed[ident] = self.endpoints.pop(ident)
            if len(self.closed) > MAX_CLOSED:
                self.closed.popitem(last=False)


class Counts(NamedTuple):
    """The numbers of a replay; `duration` is in ns."""

    records: int
    hosts: int
    frames: int
    calls: int
    duration: int


class Replay:
    """One recording, replayed record by record.

    source         path or open file of the recording
    probe          every stack reports its events to it
    partial        accept a recording that was cut off
    config_change  called with the name and Config of each host; if it changes settings, a mismatch shows their effect
    watch          called with each stack when it is made
    trusted        apply none of the limits of limits.py and format.py

    `hosts` holds the stacks in their state after the current record.
    """

    def __init__(
        self,
        source: "str | BinaryIO",
        *,
        probe: Any = None,
        partial: bool = False,
        stack_class: Callable[..., Any] | None = None,
        config_change: "Callable[[str, Config], None] | None" = None,
        watch: Callable[[Any], object] | None = None,
        name: str = "",
        trusted: bool = False,
    ):
        self.file: BinaryIO = open(source, "rb") if isinstance(source, str) else source
        name = name or (source if isinstance(source, str) else getattr(source, "name", "recording"))
        try:
            self.reader = fmt.RecordReader(self.file, str(name), partial, None if trusted else fmt.LIMIT)
        except TraceError:
            if isinstance(source, str):
                self.file.close()
            raise
        self.budget = Budget(str(name), trusted)
        self.probe = probe
        self.stack_class = stack_class
        self.config_change = config_change
        self.watch = watch
        self.meta: dict[str, Any] = {}
        self.hosts: list[ReplayHost] = []
        self.functions: list[Callable[..., Any]] = []
        self.frames = 0
        self.calls = 0
        self.start = -1  # the time of the first record, because a live host's clock can begin anywhere
        self._record: fmt.Record | None = None
        self._results: dict[int, tuple[bytes, str, int]] = {}
        self._do: dict[int, Callable[..., None]] = {
            fmt.META: self._meta, fmt.HOST: self._host, fmt.FUNCTION: self._function, fmt.SETUP: self._setup,
            fmt.RECEIVE: self._receive, fmt.TIMEOUT: self._timeout, fmt.CALL: self._call, fmt.RESULT: self._result,
            fmt.ERROR: self._error, fmt.TRANSMIT: self._transmit, fmt.DRAINED: self._drained,
            fmt.DEADLINE: self._deadline, fmt.NOTE: self._note,
        }  # fmt: skip

    def steps(self) -> Iterator[fmt.Record]:
        """Replay one record after the other, and yield each record after it was replayed. Raises as `run` does."""
        with contextlib.closing(self.file):
            for record in self.reader:
                self._record = record
                try:
                    self._do[record.kind](*record.fields)
                except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
                    if isinstance(error, TraceError):
                        raise
                    raise self._bad(f"{type(error).__name__}: {error}") from error
                yield record

    def run(self) -> Counts:
        """Replay the whole recording. Raises ReplayMismatch at the first difference, and TraceError for a bad file."""
        records = 0
        for record in self.steps():
            records = record.number
        duration = self.reader.time - max(self.start, 0)
        return Counts(records, len(self.hosts), self.frames, self.calls, duration)

    # -- the records ------------------------------------------------------------------------------------------------

    def _meta(self, meta: dict[str, Any]) -> None:
        self.meta = dict(meta)

    def _host(self, name: str, seed: str, settings: dict[str, Any]) -> None:
        config = Config()
        self.budget.host(settings)
        try:
            config.update(settings)
        except ValueError as error:
            raise self._bad(f"{error}: it was made with another version of the core") from None
        if self.config_change is not None:
            self.config_change(name, config)
        make = self.stack_class
        if make is None:
            make = importlib.import_module("pystack_c.stack").Stack
        stack = make(int(seed) if seed.lstrip("-").isdigit() else seed, config, name)
        stack.probe = self.probe
        if self.watch is not None:
            self.watch(stack)
        self.hosts.append(ReplayHost(stack))

    def _function(self, name: str) -> None:
        self.budget.object(self._read())
        found = calls.find(name)
        if found is None:
            raise self._bad(f"it calls {name}, which is not an application call of this core")
        self.functions.append(found)

    def _setup(self, number: int, time: int, name: str, args: tuple[Any, ...]) -> None:
        host = self._at(number, time)
        if name not in calls.SETUP:
            raise self._bad(f"it sets the stack up by {name}, which is not allowed")
        self.budget.object(self._read())
        if name == "add_route":
            # A route that was recorded was accepted. In older versions it could replace another one.
            args = (*args, *ADD_ROUTE[len(args) :])
        host.setup(name, *(self._resolve(host, arg) for arg in args))

    def _receive(self, number: int, time: int, iface: int, flags: int, gso_size: int, frame: bytes) -> None:
        host = self._at(number, time)
        host.receive(self._iface(host, iface), frame, 0, flags, gso_size)

    def _timeout(self, number: int, time: int) -> None:
        self._at(number, time).handle_timeout()

    def _call(self, number: int, time: int, function: int, ident: int, args: tuple[Any, ...]) -> None:
        host = self._at(number, time)
        fn = self.functions[function]
        target = host.stack if ident == 0 else self._endpoint(host, ident)
        self.calls += 1
        try:
            result = host.call(fn, target, *(self._resolve(host, arg) for arg in args))
        except Exception as error:
            self._results[number] = (b"", error_name(error), getattr(error, "errno", None) or 0)
            return
        if host.learn(result):
            self.budget.object(self._read())
        if fn.__name__ in ("close", "abort"):
            host.forget(ident)
        self._results[number] = (short_result(result), "", 0)

    def _result(self, number: int, expected: Any) -> None:
        encoded = bytearray()
        values.put_value(encoded, expected)
        self._check_result(number, (bytes(encoded), "", 0))

    def _error(self, number: int, name: str, errno: int) -> None:
        self._check_result(number, (b"", name, errno))

    def _check_result(self, number: int, expected: tuple[bytes, str, int]) -> None:
        got = self._results.pop(number)
        if got != expected:
            raise self._mismatch(
                number, f"the result of a call: {_result_text(expected)} expected, {_result_text(got)} got"
            )

    def _transmit(self, number: int, time: int, *expected: Any) -> None:
        host = self._at(number, time)
        self.frames += 1
        host.frames += 1
        tx = host.poll_transmit()
        if tx is None or not _same(tx, *expected):
            self._other(number, host, tx, *expected)

    def _other(self, number: int, host: ReplayHost, tx: "Transmit | None", *expected: Any) -> None:
        """Raise ReplayMismatch if a frame says something else than the recorded one. It may divide its bytes otherwise."""
        iface, gso_size, csum_start, csum_offset, header, length, mark = expected
        kind = self._iface(host, iface).kind
        padded = header + bytes(length)
        if tx is None:
            raise self._mismatch(number, f"the frame is missing; expected {host.summarizer.line(padded, kind)}")
        wrong = self._difference(host, tx, iface, header, length, mark)
        for name, was, now in (
            ("gso_size", gso_size, tx.gso_size),
            ("csum_start", csum_start, tx.csum_start),
            ("csum_offset", csum_offset, tx.csum_offset),
        ):
            if was != now and not wrong:
                wrong = f"{name}: {was} expected, {now} got"
        if wrong:
            lines = [Summarizer(relative=False).line(frame, kind) for frame in (padded, tx.to_bytes())]
            raise self._mismatch(number, f"{wrong}\n  expected {lines[0]}\n  got      {lines[1]}")

    def _difference(self, host: ReplayHost, tx: Transmit, iface: int, header: bytes, length: int, mark: bytes) -> str:
        if tx.iface.index != iface:
            return f"interface: {self._iface(host, iface).name} expected, {tx.iface.name} got"
        payload = b"" if tx.payload is None else tx.payload
        got_length = len(payload)
        kind = self._iface(host, iface).kind
        common = min(len(header), len(tx.header))
        if tx.header[:common] == header[:common] and len(tx.header) + got_length != len(header) + length:
            return f"length {len(header) + length} expected, {len(tx.header) + got_length} got"
        if tx.header != header or got_length != length:
            # Only the length of the data after the recorded header is known, so compare with zeros there.
            return fields.difference(header + bytes(length), tx.header + bytes(got_length), kind)
        if tx.payload is not None and digest(payload) != mark:
            return f"payload differs ({length} bytes)"
        return ""

    def _drained(self, number: int, time: int) -> None:
        host = self._at(number, time)
        tx = host.poll_transmit()
        if tx is not None:
            self.frames += 1
            line = Summarizer(relative=False).line(tx.to_bytes(), tx.iface.kind)
            raise self._mismatch(number, f"one frame too many: {line}")

    def _deadline(self, number: int, expected: int | None) -> None:
        host = self.hosts[number]
        deadline = host.poll_timeout()
        got = None if deadline is None else deadline - self.reader.time
        if got != expected:
            texts = ["none" if after is None else f"in {after / 1e9:.9f} s" for after in (expected, got)]
            raise self._mismatch(number, f"the next deadline: {texts[0]} expected, {texts[1]} got")

    def _note(self, number: int, time: int, kind: str, subject: str, reason: str, rfc: str, told: Any) -> None:
        host = self._at(number, time)
        wanted = NOTES.get(kind)
        if wanted is None or not isinstance(told, dict) or not set(map(type, told)) <= _TEXT:
            raise self._bad(f"it notes {one_line(kind)}, which is not allowed")
        for name, form in wanted.items():
            if not isinstance(told.get(name), form):
                raise self._bad(f"it notes {kind} without {name}")
        if kind == "clock" and abs(told["ppb"]) > MOST_PPB:
            raise self._bad(f"it notes a clock that is {told['ppb']} ppb fast")
        if kind in ("program", "wire"):
            self.way(number, kind, told)
        elif host.stack.probe is not None:
            host.stack.now = time
            host.stack.emit(kind, subject, 0, reason, rfc, told)

    def way(self, number: int, kind: str, told: dict[str, Any]) -> None:
        """Receive a note about a program's step on a host, or about a frame on a link (sim/causes.py). No stack takes part in them."""

    # -- helpers ----------------------------------------------------------------------------------------------------

    def _read(self) -> int:
        """Return the number of bytes of the file that were read."""
        return self.reader.position + self.reader.length

    def _at(self, number: int, time: int) -> ReplayHost:
        if self.start < 0:
            self.start = time
        host = self.hosts[number]
        host.time = time
        return host

    def _iface(self, host: ReplayHost, index: int) -> Any:
        for iface in host.stack.ifaces:
            if iface.index == index:
                return iface
        raise self._bad(f"there is no interface {index} on {one_line(host.name)}")

    def _endpoint(self, host: ReplayHost, ident: int) -> Any:
        endpoint = host.endpoints.get(ident, host.closed.get(ident))
        if endpoint is None:
            raise self._bad(f"there is no endpoint {ident} on {one_line(host.name)}")
        return endpoint

    def _resolve(self, host: ReplayHost, value: Any) -> Any:
        if isinstance(value, values.EndpointRef):
            return self._endpoint(host, value.ident)
        if isinstance(value, values.IfaceRef):
            return self._iface(host, value.number)
        if isinstance(value, values.StackRef):
            return host.stack
        if type(value) in (tuple, list):
            return type(value)(self._resolve(host, item) for item in value)
        return value

    def _bad(self, what: str) -> TraceError:
        number = self._record.number if self._record is not None else 0
        return TraceError(f"{self.reader.name}: record {number} cannot be replayed: {one_line(what)}")

    def _mismatch(self, number: int, what: str) -> ReplayMismatch:
        assert self._record is not None
        host = self.hosts[number]
        where = f"{self.reader.name}: {one_line(host.name)} differs at {host.time / 1e9:.9f} s"
        text = f"{where}, frame {self.frames} (record {self._record.number}): {what}"
        return ReplayMismatch(text, host=host.name, time=host.time, record=self._record.number, frame=self.frames)


def _same(
    tx: Transmit, iface: int, gso_size: int, csum_start: int, csum_offset: int, header: bytes, length: int, mark: bytes
) -> bool:
    """Is a frame the recorded one, with the same bytes in the header?"""
    if (
        tx.header != header
        or tx.iface.index != iface
        or tx.gso_size != gso_size
        or tx.csum_start != csum_start
        or tx.csum_offset != csum_offset
    ):
        return False
    payload = tx.payload
    return length == 0 if payload is None else len(payload) == length and digest(payload) == mark


def _result_text(result: tuple[bytes, str, int]) -> str:
    encoded, error, errno = result
    if error:
        return f"{error} {errno}" if errno else error
    value = decode_value(encoded)
    if isinstance(value, values.Digest):
        return f"{value.length} bytes with hash {value.digest.hex()}"
    return repr(value)


def replay(source: "str | BinaryIO", **kwargs: Any) -> Counts:
    """Replay a recording from start to end.

    Raises ReplayMismatch at the first difference, and TraceError for a bad file.
    """
    return Replay(source, **kwargs).run()


__all__ = ["Counts", "Replay", "ReplayHost", "ReplayMismatch", "replay"]
