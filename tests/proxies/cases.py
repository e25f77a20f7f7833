"""The cases of docs/reference/proxies.md: each drives a proxy, and says in a few words what it did."""

import socket
import time
from collections.abc import Callable
from typing import NamedTuple

from tests.proxies.origin import LONG, Origin
from tests.proxies.peers import TIMEOUT
from tests.support.patience import until


class Case(NamedTuple):
    """A row of the table. `run` gets the proxy's port and the origin, and returns the cell."""

    part: str
    name: str
    run: Callable[[int, Origin], str]


CASES: list[Case] = []


def case(part, name):
    """Add a function as a case."""

    def add(function):
        CASES.append(Case(part, name, function))
        return function

    return add


class Client:
    """A blocking client that sends raw bytes."""

    def __init__(self, port, receive=0):
        self.sock = socket.socket()
        if receive:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        self.sock.settimeout(5)
        self.sock.connect(("127.0.0.1", port))

    def send(self, data):
        self.sock.sendall(data)

    def until(self, text, seconds=5.0):
        """What arrives up to `text`, the end of the stream, a reset, or the time."""
        data = b""
        end = time.monotonic() + seconds
        while text not in data and (left := end - time.monotonic()) > 0:
            self.sock.settimeout(left)
            try:
                piece = self.sock.recv(65536)
            except (TimeoutError, ConnectionError):
                break
            if not piece:
                break
            data += piece
        return data

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()


NEVER = b"\0never\0"


def status(data):
    """The status of a response, or that there was none."""
    return data.split(b" ")[1].decode() if data.startswith(b"HTTP/1.") else "bytes without a head" if data else "closed"


def passed(origin, data, what=""):
    """The status, and that the request reached the server if it did."""
    return status(data) + (", passed on" + what if origin.heads else "")


def raw(port, data, half=False):
    """Send bytes, and return what comes back within the time in which every peer answers."""
    with Client(port) as client:
        client.send(data)
        got = client.until(b"\r\n\r\n", TIMEOUT * 3)
        if got.startswith(b"HTTP/1.1 200"):
            got += client.until(b"ok", 0.3) if b"ok" not in got else b""
        return got


def get(path, *fields, method="GET", body=b""):
    """The bytes of a request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: site", *fields, "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


def refusing(name, data):
    """A case of the smuggling set: does it reach the server?"""

    def run(port, origin):
        answer = raw(port, data)
        return passed(origin, answer)

    CASES.append(Case("Requests that two servers may read differently", name, run))


refusing(
    "Content-Length and Transfer-Encoding",
    get("/ok", "Content-Length: 5", "Transfer-Encoding: chunked", method="POST", body=b"0\r\n\r\n"),
)
refusing(
    "two different Content-Length", get("/ok", "Content-Length: 5", "Content-Length: 6", method="POST", body=b"hello!")
)
refusing(
    "the same Content-Length twice", get("/ok", "Content-Length: 5", "Content-Length: 5", method="POST", body=b"hello")
)
refusing("Content-Length: 5, 5", get("/ok", "Content-Length: 5, 5", method="POST", body=b"hello"))
refusing("Content-Length: +5", get("/ok", "Content-Length: +5", method="POST", body=b"hello"))
refusing("Content-Length: 0x5", get("/ok", "Content-Length: 0x5", method="POST", body=b"hello"))
refusing(
    "Transfer-Encoding twice",
    get("/ok", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked", method="POST", body=b"0\r\n\r\n"),
)
refusing(
    "Transfer-Encoding: gzip, chunked", get("/ok", "Transfer-Encoding: gzip, chunked", method="POST", body=b"0\r\n\r\n")
)
refusing("Transfer-Encoding: xchunked", get("/ok", "Transfer-Encoding: xchunked", method="POST", body=b"0\r\n\r\n"))
refusing(
    "Transfer-Encoding in HTTP/1.0", b"POST /ok HTTP/1.0\r\nHost: site\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
)
refusing("a space before the colon", get("/ok", "Content-Length : 5", method="POST", body=b"hello"))
refusing("a folded line", get("/ok", "X-A: b\r\n c"))
refusing("a CR inside a value", get("/ok", "X-A: b\rX-B: c"))
refusing("LF alone at the ends of lines", b"GET /ok HTTP/1.1\nHost: site\n\n")
refusing("a NUL in a value", get("/ok", "X-A: b\0c"))
refusing(
    "LF alone behind a chunk's size",
    get("/ok", "Transfer-Encoding: chunked", method="POST", body=b"2\nab\r\n0\r\n\r\n"),
)
refusing(
    "a chunk that is longer than its size",
    get("/ok", "Transfer-Encoding: chunked", method="POST", body=b"2\r\nabcd\r\n0\r\n\r\n"),
)
refusing("no Host", b"GET /ok HTTP/1.1\r\n\r\n")
refusing("two Hosts", get("/ok", "Host: other"))
refusing("a space in the target", get("/ok ay"))
refusing("HTTP/1.2", b"GET /ok HTTP/1.2\r\nHost: site\r\n\r\n")
refusing("HTTP/0.9", b"GET /ok\r\n\r\n")


@case("Requests that two servers may read differently", "a URL as target beside another Host")
def absolute(port, origin):
    raw(port, get("http://inside/ok"))
    hosts = [
        line.split(b": ")[1].decode()
        for head in origin.heads
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"host:")
    ]
    return "Host: " + (hosts[0].replace("inside", "of the URL").replace("site", "of the field") if hosts else "refused")


PART = "Limits"


@case(PART, "a field of 64 KiB")
def field(port, origin):
    return passed(origin, raw(port, get("/ok", "X-A: " + "a" * 65536)))


@case(PART, "a target of 64 KiB")
def target(port, origin):
    return passed(origin, raw(port, get("/ok/" + "a" * 65536)))


@case(PART, "200 fields")
def fields(port, origin):
    return passed(origin, raw(port, get("/ok", *(f"X-{n}: a" for n in range(200)))))


@case(PART, "a field of 64 KiB in the response")
def wide(port, origin):
    return status(raw(port, get("/wide")))


PART = "Slow clients"


def seconds(begin):
    """A duration as a number of timeouts, if it is near one."""
    took = (time.monotonic() - begin) / TIMEOUT
    return "at the timeout" if 0.7 < took < 2.2 else f"after {took:.1f} timeouts"


@case(PART, "stops inside the head")
def slow_head(port, origin):
    begin = time.monotonic()
    with Client(port) as client:
        client.send(b"GET /ok HTTP/1.1\r\nHo")
        return f"{status(client.until(NEVER))} {seconds(begin)}"


@case(PART, "sends a byte of the head in each fifth of the timeout")
def drip(port, origin):
    begin = time.monotonic()
    with Client(port) as client:
        client.sock.setblocking(False)
        data = b""
        for byte in get("/ok", "X-A: " + "a" * 100):
            try:
                client.send(bytes([byte]))
                time.sleep(TIMEOUT / 5)
                data = client.sock.recv(1000)
                break
            except BlockingIOError:
                continue
            except ConnectionError:
                break
        return f"{status(data)} {seconds(begin)}"


@case(PART, "stops inside the body")
def slow_body(port, origin):
    begin = time.monotonic()
    with Client(port) as client:
        client.send(get("/ok", "Content-Length: 100", method="POST", body=b"abc"))
        return f"{status(client.until(NEVER))} {seconds(begin)}"


@case(PART, "the server sees the request before its body is complete")
def early(port, origin):
    with Client(port) as client:
        client.send(get("/ok", "Content-Length: 10", method="POST", body=b"abc"))
        seen = until(lambda: origin.connections > 0, TIMEOUT / 2)
        client.send(b"defghij")
        assert status(client.until(b"ok")) == "200"
        return "yes" if seen else "no"


def goes_on(origin, taken):
    """Wait until the proxy takes more than that, or for a part of the timeout."""
    return until(lambda: origin.taken > taken, TIMEOUT * 0.8)


@case(PART, "does not read a response of 48 MiB")
def unread(port, origin):
    with Client(port, receive=65536) as client:
        client.send(get("/long"))
        taken = -1
        while taken < origin.taken < LONG:  # a busy machine needs seconds for a proxy that takes all of it
            taken = origin.taken
            goes_on(origin, taken)
        taken = origin.taken
    return "the proxy takes all of it" if taken >= LONG else "the proxy stops reading"


PART = "Servers that are slow or fail"


@case(PART, "refuses connections")
def refused(port, origin):
    return status(raw(port, get("/refused")))


@case(PART, "does not answer")
def never(port, origin):
    begin = time.monotonic()
    return f"{status(raw(port, get('/never')))} {seconds(begin)}"


@case(PART, "closes before the first byte: GET")
def die(port, origin):
    return status(raw(port, get(f"/die/{time.monotonic_ns()}")))


@case(PART, "closes before the first byte: POST")
def die_post(port, origin):
    data = raw(port, get(f"/die/{time.monotonic_ns()}", "Content-Length: 5", method="POST", body=b"hello"))
    return f"{status(data)}, sent {'once' if len(origin.heads) == 1 else 'twice'}"


def ended(port, path):
    """How a response that never becomes complete looks: what arrived, and how the connection ended."""
    with Client(port) as client:
        client.send(get(path))
        data = b""
        how = "closed"
        while True:
            try:
                piece = client.sock.recv(65536)
            except ConnectionError:
                how = "reset"
                break
            except TimeoutError:
                how = "open"
                break
            if not piece:
                break
            data += piece
    body = data.partition(b"\r\n\r\n")[2]
    complete = b"\r\n0\r\n" in body or body.count(b"x") == 1000
    return f"{status(data)}, {'complete' if complete else 'cut'}, {how}"


@case(PART, "dies in the middle of a body with a length")
def middle(port, origin):
    return ended(port, "/middle")


@case(PART, "dies between two chunks")
def chunks(port, origin):
    return ended(port, "/chunks")


@case(PART, "stops in the middle of a body")
def stall(port, origin):
    begin = time.monotonic()
    return f"{ended(port, '/stall')} {seconds(begin)}"


@case(PART, "answers with something else than HTTP")
def garbage(port, origin):
    return status(raw(port, get("/garbage")))


@case(PART, "answers with a length and in chunks")
def both(port, origin):
    data = raw(port, get("/both"))
    has = b"content-length" in data.lower().partition(b"\r\n\r\n")[0]
    return status(data) + (", both passed on" if has and b"chunked" in data.lower() else "")


@case(PART, "closes a connection that was kept for another request")
def stale(port, origin):
    first = status(raw(port, get("/ok")))
    origin.loop.call_soon_threadsafe(origin.close_all)
    time.sleep(0.1)
    return f"{first}, {status(raw(port, get('/ok')))}"


PART = "What passes"


def field_of(origin, name):
    """The values of a field that the server got."""
    found = [
        line.partition(b":")[2].strip().decode()
        for head in origin.heads
        for line in head.split(b"\r\n")
        if line.lower().startswith(name.encode() + b":")
    ]
    return "; ".join(found) or "none"


@case(PART, "X-Forwarded-For: 192.0.2.1 from the client")
def spoof(port, origin):
    raw(port, get("/ok", "X-Forwarded-For: 192.0.2.1"))
    return field_of(origin, "x-forwarded-for")


@case(PART, "a field that Connection names")
def named(port, origin):
    raw(port, get("/ok", "Connection: keep-alive, X-Mine", "X-Mine: 1"))
    return "removed" if field_of(origin, "x-mine") == "none" else "passed on"


@case(PART, "Keep-Alive, TE and Proxy-Connection")
def hops(port, origin):
    raw(port, get("/ok", "Keep-Alive: 5", "TE: trailers", "Proxy-Connection: close"))
    left = [name for name in ("keep-alive", "te", "proxy-connection") if field_of(origin, name) != "none"]
    return "passed on: " + ", ".join(left) if left else "removed"


@case(PART, "Upgrade: h2c")
def h2c(port, origin):
    raw(port, get("/ok", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"))
    return "removed" if field_of(origin, "upgrade") == "none" else "passed on"


@case(PART, "WebSocket")
def websocket(port, origin):
    with Client(port) as client:
        client.send(
            get(
                "/socket",
                "Connection: Upgrade",
                "Upgrade: websocket",
                "Sec-WebSocket-Version: 13",
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            )
        )
        head = client.until(b"ready")
        client.send(b"ping")
        return f"{status(head)}, {'bytes pass' if client.until(b'ping') == b'ping' else 'no bytes'}"


@case(PART, "server-sent events, with buffering on")
def events(port, origin):
    with Client(port) as client:
        client.send(get("/events"))
        data = client.until(b"data: 0", 0.5)
        return "at once" if b"data: 0" in data else "late"


@case(PART, "103 Early Hints")
def hints(port, origin):
    with Client(port) as client:
        client.send(get("/early"))
        return "passed on" if b" 103 " in client.until(b"\r\n\r\nok") else "removed"


@case(PART, "Expect: 100-continue")
def expect(port, origin):
    with Client(port) as client:
        client.send(get("/ok", "Content-Length: 5", "Expect: 100-continue", method="POST"))
        data = client.until(b"\r\n\r\n", TIMEOUT / 2)
        client.send(b"hello")
        data += client.until(b"ok")
        return ("100, then " if data.startswith(b"HTTP/1.1 100") else "") + status(data[data.rfind(b"HTTP/1.1") :])


@case(PART, "two requests in one segment")
def pipeline(port, origin):
    with Client(port) as client:
        client.send(get("/ok") + get("/ok"))
        time.sleep(0.3)
        return f"{client.until(NEVER, 0.5).count(b'HTTP/1.1 200')} answers"


@case(PART, "HTTP/1.0 without Host")
def old(port, origin):
    return passed(origin, raw(port, b"GET /ok HTTP/1.0\r\n\r\n"))


PART = "Servers of HTTP/2, with prior knowledge"


def second(name):
    """A case with a server of HTTP/2, which not every proxy can talk to."""

    def add(function):
        def run(port, origin):
            if status(raw(port, get("/h2/ok"))) == "501":
                return "not possible"
            origin.forget()
            return function(port, origin)

        CASES.append(Case(PART, name, run))
        return function

    return add


@second("10 requests at the same time, of 10 clients")
def together(port, origin):
    clients = [Client(port) for _ in range(10)]
    for client in clients:
        client.send(get("/h2/slow", "Connection: close"))
    good = sum(status(client.until(NEVER)) == "200" for client in clients)
    for client in clients:
        client.close()
    return f"{good} answers, {'one connection' if origin.connections <= 1 else 'many connections'}"


@second("REFUSED_STREAM: GET")
def refused_get(port, origin):
    return f"{status(raw(port, get(f'/h2/refuse/{time.monotonic_ns()}')))}, sent {times(origin)}"


@second("REFUSED_STREAM: POST")
def refused_post(port, origin):
    path = f"/h2/refuse/{time.monotonic_ns()}"
    return f"{status(raw(port, get(path, 'Content-Length: 5', method='POST', body=b'hello')))}, sent {times(origin)}"


@second("GOAWAY before it has processed a POST")
def goaway(port, origin):
    path = f"/h2/goaway/{time.monotonic_ns()}"
    return f"{status(raw(port, get(path, 'Content-Length: 5', method='POST', body=b'hello')))}, sent {times(origin)}"


@second("resets the stream before the head: POST")
def reset_post(port, origin):
    data = raw(port, get("/h2/reset", "Content-Length: 5", method="POST", body=b"hello"))
    return f"{status(data)}, sent {times(origin)}"


@second("resets the stream in the middle of a body")
def reset_middle(port, origin):
    return ended(port, "/h2/middle")


@second("opens no window for a body of 1 MiB")
def window(port, origin):
    begin = time.monotonic()
    with Client(port) as client:
        client.send(get("/h2/window", "Content-Length: 1048576", method="POST"))
        client.sock.setblocking(False)
        left = memoryview(bytes(1 << 20))
        while left and time.monotonic() - begin < TIMEOUT * 3:
            try:
                left = left[client.sock.send(left) :]
            except BlockingIOError:
                time.sleep(0.05)
            except ConnectionError:
                break
        return f"{status(client.until(NEVER))} {seconds(begin)}"


@second("trailers behind the body, TE: trailers")
def trailers(port, origin):
    with Client(port) as client:
        client.send(get("/h2/trailers", "TE: trailers"))
        data = client.until(b"\r\n0\r\n") + client.until(b"\r\n\r\n", 0.3)
        return f"{status(data)}, {'passed on' if b'grpc-status' in data.lower() else 'removed'}"


def times(origin):
    """How often the request reached the server."""
    count = len(origin.heads)
    return {1: "once", 2: "twice"}.get(count, f"{count} times")
