"""echo, discard, chargen, daytime, and what names a service."""

import time

import pytest

from pystack import services, socket
from pystack.stack import up
from pystack_c.services import streams


@pytest.fixture(scope="module", autouse=True)
def running():
    with up(tap=None, name="local") as made:
        started = services.start("echo:7", "discard:9", "chargen:19", "daytime:13")
        yield made
        for service in started:
            service.close()


def udp(port, data):
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.settimeout(2)
        sock.connect(("127.0.0.1", port))
        sock.send(data)
        return sock.recv(65535)


def test_echo():
    with socket.create_connection(("127.0.0.1", 7), timeout=5) as sock:
        sock.sendall(b"x" * 100_000)
        sock.shutdown(socket.SHUT_WR)
        got = b""
        while data := sock.recv(65536):
            got += data
    assert got == b"x" * 100_000
    assert udp(7, b"hello") == b"hello"


def test_discard():
    with socket.create_connection(("127.0.0.1", 9), timeout=5) as sock:
        sock.sendall(b"x" * 1_000_000)
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(1) == b""
    with pytest.raises(TimeoutError):
        udp(9, b"x")


def test_chargen():
    with socket.create_connection(("127.0.0.1", 19), timeout=5) as sock:
        got = b""
        while len(got) < 74 * 100:
            got += sock.recv(4096)
    lines = got.split(b"\r\n")[:99]
    assert all(len(line) == 72 for line in lines)
    assert lines[1] == lines[0][1:] + lines[1][-1:]
    assert len(udp(19, b"")) == 74


def test_daytime():
    with socket.create_connection(("127.0.0.1", 13), timeout=5) as sock:
        text = sock.makefile("rb").read()
    assert time.strftime("%Y", time.gmtime()).encode() in text
    assert udp(13, b"")[:3] == text[:3]


@pytest.mark.parametrize("spec", ["http", "tea:1", "echo:0", "echo:70000", "echo:x", "http:80/udp", "echo:7/sctp"])
def test_bad_specs(spec):
    with pytest.raises(ValueError, match=spec.split(":")[0]):
        services.parse(spec)


def test_specs():
    assert services.parse("echo:7") == [("echo", "tcp", 7), ("echo", "udp", 7)]
    assert services.parse("http:80") == [("http", "tcp", 80)]
    assert services.parse("daytime:13/udp") == [("daytime", "udp", 13)]


def test_lines_are_rfc_864():
    assert len(streams.LINES) == 95
    assert all(len(line) == 74 for line in streams.LINES)


def test_many_connections_at_once_and_threads_go_again(running):
    import threading

    socks = [socket.create_connection(("127.0.0.1", 7), timeout=5) for _ in range(100)]
    for i, sock in enumerate(socks):
        sock.sendall(b"%d" % i)
    for i, sock in enumerate(socks):
        assert sock.recv(10) == b"%d" % i
        sock.close()
    end = time.monotonic() + 5
    while sum("pystack-echo" in thread.name for thread in threading.enumerate()) > 8:
        assert time.monotonic() < end
        time.sleep(0.02)
