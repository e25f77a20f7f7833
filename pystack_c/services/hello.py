"""A fixed HTTP responder (RFC 9112). Every GET and HEAD gets the same page, and connections stay open."""

from pystack_c.services.base import StreamService, room, skip
from pystack_c.services.session import Session
from pystack_c.tcp import user
from pystack_c.tcp.tcb import Tcb

#: the size in bytes from which on a request's head is too long
MAX_HEAD = 8192
PAGE = b"Hello from pystack.\n"
_CR = 13
_LF = 10
_SPACE = 32
_ZERO = 48
#: the facts about a request's fields: a Host is present, a body
#: follows, the client asks to close, it asks to keep the connection
_HOST = 1
_BODY = 2
_CLOSE = 4
_KEEP = 8


def response(status: str, body: bytes, extra: str = "") -> bytes:
    """Return a whole response."""
    head = f"HTTP/1.1 {status}\r\nServer: pystack\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n{extra}\r\n"
    return head.encode("ascii") + body


def refusal(status: str) -> bytes:
    """Return a response after which the connection ends."""
    return response(status, status.encode("ascii") + b"\n", "Connection: close\r\n")


class Hello(StreamService):
    """Answers every request with one page, `body`."""

    def __init__(self, limit: int, body: bytes = PAGE) -> None:
        StreamService.__init__(self, limit)
        self.page = response("200 OK", body)
        self.last_page = response("200 OK", body, "Connection: close\r\n")
        self.closes = False

    def work(self, tcb: Tcb, now: int) -> None:  # inherited
        """Answer every complete request, in order (9.3.2)."""
        session: Session | None = self.conns.get(tcb.ident)
        while tcb.recvbuf.used > 0:
            if room(tcb) == 0:
                self.blocked(tcb, now)
                return
            data = tcb.recvbuf.get(MAX_HEAD, True)
            # A client may send its request byte by byte, so each byte is searched once. The end may have begun before.
            end = head_end(data, session.searched - 3 if session is not None and session.searched > 3 else 0)
            if session is not None:
                session.searched = len(data) if end < 0 else 0
            if end < 0:
                self._incomplete(tcb, len(data), now)
                return
            skip(tcb, end + 4, now)
            answer = self._answer(data, end)
            if self.closes:
                self._last(tcb, answer, now)
                return
            user.send(tcb, answer, 0, now)

    def _incomplete(self, tcb: Tcb, size: int, now: int) -> None:
        """Handle `size` bytes of a request whose end has not arrived."""
        if size >= MAX_HEAD:
            self._last(tcb, refusal("431 Request Header Fields Too Large"), now)
        elif tcb.fin_received:
            # RFC 9112 8: the rest will never arrive.
            self._last(tcb, refusal("400 Bad Request"), now)
        else:
            self.begun(tcb, now)

    def late(self, tcb: Tcb, now: int) -> None:  # inherited
        """Answer 408 Request Timeout (RFC 9110 15.5.9)."""
        self._last(tcb, refusal("408 Request Timeout"), now)

    def _last(self, tcb: Tcb, answer: bytes, now: int) -> None:
        """Send the response that ends the connection, and ignore further data from the peer."""
        user.send(tcb, answer, 0, now)
        skip(tcb, tcb.recvbuf.used, now)
        self.end(tcb, now)

    def _answer(self, head: bytes, end: int) -> bytes:
        """Return the response to the request head[:end]. `closes` is then True if it is the connection's last one."""
        self.closes = True
        begin = 0
        # 2.2: an empty line before the request line is allowed.
        while begin < end and (head[begin] == _CR or head[begin] == _LF):
            begin += 1
        line = line_end(head, begin, end)
        target = find(head, _SPACE, begin, line) + 1
        version = find(head, _SPACE, target, line) + 1
        if find(head, _SPACE, version, line) < line or not begins(head, version, line, b"HTTP/1.", False):
            return refusal("400 Bad Request")
        get = begins(head, begin, target, b"GET ", False)
        if not get and not begins(head, begin, target, b"HEAD ", False):
            return refusal("405 Method Not Allowed")
        close = line - version == 8 and head[line - 1] == _ZERO  # HTTP/1.0
        fields = self._fields(head, line, end)
        if fields & _BODY:
            # 6.3: the request has a body, which this service does not read.
            return refusal("413 Content Too Large")
        if not close and not fields & _HOST:
            # 3.2
            return refusal("400 Bad Request")
        # 9.3
        self.closes = fields & _CLOSE != 0 or (close and not fields & _KEEP)
        page = self.last_page if self.closes else self.page
        return page if get else page[: head_end(page, 0) + 4]

    def _fields(self, head: bytes, at: int, end: int) -> int:
        """Return the facts about the fields that begin after the line end at `at`."""
        found = 0
        while at < end:
            at += 2
            stop = line_end(head, at, end)
            if begins(head, at, stop, b"host:", True):
                found |= _HOST
            elif begins(head, at, stop, b"content-length:", True) or begins(
                head, at, stop, b"transfer-encoding:", True
            ):
                found |= _BODY
            elif begins(head, at, stop, b"connection:", True):
                value = head[at:stop].lower()
                if value.find(b"close") >= 0:
                    found |= _CLOSE
                if value.find(b"keep-alive") >= 0:
                    found |= _KEEP
            at = stop
        return found


# Functions that search a request's bytes. The methods of `bytes` would make objects
# of their arguments, which would take half the time of a request.


def find(data: bytes, byte: int, begin: int, end: int) -> int:
    """Return the index of `byte` in data[begin:end], or `end` if it is not there."""
    while begin < end and data[begin] != byte:
        begin += 1
    return begin


def line_end(data: bytes, begin: int, end: int) -> int:
    """Return the index of the CR LF that ends the line at `begin`, or `end` if there is none."""
    while begin < end:
        begin = find(data, _CR, begin, end)
        if begin + 1 < end and data[begin + 1] == _LF:
            return begin
        begin += 1
    return end


def head_end(data: bytes, begin: int) -> int:
    """Return the index, at `begin` or later, at which the empty line (CR LF CR LF) begins, or -1."""
    size = len(data)
    at = line_end(data, begin, size)
    while at + 3 < size:
        if data[at + 2] == _CR and data[at + 3] == _LF:
            return at
        at = line_end(data, at + 2, size)
    return -1


def begins(data: bytes, begin: int, end: int, word: bytes, fold: bool) -> bool:
    """Return True if data[begin:end] begins with `word`.

    With `fold`, case does not matter and `word` is lower case (RFC 9110 5.1).
    """
    size = len(word)
    if end - begin < size:
        return False
    for i in range(size):
        byte = data[begin + i]
        if fold and 65 <= byte <= 90:
            byte += 32
        if byte != word[i]:
            return False
    return True
