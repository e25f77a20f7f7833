"""The HTTP of one connection without its socket: bytes in, bytes out, and the answer to each request.

`receive` takes the client's bytes and answers all requests in them, in order (RFC 9112
9.3.2). `take` returns the next piece to send. The order does not depend on how much has been
sent. Answers after a download wait until it is finished. While much data waits to be sent,
the exchange looks at no further request, and `wants` says that the caller need not read.

The work is linear in the input: no byte is examined again because more bytes arrived.
"""

import hashlib
from collections import deque
from collections.abc import Iterator
from typing import Any

from pystack.services import http

#: while this many bytes of answers wait, no request is answered
QUEUE = 65536
#: the most bytes of a chunk's first line (RFC 9112 7.1)
MAX_LINE = 256

HEAD, BODY, SIZE, CHUNK, TRAILER, OVER = range(6)


class Exchange:
    """One connection's requests and answers."""

    def __init__(self) -> None:
        self.input = bytearray()
        self.state = HEAD
        #: there is no line end in the input before this index
        self.scanned = 0
        #: the number of requests that were read completely
        self.count = 0
        #: True if the client has closed its side
        self.ended = False
        self.output: deque[bytes] = deque()
        #: the number of bytes in `output`
        self.queued = 0
        #: the pieces of a download, which are sent after `output`
        self.source: Iterator[bytes] | None = None
        self.request: http.Request | None = None
        self.digest: Any = None
        #: the bytes of a body, or of a chunk, that have not arrived
        self.left = 0
        #: the bytes of trailers so far, and those of chunk extensions in excess of what the data allows
        self.trailers = 0
        self.extra = 0

    # -- in ----------------------------------------------------------------------------------------------------

    def receive(self, data: bytes) -> None:
        """Process the client's bytes. b"" means that the client has closed its side."""
        if not data:
            self.ended = True
        elif self.state != OVER:
            self.input += data
        self.advance()

    def advance(self) -> None:
        """Answer as many requests as possible."""
        try:
            while self.wants() and self._step():
                pass
            if self.ended and self.wants():
                # RFC 9112 8: an incomplete request will never be completed now.
                if self.input or self.state != HEAD:
                    raise http.BadRequest(400, "the request is not complete")
                self.state = OVER
        except http.BadRequest as exc:
            self.refuse(exc)

    def wants(self) -> bool:
        """Return True if the exchange accepts more of the client's bytes now."""
        return self.state != OVER and self.source is None and self.queued < QUEUE

    def partial(self) -> bool:
        """Return True if a head has begun and is not complete."""
        return self.state == HEAD and len(self.input) > 0

    def in_body(self) -> bool:
        """Return True if the client has to send the rest of a body."""
        return HEAD < self.state < OVER

    def refuse(self, exc: http.BadRequest) -> None:
        """Queue the last answer of the connection, a refusal."""
        self._say(http.refusal(exc))
        self.over()

    def over(self) -> None:
        """Answer no further request."""
        self.state = OVER
        self.input.clear()

    # -- out ---------------------------------------------------------------------------------------------------

    def pending(self) -> bool:
        """Return True if there is something to send."""
        return self.queued > 0 or self.source is not None

    def take(self) -> bytes:
        """Return the next piece to send, or b"" if there is none."""
        if self.queued:
            piece = b"".join(self.output) if len(self.output) > 1 else self.output[0]
            self.output.clear()
            self.queued = 0
            return piece
        if self.source is not None:
            piece = next(self.source, b"")
            if piece:
                return piece
            self.source = None
        self.advance()
        return self.take() if self.queued else b""

    def give_back(self, piece: bytes) -> None:
        """Put back the rest of a piece that was not sent."""
        self.output.appendleft(piece)
        self.queued += len(piece)

    def _say(self, data: bytes) -> None:
        self.output.append(data)
        self.queued += len(data)

    # -- requests ----------------------------------------------------------------------------------------------

    def _step(self) -> bool:
        """Process one part of the input. Returns False if it is not complete."""
        if self.state == HEAD:
            return self._head()
        if self.state in (BODY, CHUNK):
            return self._data()
        if self.state == SIZE:
            return self._chunks()
        return self._trailer()

    def _head(self) -> bool:
        end = self.input.find(b"\r\n\r\n", max(0, self.scanned - 3))
        if end < 0:
            self.scanned = len(self.input)
        if end > http.MAX_HEAD or (end < 0 and self.scanned > http.MAX_HEAD):
            raise http.BadRequest(431, "the head is too long")
        if end < 0:
            return False
        head = bytes(self.input[:end])
        self._drop(end + 4)
        # RFC 9112 2.2: an empty line before the request line is allowed.
        self.request = request = http.parse_head(head.removeprefix(b"\r\n"))
        self.count += 1
        if not request.chunked and not request.length:
            self._answer(request, "")
            return True
        self.digest = hashlib.sha256()
        self.left = request.length
        self.extra = self.trailers = 0
        self.state = SIZE if request.chunked else BODY
        if request.expects and not self.input:
            # RFC 9110 10.1.1: omit it if some of the body has arrived already.
            self._say(b"HTTP/1.1 100 Continue\r\n\r\n")
        return True

    def _drop(self, n: int) -> None:
        del self.input[:n]
        self.scanned = 0

    def _data(self) -> bool:
        """Process the available part of a body with a length, or of a chunk."""
        if not self.input:
            return False
        if self.left >= len(self.input):
            self.digest.update(self.input)
            self.left -= len(self.input)
            self._drop(len(self.input))
        else:
            self.digest.update(self.input[: self.left])
            self._drop(self.left)
            self.left = 0
        if self.left:
            return False
        if self.state == BODY:
            self._whole()
            return True
        return self._chunk_end()

    def _chunk_end(self) -> bool:
        """Process the line end after a chunk's data."""
        self.state = CHUNK
        if len(self.input) < 2:
            return False
        if self.input[:2] != b"\r\n":
            raise http.BadRequest(400, "a chunk is longer than its size line says")
        self._drop(2)
        self.state = SIZE
        return True

    def _chunks(self) -> bool:
        """Process all complete chunks in one pass, then the first line of the next one."""
        data = bytes(self.input)
        at = 0
        extra = self.extra
        parts = []
        while True:
            end = data.find(b"\r\n", at, at + MAX_LINE + 2)
            if end < 0:
                if len(data) - at > MAX_LINE:
                    raise http.BadRequest(400, "the first line of a chunk is too long")
                size = -1
                break
            text = data[at:end]
            size = SIZES.get(text, -1)
            if size < 0:
                size = http.chunk_size(text.partition(b";")[0].rstrip(b" \t"))
            extra += end - at - 2 * size - 16
            if extra < 0:
                extra = 0
            elif extra > http.MAX_HEAD:
                raise http.BadRequest(400, "the chunk extensions are too long")
            begin = end + 2
            stop = begin + size
            if size == 0 or data[stop : stop + 2] != b"\r\n":
                at = begin
                break
            parts.append(data[begin:stop])
            at = stop + 2
        self.extra = extra
        self.digest.update(b"".join(parts))
        self._drop(at)
        if size < 0:
            return False
        self.left = size
        self.state = CHUNK if size else TRAILER
        return True

    def _trailer(self) -> bool:
        """Process a line of the trailer section (RFC 9112 7.1.2), which ends with an empty line."""
        end = self.input.find(b"\r\n", max(0, self.scanned - 1))
        if end < 0:
            self.scanned = len(self.input)
        if self.trailers + max(end, self.scanned) > http.MAX_HEAD:
            raise http.BadRequest(431, "the trailer is too long")
        if end < 0:
            return False
        self.trailers += end + 2
        self._drop(end + 2)
        if end == 0:
            self._whole()
        return True

    def _whole(self) -> None:
        """Answer a request whose body is complete."""
        assert self.request is not None
        digest = self.digest.hexdigest()
        self.digest = None
        self.state = HEAD
        self._answer(self.request, digest)

    def _answer(self, request: http.Request, digest: str) -> None:
        keep, only_head = request.keep_alive, request.method == "HEAD"
        if not keep:
            self.over()
        if request.method in ("PUT", "POST"):
            digest = digest or EMPTY
            self._say(http.response(200, digest.encode() + b"\n", keep_alive=keep))
        elif request.method not in ("GET", "HEAD"):
            body = b"This server accepts GET, HEAD, PUT and POST.\n"
            self._say(http.response(405, body, keep_alive=keep, extra="Allow: GET, HEAD, PUT, POST\r\n"))
        elif request.target == "/":
            self._say(http.page(keep, only_head))
        elif (length := http.bytes_wanted(request.target)) >= 0:
            self._say(http.download_head(length, keep))
            if not only_head:
                self.source = http.pattern(length)
        else:
            self._say(http.response(404, b"Nothing here.\n", keep_alive=keep, head=only_head))


EMPTY = hashlib.sha256().hexdigest()
#: the first lines of small chunks, and their sizes
SIZES = {b"%x" % size: size for size in range(1, 1024)}
