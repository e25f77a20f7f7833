"""New event loops of asyncio, while a program is patched: each kind of host has its own, and code without a stack has asyncio's."""

import asyncio
import os
from collections.abc import Callable
from contextvars import copy_context
from functools import wraps
from typing import Any

from pystack.patching import Replacement, group
from pystack.sockets import current

#: bytes of a file that sendfile reads at once
_PIECE = 1 << 18
_makers: list[tuple[type, Callable[[Any], Any]]] = []


def loops_of(kind: type, make: Callable[[Any], Any]) -> None:
    """Make the loops of code on a host of the class `kind` by `make(host)`."""
    _makers.append((kind, make))


def _maker() -> Callable[[], Any] | None:
    """The function that makes a loop for the code that runs now. None: asyncio's."""
    host = current.default()
    for kind, make in _makers:
        if isinstance(host, kind):
            return lambda: make(host)
    return None


def bind_task(host: Any, arguments: dict[str, Any]) -> None:
    """Bind the context of a new task to the host of its loop, unless it is bound already. `arguments` are those of create_task."""
    context = arguments.get("context")
    if current.bound_host(context) is None:
        if context is None:
            context = arguments["context"] = copy_context()
        context.run(current.bind, host)


async def sendfile(loop: Any, sock: Any, file: Any, offset: int, count: int | None) -> int:
    """Do what os.sendfile does for the kernel's sockets. (asyncio calls it for `sock_sendfile` and `sendfile`.)"""
    try:
        fileno = file.fileno()
        size = os.fstat(fileno).st_size
    except (AttributeError, OSError) as exc:
        raise asyncio.SendfileNotAvailableError("not a regular file") from exc
    end = size if count is None else min(size, offset + count)
    at = offset
    try:
        while at < end and (data := os.pread(fileno, min(end - at, _PIECE), at)):
            await loop.sock_sendall(sock, data)
            at += len(data)
    finally:
        if at > offset:
            os.lseek(fileno, at, os.SEEK_SET)
    return at - offset


_new_event_loop = asyncio.new_event_loop
_SelectorEventLoop = asyncio.SelectorEventLoop


@wraps(_new_event_loop)
def new_event_loop() -> Any:
    """asyncio.new_event_loop."""
    return (_maker() or _new_event_loop)()


class _Kind(type(_SelectorEventLoop)):  # type: ignore[misc]
    """The loops that the class below makes are asyncio's, and are no instances of it."""

    def __instancecheck__(cls, instance: Any) -> bool:
        return (
            isinstance(instance, _SelectorEventLoop)
            if cls is SelectorEventLoop
            else super().__instancecheck__(instance)
        )


class SelectorEventLoop(_SelectorEventLoop, metaclass=_Kind):
    """asyncio.SelectorEventLoop. A class that a program derives from it, and a loop on a selector of the program's, are asyncio's."""

    def __new__(cls, selector: Any = None) -> Any:
        if cls is SelectorEventLoop:
            make = None if selector is not None else _maker()
            return make() if make is not None else _SelectorEventLoop(selector)
        return super().__new__(cls)


@group("asyncio")
def _asyncio() -> list[Replacement]:
    return [
        ("asyncio.events", "new_event_loop", new_event_loop),
        ("asyncio", "SelectorEventLoop", SelectorEventLoop),
    ]
