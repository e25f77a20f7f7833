"""What the proxies read without a library: PROXY headers, the name in a ClientHello, heads; and what they write into fields."""

import asyncio
import random
import ssl

import pytest

from pystack.proxies import ProxySettings, hello, proxyheader
from pystack.proxies.head import parse_head, read_head
from pystack.proxies.message import (
    ProxiedRequest,
    RefusedRequest,
    end_to_end,
    forwarded,
    response_headers,
    upstream_headers,
)
from pystack.proxies.proxyheader import SIGNATURE, ProxyHeaderError


class Bytes:
    """A connection that gives these bytes, in pieces of random size."""

    def __init__(self, data, seed=None):
        self.data = data
        self.rng = None if seed is None else random.Random(seed)

    async def recv(self, size):
        size = size if self.rng is None else self.rng.randrange(1, min(size, 9))
        data, self.data = self.data[:size], self.data[size:]
        return data

    async def exactly(self, size):
        if len(self.data) < size:
            raise EOFError
        data, self.data = self.data[:size], self.data[size:]
        return data

    def unread(self, data):
        self.data = data + self.data


# PROXY.


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("ends", [(("192.0.2.1", 1), ("10.0.0.1", 65535)), (("2001:db8::1", 443), ("::1", 0))])
def test_a_proxy_header_is_read_as_it_was_written(version, ends):
    conn = Bytes(proxyheader.build(version, *ends) + b"GET /")
    found = asyncio.run(proxyheader.read(conn))
    assert (found.source, found.destination) == ends and conn.data == b"GET /"


def test_unknown_ends():
    for version in (1, 2):
        for ends in ((("", 0), ("", 0)), (("192.0.2.1", 1), ("::1", 1))):
            found = asyncio.run(proxyheader.read(Bytes(proxyheader.build(version, *ends))))
            assert (found.source, found.destination) == (None, None)


def test_tlvs_are_skipped():
    header = bytearray(proxyheader.build(2, ("192.0.2.1", 1), ("192.0.2.2", 2)))
    header[15] += 5
    found = asyncio.run(proxyheader.read(Bytes(bytes(header) + b"\x04\x00\x02ab" + b"rest")))
    assert found.source == ("192.0.2.1", 1)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 01\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 +1\r\n",
        b"PROXY TCP4 192.0.2.01 192.0.2.2 1 1\r\n",
        b"PROXY TCP4 ::1 192.0.2.2 1 1\r\n",
        b"PROXY TCP6 fe80::1%eth0 ::1 1 1\r\n",
        b"PROXY TCP4  192.0.2.1 192.0.2.2 1 1\r\n",
        b"PROXY UDP4 192.0.2.1 192.0.2.2 1 1\r\n",
        b"PROXY TCP4 " + b"1" * 200,
        b"PROXY TCP4 192.0.2.\xff 192.0.2.2 1 1\r\n",
        SIGNATURE + b"\x11\x11\x00\x0c" + bytes(12),  # version 1
        SIGNATURE + b"\x22\x11\x00\x0c" + bytes(12),  # no such command
        SIGNATURE + b"\x21\x11\x00\x0b" + bytes(12),  # shorter than its addresses
        SIGNATURE + b"\x21\x11\xff\xff" + bytes(100),  # too long
    ],
)
def test_wrong_proxy_headers(data):
    with pytest.raises(ProxyHeaderError):
        asyncio.run(proxyheader.read(Bytes(data)))


# SNI.


def client_hello(name):
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    context.check_hostname = name is not None
    context.verify_mode = ssl.CERT_NONE if name is None else ssl.CERT_REQUIRED
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname=name).do_handshake()
    return outgoing.read()


@pytest.mark.parametrize("seed", range(5))
def test_the_name_in_a_hello(seed):
    for name in ("example.com", "a." * 60 + "net", None):
        data = client_hello(name)
        conn = Bytes(data, seed)
        assert asyncio.run(hello.server_name(conn)) == (name or "")
        assert conn.data == data  # everything is put back


def test_a_hello_in_several_records():
    record = client_hello("example.com")
    body = record[5:]
    cut = [body[:3], body[3:50], body[50:]]
    data = b"".join(b"\x16\x03\x01" + len(part).to_bytes(2, "big") + part for part in cut)
    assert asyncio.run(hello.server_name(Bytes(data, 1))) == "example.com"


def test_a_stream_that_is_no_hello_has_no_name():
    for data in (
        b"",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x00\x00",
        b"\x16\x03\x01\x00\x05\x02\x00\x00\x01\x00",
        b"\x16" * 30_000,
    ):
        assert asyncio.run(hello.server_name(Bytes(data))) == ""


def test_mutated_hellos():
    rng = random.Random(3)
    record = client_hello("example.com")
    names = set()
    for _ in range(2000):
        data = bytearray(record)
        for _ in range(rng.randrange(1, 4)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        conn = Bytes(bytes(data[: rng.randrange(len(data))] if rng.random() < 0.3 else data))
        before = conn.data
        names.add(asyncio.run(hello.server_name(conn)))
        assert conn.data == before
    assert "" in names and "example.com" in names


# Heads.


@pytest.mark.parametrize("seed", range(20))
def test_a_head_does_not_depend_on_the_pieces(seed):
    head = b"POST /a?b HTTP/1.1\r\nHost: site\r\nX: y\r\n\r\n"
    conn = Bytes(b"\r\n" + head + b"body\r\n\r\n", seed)
    assert asyncio.run(read_head(conn, ProxySettings())) == head
    assert conn.data.endswith(b"body\r\n\r\n")
    request = parse_head(head, ProxySettings())
    assert (request.method, request.target, request.host) == (b"POST", b"/a?b", b"site")


@pytest.mark.parametrize("seed", [None, 0, 1, 2])
@pytest.mark.parametrize(
    "data", [b"GET / HTTP/1.1\nHost: a\r\n\r\n", b"GET / HTTP/1.1\r\nA: b\rc\r\n\r\n", b"GET / HTTP/1.1\r\r\n\r\n"]
)
def test_a_lone_end_of_line_is_found_wherever_it_is_cut(data, seed):
    with pytest.raises(RefusedRequest) as refusal:
        asyncio.run(read_head(Bytes(data, seed), ProxySettings()))
    assert refusal.value.status == 400


@pytest.mark.parametrize("size, status", [(9_000, 414), (7_000, 431)])
def test_limits_of_the_head(size, status):
    data = b"GET /" + b"a" * size + b" HTTP/1.1\r\n" + b"X: y\r\n" * 10_000
    with pytest.raises(RefusedRequest) as refusal:
        asyncio.run(read_head(Bytes(data), ProxySettings()))
    assert refusal.value.status == status


# Fields.


def request(*headers, peer="192.0.2.1"):
    found = ProxiedRequest(b"GET", b"/", [(b"host", b"site"), *headers], b"1.1")
    found.host, found.peer = b"site", (peer, 1024)
    return found


def test_hop_by_hop_fields():
    headers = [
        (b"connection", b"close, X-One"),
        (b"x-one", b"1"),
        (b"te", b"trailers"),
        (b"x-two", b"2"),
        (b"upgrade", b"h2c"),
    ]
    assert end_to_end(headers) == [(b"x-two", b"2")]


def test_forwarded():
    assert forwarded(request(), ("10.0.0.1", 80)) == b"for=192.0.2.1;by=10.0.0.1;host=site;proto=http"
    found = forwarded(request(peer="2001:db8::1"), ("", 0))
    assert found == b'for="[2001:db8::1]";by=unknown;host=site;proto=http'


def test_fields_that_name_the_client():
    wrote = [
        (b"x-forwarded-for", b"198.51.100.7"),
        (b"forwarded", b"for=_x"),
        (b"x-real-ip", b"6"),
        (b"via", b"1.0 first"),
    ]
    for trust, before in ((False, b""), (True, b"198.51.100.7, ")):
        found = dict(upstream_headers(request(*wrote), b"us", trust, ("10.0.0.1", 80)))
        assert found[b"x-forwarded-for"] == before + b"192.0.2.1"
        assert found[b"forwarded"].startswith(b"for=_x, for=" if trust else b"for=192")
        assert (b"x-real-ip" in found) is trust
        assert found[b"via"] == b"1.0 first, 1.1 us"


def test_a_response_with_two_lengths_keeps_one():
    headers = [(b"content-length", b"5"), (b"transfer-encoding", b"chunked"), (b"x", b"y"), (b"connection", b"close")]
    kept, both = response_headers(headers, b"us")
    assert kept == [(b"x", b"y"), (b"via", b"1.1 us")] and both
