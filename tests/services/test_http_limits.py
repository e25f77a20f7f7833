"""The HTTP service under clients that are slow, greedy or hostile; and its deadlines, in virtual time."""

import contextlib
import struct

import pytest

from pystack import services, socket
from pystack.running import up
from pystack.services import http, httploop
from pystack.services.exchange import Exchange
from pystack.services.limits import NEVER, QUARTERS, Limits
from pystack_c.config import MS, Config, S
from tests.services.test_http import answer
from tests.support.patience import until

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


@contextlib.contextmanager
def serving(**config):
    """A stack with the service, on which only `lo` is."""
    with up(tap=None, name="local", config=config, default=False) as made:
        started = services.start("http:80", host=made.host)
        yield made
        for service in started:
            service.close()
        assert made.host.failure is None


@contextlib.contextmanager
def clients(made, count=1, rcvbuf=0):
    """So many connections."""
    with contextlib.ExitStack() as stack:
        found = []
        for _ in range(count):
            sock = stack.enter_context(made.socket())
            sock.settimeout(20)
            if rcvbuf:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
            sock.connect(("127.0.0.1", 80))
            found.append(sock)
        yield found


def rest(sock):
    """Everything until the end."""
    parts = []
    while data := sock.recv(65536):
        parts.append(data)
    return b"".join(parts)


def ask(sock, target=b"/"):
    sock.sendall(GET.replace(b"/ ", target + b" ", 1))
    return answer(sock)


def test_stalled_downloads_refuse_nobody():
    with serving() as made, clients(made, 300, rcvbuf=2048) as stalled, clients(made) as (other,):
        for sock in stalled:
            sock.sendall(GET.replace(b"/ ", b"/bytes/10000000 "))
        assert ask(other)[0] == 200
        assert len(ask(other, b"/bytes/100000")[2]) == 100_000
        # and each of them goes on when it reads
        assert stalled[7].recv(12) == b"HTTP/1.1 200"


def test_slow_uploads_refuse_nobody():
    with serving() as made, clients(made, 300) as slow, clients(made) as (other,):
        for sock in slow:
            sock.sendall(b"PUT /x HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nx")
        assert len(ask(other, b"/bytes/100000")[2]) == 100_000
        slow[7].sendall(b"x" * 999)
        assert answer(slow[7])[0] == 200


@pytest.mark.parametrize("target", [b"/", b"/bytes/3000", b"/x"])
def test_pipelined_answers_beyond_the_send_buffer(target):
    """The client asks for megabytes before it reads: several times what send and receive buffers hold."""
    count = 4000
    with serving() as made, clients(made) as (sock,):
        sock.sendall(GET.replace(b"/ ", target + b" ") * count + GET[:-2] + b"Connection: close\r\n\r\n")
        got = rest(sock)
        assert got.count(b"HTTP/1.1 ") == count + 1
        assert got.endswith(http.PAGE)


def test_who_finds_no_place_is_told(monkeypatch):
    monkeypatch.setattr(httploop, "MAX_CONNECTIONS", 4)
    with serving() as made, clients(made, 2) as held:
        assert [ask(sock)[0] for sock in held] == [200, 200]
        for said in (b"", GET, b"PUT /x HTTP/1.1\r\nHost: x\r\nContent-Length: 500000\r\n\r\n" + bytes(500_000)):
            with clients(made) as (sock,):
                sock.sendall(said)
                status, headers, _ = answer(sock)
                assert status == 503
                assert headers["retry-after"] == "5"
                assert headers["connection"] == "close"
                assert sock.recv(1) == b""
        assert [ask(sock)[0] for sock in held] == [200, 200]


def test_a_place_becomes_free(monkeypatch):
    monkeypatch.setattr(httploop, "MAX_CONNECTIONS", 2)
    with serving() as made:
        for _ in range(20):
            with clients(made) as (sock,):
                assert ask(sock)[0] in (200, 503)
                sock.shutdown(socket.SHUT_WR)
                rest(sock)
        with clients(made) as (sock,):
            assert ask(sock)[0] == 200


def test_the_end_of_requests_is_not_the_end_of_answers():
    with serving() as made, clients(made) as (sock,):
        sock.sendall(GET * 3 + GET.replace(b"/ ", b"/bytes/1000000 "))
        sock.shutdown(socket.SHUT_WR)
        got = rest(sock)
        assert got.count(b"HTTP/1.1 200 OK") == 4
        assert len(got) > 1_000_000


@pytest.mark.parametrize("place", [1, 20, len(GET)])
def test_the_urgent_byte_is_read_in_line(place):
    with serving() as made, clients(made) as (sock,):
        sock.send(GET[:place], socket.MSG_OOB)
        sock.sendall(GET[place:])
        assert answer(sock)[0] == 200


def test_a_head_that_is_not_whole_in_time():
    with serving(service_head_time=300 * MS) as made, clients(made) as (sock,):
        assert ask(sock)[0] == 200
        sock.sendall(GET[:10])
        assert answer(sock)[0] == 408
        assert sock.recv(1) == b""


@pytest.mark.parametrize("framing", [b"Content-Length: 9", b"Transfer-Encoding: chunked"])
def test_a_body_that_is_too_slow(framing):
    with serving(service_stall_time=400 * MS) as made, clients(made) as (sock,):
        sock.sendall(b"PUT / HTTP/1.1\r\nHost: x\r\n" + framing + b"\r\n\r\n1")
        assert answer(sock)[0] == 408


def test_a_download_that_is_not_read():
    with serving(service_stall_time=400 * MS) as made, clients(made, rcvbuf=2048) as (sock,):
        sock.sendall(GET.replace(b"/ ", b"/bytes/10000000 "))
        assert until(lambda: not made.host.inspect(served))
        with pytest.raises(ConnectionResetError):
            rest(sock)


def served(stack):
    """The server's ends of connections."""
    return [ep for ep in stack.endpoints.values() if ep.lport == 80 and ep.raddr]


def test_a_failed_connection_is_not_the_end_of_the_others():
    with serving() as made, clients(made, 20) as broken, clients(made) as (other,):
        for sock in broken:
            sock.sendall(GET[:10])
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()
        assert ask(other)[0] == 200


def test_what_is_closed_is_forgotten():
    """The queue of deadlines holds neither the blocks of closed connections nor more and more entries."""
    with up(tap=None, name="local", default=False) as made:
        (service,) = services.start("http:80", host=made.host)
        for _ in range(1200):
            with clients(made) as (sock,):
                sock.sendall(GET[:-2] + b"Connection: close\r\n\r\n")
                rest(sock)
        closed = [conn for _, _, conn in list(service._deadlines) if conn.closed]
        assert len(service._deadlines) <= 1024 + 4 * 2
        assert closed and all(conn.endpoint is conn.exchange is conn.limits is None for conn in closed)
        service.close()


# Deadlines in virtual time


class Buffer:
    head = tail = 0


class Endpoint:
    def __init__(self):
        self.sendbuf = Buffer()
        self.last_send = 0


class Clock:
    """A client that does `step` each second, and what it is told."""

    def __init__(self, **config):
        self.exchange, self.endpoint = Exchange(), Endpoint()
        self.limits = Limits(self.exchange, self.endpoint, Config().update(config), 0)

    def say(self, data, now):
        self.limits.received(len(data), now)
        self.exchange.receive(data)
        while data := self.exchange.take():
            self.endpoint.sendbuf.tail += len(data)
            self.endpoint.last_send = now
            if self.endpoint.sendbuf.tail > 1_000_000:
                return

    def run(self, step, limit=20_000, allowed=QUARTERS):
        """(why, after how many seconds) the client is late; ("", limit) where it is not."""
        for second in range(limit):
            now = second * S
            step(self, second, now)
            at = self.limits.next(now)
            if at < now + S:
                late = self.limits.late(now + S - 1, allowed)
                if late:
                    return late, second
        return "", limit


def read_all(clock, second, now):
    clock.endpoint.sendbuf.head = clock.endpoint.sendbuf.tail


def test_idle():
    assert Clock().run(lambda *_: None) == ("idle", 30)


def test_requests_keep_it_open_until_the_total():
    def step(clock, second, now):
        read_all(clock, second, now)
        clock.say(GET if second % 20 == 0 else b"", now)

    assert Clock(service_total_time=5000 * S).run(_never_empty(step)) == ("total", 5000)


def _never_empty(step):
    """`say` with nothing would be the end of the stream."""

    def inner(clock, second, now):
        say = clock.say
        clock.say = lambda data, at: say(data, at) if data else None
        step(clock, second, now)
        clock.say = say

    return inner


@pytest.mark.parametrize("gap", [1, 7, 29])
def test_a_head_byte_by_byte(gap):
    def step(clock, second, now):
        if second % gap == 0:
            clock.say(b"G", now)

    assert Clock().run(step) == ("head", 30)


def test_a_body_has_to_come_at_a_rate():
    def step(rate):
        def inner(clock, second, now):
            if second == 0:
                clock.say(b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n", now)
            clock.say(bytes(rate), now)

        return inner

    assert Clock().run(step(400))[0] == "body"
    assert 55 <= Clock().run(step(400))[1] <= 75
    assert Clock().run(step(600), 1000) == ("", 1000)


def test_a_download_has_to_be_taken_at_a_rate():
    def step(rate):
        def inner(clock, second, now):
            if second == 0:
                clock.say(b"GET /bytes/100000000 HTTP/1.1\r\nHost: x\r\n\r\n", now)
            clock.endpoint.sendbuf.head += rate
            clock.endpoint.sendbuf.tail += rate

        return inner

    late, after = Clock().run(step(400))
    assert (late, 60 <= after < 65) == ("stalled", True)
    assert Clock().run(step(600), 1000) == ("", 1000)
    # under memory pressure a quarter is enough
    late, after = Clock().run(step(400), allowed=1)
    assert (late, 15 <= after < 17) == ("stalled", True)


def test_the_last_bytes_have_to_be_taken():
    def step(clock, second, now):
        if second == 0:
            clock.say(GET[:-2] + b"Connection: close\r\n\r\n", now)

    late, after = Clock().run(step)
    assert (late, 60 <= after < 65) == ("stalled", True)


def test_no_limits():
    none = {f"service_{name}_time": 0 for name in ("idle", "head", "stall", "total")}
    clock = Clock(**none)
    clock.say(b"G", 0)
    assert clock.limits.next(0) == NEVER
