"""Small internet services: echo, discard, chargen and hello run inside the core, http and daytime as programs.

for service in services.start("http:80", "echo:7"): ...        # on the default stack
services.start("echo:7/udp", host=running.host)                # on this stack
"""

import errno
import logging
import socket as _std
from typing import Any

from pystack.runtime.realtime import RealtimeHost
from pystack.services import classic
from pystack.services.base import CoreService, ThreadDatagramService, ThreadService, ThreadStreamService
from pystack.services.httploop import HttpService
from pystack.sockets import current as _current

__all__ = ["CoreService", "ThreadDatagramService", "SERVICES", "ThreadService", "ThreadStreamService", "parse", "start"]

logging.getLogger("pystack.services").addHandler(logging.NullHandler())

#: name -> (the TCP service, the UDP service): a class, a function or
#: CORE if the core has the service; None if there is no such service
CORE = "core"
SERVICES: dict[str, tuple[Any, Any]] = {
    "http": (HttpService, None),
    "echo": (CORE, CORE),
    "discard": (CORE, CORE),
    "chargen": (CORE, CORE),
    "hello": (CORE, None),
    "daytime": (classic.daytime, classic.daytime_datagram),
}


def parse(spec: str) -> list[tuple[str, str, int]]:
    """Return "echo:7" as [("echo", "tcp", 7), ("echo", "udp", 7)].

    "/tcp" or "/udp" at the end selects one. Raises ValueError.
    """
    name, colon, rest = spec.partition(":")
    port, slash, proto = rest.partition("/")
    if name not in SERVICES:
        raise ValueError(f"{spec!r}: there is no service {name!r}; choose one of {', '.join(SERVICES)}")
    if not colon or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError(f"{spec!r}: write SERVICE:PORT with a port from 1 to 65535")
    wanted = [proto] if slash else ["tcp", "udp"]
    if slash and proto not in ("tcp", "udp"):
        raise ValueError(f"{spec!r}: the protocol must be /tcp or /udp")
    has = {"tcp": SERVICES[name][0] is not None, "udp": SERVICES[name][1] is not None}
    found = [(name, p, int(port)) for p in wanted if has[p]]
    if not found:
        raise ValueError(f"{spec!r}: {name} does not run over {proto}")
    return found


def start(*specs: str, host: RealtimeHost | None = None, address: str = "") -> list[ThreadService]:
    """Start the services, and return them. If a port is in use, raises OSError and none of them runs."""
    wanted = [item for spec in specs for item in parse(spec)]
    running: list[ThreadService] = []
    try:
        for name, proto, port in wanted:
            stream, datagram = SERVICES[name]
            service: ThreadService
            if (stream if proto == "tcp" else datagram) is CORE:
                service = CoreService(name, _host(host), (address, port), proto)
            elif proto == "tcp":
                sock = _socket(host, _std.SOCK_STREAM)
                if stream is HttpService:
                    service = HttpService(name, sock, (address, port))
                else:
                    service = ThreadStreamService(name, sock, (address, port), stream)
            else:
                service = ThreadDatagramService(name, _socket(host, _std.SOCK_DGRAM), (address, port), datagram)
            running.append(service)
            service.start()
    except BaseException:
        for service in running:
            service.close()
        raise
    return running


def _host(host: RealtimeHost | None) -> RealtimeHost:
    """Return the host that runs the services: the given one, or the default stack's.

    Raises OSError if there is none.
    """
    found = host if host is not None else _current.default()
    if not isinstance(found, RealtimeHost):
        raise OSError(errno.ENETDOWN, "no pystack stack is running here in real time: call pystack.up(...) first")
    return found


def _socket(host: RealtimeHost | None, kind: int) -> Any:
    from pystack.running import socket_class

    return socket_class(host)(_std.AF_INET, kind)
