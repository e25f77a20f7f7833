"""A fixed HTTP responder (RFC 9112): every GET and HEAD gets the same page, connections are kept open."""

from typing import Any

from pystack_c.services.base import StreamService, room
from pystack_c.tcp import user
from pystack_c.tcp.tcb import Tcb

#: bytes of a request's head; a longer one is refused
MAX_HEAD = 8192
PAGE = b"Hello from pystack.\n"


def response(status: str, body: bytes, extra: str = "") -> bytes:
    """A whole response."""
    head = f"HTTP/1.1 {status}\r\nServer: pystack\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n{extra}\r\n"
    return head.encode("ascii") + body


def refusal(status: str) -> bytes:
    """A response after which the connection ends."""
    return response(status, status.encode("ascii") + b"\n", "Connection: close\r\n")


class Hello(StreamService):
    """One page for whatever is asked. `body` is the page."""

    def __init__(self, limit: int, body: bytes = PAGE) -> None:
        StreamService.__init__(self, limit)
        self.page = response("200 OK", body)
        self.last_page = response("200 OK", body, "Connection: close\r\n")

    def work(self, tcb: Tcb, now: int) -> None:  # inherited
        """Every request that is here as a whole, one after the other (9.3.2: in order)."""
        while tcb.recvbuf.used > 0 and room(tcb) > 0:
            data = tcb.recvbuf.get(MAX_HEAD, True)
            end = data.find(b"\r\n\r\n")
            if end < 0:
                if len(data) < MAX_HEAD:
                    return
                self._last(tcb, refusal("431 Request Header Fields Too Large"), now)
                return
            user.skip(tcb, end + 4, now)
            # 2.2: an empty line before the request line is allowed.
            answer, keep = self._answer(data[:end].lstrip(b"\r\n"))
            if not keep:
                self._last(tcb, answer, now)
                return
            user.send(tcb, answer, 0, now)

    def _last(self, tcb: Tcb, answer: bytes, now: int) -> None:
        """The response that ends the connection; what else the peer says is not for us."""
        user.send(tcb, answer, 0, now)
        user.skip(tcb, tcb.recvbuf.used, now)
        self.end(tcb, now)

    def _answer(self, head: bytes) -> tuple[Any, bool]:
        """The response to a request, and whether the connection stays.

        (`find`: the operator `in` first asks whether the piece is a number, and makes an exception of it.)
        """
        at = head.find(b"\r\n")
        if at < 0:
            at = len(head)
        words = head[:at].split(b" ")
        if len(words) != 3 or not words[2].startswith(b"HTTP/1."):
            return refusal("400 Bad Request"), False
        get = words[0] == b"GET"
        if not get and words[0] != b"HEAD":
            return refusal("405 Method Not Allowed"), False
        fields = head[at:].lower()
        if fields.find(b"\r\ncontent-length:") >= 0 or fields.find(b"\r\ntransfer-encoding:") >= 0:
            # 6.3: a request with a body, which nobody here reads.
            return refusal("413 Content Too Large"), False
        close = words[2] == b"HTTP/1.0"
        if not close and fields.find(b"\r\nhost:") < 0:
            # 3.2
            return refusal("400 Bad Request"), False
        begin = fields.find(b"\r\nconnection:")
        if begin >= 0:
            value = fields[begin + 13 :].partition(b"\r\n")[0]
            # 9.3
            close = value.find(b"close") >= 0 or (close and value.find(b"keep-alive") < 0)
        page = self.last_page if close else self.page
        return (page if get else page[: page.find(b"\r\n\r\n") + 4]), not close
