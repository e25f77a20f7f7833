"""The HTTP of one connection without a socket: the same answers however the bytes are cut, and work that grows with them alone."""

import hashlib
import resource
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pystack.services import exchange, http
from pystack.services.exchange import Exchange

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
PUT = b"PUT /x HTTP/1.1\r\nHost: x\r\n"
CHUNKED = PUT + b"Transfer-Encoding: chunked\r\n\r\n"


def answers(pieces, end=False):
    """Everything that is answered."""
    made = Exchange()
    out = []
    for piece in [*pieces, b""] if end else pieces:
        made.receive(piece)
        while data := made.take():
            out.append(data)
    return b"".join(out)


def put(body):
    """The answer to an upload."""
    return http.response(200, hashlib.sha256(body).hexdigest().encode() + b"\n")


def chunks(body, size):
    """`body` in chunks of `size`."""
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


REQUESTS = {
    "page": (GET, http.page(True, False)),
    "head": (GET.replace(b"GET", b"HEAD"), http.page(True, True)),
    "download": (GET.replace(b"/ ", b"/bytes/70000 "), http.download_head(70000, True) + b"".join(http.pattern(70000))),
    "upload": (PUT + b"Content-Length: 5\r\n\r\nhello", put(b"hello")),
    "empty": (PUT + b"Content-Length: 0\r\n\r\n", put(b"")),
    "chunks": (CHUNKED + b"5;a=b\r\nhello\r\n06 ;x\r\n world\r\n0\r\nA: b\r\n\r\n", put(b"hello world")),
    "tiny": (CHUNKED + chunks(b"hello world", 1), put(b"hello world")),
    "large": (CHUNKED + chunks(bytes(100_000), 65536), put(bytes(100_000))),
    "missing": (GET.replace(b"/ ", b"/x "), http.response(404, b"Nothing here.\n")),
    "line": (b"\r\n" + GET, http.page(True, False)),
}


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(sorted(REQUESTS)), min_size=1, max_size=6), st.data())
def test_the_answers_are_the_same_however_the_bytes_are_cut(names, data):
    stream = b"".join(REQUESTS[name][0] for name in names)
    wanted = b"".join(REQUESTS[name][1] for name in names)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True) if b > a]
    assert answers(pieces) == wanted


@pytest.mark.parametrize("name", sorted(set(REQUESTS) - {"large"}))
def test_byte_by_byte(name):
    stream, wanted = REQUESTS[name]
    assert answers([stream[i : i + 1] for i in range(len(stream))] * 2) == wanted * 2


@pytest.mark.parametrize(
    ("stream", "status"),
    [
        (CHUNKED + b"5\r\nhello!\r\n", 400),
        (CHUNKED + b"ffffffffff\r\n", 400),
        (CHUNKED + b"-1\r\n", 400),
        (CHUNKED + b"0x5\r\nhello\r\n", 400),
        (CHUNKED + b"1_0\r\n", 400),
        (CHUNKED + b"\r\n", 400),
        (CHUNKED + b"5" + b";a" * 200, 400),
        (CHUNKED + (b"1;" + b"a" * 250 + b"\r\nx\r\n") * 100, 400),
        (CHUNKED + b"0\r\n" + b"A: b\r\n" * 3000, 431),
        (CHUNKED + b"0\r\n" + b"A" * 20000, 431),
        (GET[:-2] + b"A: b\r\n" * 3000, 431),
        (b"\r\n" * 20000, 400),
    ],
)
def test_refused_once_and_for_all(stream, status):
    whole, slow = answers([stream + GET]), answers([stream[i : i + 1] for i in range(len(stream))] + [GET])
    assert whole.startswith(b"HTTP/1.1 %d " % status)
    assert whole.count(b"HTTP/1.1 ") == 1
    assert slow.split(b"\r\n")[0] == whole.split(b"\r\n")[0]


@pytest.mark.parametrize("stream", [GET[:5], PUT + b"Content-Length: 5\r\n\r\nhell", CHUNKED + b"5\r\nhello"])
def test_half_a_request_and_the_end(stream):
    assert answers([GET, stream], end=True) == http.page(True, False) + http.refusal(
        http.BadRequest(400, "the request is not complete")
    )


class Counted(bytearray):
    """Counts the bytes that are looked at or copied, but for those that go into a hash."""

    work = 0

    def __getitem__(self, key):
        found = super().__getitem__(key)
        self.work += len(found)
        return found

    def __bytes__(self):
        self.work += len(self)
        return bytes(memoryview(self))

    def find(self, what, begin=0):
        at = super().find(what, begin)
        self.work += (len(self) if at < 0 else at) - begin
        return at


def work(pieces):
    """Bytes looked at, and lines of Python."""
    made = Exchange()
    made.input = Counted()
    lines = 0

    def count(frame, event, arg):
        nonlocal lines
        lines += 1
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        for piece in pieces:
            made.receive(piece)
            while made.take():
                pass
    finally:
        sys.settrace(before)
    assert made.state != exchange.OVER
    return made.input.work, lines


@pytest.mark.parametrize(
    ("stream", "lines"),
    [
        (lambda n: [GET * (n // len(GET))], 2),
        (lambda n: [GET.replace(b"GET", b"HEAD") * (n // len(GET))], 2),
        (lambda n: [CHUNKED + chunks(bytes(n // 6), 1)], 3.5),
        (lambda n: [b"G"] * 10 + [b"G"] * (min(n, 16000) - 10), 80),
        (lambda n: [CHUNKED + chunks(bytes(n), 4096)], 1),
    ],
    ids=["pipelined", "heads", "chunks", "slowly", "large chunks"],
)
def test_work_grows_with_the_bytes_alone(stream, lines):
    for n in (8000, 16000, 64000):
        pieces = stream(n)
        size = sum(map(len, pieces))
        looked, steps = work(pieces)
        assert looked <= 8 * size + 1000
        assert steps <= lines * size + 1000


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\nx:" + b" " * 16000 + b"\1",
        b"GET / HTTP/1.1\r\nHost: x\r\nx:" + b" \t" * 8000 + b"\1",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"x" * 16000 + b"\1",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"x:\r\n" * 4000 + b"\1",
        b"A" * 16000,
        b"A " * 8000,
        b"GET /" + b"a" * 16000 + b"\1 HTTP/1.1",
    ],
    ids=["spaces", "tabs", "name", "fields", "method", "words", "target"],
)
def test_no_head_stops_the_process(head):
    """In a process with a minute of CPU. (With a pattern that tried each way to share the spaces it took hours.)"""
    program = (
        "import sys; from pystack.services import http\n"
        "try: http.parse_head(sys.stdin.buffer.read())\n"
        "except http.BadRequest as exc: sys.exit(exc.status - 400)\n"
    )

    def limit():
        resource.setrlimit(resource.RLIMIT_CPU, (60, 60))

    command = [sys.executable, "-c", program]
    done = subprocess.run(command, input=head, preexec_fn=limit, capture_output=True, check=False)
    assert done.returncode == 0, (done.returncode, done.stderr[-300:])
