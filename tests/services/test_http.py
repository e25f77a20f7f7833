"""The HTTP service: its parser against h11, its answers byte by byte, and its limits."""

import hashlib
import re
import string

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pystack import services, socket
from pystack.running import up
from pystack.services import http
from tests.support.patience import PATIENCE


@pytest.fixture(scope="module")
def running():
    with up(tap=None, name="local", default=True) as made:
        started = services.start("http:80")
        yield made
        for service in started:
            service.close()


@pytest.fixture
def conn(running):
    with running.socket() as sock:
        sock.settimeout(PATIENCE)
        sock.connect(("127.0.0.1", 80))
        yield sock


def answer(sock):
    """(status, headers, body) of one response, read with h11."""
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method="GET", target="/", headers=[("Host", "x")]))
    client.send(h11.EndOfMessage())
    status, headers, body = 0, {}, b""
    while True:
        event = client.next_event()
        if event is h11.NEED_DATA:
            client.receive_data(sock.recv(65536))
        elif isinstance(event, h11.Response):
            status, headers = event.status_code, {name.decode(): value.decode() for name, value in event.headers}
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, (h11.EndOfMessage, h11.ConnectionClosed)):
            return status, headers, body


def test_page(conn):
    conn.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    status, headers, body = answer(conn)
    assert (status, body) == (200, http.PAGE)
    assert headers["content-type"].startswith("text/html")


def test_keep_alive_and_pipelining(conn):
    conn.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 3)
    data = b""
    while data.count(b"It answers") < 3:
        data += conn.recv(65536)
    conn.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert answer(conn)[1]["connection"] == "close"
    assert conn.recv(1) == b""


def test_head_arrives_byte_by_byte(conn):
    for byte in b"GET /bytes/3 HTTP/1.1\r\nHost: x\r\n\r\n":
        conn.sendall(bytes([byte]))
    assert len(answer(conn)[2]) == 3


@pytest.mark.parametrize("size", [0, 1, 65521, 300_000])
def test_download(conn, size):
    conn.sendall(b"GET /bytes/%d HTTP/1.1\r\nHost: x\r\n\r\n" % size)
    status, headers, body = answer(conn)
    assert (status, len(body)) == (200, size)
    assert headers["x-sha256"] == hashlib.sha256(body).hexdigest()


def test_upload_with_length(conn):
    body = bytes(range(256)) * 4000
    conn.sendall(b"PUT /x HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    assert answer(conn)[2].decode().strip() == hashlib.sha256(body).hexdigest()


def test_upload_in_chunks(conn):
    conn.sendall(b"POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    conn.sendall(b"5\r\nhello\r\n6;ext=1\r\n world\r\n0\r\nTrailer: 1\r\n\r\n")
    assert answer(conn)[2].decode().strip() == hashlib.sha256(b"hello world").hexdigest()
    conn.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answer(conn)[0] == 200


def test_expect_100_continue(conn):
    conn.sendall(b"PUT /x HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
    assert conn.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
    conn.sendall(b"abc")
    assert answer(conn)[2].decode().strip() == hashlib.sha256(b"abc").hexdigest()


def test_head_method_has_no_body(conn):
    conn.sendall(b"HEAD /bytes/10 HTTP/1.1\r\nHost: x\r\n\r\nHEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    data = b""
    while more := conn.recv(65536):
        data += more
    assert data.count(b"HTTP/1.1 200 OK") == 2
    assert b"Content-Length: 10\r\n" in data
    assert data.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    "request_, status",
    [
        (b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        (b"DELETE / HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505),
        (b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nBad Name: 1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n", 400),
        (b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400),
        (b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        (b"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nExpect: tea\r\n\r\n", 417),
        (b"GET /" + b"a" * 20000, 431),
    ],
)
def test_refusals(conn, request_, status):
    conn.sendall(request_)
    assert answer(conn)[0] == status


TOKEN = st.text(alphabet=string.ascii_letters + string.digits + "-_", min_size=1, max_size=10)
VALUE = st.text(alphabet=string.ascii_letters + string.digits + " ;=,/", max_size=20).map(str.strip)


@settings(max_examples=200)
@given(
    method=st.sampled_from(["GET", "PUT", "HEAD", "X"]),
    target=st.from_regex(r"/[a-z/]{0,10}", fullmatch=True),
    minor=st.sampled_from("01"),
    fields=st.lists(st.tuples(TOKEN, VALUE), max_size=4),
)
def test_parser_agrees_with_h11(method, target, minor, fields):
    fields = [("Host", "x"), *[(name, value) for name, value in fields if name.lower() not in SPECIAL]]
    head = f"{method} {target} HTTP/1.{minor}\r\n" + "\r\n".join(f"{name}: {value}" for name, value in fields)
    theirs = h11.Connection(h11.SERVER)
    theirs.receive_data(head.encode() + b"\r\n\r\n")
    event = theirs.next_event()
    assert isinstance(event, h11.Request)
    ours = http.parse_head(head.encode())
    assert (ours.method, ours.target) == (event.method.decode(), event.target.decode())
    assert ours.keep_alive == (minor == "1")


SPECIAL = {"host", "content-length", "transfer-encoding", "connection", "expect"}


@settings(max_examples=300)
@given(st.binary(max_size=60))
def test_parser_survives_anything(junk):
    try:
        request = http.parse_head(junk)
    except http.BadRequest as exc:
        assert exc.status in http.REASONS
    else:
        assert re.fullmatch(r"[!-~]+", request.method)


def test_pattern_is_what_it_says():
    data = b"".join(http.pattern(1_000_003))
    assert len(data) == 1_000_003
    assert http.pattern_sha256(1_000_003) == hashlib.sha256(data).hexdigest()
    assert data[:1000] not in data[1:65000]


def test_a_taken_port_is_an_error_and_starts_nothing(running):
    with socket.create_server(("127.0.0.1", 8001)), pytest.raises(OSError):
        services.start("echo:8002", "http:8001")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", 8002), timeout=PATIENCE)


def test_idle_connections_need_no_threads(running):
    import threading

    before = threading.active_count()
    socks = [running.socket() for _ in range(200)]
    for sock in socks:
        sock.settimeout(PATIENCE)
        sock.connect(("127.0.0.1", 80))
    for sock in socks:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert answer(sock)[0] == 200
    assert threading.active_count() <= before
    # a slow reader of a download does not hold up the others
    socks[0].sendall(b"GET /bytes/100000000 HTTP/1.1\r\nHost: x\r\n\r\n")
    for sock in socks[1:]:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert answer(sock)[0] == 200
    for sock in socks:
        sock.close()


def test_connection_comes_back_from_its_thread(conn):
    import threading

    before = threading.active_count()
    for _ in range(3):
        conn.sendall(b"GET /bytes/1000 HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n")
        data = b""
        while b"</html>" not in data:
            data += conn.recv(65536)
        conn.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert answer(conn)[0] == 200
    assert threading.active_count() <= before + 1  # the last one may be about to end
