"""The services inside the core, over a simulated link: no driver's thread, no socket, only frames."""

import pytest

from pystack.sim.network import MS, Network, S
from pystack.sim.programs import datagram, spawn, stream
from pystack_c.services import serve, streams

SERVER = "10.0.0.2"


class World:
    """A client and a server on one link."""

    def __init__(self, seed=1, **link):
        self.net = Network(seed)
        self.client, self.server = self.net.host("client"), self.net.host("server")
        self.net.link(self.client, self.server, delay=1 * MS, addrs=("10.0.0.1/24", SERVER + "/24"), **link)

    def serve(self, name, port=7):
        return self.server.call(serve.stream, self.server.stack, name, 0, port)

    def run(self, program, limit=60 * S):
        proc = spawn(self.net, program)
        self.net.run_until(proc.finished, limit=limit)
        assert proc.done
        return proc.value

    def exchange(self, port, request, count=None):
        """Everything (or `count` bytes) the server says to the request, and whether it closed by itself."""

        def program():
            sock = stream(self.client)
            yield sock.connect(SERVER, port)
            if request:
                yield sock.sendall(request)
            if count is None:
                sock.shutdown()
                got = yield sock.recv_all()
            else:
                got = yield sock.recv_exactly(count)
            sock.close()
            return got

        return self.run(program())


@pytest.mark.parametrize("size", [1, 1460, 65537, 1_000_000])
def test_echo(size):
    world = World()
    world.serve("echo")
    data = bytes(i * 7 & 255 for i in range(size))
    assert world.exchange(7, data) == data


def test_echo_over_a_bad_link():
    world = World(seed=3, loss=0.05, reorder=0.05)
    world.serve("echo")
    data = bytes(i * 11 & 255 for i in range(50_000))
    assert world.exchange(7, data) == data


def test_echo_waits_for_a_reader():
    """A peer that sends and does not read fills two buffers, and no more."""
    world = World()
    listener = world.serve("echo")
    host = world.client

    def program():
        sock = stream(host)
        yield sock.connect(SERVER, 7)
        yield sock.sendall(bytes(64_000_000))

    proc = spawn(world.net, program())
    world.net.run(until=20 * S)
    assert not proc.done
    (session,) = listener.service.conns.values()
    conn = session.tcb
    config = world.server.stack.config
    assert len(conn.sendbuf) <= config.tcp_wmem_max + 4 * config.tcp_rmem
    assert conn.recvbuf.used <= config.tcp_rmem_max


def test_discard_takes_everything():
    world = World()
    listener = world.serve("discard", 9)
    assert world.exchange(9, bytes(3_000_000)) == b""
    assert listener.service.conns == {}


def test_chargen_goes_on_where_it_was():
    world = World()
    world.serve("chargen", 19)
    size = 1_000_000
    pattern = b"".join(streams.LINES)
    assert world.exchange(19, b"", size) == (pattern * (size // len(pattern) + 1))[:size]


def test_chargen_with_a_small_buffer():
    world = World()
    world.server.stack.config.update({"tcp_wmem": 2048, "tcp_moderate_sndbuf": False})
    world.serve("chargen", 19)
    pattern = b"".join(streams.LINES)
    assert world.exchange(19, b"", 20_000) == (pattern * 3)[:20_000]


GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize(
    ("request_", "status", "stays"),
    [
        (GET, b"200", True),
        (b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n", b"200", True),
        (b"GET / HTTP/1.0\r\n\r\n", b"200", False),
        (b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", b"200", True),
        (b"GET / HTTP/1.1\r\nHost: x\r\nCONNECTION:  Close\r\n\r\n", b"200", False),
        (b"GET / HTTP/1.1\r\nConnection: keep-alive\r\nHost: x\r\nConnection: close\r\n\r\n", b"200", False),
        (b"GET / HTTP/1.0\r\nConnection: x\r\nConnection: keep-alive\r\n\r\n", b"200", True),
        (b"\r\n\nGET / HTTP/1.1\r\nA: \r\nhOsT: x\r\n\r\n", b"200", True),
        (b"GET / HTTP/1.1\r\nHost: x\r\nTRANSFER-encoding: x\r\n\r\n", b"413", False),
        (b"GET / HTTP/1.1\r\nHost : x\r\n\r\n", b"400", False),
        (b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n", b"400", False),
        (b"GET / HTTP/1.1 \r\nHost: x\r\n\r\n", b"400", False),
        (b"GET /\r\nHost: x\r\n\r\n", b"400", False),
        (b"GET / HTTP/2\r\nHost: x\r\n\r\n", b"400", False),
        (b"\r\n\r\n", b"400", False),
        (b"get / HTTP/1.1\r\nHost: x\r\n\r\n", b"405", False),
        (b"GET / HTTP/1.1\r\n\r\n", b"400", False),
        (b"\x00\xff\r\n\r\n", b"400", False),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", b"405", False),
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", b"413", False),
        (b"GET /" + b"x" * 9000, b"431", False),
    ],
)
def test_hello(request_, status, stays):
    world = World()
    world.serve("hello", 80)
    got = world.exchange(80, request_ + GET)
    assert got.startswith(b"HTTP/1.1 " + status)
    assert got.count(b"HTTP/1.1 ") == (2 if stays else 1)
    assert (b"Connection: close" in got) != stays


def test_hello_byte_by_byte_and_pipelined():
    world = World()
    world.serve("hello", 80)

    def program():
        sock = stream(world.client)
        sock.setsockopt(6, 1, 1)
        yield sock.connect(SERVER, 80)
        for i in range(len(GET)):
            yield sock.sendall(GET[i : i + 1])
        yield sock.sendall(GET * 50)
        sock.shutdown()
        return (yield sock.recv_all())

    assert world.run(program()).count(b"HTTP/1.1 200 OK") == 51


@pytest.mark.parametrize(("name", "port", "answer"), [("echo", 7, b"hello"), ("chargen", 19, streams.LINES[5])])
def test_datagrams(name, port, answer):
    world = World()
    world.server.call(serve.datagram, world.server.stack, name, 0, port)

    def program():
        sock = datagram(world.client)
        sock.connect(SERVER, port)
        sock.sendto(b"hello")
        return (yield sock.recvfrom())

    got = world.run(program())
    assert got.data == answer


def test_no_answer_to_another_service():
    """Control: the same datagram from another port is answered (above)."""
    world = World()
    world.server.call(serve.datagram, world.server.stack, "echo", 0, 7)
    sock = datagram(world.client)
    sock.bind("10.0.0.1", 19)
    sock.connect(SERVER, 7)
    sock.sendto(b"hello")
    world.net.run(until=2 * S)
    assert world.client.stack.counters.UdpInDatagrams == 0


def test_stop_resets_and_frees_the_port():
    world = World()
    listener = world.serve("echo")
    assert world.exchange(7, b"x", 1) == b"x"

    def program():
        sock = stream(world.client)
        yield sock.connect(SERVER, 7)
        yield sock.sendall(b"x")
        yield sock.recv_exactly(1)
        world.server.call(serve.stop, listener)
        try:
            yield sock.recv(1)
        except ConnectionResetError:
            return "reset"
        return None

    assert world.run(program()) == "reset"
    with pytest.raises(OSError):
        world.exchange(7, b"x", 1)
    world.serve("discard")


def test_more_connections_than_allowed_are_reset():
    world = World()
    world.server.stack.config.update({"service_max_conns": 1})
    listener = world.serve("echo")

    def program(wait):
        sock = stream(world.client)
        yield sock.connect(SERVER, 7)
        yield sock.sendall(b"x")
        got = yield sock.recv(1)
        return (sock, got) if wait else got

    held, got = world.run(program(True))
    assert got == b"x"
    with pytest.raises(OSError):
        world.run(program(False))
    held.close()
    world.net.run(until=world.net.now + 1 * S)
    assert listener.service.conns == {}
    assert world.run(program(False)) == b"x"


def test_unknown_names_and_taken_ports():
    world = World()
    world.serve("echo")
    with pytest.raises(OSError):
        world.serve("discard")
    with pytest.raises(OSError):
        world.serve("tea", 1)
    with pytest.raises(OSError):
        world.server.call(serve.datagram, world.server.stack, "hello", 0, 80)
    assert len(world.server.stack.endpoints) == 1


def test_a_recording_with_services_replays(tmp_path):
    from pystack.trace.replay import replay

    path = str(tmp_path / "services.trace")
    net = Network(5)
    net.record(path)
    client, server = net.host("client"), net.host("server")
    net.link(client, server, delay=1 * MS, addrs=("10.0.0.1/24", SERVER + "/24"))
    server.call(serve.stream, server.stack, "echo", 0, 7)

    def program():
        sock = stream(client)
        yield sock.connect(SERVER, 7)
        yield sock.sendall(b"x" * 5000)
        yield sock.recv_exactly(5000)
        sock.close()

    proc = spawn(net, program())
    net.run_until(proc.finished, limit=10 * S)
    net.close()
    replay(path)
