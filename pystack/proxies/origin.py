"""The upstream's side of an HTTP proxy: one request over HTTP/1.1, and its response."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import h11

from pystack.proxies.conn import ProxyConn
from pystack.proxies.message import Headers, ProxiedRequest, RefusedRequest
from pystack.proxies.settings import ProxySettings


class UpstreamDied(OSError):
    """The connection to the upstream ended or failed. `early`: no byte of the response had arrived. `unprocessed`: the upstream says that it did nothing."""

    def __init__(self, why: str, early: bool, *, unprocessed: bool = False):
        super().__init__(why)
        self.early = early
        self.unprocessed = unprocessed


class BadResponse(Exception):
    """The upstream's response breaks the rules or a limit."""


async def patiently(wait: Callable[[], Awaitable[Any]], exchange: Any) -> Any:
    """Wait for a part of a response. TimeoutError after `response_timeout`, in which no part of the request was sent either."""
    loop = asyncio.get_running_loop()
    since = loop.time()
    while True:
        try:
            async with asyncio.timeout_at(since + exchange.settings.response_timeout):
                return await wait()
        except TimeoutError:
            if exchange.moved <= since:
                raise
            since = exchange.moved  # a client that sends a long body is still at it


class Http1Upstream:
    """One exchange on a connection to an upstream."""

    def __init__(self, conn: ProxyConn, settings: ProxySettings):
        self.conn = conn
        self.settings = settings
        self.h11 = h11.Connection(h11.CLIENT, max_incomplete_event_size=settings.max_head)
        self.got = 0
        #: when the upstream took the last part of the request (the loop's time)
        self.moved = asyncio.get_running_loop().time()

    async def send(self, request: ProxiedRequest, headers: Headers) -> None:
        """Send the request. UpstreamDied if the connection fails; RefusedRequest and others if the client's body does."""
        if request.upgrade:
            headers = [*headers, (b"connection", b"upgrade"), (b"upgrade", request.upgrade)]
        if request.length is None:
            headers = [*headers, (b"transfer-encoding", b"chunked")]
        elif request.length or request.get(b"content-length"):
            headers = [*headers, (b"content-length", str(request.length).encode())]
        try:
            head = h11.Request(method=request.method, target=request.target, headers=headers)
        except h11.LocalProtocolError as error:
            raise RefusedRequest(400, f"the request cannot be sent over HTTP/1.1: {error}") from None
        await self._send(head)
        async for piece in request.body.pieces():
            await self._send(h11.Data(data=piece))
        await self._send(h11.EndOfMessage())

    async def _send(self, event: Any) -> None:
        data = self.h11.send(event)
        try:
            async with asyncio.timeout(self.settings.response_timeout):
                await self.conn.send(data or b"")
        except OSError as error:
            raise UpstreamDied(str(error), self.got == 0) from None
        self.moved = asyncio.get_running_loop().time()

    async def event(self) -> Any:
        """The next part of the response: h11's InformationalResponse, Response, Data or EndOfMessage.

        UpstreamDied if the connection ends before, BadResponse if it is wrong, TimeoutError if nothing arrives in time.
        """
        while True:
            try:
                event = self.h11.next_event()
            except h11.RemoteProtocolError as error:
                if self.got == 0 or "before" in str(error) or "without sending complete" in str(error):
                    raise UpstreamDied(str(error), self.got == 0) from None
                raise BadResponse(str(error)) from None
            if event is h11.NEED_DATA:
                await self._more()
                continue
            if event is h11.PAUSED or type(event) is h11.ConnectionClosed:
                raise UpstreamDied("the upstream closed the connection", self.got == 0)
            headers = getattr(event, "headers", ())
            if len(headers) > self.settings.max_headers:
                raise BadResponse("the response has too many header fields")
            return event

    async def _more(self) -> None:
        try:
            data = await patiently(lambda: self.conn.recv(self.settings.buffer_size), self)
        except TimeoutError:
            raise
        except OSError as error:
            raise UpstreamDied(str(error), self.got == 0) from None
        self.got += len(data)
        try:
            self.h11.receive_data(data)
        except RuntimeError:
            raise UpstreamDied("the upstream closed the connection", self.got == 0) from None

    def reusable(self) -> bool:
        """Whether the connection can carry another request."""
        return (
            self.h11.our_state is h11.DONE
            and self.h11.their_state is h11.DONE
            and not self.h11.trailing_data[0]
            and not self.h11.trailing_data[1]
        )

    def rest(self) -> bytes:
        """The bytes that arrived behind the response, which belong to another protocol."""
        return bytes(self.h11.trailing_data[0])
