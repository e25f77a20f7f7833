"""What clients of the services in the core may not do: wait for ever, take everything, set services upon each other."""

import pytest

from pystack.sim.network import MS, Network, S
from pystack.sim.programs import datagram, sleep, spawn, stream
from pystack_c.services import serve, streams
from pystack_c.services.base import StreamService, attach, room
from pystack_c.tcp import user
from tests.pystack_c.test_services import GET, SERVER, World

MSG_OOB = 1


def everything(world, port, steps, name="client"):
    """What a client that does `steps` gets until the end of the connection, and when that was: (bytes or error, seconds)."""
    host = world.net.hosts[name]

    def program():
        sock = stream(host)
        yield sock.connect(SERVER, port)
        started = world.net.now
        try:
            yield from steps(sock)
            got = yield sock.recv_all()
        except OSError as error:
            got = error
        return got, (world.net.now - started) / S

    return world.run(program(), limit=100_000 * S)


def rest(world, listener):
    """What the server still has of its clients a while later: sessions, endpoints besides the listener, bytes."""
    world.net.run(until=world.net.now + 200 * S)
    stack = world.server.stack
    assert not listener.service.peers
    return len(listener.service.conns), len(stack.endpoints) - 1, stack.tcp_memory


def waiting(stack):
    """Bytes that the server's connections have written and that no client has acknowledged."""
    return sum(len(tcb.sendbuf) for tcb in stack.tcp.all())


def nothing(sock):
    yield sleep(0)


def test_half_a_request_and_a_fin_leave_nothing():
    world = World()
    listener = world.serve("hello", 80)

    def steps(sock):
        yield sock.sendall(GET[:20])
        sock.shutdown()

    got, after = everything(world, 80, steps)
    assert got.startswith(b"HTTP/1.1 400 ")
    assert after < 1
    assert rest(world, listener) == (0, 0, 0)


@pytest.mark.parametrize("gap", [0, 5 * S])
def test_a_head_has_thirty_seconds_however_it_comes(gap):
    world = World()
    listener = world.serve("hello", 80)

    def steps(sock):
        yield sock.sendall(GET * 3 + b"G")
        if gap:
            for byte in GET[1:] * 2:
                yield sleep(gap)
                yield sock.sendall(bytes([byte]))

    got, after = everything(world, 80, steps)
    if gap:
        assert isinstance(got, OSError)  # (it goes on sending to a connection that is closed)
    else:
        assert got.count(b"HTTP/1.1 200 ") == 3
        assert b"HTTP/1.1 408 " in got
    assert 30 <= after < 36
    assert rest(world, listener) == (0, 0, 0)
    assert world.server.stack.counters.drops["service-head"] == 1


def test_a_request_in_two_segments_is_answered():
    """The second half comes while the first one is in the buffer."""
    world = World()
    world.serve("hello", 80)

    def program():
        sock = stream(world.client)
        yield sock.connect(SERVER, 80)
        yield sock.sendall(GET[:9])
        yield sleep(1 * S)
        yield sock.sendall(GET[9:])
        return (yield sock.within(sock.recv(1000), 1 * S))

    assert world.run(program()).startswith(b"HTTP/1.1 200 ")


def test_a_head_that_is_whole_in_time_starts_the_time_anew():
    """Twenty requests, each in two halves that are 20 s apart."""
    world = World()
    world.serve("hello", 80)

    def steps(sock):
        for _ in range(20):
            yield sock.sendall(GET[:9])
            yield sleep(20 * S)
            yield sock.sendall(GET[9:])
        sock.shutdown()

    got, _ = everything(world, 80, steps)
    assert got.count(b"HTTP/1.1 200 ") == 20
    assert "service-head" not in world.server.stack.counters.drops


@pytest.mark.parametrize(("name", "said"), [("echo", b"x"), ("discard", b"x"), ("hello", GET), ("hello", b"")])
def test_idle_connections_end(name, said):
    world = World()
    listener = world.serve(name, 80)

    def steps(sock):
        yield sock.sendall(said)

    got, after = everything(world, 80, steps)
    assert isinstance(got, bytes)
    assert 300 <= after < 302
    assert rest(world, listener) == (0, 0, 0)


def test_a_connection_that_is_in_use_does_not_end():
    world = World()
    world.serve("echo")

    def steps(sock):
        for _ in range(10):
            yield sleep(290 * S)
            yield sock.sendall(b"x")
        sock.shutdown()

    got, after = everything(world, 7, steps)
    assert got == b"x" * 10
    assert after > 2900


def test_no_connection_lasts_for_ever():
    world = World()
    world.server.stack.config.update({"service_total_time": 1000 * S})
    listener = world.serve("discard", 9)

    def steps(sock):
        while True:
            yield sleep(100 * S)
            yield sock.sendall(b"x")

    got, after = everything(world, 9, steps)
    assert isinstance(got, ConnectionResetError)
    assert 1000 <= after <= 1100
    assert rest(world, listener) == (0, 0, 0)


@pytest.mark.parametrize("name", ["chargen", "echo", "hello"])
def test_a_client_that_does_not_read_is_reset(name):
    world = World()
    listener = world.serve(name, 80)
    stack = world.server.stack

    def program():
        sock = stream(world.client)
        yield sock.connect(SERVER, 80)
        if name != "chargen":
            try:
                yield sock.sendall(GET * 1_000_000)
            except ConnectionResetError:
                return "reset"
        return "sent"

    proc = spawn(world.net, program())
    world.net.run(until=40 * S)
    assert len(listener.service.conns) == 1
    assert waiting(stack) > 200_000
    # chargen's block is there once for all connections.
    assert (stack.tcp_memory > 200_000) == (name != "chargen")
    world.net.run(until=80 * S)
    assert stack.counters.drops["service-stalled"] == 1
    assert rest(world, listener) == (0, 0, 0)
    assert proc.value == ("sent" if name == "chargen" else "reset")


@pytest.mark.parametrize(("rate", "ends"), [(100, True), (5000, False)])
def test_a_client_that_reads_slowly_is_reset_and_one_at_a_modem_is_not(rate, ends):
    world = World()
    world.client.stack.config.update({"tcp_rmem": 4096, "tcp_moderate_rcvbuf": False})
    world.serve("chargen", 19)

    def program():
        sock = stream(world.client)
        yield sock.connect(SERVER, 19)
        got = 0
        try:
            while got < 500 * rate:
                got += len((yield sock.recv(rate)))
                yield sleep(1 * S)
        except ConnectionResetError:
            return got
        return got

    got = world.run(program(), limit=2000 * S)
    # (What was in the client's buffer when the reset came is read, too.)
    assert (got < 60 * rate + 5000) == ends


@pytest.mark.parametrize("left", ["much", "little"])
def test_what_a_closed_connection_still_has_to_say_does_not_stay_for_ever(left):
    """The client has sent a FIN and reads nothing: the window stays closed, and its probes are answered."""
    world = World()
    world.client.stack.config.update({"tcp_rmem": 2048, "tcp_moderate_rcvbuf": False})
    listener = world.serve("chargen" if left == "much" else "echo", 19)
    stack = world.server.stack

    def program():
        sock = stream(world.client)
        yield sock.connect(SERVER, 19)
        if left == "little":
            yield sock.sendall(bytes(4000))
        yield sleep(1 * S)
        sock.shutdown()

    spawn(world.net, program())
    world.net.run(until=5 * S)
    assert 0 < waiting(stack)
    world.net.run(until=400 * S)
    assert rest(world, listener) == (0, 0, 0)


def clients(world, count):
    """More hosts on networks of their own."""
    for i in range(count):
        host = world.net.host(f"c{i}")
        world.net.link(host, world.server, delay=1 * MS, addrs=(f"10.1.{i}.1/24", f"10.1.{i}.2/24"))
        yield host, f"10.1.{i}.2"


def connections(world, host, addr, port, count):
    """So many connections that stay; those that were not reset."""
    found = []

    def program():
        for _ in range(count):
            sock = stream(host)
            yield sock.connect(addr, port)
            yield sock.sendall(b"x")
            try:
                yield sock.recv_exactly(1)
                found.append(sock)
            except OSError:
                sock.close()

    world.run(program(), limit=1000 * S)
    return found


def test_one_client_takes_half_and_leaves_room_for_others():
    world = World()
    world.server.stack.config.update({"service_max_conns": 12})
    listener = world.serve("echo")
    hosts = list(clients(world, 3))
    counts = [len(connections(world, host, addr, 7, 12)) for host, addr in hosts]
    assert counts == [6, 3, 2]
    assert len(listener.service.conns) == 11
    assert world.server.stack.counters.drops["service-full"] == 36 - 11


class Own(StreamService):
    """chargen, but what a connection writes is its own: it takes memory for each of them."""

    def work(self, tcb, now):
        """Fill the send buffer."""
        while not tcb.fin_received:
            n = room(tcb)
            if n == 0:
                self.blocked(tcb, now)
                return
            n = min(n, 65536)
            begin = tcb.sendbuf.tail % len(PATTERN)
            user.send(tcb, (PATTERN * (n // len(PATTERN) + 2))[begin : begin + n], 0, now)


class Generous(Own):
    """The same without shares: a connection may write what its send buffer takes."""

    def share(self, tcb, room):
        """All of it."""
        return room


PATTERN = b"".join(streams.LINES)


def unread(world, kind, count):
    """The server offers `kind`, and a client opens `count` connections to it that it never reads; the listener."""
    listener = world.serve("chargen", 19)
    attach(listener, kind(world.server.stack.config.service_max_conns))

    def attack():
        for _ in range(count):
            sock = stream(world.client)
            try:
                yield sock.connect(SERVER, 19)
            except OSError:
                pass

    spawn(world.net, attack())
    return listener


def served(world, other, addr):
    """Whether `hello` answers another client within 10 s."""

    def ask():
        sock = stream(other)
        try:
            yield sock.within(sock.connect(addr, 80), 5 * S)
            yield sock.sendall(GET)
            return (yield sock.within(sock.recv(1000), 5 * S))
        except OSError:
            return b""
        finally:
            sock.close()

    return world.run(ask(), limit=1000 * S).startswith(b"HTTP/1.1 200")


def short_of_memory(kind, share):
    """A client that opens 100 connections and does not read them, and another one that asks each second, for a minute.

    Returns the world, the listener, how often the other one was served, and the most memory.
    """
    world = World()
    stack = world.server.stack
    bounds = {"tcp_mem_low": 2 << 20, "tcp_mem_pressure": 3 << 20, "tcp_mem_high": 5 << 20, "tcp_mem_share": share}
    stack.config.update(bounds)
    listener = unread(world, kind, 100)
    world.serve("hello", 80)
    ((other, addr),) = clients(world, 1)
    most = times = 0
    for _ in range(60):
        world.net.run(until=world.net.now + 1 * S)
        most = max(most, stack.tcp_memory)
        times += served(world, other, addr)
    # (If memory were not scarce, this would show nothing.)
    assert most > stack.config.tcp_mem_pressure
    return world, listener, times, most


@pytest.mark.parametrize(("kind", "share"), [(Own, 75), (Own, 100), (Generous, 75)])
def test_unread_connections_do_not_stop_new_ones(kind, share):
    """A client fills memory with connections that it does not read; another one is served all the time, and memory comes back.

    The services' shares and those of all of TCP (`tcp_mem_share`) are each enough for it.
    """
    world, listener, times, most = short_of_memory(kind, share)
    stack = world.server.stack
    assert times == 60
    assert most < stack.config.tcp_mem_high
    # (With `tcp_mem_share`, the stack itself refuses a peer that holds its share. The last connections come in later, and one of
    # them gets to write nothing: it is idle.)
    world.net.run(until=world.net.now + (30 if share == 100 else 350) * S)
    assert stack.counters.drops["service-stalled"] == (100 if share == 100 else 99)
    assert not listener.service.conns
    assert stack.tcp_memory < 10_000
    assert not stack.tcp_pressure


def test_control_without_shares_unread_connections_stop_new_ones():
    world, _, times, most = short_of_memory(Generous, 100)
    assert most > world.server.stack.config.tcp_mem_high
    assert times < 55


@pytest.mark.parametrize("name", ["own", "chargen"])
def test_under_pressure_a_client_that_reads_gets_its_share(name):
    """2 MB through a service whose memory is full, or through another one, beside connections that are not read."""
    world = World()
    stack = world.server.stack
    stack.config.update({"tcp_mem_low": 1 << 19, "tcp_mem_pressure": 1 << 20, "tcp_mem_high": 2 << 20})
    unread(world, Own, 30)
    if name == "chargen":
        world.serve("chargen", 20)
    world.net.run(until=3 * S)
    assert stack.tcp_pressure
    ((other, addr),) = clients(world, 1)
    size = 2_000_000

    def read():
        sock = stream(other)
        yield sock.connect(addr, 20 if name == "chargen" else 19)
        return (yield sock.recv_exactly(size))

    assert world.run(read(), limit=8 * S) == (PATTERN * (size // len(PATTERN) + 1))[:size]


@pytest.mark.parametrize("name", ["echo", "discard", "hello"])
@pytest.mark.parametrize("place", range(1, len(GET)))
def test_the_urgent_byte_is_read_in_line(name, place):
    """RFC 6093 6, wherever it is."""
    if name != "hello" and place > 3:
        pytest.skip("its place makes no difference")
    world = World()
    listener = world.serve(name, 80)

    def steps(sock):
        sock.call("send", GET[:place], MSG_OOB)
        yield sock.sendall(GET[place:])
        sock.shutdown()

    got, _ = everything(world, 80, steps)
    if name == "hello":
        assert got.count(b"HTTP/1.1 200") == 1
        assert got.count(b"HTTP/1.1") == 1
    else:
        assert got == (GET if name == "echo" else b"")
    assert rest(world, listener) == (0, 0, 0)


# UDP


def pair(ports, kinds=("echo", "echo")):
    """Two hosts with a UDP service each; None: a program that answers everything."""
    net = Network(1)
    a, b = net.host("a"), net.host("b")
    net.link(a, b, delay=1 * MS, addrs=("10.0.0.1/24", "10.0.0.2/24"))
    for host, port, kind in zip((a, b), ports, kinds, strict=True):
        if kind is None:
            spawn(net, answering(host, port))
        else:
            host.call(serve.datagram, host.stack, kind, 0, port)
    return net, a, b


def answering(host, port):
    sock = datagram(host)
    sock.bind("", port)
    while True:
        got = yield sock.recvfrom()
        sock.sendto(got.data, f"10.0.0.{got.src & 0xFF}", got.sport)


def forge(net, a, b, ports, ttl=64):
    """One datagram to b's service that claims to be from a's; how many datagrams the two send in a minute."""
    sock = datagram(a)
    sock.endpoint.ttl = ttl
    # (Not bound: the forged source port is written over the one that the table would give.)
    sock.endpoint.lport = ports[0]
    sock.sendto(b"forged", "10.0.0.2", ports[1])
    net.run(until=net.now + 60 * S)
    return a.stack.counters.UdpOutDatagrams + b.stack.counters.UdpOutDatagrams


@pytest.mark.parametrize("ports", [(2007, 2007), (2007, 3007), (30000, 40000)])
@pytest.mark.parametrize("kinds", [("echo", "echo"), ("echo", "chargen"), ("chargen", "chargen")])
@pytest.mark.parametrize("ttl", [64, 255])
def test_services_do_not_answer_each_other(ports, kinds, ttl):
    """A forged datagram, and what it causes: no more than nine."""
    net, a, b = pair(ports, kinds)
    assert forge(net, a, b, ports, ttl) <= 9


def test_programs_that_answer_everything_do():
    """Control: the forged datagram goes to and fro for as long as the simulation runs."""
    net, a, b = pair((2007, 2007), (None, None))
    assert forge(net, a, b, (2007, 2007)) > 10_000


def test_a_loop_with_another_program_ends_at_some_time():
    net, a, b = pair((3007, 2007), (None, "echo"))
    (sock,) = b.stack.endpoints.values()
    sock.service.seen = (1 << 20) - 1000
    assert 1900 < forge(net, a, b, (3007, 2007)) < 2100


@pytest.mark.parametrize("count", [1, 10_000])
def test_a_client_may_ask_as_fast_as_it_likes(count):
    net, a, _ = pair((2007, 2007), ("echo", "echo"))
    sock = datagram(a)
    sock.bind("", 40001)
    sock.connect("10.0.0.2", 2007)

    def ask():
        for _ in range(count):
            sock.sendto(b"x")
            yield sock.recvfrom()
        return True

    proc = spawn(net, ask())
    net.run_until(proc.finished, limit=100 * S)
    assert proc.done


def test_a_datagram_to_everybody_is_not_answered():
    """Control: the same one to the host alone is."""
    net, a, b = pair((1, 2007), ("echo", "echo"))
    for addr, answers in (("10.0.0.255", 0), ("10.0.0.2", 1)):
        sock = datagram(a)
        sock.endpoint.broadcast = True
        sock.sendto(b"x", addr, 2007)
        net.run(until=net.now + 1 * S)
        assert b.stack.counters.UdpOutDatagrams == answers
