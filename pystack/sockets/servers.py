"""Servers of the standard library that fork a process for each request: on a socket of the stack they raise an error before they fork."""

import errno
from collections.abc import Callable
from functools import wraps
from typing import Any

from pystack.sockets.sockbase import SocketBase


def _refuse(server: Any) -> None:
    if issubclass(type(server.socket), SocketBase):
        text = (
            f"{type(server).__name__} forks a process for each request, and a forked process has no sockets of the stack: "
            "use socketserver.ThreadingMixIn instead of ForkingMixIn"
        )
        raise OSError(errno.EOPNOTSUPP, text)


def _refusing(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def method(self: Any, *args: Any) -> Any:
        _refuse(self)
        return original(self, *args)

    return method


def replacements() -> list[tuple[str, str, Any]]:
    """For pystack.patching. `serve_forever` ends with the error, because it calls `service_actions`. `handle_request` reports it by `handle_error`."""
    import socketserver  # no other part of the stack needs it

    kind: Any = getattr(socketserver, "ForkingMixIn", None)
    names = () if kind is None else ("process_request", "service_actions")
    return [("socketserver:ForkingMixIn", name, _refusing(getattr(kind, name))) for name in names]
