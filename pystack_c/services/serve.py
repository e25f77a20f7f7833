"""Start and stop services by name. These are application calls, like those of tcp.user and udp."""

from typing import Any

from pystack_c.endpoint import Endpoint
from pystack_c.services.base import StreamService, attach, not_there
from pystack_c.services.hello import Hello
from pystack_c.services.streams import (
    Chargen,
    ChargenDatagram,
    Discard,
    DiscardDatagram,
    Echo,
    EchoDatagram,
)
from pystack_c.sockets import udp
from pystack_c.tcp import user

STREAMS: dict[str, Any] = {"echo": Echo, "discard": Discard, "chargen": Chargen, "hello": Hello}
DATAGRAMS: dict[str, Any] = {"echo": EchoDatagram, "discard": DiscardDatagram, "chargen": ChargenDatagram}
BACKLOG = 4096


def stream(core: Any, name: str, addr: int, port: int, now: int) -> Endpoint:
    """Listen at addr:port (address 0: every address), serve, and return the listener.

    Raises OSError if the name is unknown or the port is in use.
    """
    if name not in STREAMS:
        raise not_there(name)
    listener = user.tcp_open(core, now)
    listener.reuseaddr = True
    # RFC 6093 6: the service reads urgent data in line. A connection inherits this from its listener.
    listener.oobinline = True
    try:
        user.bind(listener, addr, port, now)
        user.listen(listener, BACKLOG, now)
    except OSError:
        user.close(listener, now)
        raise
    attach(listener, STREAMS[name](core.config.service_max_conns))
    return listener


def datagram(core: Any, name: str, addr: int, port: int, now: int) -> Endpoint:
    """Answer datagrams to addr:port, and return the socket.

    Raises OSError if the name is unknown or the port is in use.
    """
    if name not in DATAGRAMS:
        raise not_there(name)
    sock = udp.udp_open(core, now)
    try:
        udp.bind(sock, addr, port, now)
    except OSError:
        udp.close(sock, now)
        raise
    attach(sock, DATAGRAMS[name]())
    return sock


def stop(ep: Any, now: int) -> None:
    """Stop a service, free its port and reset its connections."""
    service = ep.service
    ep.service = None
    if isinstance(service, StreamService):
        user.close(ep, now)
        service.stop(now)
    elif service is not None:
        udp.close(ep, now)
