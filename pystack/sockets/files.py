"""The functions of `os` and `fcntl` that use a descriptor as a file, for the descriptors of a stack's sockets.

No data passes through such a descriptor (sockets/readiness.py), so the kernel's functions cannot serve it. While a program is patched
(pystack.patching), these functions stand in their place. They do what the kernel does with a socket of its own, and leave all other
descriptors to the kernel. They reach Python code only: C code that makes the system calls itself gets the kernel's answers.
"""

import errno
import fcntl
import os
import struct
from collections.abc import Callable
from functools import wraps
from typing import Any

from pystack.sockets import cmsg
from pystack.sockets.handles import MSG_DONTWAIT, MSG_PEEK, Description, Handle, error, lookup
from pystack.sockets.sockbase import bytes_view
from pystack.sockets.stream import Stream
from pystack_c.tcp import user

#: bytes of a file that sendfile reads at once
_PIECE = 1 << 18
# linux/sockios.h, asm-generic/ioctls.h
FIONREAD = 0x541B
SIOCOUTQ = 0x5411
SIOCATMARK = 0x8905


def _description(fd: Any) -> Any:
    """The open socket of a descriptor, if it is one of a stack's."""
    handle = lookup(fd) if type(fd) is int else None
    return None if handle is None or handle.number != fd else handle.description


def _timeout(fd: int) -> float | None:
    """How long a call may wait: as on the kernel's sockets, O_NONBLOCK decides."""
    return None if _blocks(fd) else 0.0


def _blocks(fd: int) -> bool:
    """Whether O_NONBLOCK is not set. A simulated socket has no descriptor, so its handle has the flag."""
    handle = lookup(fd)
    return bool(handle.blocking if handle is not None and handle.readiness is None else os.get_blocking(fd))


def _read(fd: int, length: int, /) -> bytes:
    if length < 0:
        raise error(errno.EINVAL)
    return _description(fd).recv(length, 0, _timeout(fd))  # type: ignore[no-any-return]


def _readv(fd: int, buffers: Any, /) -> int:
    views = cmsg.writable_views(buffers)
    data = _description(fd).recv(sum(len(view) for view in views), 0, _timeout(fd))
    cmsg.scatter(data, views)
    return len(data)


def _write(fd: int, data: Any, /) -> int:
    return int(_description(fd).send(bytes_view(data), 0, _timeout(fd)))


def _writev(fd: int, buffers: Any, /) -> int:
    return int(_description(fd).send(b"".join(cmsg.readable(buffers)), 0, _timeout(fd)))


def _sendfile(out_fd: int, in_fd: int, offset: int | None, count: int) -> int:
    """sendfile(2). If the socket does not block, this sends as much as there is room for."""
    description = _description(out_fd)
    timeout = _timeout(out_fd)
    at = os.lseek(in_fd, 0, os.SEEK_CUR) if offset is None else offset
    sent = 0
    try:
        while sent < count and (data := os.pread(in_fd, min(count - sent, _PIECE), at + sent)):
            taken = int(description.send(data, 0, timeout))
            sent += taken
            if taken < len(data):
                break
    except OSError:
        if not sent:
            raise
    if offset is None:
        os.lseek(in_fd, at + sent, os.SEEK_SET)
    return sent


def _dup(fd: int, /) -> int:
    return Handle(_description(fd)).fileno(_blocks(fd))


def _ioctl(fd: Any, request: int, arg: Any = 0, mutate_flag: bool = True, /) -> Any:
    number = fd if type(fd) is int else fd.fileno()
    value = _queued(_description(number), request & 0xFFFFFFFF)
    if value is None:
        return _original["ioctl"](number, request, arg, mutate_flag)
    if isinstance(arg, int):
        raise error(errno.EFAULT)  # the kernel writes the answer to the address that it gets
    packed = struct.pack("=i", value)
    answer = bytearray(arg)
    if len(answer) < len(packed):
        raise ValueError("the buffer is too short for an int")
    answer[: len(packed)] = packed
    view = memoryview(arg)
    if view.readonly or not mutate_flag:
        return bytes(answer)
    view.cast("B")[: len(packed)] = packed
    return 0


def _queued(description: Description, request: int) -> int | None:
    """How much a socket has queued: tcp(7), udp(7). None: another request."""
    if not isinstance(description, Stream):
        if request != FIONREAD:
            return None
        try:
            return len(description.recvfrom(MSG_PEEK | MSG_DONTWAIT, 0).data)  # type: ignore[attr-defined]
        except BlockingIOError:
            return 0
    endpoint = description.endpoint
    if request not in (FIONREAD, SIOCOUTQ, SIOCATMARK):
        return None
    if description.listening:
        raise error(errno.EINVAL)
    if request == FIONREAD:
        return int(endpoint.recvbuf.used)
    if request == SIOCOUTQ:
        return int(endpoint.sendbuf.tail - endpoint.sendbuf.head)
    return int(description.host.call(user.at_mark, endpoint))


def _either(name: str, theirs: Callable[..., Any], ours: Callable[..., Any]) -> Callable[..., Any]:
    """A function that calls `ours` if its first argument is the descriptor of a stack's socket, and `theirs` otherwise."""

    @wraps(theirs)
    def function(*args: Any, **kwargs: Any) -> Any:
        fd: Any = args[0] if args else kwargs.get("out_fd", kwargs.get("fd"))
        if name == "ioctl" and hasattr(fd, "fileno"):
            fd = fd.fileno()
        return (theirs if _description(fd) is None else ours)(*args, **kwargs)

    return function


_OURS: dict[str, Callable[..., Any]] = {
    "read": _read, "readv": _readv, "write": _write, "writev": _writev, "sendfile": _sendfile, "dup": _dup, "ioctl": _ioctl,
}  # fmt: skip
_modules = {name: fcntl if name == "ioctl" else os for name in _OURS}
_original = {name: getattr(module, name) for name, module in _modules.items() if hasattr(module, name)}
#: (the module's name, the function's name, its replacement), as pystack.patching takes it
REPLACEMENTS = [
    (_modules[name].__name__, name, _either(name, theirs, _OURS[name])) for name, theirs in _original.items()
]
