"""The client's side of an HTTP proxy over HTTP/1.1: one request after another on a connection."""

import asyncio
from http import HTTPStatus
from typing import Any

import h11

from pystack.proxies.conn import ProxyConn
from pystack.proxies.head import check_body, parse_head, read_head
from pystack.proxies.message import UPGRADES, Headers, ProxiedRequest, RefusedRequest, RequestBody, tokens
from pystack.proxies.settings import ProxySettings


class Http1Client:
    """One connection of a client. `handle(request, reply)` serves a request, and raises RefusedRequest if it cannot."""

    def __init__(self, conn: ProxyConn, settings: ProxySettings, handle: Any, refused: Any):
        self.conn = conn
        self.settings = settings
        self.handle = handle
        self.refused = refused

    async def run(self) -> None:
        """Serve until the client or the proxy ends the connection."""
        for number in range(self.settings.max_requests):
            if number and not await self._wait():
                return
            reply = Http1Reply(self.conn, self.settings, number + 1 >= self.settings.max_requests)
            try:
                async with asyncio.timeout(self.settings.head_timeout):
                    head = await read_head(self.conn, self.settings)
                if not head:
                    return
                request = reply.begin(head)
                await self.handle(request, reply, self.conn)
            except TimeoutError:
                await self._refuse(reply, RefusedRequest(408, "the head of the request did not arrive in time"))
                return
            except RefusedRequest as refusal:
                await self._refuse(reply, refusal)
                return
            if not reply.next_cycle():
                break
        await self.conn.linger()

    async def _wait(self) -> bool:
        """Wait for the first byte of another request. False: there is none."""
        try:
            async with asyncio.timeout(self.settings.keepalive_timeout):
                piece = await self.conn.recv(4096)
        except TimeoutError:
            return False
        self.conn.unread(piece)
        return bool(piece)

    async def _refuse(self, reply: "Http1Reply", refusal: RefusedRequest) -> None:
        self.refused(refusal.status)
        if reply.started:
            reply.abort()
            return
        await reply.error(refusal)
        await self.conn.linger()


class Http1Reply:
    """The body of one request as it is read, and its response as it is written."""

    def __init__(self, conn: ProxyConn, settings: ProxySettings, last: bool):
        self.conn = conn
        self.settings = settings
        self.last = last
        self.started = False
        self.aborted = False
        self.switched = False
        self.h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=settings.max_head)
        self.got = 0
        self.expects = False
        self.framed = self.chunked = False
        self.is_head = False

    def begin(self, head: bytes) -> ProxiedRequest:
        """The request of a head. RefusedRequest if it is not valid."""
        request = parse_head(head, self.settings)
        self.is_head = request.method == b"HEAD"
        try:
            self.h11.receive_data(head)
            event = self.h11.next_event()
        except h11.RemoteProtocolError as error:
            raise RefusedRequest(400, str(error)) from None
        if type(event) is not h11.Request:
            raise RefusedRequest(400, "the head is not complete")
        check_body(request.length or 0, self.settings)
        request.scheme = b"http" if self.conn.tls is None else b"https"
        request.peer = self.conn.peer
        wanted = tokens(request.get(b"upgrade")) if b"upgrade" in tokens(request.get(b"connection")) else []
        if request.method == b"GET" and request.length == 0 and len(wanted) == 1 and wanted[0] in UPGRADES:
            request.upgrade = wanted[0]
        expect = tokens(request.get(b"expect"))
        if expect and expect != [b"100-continue"]:
            raise RefusedRequest(417, "the only expectation is 100-continue")
        self.expects = bool(expect) and request.version == b"1.1" and request.length != 0
        request.body = RequestBody(self.read, request.length == 0)
        return request

    async def read(self) -> bytes:
        """The next part of the body, b"" at its end. RefusedRequest, EOFError if it cannot be read."""
        if self.expects and not self.started:
            self.expects = False
            await self.informational(100, [])
        while True:
            try:
                event = self.h11.next_event()
            except h11.RemoteProtocolError as error:
                if self.h11.trailing_data[1]:
                    raise EOFError("the client closed inside a request") from None
                raise RefusedRequest(400, f"the body is wrong: {error}") from None
            if type(event) is h11.Data:
                self.got += len(event.data)
                check_body(self.got, self.settings)
                return bytes(event.data)
            if type(event) is h11.EndOfMessage or event is h11.PAUSED:
                return b""
            if event is not h11.NEED_DATA:
                raise EOFError("the client closed inside a request")
            try:
                async with asyncio.timeout(self.settings.body_timeout):
                    data = await self.conn.recv(self.settings.buffer_size)
            except TimeoutError:
                raise RefusedRequest(408, "the body of the request did not arrive in time") from None
            except OSError as error:
                raise EOFError(f"the client's connection failed: {error}") from None
            self.h11.receive_data(data)

    async def _send(self, event: Any) -> None:
        data = self.h11.send(event) or b""
        for at in range(0, len(data), self.settings.buffer_size):
            async with asyncio.timeout(self.settings.send_timeout):
                await self.conn.send(data[at : at + self.settings.buffer_size])

    async def informational(self, status: int, headers: Headers) -> None:
        """See Replier."""
        await self._send(h11.InformationalResponse(status_code=status, headers=headers, reason=b""))

    async def head(self, status: int, reason: bytes, headers: Headers) -> None:
        """See Replier."""
        if self.last or not self._body_read():
            headers = [*headers, (b"connection", b"close")]
        self.started = True
        try:
            await self._send(h11.Response(status_code=status, reason=reason, headers=headers))
        except h11.LocalProtocolError as error:
            self.started = False
            raise RefusedRequest(502, f"the upstream's response cannot be sent: {error}") from None
        sized = any(key == b"content-length" for key, _ in headers)
        self.framed = sized or self.h11.their_http_version == b"1.1"
        self.chunked = self.framed and not sized and not self.is_head and status not in (204, 304)

    def _body_read(self) -> bool:
        """Whether the client's request has been read to its end, so that another one can follow."""
        return self.h11.their_state in (h11.DONE, h11.MIGHT_SWITCH_PROTOCOL) or self._at_end()

    def _at_end(self) -> bool:
        if self.h11.their_state is not h11.SEND_BODY or self.got:
            return False
        event = self.h11.next_event()
        return type(event) is h11.EndOfMessage

    async def data(self, piece: bytes) -> None:
        """See Replier."""
        await self._send(h11.Data(data=piece))

    async def end(self, trailers: Headers) -> None:
        """See Replier. Only a chunked body has a place for trailers (RFC 9112 section 7.1.2)."""
        await self._send(h11.EndOfMessage(headers=trailers if self.chunked else []))

    def abort(self) -> None:
        """The client sees that the response is not complete: its length is missing, or the connection is reset."""
        self.aborted = True
        if self.framed:
            self.conn.close()
        else:
            self.conn.reset()

    async def switch(self, headers: Headers) -> ProxyConn:
        """See Replier."""
        self.started = self.switched = True
        if self.h11.their_state is h11.SEND_BODY:
            self.h11.next_event()
        await self._send(h11.InformationalResponse(status_code=101, headers=headers, reason=b"Switching Protocols"))
        self.conn.unread(bytes(self.h11.trailing_data[0]))
        return self.conn

    async def connected(self) -> ProxyConn:
        """Answer CONNECT with 200, and return the connection, which carries the client's bytes from now on."""
        self.started = self.switched = True
        await self._send(h11.Response(status_code=200, headers=[], reason=b"Connection established"))
        self.conn.unread(bytes(self.h11.trailing_data[0]))
        return self.conn

    async def error(self, refusal: RefusedRequest) -> None:
        """Send a response of the proxy itself, after which the connection ends."""
        headers, text = refusal.response()
        headers.append((b"connection", b"close"))
        if self.h11.our_state in (h11.ERROR, h11.DONE, h11.CLOSED):
            self.h11 = h11.Connection(h11.SERVER)
        await self._send(h11.Response(status_code=refusal.status, headers=headers, reason=_reason(refusal.status)))
        if not self.is_head:
            await self._send(h11.Data(data=text))
        self.started = True

    def next_cycle(self) -> bool:
        """Whether another request may follow on the connection. Bytes that belong to it are put back."""
        if self.aborted or self.switched or self.conn.closed:
            return False
        if self.h11.our_state is not h11.DONE or self.h11.their_state is not h11.DONE:
            return False
        self.conn.unread(bytes(self.h11.trailing_data[0]))
        return not self.h11.trailing_data[1]


def _reason(status: int) -> bytes:
    return HTTPStatus(status).phrase.encode()
