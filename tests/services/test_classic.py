"""echo, discard, chargen, daytime, and what names a service."""

import threading
import time

import pytest

from pystack import services, socket
from pystack.running import up
from pystack.services import base
from pystack_c.services import streams
from tests.support.patience import PATIENCE, until


@pytest.fixture(scope="module", autouse=True)
def running():
    with up(tap=None, name="local") as made:
        started = services.start("echo:7", "discard:9", "chargen:19", "daytime:13")
        yield made
        for service in started:
            service.close()


def udp(port, data, seconds=PATIENCE):
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.settimeout(seconds)
        sock.connect(("127.0.0.1", port))
        sock.send(data)
        return sock.recv(65535)


def test_echo():
    with socket.create_connection(("127.0.0.1", 7), timeout=PATIENCE) as sock:
        sock.sendall(b"x" * 100_000)
        sock.shutdown(socket.SHUT_WR)
        got = b""
        while data := sock.recv(65536):
            got += data
    assert got == b"x" * 100_000
    assert udp(7, b"hello") == b"hello"


def test_discard():
    with socket.create_connection(("127.0.0.1", 9), timeout=PATIENCE) as sock:
        sock.sendall(b"x" * 1_000_000)
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(1) == b""
    with pytest.raises(TimeoutError):
        udp(9, b"x", 0.5)


def test_chargen():
    with socket.create_connection(("127.0.0.1", 19), timeout=PATIENCE) as sock:
        got = b""
        while len(got) < 74 * 100:
            got += sock.recv(4096)
    lines = got.split(b"\r\n")[:99]
    assert all(len(line) == 72 for line in lines)
    assert lines[1] == lines[0][1:] + lines[1][-1:]
    assert len(udp(19, b"")) == 74


def test_daytime():
    def told():
        """Whether both say the day of today. The next one may begin between them."""
        with socket.create_connection(("127.0.0.1", 13), timeout=PATIENCE) as sock:
            text = sock.makefile("rb").read()
        return time.strftime("%Y", time.gmtime()).encode() in text and udp(13, b"")[:3] == text[:3]

    assert told() or told()


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
    socks = [socket.create_connection(("127.0.0.1", 7), timeout=PATIENCE) for _ in range(100)]
    for i, sock in enumerate(socks):
        sock.sendall(b"%d" % i)
    for i, sock in enumerate(socks):
        assert sock.recv(10) == b"%d" % i
        sock.close()
    end = time.monotonic() + PATIENCE
    while sum("pystack-echo" in thread.name for thread in threading.enumerate()) > 8:
        assert time.monotonic() < end
        time.sleep(0.02)


def test_the_urgent_byte_is_in_line():
    """RFC 6093 6."""
    with socket.create_connection(("127.0.0.1", 7), timeout=PATIENCE) as sock:
        sock.send(b"abc", socket.MSG_OOB)
        sock.sendall(b"def")
        sock.shutdown(socket.SHUT_WR)
        assert sock.makefile("rb").read() == b"abcdef"


def test_two_programs_do_not_answer_each_other(running):
    """A datagram from one daytime service's port to another one; control: a client is answered (above)."""
    started = services.start("daytime:2013/udp", "daytime:2014/udp")
    sent = running.host.inspect(lambda stack: stack.counters.UdpOutDatagrams)
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock._open_description().endpoint.lport = 2014  # forged: not the table's
        sock.sendto(b"x", ("127.0.0.1", 2013))
        sock._open_description().endpoint.lport = 0
    assert until(lambda: running.host.inspect(lambda stack: stack.counters.UdpOutDatagrams) - sent > 1)
    time.sleep(0.5)
    assert running.host.inspect(lambda stack: stack.counters.UdpOutDatagrams) - sent <= 9
    for service in started:
        service.close()


def test_a_connection_of_a_program_does_not_last_for_ever():
    """A program that would never end, and a client that would not either."""
    ended = threading.Event()

    def program(conn):
        while conn.recv(100):
            pass
        ended.set()

    with up(tap=None, name="other", default=False, config={"service_total_time": 300_000_000}) as other:
        service = services.ThreadStreamService("forever", other.socket(), ("", 4000), program)
        service.start()
        with other.socket() as sock:
            sock.settimeout(PATIENCE)
            sock.connect(("127.0.0.1", 4000))
            assert sock.recv(1) == b""
            assert ended.wait(PATIENCE)
        service.close()


def test_a_client_of_a_program_leaves_room_for_others(monkeypatch):
    monkeypatch.setattr(base, "MAX_CONNECTIONS", 8)
    with up(tap=None, name="other", default=False) as other:
        service = services.ThreadStreamService("held", other.socket(), ("", 4000), lambda conn: conn.recv(1))
        service.start()
        socks = [other.socket() for _ in range(8)]
        for sock in socks:
            sock.settimeout(PATIENCE)
            sock.connect(("127.0.0.1", 4000))
        ends = 0
        for sock in socks[4:]:
            try:
                ends += sock.recv(1) == b""
            except ConnectionResetError:
                ends += 1
        assert ends == 4
        for sock in socks:
            sock.close()
        service.close()
