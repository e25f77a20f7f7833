"""One request on its way through an HTTP proxy: an upstream is chosen, tried, perhaps another one, and the response goes back."""

import asyncio
from collections import deque
from typing import Any, cast

import h11

from pystack.proxies.message import (
    IDEMPOTENT,
    NO_TRAILERS,
    Headers,
    ProxiedRequest,
    RefusedRequest,
    Replier,
    response_headers,
    upstream_headers,
)
from pystack.proxies.origin import BadResponse, Http1Upstream, UpstreamDied
from pystack.proxies.origin2 import Http2Upstream
from pystack.proxies.relay import splice
from pystack.proxies.settings import ProxySettings
from pystack.proxies.upstream import NoUpstream, Upstream, UpstreamGroup

#: the name of this proxy in Via
VIA = b"pystack"
#: how often a request is repeated that the upstream has not processed, because its connection ends or is full (HTTP/2). It is no failure
REFUSALS = 20


class ClientGone(OSError):
    """The client's connection failed while the response was on its way."""


class ReadAhead:
    """A bounded queue between the upstream, which is read as fast as it sends, and a client that is slower."""

    def __init__(self, most: int):
        self.most = most
        self.size = 0
        self.pieces: deque[bytes | None | BaseException] = deque()
        self.changed = asyncio.Event()

    async def put(self, piece: "bytes | None | BaseException") -> None:
        """Append a piece, None for the end, or the reason why there is no more. It waits while the queue is full."""
        while isinstance(piece, bytes) and self.size and self.size + len(piece) > self.most:
            self.changed.clear()
            await self.changed.wait()
        self.pieces.append(piece)
        self.size += len(piece) if isinstance(piece, bytes) else 0
        self.changed.set()

    async def get(self) -> "bytes | None":
        """The next piece, or None at the end. A reason is raised."""
        while not self.pieces:
            self.changed.clear()
            await self.changed.wait()
        piece = self.pieces.popleft()
        if isinstance(piece, BaseException):
            raise piece
        self.size -= len(piece or b"")
        self.changed.set()
        return piece


class HttpExchange:
    """Serves one request. `run` returns when the response is complete, or raises RefusedRequest while none has begun."""

    def __init__(
        self, group: UpstreamGroup, settings: ProxySettings, request: ProxiedRequest, reply: Replier, client: Any
    ):
        self.group = group
        self.settings = settings
        self.request = request
        self.reply = reply
        self.client = client
        self.headers: Headers = []

    async def run(self, trust: bool = False) -> None:
        """Find an upstream, and pass the request and the response."""
        request, settings = self.request, self.settings
        self.headers = upstream_headers(request, VIA, trust, self.client.local)
        if settings.request_buffer and not request.upgrade:
            await request.body.prefetch(settings.request_buffer)
        tried: list[Upstream] = []
        refusal = RefusedRequest(503, "no upstream is available")
        failures = refusals = 0
        while failures <= settings.retries and refusals <= REFUSALS:
            failures += 1
            try:
                upstream = self.group.choose(request.peer, tried)
                exchange, used = await self._take(upstream)
            except NoUpstream as error:
                if not tried:
                    refusal = RefusedRequest(503, str(error))
                break
            except OSError as error:
                late = isinstance(error, TimeoutError)
                refusal = RefusedRequest(504 if late else 502, "the upstream cannot be reached")
                tried.append(upstream)
                continue
            try:
                await self._attempt(upstream, exchange)
                return
            except UpstreamDied as died:
                refusal = RefusedRequest(502, "the upstream closed the connection before it answered")
                if died.unprocessed:
                    failures -= 1
                    refusals += 1
                else:
                    self.group.failed(upstream)
                    if not used:
                        tried.append(upstream)
                # RFC 9113 section 8.7: a request that was not processed can be repeated, whatever its method is.
                safe = died.unprocessed or (died.early and request.method in IDEMPOTENT)
                if not safe or not request.body.replayable() or self.reply.started:
                    break
        if self.reply.started:
            self.reply.abort()
            return
        raise refusal

    async def _take(self, upstream: Upstream) -> "tuple[Http1Upstream | Http2Upstream, bool]":
        """A connection to an upstream, or a place on one, and whether the connection was used before. OSError, NoUpstream."""
        if upstream.http2 and (place := await self.group.begin(upstream, self.client)) is not None:
            return place
        conn, used = await self.group.acquire(upstream, self.client)
        return Http1Upstream(conn, self.settings), used

    async def _attempt(self, upstream: Upstream, exchange: "Http1Upstream | Http2Upstream") -> None:
        """Try one upstream. The connection is given back in any case."""
        sender = asyncio.ensure_future(exchange.send(self.request, self.headers))
        work = asyncio.ensure_future(self._response(upstream, exchange))
        reusable = False
        try:
            await asyncio.wait([sender, work], return_when=asyncio.FIRST_COMPLETED)
            if sender.done() and isinstance(sender.exception(), RefusedRequest | ClientGone | EOFError):
                sender.result()  # the client's fault
            reusable = await work
        finally:
            for task in (sender, work):
                task.cancel()
            try:
                await asyncio.gather(sender, work, return_exceptions=True)
            except asyncio.CancelledError:
                reusable = False  # the proxy ends
                raise
            finally:
                if isinstance(exchange, Http2Upstream):
                    self.group.end(upstream, exchange)
                else:
                    self.group.release(upstream, exchange.conn, reusable and sender.done() and exchange.reusable())

    async def _response(self, upstream: Upstream, exchange: "Http1Upstream | Http2Upstream") -> bool:
        """Pass the response to the client. Returns whether the connection can be used again."""
        try:
            response = await self._head(exchange)
        except TimeoutError:
            self.group.failed(upstream)
            raise RefusedRequest(504, "the upstream did not answer in time") from None
        except BadResponse as error:
            raise RefusedRequest(502, f"the upstream's response is wrong: {error}") from None
        headers, both = response_headers([(bytes(k), bytes(v)) for k, v in response.headers], VIA)
        if type(response) is h11.InformationalResponse:
            await self._switch(cast(Http1Upstream, exchange), headers)  # _head lets no other pass
            return False
        self.group.succeeded(upstream)
        await _to_client(self.reply.head(response.status_code, bytes(response.reason), headers))
        if self.settings.response_buffer:
            await self._ahead(exchange)
        else:
            await self._direct(exchange)
        return not both

    async def _head(self, exchange: "Http1Upstream | Http2Upstream") -> Any:
        while True:
            response = await exchange.event()
            if type(response) is h11.Response:
                return response
            if response.status_code == 101:
                if not self.request.upgrade:
                    raise BadResponse("the protocol changes, and nobody asked for it")
                return response
            if response.status_code != 100 and self.request.version != b"1.0":
                headers = response_headers([(bytes(k), bytes(v)) for k, v in response.headers], VIA)[0]
                await _to_client(self.reply.informational(response.status_code, headers))

    async def _direct(self, exchange: "Http1Upstream | Http2Upstream") -> None:
        """Each piece of the body goes to the client before the next one is read."""
        try:
            while type(event := await exchange.event()) is h11.Data:
                await _to_client(self.reply.data(bytes(event.data)))
        except (UpstreamDied, BadResponse, TimeoutError):
            self.reply.abort()
            return
        await _to_client(self.reply.end(_trailers(event)))

    async def _ahead(self, exchange: "Http1Upstream | Http2Upstream") -> None:
        """The body is read ahead of the client, up to `response_buffer` bytes. Bytes that are there are sent at once."""
        queue = ReadAhead(self.settings.response_buffer)
        last: Any = None

        async def fill() -> None:
            nonlocal last
            try:
                while type(event := await exchange.event()) is h11.Data:
                    await queue.put(bytes(event.data))
                last = event
                await queue.put(None)
            except (UpstreamDied, BadResponse, TimeoutError) as error:
                await queue.put(error)

        filler = asyncio.ensure_future(fill())
        try:
            while (piece := await queue.get()) is not None:
                await _to_client(self.reply.data(piece))
        except (UpstreamDied, BadResponse, TimeoutError):
            self.reply.abort()
            return
        finally:
            filler.cancel()
            await asyncio.gather(filler, return_exceptions=True)
        await _to_client(self.reply.end(_trailers(last)))

    async def _switch(self, exchange: Http1Upstream, headers: Headers) -> None:
        """The connection changes to another protocol, such as WebSocket: copy bytes from now on."""
        headers = [*headers, (b"connection", b"upgrade"), (b"upgrade", self.request.upgrade)]
        near = await _to_client(self.reply.switch(headers))
        exchange.conn.unread(exchange.rest())
        await splice(near, exchange.conn, self.settings)


def _trailers(event: Any) -> Headers:
    """The fields behind a body that go to the client."""
    return [(name, value) for name, value in event.headers if name not in NO_TRAILERS]


async def _to_client(work: Any) -> Any:
    """Wait for something that the client's side does. Its failure is no failure of the upstream."""
    try:
        return await work
    except OSError as error:
        raise ClientGone(str(error)) from None
