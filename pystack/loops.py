"""New event loops of asyncio, while a program is patched: each kind of host has its own, and code without a stack has asyncio's."""

import asyncio
from collections.abc import Callable
from contextvars import copy_context
from functools import wraps
from typing import Any

from pystack.patching import Replacement, group
from pystack.sockets import current

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
