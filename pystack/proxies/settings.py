"""The limits and times of the proxies, each with a name."""

from dataclasses import dataclass, fields
from typing import Any


@dataclass
class ProxySettings:
    """Times are seconds, and sizes are bytes. Every limit bounds what one client can make the proxy hold or do.

    ValueError: a value is below 0, or is 0 although the limit needs at least 1. TypeError: there is no such setting.
    """

    #: the most clients at the same time; further ones wait in the backlog of the listener
    max_clients: int = 1024
    #: the backlog of the listener
    backlog: int = 128
    #: the most bytes that wait in one direction between the two sockets of a connection
    buffer_size: int = 16_384

    # The head of a request (HTTP).
    #: the longest request line; a longer one gets 414
    max_request_line: int = 8_192
    #: the longest head of a request or response, the first line included; a longer request gets 431, a longer response 502
    max_head: int = 32_768
    #: the most header fields of a request or response
    max_headers: int = 100
    #: the longest body of a request; a longer one gets 413. 0: no limit
    max_body: int = 0

    # Clients that are slow.
    #: the time in which a client must send the whole head of a request, and the PROXY header or the TLS handshake before it; then 408
    head_timeout: float = 30.0
    #: the time in which the next part of a request's body must arrive; then 408
    body_timeout: float = 30.0
    #: the time in which a client must take up to `buffer_size` bytes; then the connection is reset
    send_timeout: float = 30.0
    #: the time for which a connection may be idle between two requests
    keepalive_timeout: float = 60.0
    #: the most requests on one connection
    max_requests: int = 1_000
    #: the time for which neither side of a relay, a tunnel or a WebSocket may send anything
    tunnel_timeout: float = 3_600.0

    # Upstreams.
    #: the time in which an upstream must accept a connection, TLS included; then the next one is tried, or 504
    connect_timeout: float = 5.0
    #: the time in which the next byte of a response must arrive, or the upstream must take a part of the request; then 504
    response_timeout: float = 60.0
    #: how many more upstreams are tried after one failed and the request may be repeated
    retries: int = 2
    #: the most connections to one upstream at the same time; further requests wait. 0: no limit
    max_upstream: int = 0
    #: the most requests at the same time on one HTTP/2 connection to an upstream, which may allow fewer; then one more connection is opened
    max_upstream_streams: int = 100
    #: the time for which a request may wait for a connection to an upstream; then 503
    queue_timeout: float = 10.0
    #: how many idle connections to one upstream are kept, and for how long
    max_idle: int = 32
    idle_timeout: float = 30.0
    #: after so many failures in a row an upstream gets no requests for `fail_time`. 0: never
    max_fails: int = 3
    fail_time: float = 10.0

    # Buffering.
    #: read a request's body up to this size before an upstream is chosen, so that a slow client holds no upstream. 0: off
    request_buffer: int = 65_536
    #: read up to this much of a response ahead of a slow client, so that the upstream is free sooner. 0: off
    response_buffer: int = 65_536

    # HTTP/2.
    #: the most requests of one HTTP/2 connection at the same time
    max_streams: int = 100
    #: the most streams that a client may cancel in one connection before it is closed (CVE-2023-44487)
    max_resets: int = 200

    def __post_init__(self) -> None:
        for field in fields(self):
            value: Any = getattr(self, field.name)
            least = 0 if field.name in _MAY_BE_ZERO else 1e-3 if field.type in (float, "float") else 1
            if isinstance(value, bool) or not isinstance(value, int | float) or not value >= least:
                raise ValueError(f"{field.name}={value!r}: it must be a number of at least {least:g}")


_MAY_BE_ZERO = ("max_body", "max_upstream", "max_idle", "max_fails", "retries", "request_buffer", "response_buffer")
