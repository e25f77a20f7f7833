"""Records runs, live or simulated, so that they can be replayed byte by byte.

A recording contains everything that determines a run: each stack's seed and configuration, and all its inputs in order
with their times. It also contains the outputs (frames, results of calls), which the replay compares. Recording does not
change a run. Keep the recording of a live run secret, because the seed lets others predict the stack's secrets.
"""

import hashlib
import threading
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

from pystack.runtime import forked
from pystack.trace import calls, values
from pystack.trace import format as fmt
from pystack_c.base.address import plain
from pystack_c.config import Config
from pystack_c.core import Core
from pystack_c.endpoint import Endpoint
from pystack_c.iface import Iface
from pystack_c.packet import Transmit

#: the most bytes of a result that is stored as it is; a longer one is stored as its hash
SHORT = 48


def digest(data: Any) -> bytes:
    """Return the hash that represents a payload or a long result."""
    return hashlib.blake2b(data, digest_size=8).digest()


def portable(value: Any, depth: int = 0) -> Any:
    """Return a value in a form that a recording can contain: endpoints, interfaces and stacks become references."""
    if value is None or isinstance(value, (int, str, float, bytes, bytearray)):
        return value
    if isinstance(value, memoryview):
        return bytes(value)
    if isinstance(value, Endpoint):
        return values.EndpointRef(value.ident)
    if isinstance(value, Iface):
        return values.IfaceRef(value.index)
    if isinstance(value, Core):
        return values.StackRef()
    if isinstance(value, (tuple, list)) and not hasattr(value, "_fields"):
        return type(value)(portable(item, depth + 1) for item in value)
    if isinstance(value, dict):
        return {portable(key): portable(item, depth + 1) for key, item in value.items()}
    if depth > 3:
        return values.Other(type(value).__name__)
    return (type(value).__name__, *((name, _attribute(value, name, depth + 1)) for name in public_names(value)))


#: attributes of results that are addresses
_ADDRESSES = frozenset(("addr", "src", "dst", "offender"))


def _attribute(value: Any, name: str, depth: int) -> Any:
    """An attribute of a result. An address is the number that it has in its own family, as in files of every version."""
    found = getattr(value, name)
    return plain(found) if name in _ADDRESSES and isinstance(found, int) else portable(found, depth)


def public_names(value: Any) -> list[str]:
    """Return the public attributes of an object, which are the same for compiled and uncompiled classes."""
    fields = getattr(value, "_fields", None)
    if fields is not None:
        return list(fields)
    names = set(getattr(value, "__dict__", ())) | {name for name in dir(type(value)) if not name.startswith("_")}
    return sorted(name for name in names if not callable(getattr(value, name)))


def short_result(result: Any) -> bytes:
    """Return a call's result in its encoded form, or the hash of that form if it is long."""
    out = bytearray()
    values.put_value(out, portable(result))
    if len(out) > SHORT:
        long, out = values.Digest(len(out), digest(out)), bytearray()
        values.put_value(out, long)
    return bytes(out)


class Recorder:
    """Writes one recording of any number of hosts to a file. Threads may share it."""

    def __init__(self, out: "str | BinaryIO", meta: Mapping[str, Any] | None = None, level: int = 1):
        self.out = forked.parents(open(out, "wb")) if isinstance(out, str) else out
        self.writer = fmt.ChunkWriter(self.out, level)
        self.lock: Any
        forked.renewed(self, "lock", threading.Lock)
        self.functions: dict[Callable[..., Any], int] = {}
        self.hosts = 0
        self.time = 0
        self.closed = False
        self.writer.buffer.append(fmt.META)
        values.put_value(self.writer.buffer, dict(meta or {}))
        self.writer.end_record()

    def host(self, name: str, seed: object, config: Config) -> "HostRecorder":
        """Announce a host that is about to start, and return the recorder for its `Host`."""
        with self.lock:
            buffer = self.writer.buffer
            buffer.append(fmt.HOST)
            values.put_bytes(buffer, name.encode())
            values.put_bytes(buffer, str(seed).encode())
            values.put_value(buffer, config.as_dict())
            self.writer.end_record()
            self.hosts += 1
            return HostRecorder(self, self.hosts - 1)

    def middlebox(self, name: str) -> "HostRecorder":
        """Announce a middlebox. It has no stack, and its recorder takes only notes."""
        with self.lock:
            buffer = self.writer.buffer
            buffer.append(fmt.HOST)
            values.put_bytes(buffer, name.encode())
            values.put_bytes(buffer, b"0")
            values.put_value(buffer, {})
            self.writer.end_record()
            self.hosts += 1
            return HostRecorder(self, self.hosts - 1)

    def function(self, fn: Callable[..., Any]) -> int:
        """Return the number of a function, which is announced the first time. The caller holds the lock."""
        number = self.functions.get(fn)
        if number is None:
            name = calls.name_of(fn)
            number = self.functions[fn] = len(self.functions)
            self.writer.buffer.append(fmt.FUNCTION)
            values.put_bytes(self.writer.buffer, name.encode())
            self.writer.end_record()
        return number

    def head(self, kind: int, host: int, now: int) -> bytearray:
        """Begin a record with host and time. The caller holds the lock."""
        buffer = self.writer.buffer
        buffer.append(kind)
        values.put_number(buffer, host)
        values.put_signed(buffer, now - self.time)
        self.time = now
        return buffer

    def flush(self) -> None:
        """Write everything so far to the file. A live driver does this when it has nothing else to do."""
        with self.lock:
            if not self.closed:
                self.writer.flush()

    def close(self) -> None:
        """Write the end mark and close the file.

        A second call does nothing. Later actions of the hosts are not recorded.
        """
        with self.lock:
            if self.closed:
                return
            self.writer.buffer.append(fmt.END)
            values.put_number(self.writer.buffer, self.writer.records)
            self.writer.end_record()
            self.writer.flush()
            self.closed = True
            self.out.close()


class HostRecorder:
    """The recorder of one host (see runtime.host.RecorderProtocol)."""

    def __init__(self, recorder: Recorder, number: int):
        self.recorder = recorder
        self.number = number
        self.last_deadline: int | None = None

    def setup(self, now: int, name: str, args: tuple[Any, ...]) -> None:
        """Record a call of a method that sets up the stack."""
        arguments = portable(args)
        recorder = self.recorder
        with recorder.lock:
            if recorder.closed:
                return
            buffer = recorder.head(fmt.SETUP, self.number, now)
            values.put_bytes(buffer, name.encode())
            values.put_value(buffer, arguments)
            recorder.writer.end_record()

    def receive(self, now: int, iface: Any, frame: bytes, offset: int, flags: int, gso_size: int) -> None:
        """Record a frame that arrived."""
        recorder = self.recorder
        with recorder.lock:
            if recorder.closed:
                return
            buffer = recorder.head(fmt.RECEIVE, self.number, now)
            for number in (iface.index, flags, gso_size):
                values.put_number(buffer, number)
            values.put_bytes(buffer, frame[offset:] if offset else frame)
            recorder.writer.end_record()

    def timeout(self, now: int) -> None:
        """Record that timers were fired."""
        recorder = self.recorder
        with recorder.lock:
            if not recorder.closed:
                recorder.head(fmt.TIMEOUT, self.number, now)
                recorder.writer.end_record()

    def call(self, now: int, fn: Callable[..., Any], target: Any, args: tuple[Any, ...]) -> None:
        """Record an application call."""
        arguments = portable(args)
        recorder = self.recorder
        with recorder.lock:
            if recorder.closed:
                return
            function = recorder.function(fn)
            buffer = recorder.head(fmt.CALL, self.number, now)
            values.put_number(buffer, function)
            values.put_number(buffer, getattr(target, "ident", 0))
            values.put_value(buffer, arguments)
            recorder.writer.end_record()

    def result(self, result: Any, error: BaseException | None) -> None:
        """Record how the call ended."""
        recorder = self.recorder
        encoded = short_result(result) if error is None else b""
        with recorder.lock:
            if recorder.closed:
                return
            buffer = recorder.writer.buffer
            buffer.append(fmt.RESULT if error is None else fmt.ERROR)
            values.put_number(buffer, self.number)
            if error is None:
                buffer += encoded
            else:
                values.put_bytes(buffer, error_name(error).encode())
                values.put_signed(buffer, getattr(error, "errno", None) or 0)
            recorder.writer.end_record()

    def transmit(self, now: int, tx: Transmit | None) -> None:
        """Record the result of poll_transmit."""
        recorder = self.recorder
        payload = None if tx is None else tx.payload
        mark = b"" if payload is None else digest(payload)
        with recorder.lock:
            if recorder.closed:
                return
            if tx is None:
                recorder.head(fmt.DRAINED, self.number, now)
            else:
                buffer = recorder.head(fmt.TRANSMIT, self.number, now)
                for number in (tx.iface.index, tx.gso_size, tx.csum_start, tx.csum_offset):
                    values.put_number(buffer, number)
                values.put_bytes(buffer, tx.header)
                values.put_number(buffer, 0 if payload is None else len(payload))
                values.put_bytes(buffer, mark)
            recorder.writer.end_record()

    def note(self, now: int, kind: str, subject: str, reason: str, rfc: str, fields: dict[str, Any]) -> None:
        """Record an event that no stack reports: of a middlebox, or of a host's clock. A replay passes it to its probe."""
        recorder = self.recorder
        with recorder.lock:
            if recorder.closed:
                return
            buffer = recorder.head(fmt.NOTE, self.number, now)
            for text in (kind, subject, reason, rfc):
                values.put_bytes(buffer, text.encode())
            values.put_value(buffer, portable(fields))
            recorder.writer.end_record()

    def deadline(self, deadline: int | None) -> None:
        """Record the result of poll_timeout, if it changed."""
        if deadline == self.last_deadline:
            return
        self.last_deadline = deadline
        recorder = self.recorder
        with recorder.lock:
            if recorder.closed:
                return
            buffer = recorder.writer.buffer
            buffer.append(fmt.DEADLINE)
            values.put_number(buffer, self.number)
            values.put_value(buffer, None if deadline is None else deadline - recorder.time)
            recorder.writer.end_record()


def error_name(error: BaseException) -> str:
    """Return the class of an error. All OSErrors have one name, because their errno distinguishes them."""
    return "OSError" if isinstance(error, OSError) else type(error).__name__
