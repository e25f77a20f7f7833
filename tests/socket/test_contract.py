"""What programs expect of a socket module, on a stack that has only its loopback."""

import ast
import errno
import gc
import inspect
import io
import os
import select
import selectors
import socket as std
import struct
import threading
import time

import pytest

from pystack import socket
from pystack.sockets import module as _socket
from tests.support.patience import PATIENCE, until

pytestmark = pytest.mark.usefixtures("local")


@pytest.fixture
def pair():
    """A connected pair over the loopback."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname(), timeout=PATIENCE)
        conn, _ = server.accept()
    conn.settimeout(PATIENCE)
    with client, conn:
        yield client, conn


def test_names_are_those_of_the_standard_library():
    missing = [name for name in std.__all__ if not hasattr(socket, name)]
    assert missing == []
    kernel_module = __import__("_socket")
    public = [name for name in dir(kernel_module) if not name.startswith("_")]
    assert [name for name in public if not hasattr(_socket, name)] == []


def test_methods_are_those_of_the_standard_library():
    ours, theirs = set(dir(socket.socket)), set(dir(std.socket))
    assert {name for name in theirs - ours if not name.startswith("__")} <= {"sendmsg_afalg"}


def test_enums_and_exceptions_are_shared():
    assert socket.AF_INET is std.AF_INET
    assert socket.SocketKind is std.SocketKind
    assert socket.timeout is TimeoutError
    assert socket.gaierror is std.gaierror
    assert socket.error is OSError


def test_class_and_source_are_lib_socket():
    assert socket.socket is not std.socket
    assert inspect.getsourcefile(socket.create_connection) == inspect.getsourcefile(std.create_connection)


def test_other_families_are_the_kernels():
    with socket.socket(socket.AF_UNIX) as sock:
        assert type(sock) is std.socket
    left, right = socket.socketpair()
    with left, right:
        left.send(b"x")
        assert right.recv(1) == b"x"


def test_attributes_cannot_be_set():
    with socket.socket() as sock:
        for name in ("family", "type", "proto", "timeout"):
            with pytest.raises(AttributeError):
                setattr(sock, name, 1)


def test_unbound_name_peer_and_repr():
    with socket.socket() as sock:
        assert sock.getsockname() == ("0.0.0.0", 0)
        with pytest.raises(OSError) as caught:
            sock.getpeername()
        assert caught.value.errno == errno.ENOTCONN
        assert f"fd={sock.fileno()}" in repr(sock)
    assert sock.fileno() == -1
    assert "[closed]" in repr(sock)
    with pytest.raises(OSError) as caught:
        sock.recv(1)
    assert caught.value.errno == errno.EBADF


def test_numbers_are_unique_closable_and_come_back():
    socks = [socket.socket() for _ in range(10)]
    numbers = [sock.fileno() for sock in socks]
    assert len(set(numbers)) == 10
    assert all(os.fstat(number) for number in numbers)
    number = socks[0].detach()
    assert socks[0].fileno() == -1
    again = socket.socket(fileno=number)
    assert again.fileno() == number
    assert (again.family, again.type) == (socket.AF_INET, socket.SOCK_STREAM)
    again.close()
    socket.close(numbers[1])
    with pytest.raises(OSError):
        socks[1].getsockname()
    with pytest.raises(OSError):
        socks[1].close()
    socks[1].detach()
    for sock in socks[2:]:
        sock.close()
    with pytest.raises(OSError):
        os.fstat(numbers[2])


def test_dup_shares_the_socket(pair):
    client, conn = pair
    with client.dup() as other:
        assert other.fileno() != client.fileno()
        client.close()
        other.sendall(b"still open")
        assert conn.recv(100) == b"still open"
    assert conn.recv(1) == b""


@pytest.mark.parametrize(
    "address, kind",
    [("x", TypeError), (("127.0.0.1",), TypeError), (("127.0.0.1", "80"), TypeError), ((1, 80), TypeError)],
)
def test_bad_addresses(address, kind):
    with socket.socket() as sock, pytest.raises(kind):
        sock.bind(address)


def test_ports_out_of_range_and_unknown_names():
    with socket.socket() as sock:
        with pytest.raises(OverflowError, match=r"bind\(\): port must be 0-65535."):
            sock.bind(("", 65536))
        with pytest.raises(socket.gaierror):
            sock.connect(("no-such-name.invalid", 80))
        with pytest.raises(OSError) as caught:
            sock.bind(("192.0.2.1", 80))
        assert caught.value.errno == errno.EADDRNOTAVAIL


def test_port_in_use():
    with socket.socket() as first, socket.socket() as second:
        first.bind(("127.0.0.1", 8080))
        first.listen()
        with pytest.raises(OSError) as caught:
            second.bind(("127.0.0.1", 8080))
        assert caught.value.errno == errno.EADDRINUSE


def test_timeouts_and_defaults():
    assert socket.getdefaulttimeout() is None
    with socket.socket() as sock:
        assert (sock.gettimeout(), sock.getblocking()) == (None, True)
        sock.settimeout(0)
        assert sock.getblocking() is False
        for bad, kind in ((-1, ValueError), ("x", TypeError), (float("nan"), ValueError)):
            with pytest.raises(kind):
                sock.settimeout(bad)
    socket.setdefaulttimeout(7.5)
    try:
        with socket.socket() as sock:
            assert sock.gettimeout() == 7.5
        assert std.getdefaulttimeout() is None
    finally:
        socket.setdefaulttimeout(None)


def test_accepted_sockets_block_by_default():
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(PATIENCE)
        with socket.create_connection(server.getsockname()) as client:
            conn, address = server.accept()
            with conn:
                assert conn.gettimeout() is None
                assert address == client.getsockname()


def test_accepted_sockets_are_what_lib_sockets_accept_makes():
    """Ours goes another way than Lib/socket.py's own accept, which is the control."""
    listener = socket.create_server(("127.0.0.1", 0))
    clients = [socket.create_connection(listener.getsockname(), timeout=PATIENCE) for _ in range(2)]
    taken, _ = listener.accept()
    fd, _ = listener._accept()
    control = socket.socket(listener.family, listener.type, listener.proto, fileno=fd)
    names = ("family", "type", "proto", "timeout", "_closed", "_io_refs")
    for name in names:
        assert getattr(taken, name) == getattr(control, name), name
    assert type(taken) is type(control) is socket.socket and type(taken.type) is std.SocketKind
    for client, conn in zip(clients, (taken, control)):
        assert conn.getpeername() == client.getsockname()
        client.sendall(b"line\n")
        with conn.makefile("rb") as file:
            conn.close()
            assert file.readline() == b"line\n" and conn.fileno() >= 0
        assert conn.fileno() == -1 and client.recv(1) == b""
        client.close()
    listener.close()
    with socket.socket(type=socket.SOCK_DGRAM) as datagrams, pytest.raises(OSError) as caught:
        datagrams.accept()
    assert caught.value.errno == errno.EOPNOTSUPP


def test_rcvtimeo_is_eagain(pair):
    client, _ = pair
    client.settimeout(None)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, 50_000))
    start = time.monotonic()
    with pytest.raises(BlockingIOError):
        client.recv(1)
    assert 0.04 < time.monotonic() - start < PATIENCE
    raw = client.getsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, 16)
    assert struct.unpack("ll", raw) == (0, 50_000)


#: level, option, values: what is set, and what is told then, are the kernel's, errors too
AS_THE_KERNEL = [
    ("SOL_SOCKET", "SO_RCVBUF", (0, 100, 5000, 100_000)),
    ("SOL_SOCKET", "SO_SNDBUF", (0, 100, 5000, 100_000)),
    ("SOL_SOCKET", "SO_RCVLOWAT", (0, 1, 5000)),
    ("SOL_SOCKET", "SO_KEEPALIVE", (0, 1, 5)),
    ("IPPROTO_TCP", "TCP_NODELAY", (0, 5)),
    ("IPPROTO_TCP", "TCP_CORK", (0, 9)),
    ("IPPROTO_TCP", "TCP_MAXSEG", (-1, 0, 87, 88, 32767, 32768)),
    ("IPPROTO_TCP", "TCP_KEEPIDLE", (-1, 0, 1, 32767, 32768)),
    ("IPPROTO_TCP", "TCP_KEEPINTVL", (0, 1, 32767, 32768)),
    ("IPPROTO_TCP", "TCP_KEEPCNT", (0, 1, 127, 128)),
    ("IPPROTO_TCP", "TCP_SYNCNT", (0, 1, 127, 128)),
    ("IPPROTO_TCP", "TCP_LINGER2", (-2, -1, 0, 5, 120, 121, 1000)),
    ("IPPROTO_TCP", "TCP_DEFER_ACCEPT", (-1, 0, 1, 2, 3, 4, 8, 30, 1000)),
    ("IPPROTO_TCP", "TCP_WINDOW_CLAMP", (-1, 0, 1, 1152, 1153, 5000, 1 << 20)),
    ("IPPROTO_TCP", "TCP_QUICKACK", (0, 1)),
    ("IPPROTO_TCP", "TCP_USER_TIMEOUT", (-1, 0, 1, 14000)),
    ("IPPROTO_TCP", "TCP_NOTSENT_LOWAT", (-1, 0, 1, 100_000)),
    ("IPPROTO_TCP", "TCP_FASTOPEN", (-1, 0, 5)),
    ("IPPROTO_TCP", 30, (0, 1, 2)),  # TCP_FASTOPEN_CONNECT
    ("IPPROTO_TCP", 34, (0, 1, 2)),  # TCP_FASTOPEN_NO_COOKIE
    ("IPPROTO_TCP", 36, (-1, 0, 1, 2)),  # TCP_INQ
    ("SOL_SOCKET", "SO_DONTROUTE", (-1, 0, 1, 7)),
    ("IPPROTO_IP", "IP_TTL", (-1, 0, 1, 255, 256)),
    ("IPPROTO_IP", "IP_TOS", (0, 0x10, 0xFF, 0x100)),
    ("IPPROTO_IP", 10, (-1, 0, 5, 6)),  # IP_MTU_DISCOVER
    ("IPPROTO_IP", 12, (0, 1, 3)),  # IP_RECVTTL
    ("IPPROTO_IP", 13, (0, 1, 3)),  # IP_RECVTOS
    ("IPPROTO_IP", 15, (0, 1, 2)),  # IP_FREEBIND
    ("IPPROTO_IP", 21, (-1, 0, 5, 255, 256)),  # IP_MINTTL
]


@pytest.mark.parametrize("level, name, values", AS_THE_KERNEL)
def test_options_answer_as_the_kernels(level, name, values):
    """Set and read again, on a fresh stream socket."""

    def ask(module, value):
        with module.socket() as sock:
            try:
                sock.setsockopt(number, option, value)
                failed = 0
            except OSError as error:
                failed = error.errno
            return failed, sock.getsockopt(number, option)

    number = getattr(socket, level)
    option = getattr(socket, name) if isinstance(name, str) else name
    for value in values:
        assert ask(socket, value) == ask(std, value), f"{name} {value}"


CLOSE_WAIT = 8


def left_to_read(module):
    """What recvmsg says with TCP_INQ, in one conversation: bytes left, the FIN with them, and what does not fit is told so."""
    with module.create_server(("127.0.0.1", 0)) as server:
        server.setsockopt(6, 36, 1)
        client = module.create_connection(server.getsockname(), timeout=PATIENCE)
        conn, _ = server.accept()
    said = [conn.getsockopt(6, 36)]
    with client, conn:
        conn.settimeout(PATIENCE)
        client.sendall(b"hello")
        told(conn, 5)
        said += [conn.recvmsg(2, 100), conn.recvmsg(2, 20), conn.recvmsg(1, 0)]
        client.sendall(b"again")
        client.close()
        told(conn, 5)
        # (for the FIN, which nothing that can be read shows)
        assert until(lambda: conn.getsockopt(6, std.TCP_INFO, 1)[0] == CLOSE_WAIT)
        said += [conn.recvmsg(2, 100), conn.recvmsg(9, 100, module.MSG_PEEK), conn.recvmsg(3, 100)]
        said += [conn.recvmsg(3, 100), conn.recvmsg(3, 100)]
        conn.setsockopt(6, 36, 0)
        said.append(conn.recvmsg(3, 100))
    return said


def told(conn, count):
    """Wait until so much can be read."""
    while len(conn.recv(100, std.MSG_PEEK)) < count:
        time.sleep(0.001)


def test_what_is_left_to_read_is_told_as_the_kernel_does():
    said = left_to_read(socket)
    assert said == left_to_read(std)
    assert said[1][1] == [(6, 36, struct.pack("=i", 3))] and said[-1][1] == []


@pytest.mark.parametrize("name", [37, 38])  # TCP_TX_DELAY, TCP_AO_ADD_KEY
def test_options_that_are_not_here_are_not_taken(name):
    with socket.socket() as sock, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagram:
        for one in (sock, datagram):
            for call in (lambda one=one: one.setsockopt(6, name, 1), lambda one=one: one.getsockopt(6, name)):
                with pytest.raises(OSError) as caught:
                    call()
                assert caught.value.errno == errno.ENOPROTOOPT


@pytest.mark.parametrize(
    "level, name, value",
    [
        ("SOL_SOCKET", "SO_REUSEADDR", 1),
        ("SOL_SOCKET", "SO_KEEPALIVE", 1),
        ("SOL_SOCKET", "SO_BROADCAST", 1),
        ("SOL_SOCKET", "SO_REUSEPORT", 1),
        ("IPPROTO_TCP", "TCP_NODELAY", 1),
        ("IPPROTO_TCP", "TCP_KEEPIDLE", 11),
        ("IPPROTO_TCP", "TCP_KEEPINTVL", 12),
        ("IPPROTO_TCP", "TCP_KEEPCNT", 13),
        ("IPPROTO_TCP", "TCP_USER_TIMEOUT", 14000),
        ("IPPROTO_TCP", "TCP_MAXSEG", 1000),
        ("IPPROTO_IP", "IP_TTL", 44),
        ("IPPROTO_IP", "IP_TOS", 0x10),
    ],
)
def test_options_read_back(level, name, value):
    level, name = getattr(socket, level), getattr(socket, name)
    with socket.socket() as sock, std.socket() as kernel:
        sock.setsockopt(level, name, value)
        kernel.setsockopt(level, name, value)
        assert sock.getsockopt(level, name) == kernel.getsockopt(level, name) == value
        sock.setsockopt(level, name, struct.pack("i", value))
        assert sock.getsockopt(level, name, 4) == struct.pack("i", value)


def test_options_that_tell_what_a_socket_is():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE) == socket.SOCK_DGRAM
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_DOMAIN) == socket.AF_INET
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_PROTOCOL) == 17
    with socket.socket() as sock:
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 0
        sock.listen()
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0").isalnum()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 5))
        assert struct.unpack("ii", sock.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8)) == (1, 5)


def test_unknown_options():
    with socket.socket() as sock:
        for call in (lambda: sock.setsockopt(socket.SOL_SOCKET, 9999, 1), lambda: sock.getsockopt(250, 1)):
            with pytest.raises(OSError) as caught:
                call()
            assert caught.value.errno in (errno.ENOPROTOOPT, errno.EOPNOTSUPP)
        with pytest.raises(OSError, match="buflen"):
            sock.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 2000)


def test_getaddrinfo_agrees_with_the_kernels_for_literals():
    for args in (
        ("127.0.0.1", 80),
        ("127.0.0.1", "http"),
        (None, 80),
        ("10.1.2.3", 0, 0, std.SOCK_STREAM),
        ("10.1.2.3", 53, std.AF_INET, std.SOCK_DGRAM),
        (None, 80, std.AF_INET, std.SOCK_STREAM, 0, std.AI_PASSIVE),
    ):
        theirs = [entry for entry in std.getaddrinfo(*args) if entry[0] == std.AF_INET]
        assert socket.getaddrinfo(*args) == theirs
    assert socket.getaddrinfo(b"127.0.0.1", 80) == socket.getaddrinfo("127.0.0.1", 80)
    with pytest.raises(socket.gaierror):
        socket.getaddrinfo("no-such-name.invalid", 80)
    with pytest.raises(socket.gaierror):
        socket.getaddrinfo("localhost", 80, flags=socket.AI_NUMERICHOST)


def test_names_of_the_stack(local, tmp_path):
    from pystack.sockets.resolve import Names

    local.host.names = Names({"server": ["127.0.0.5"]}, hook=lambda name: ["127.0.0.9"] if name == "far" else [])
    assert socket.gethostbyname("server") == "127.0.0.5"
    assert socket.gethostbyname("far") == "127.0.0.9"
    assert socket.gethostbyaddr("127.0.0.5") == ("server", [], ["127.0.0.5"])
    assert socket.getnameinfo(("127.0.0.5", 80), 0) == ("server", "http")
    assert socket.getnameinfo(("127.0.0.6", 80), socket.NI_NUMERICSERV) == ("127.0.0.6", "80")
    path = tmp_path / "hosts"
    path.write_text("# comment\n127.0.0.7 a.example a\n::1 six\n")
    local.host.names = Names.read(str(path))
    assert socket.gethostbyname("A") == "127.0.0.7"
    assert socket.gethostbyname("six") == "127.0.0.1"  # as glibc takes ::1 if it is asked for IPv4
    assert socket.gethostname() == "local"


def test_select_poll_and_epoll_see_the_exact_state(pair):
    client, conn = pair
    assert select.select([conn], [conn], [], 0) == ([], [conn], [])
    client.sendall(b"x")
    assert select.select([conn], [], [], PATIENCE) == ([conn], [], [])
    assert conn.recv(10) == b"x"
    assert select.select([conn], [], [], 0) == ([], [], [])
    # not writable while the buffer is full, and writable again once it is read
    client.setblocking(False)
    with pytest.raises(BlockingIOError):
        while True:
            client.send(bytes(65536))
    poll = select.poll()
    poll.register(client, select.POLLOUT)
    assert poll.poll(0) == []
    conn.setblocking(False)
    end = time.monotonic() + PATIENCE
    while not poll.poll(0) and time.monotonic() < end:
        try:
            conn.recv(1 << 20)
        except BlockingIOError:
            time.sleep(0.001)
    assert poll.poll(0) == [(client.fileno(), select.POLLOUT)]


def test_selectors_with_a_listener():
    with socket.create_server(("127.0.0.1", 0)) as server, selectors.DefaultSelector() as selector:
        selector.register(server, selectors.EVENT_READ)
        assert selector.select(0) == []
        with socket.create_connection(server.getsockname()):
            assert len(selector.select(PATIENCE)) == 1
            server.accept()[0].close()
            assert selector.select(0) == []


def test_readiness_after_close_of_the_peer(pair):
    client, conn = pair
    assert select.select([conn], [], [], 0)[0] == []
    client.close()
    assert select.select([conn], [], [], PATIENCE)[0] == [conn]
    assert conn.recv(1) == b""


def test_unclosed_sockets_warn_and_are_closed(local):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    count = local.host.inspect(lambda stack: len(stack.endpoints))
    with pytest.warns(ResourceWarning, match="unclosed <socket"):
        del sock
        gc.collect()
    assert local.host.inspect(lambda stack: len(stack.endpoints)) == count - 1


def test_socket_lost_while_the_lock_is_held_does_not_deadlock(local):
    """A finalizer may run in the middle of a call, in the thread that holds the lock."""
    sock = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM)]
    count = local.host.inspect(lambda stack: len(stack.endpoints))
    with pytest.warns(ResourceWarning):
        local.host.inspect(lambda stack: sock.clear())
    end = time.monotonic() + PATIENCE
    while local.host.inspect(lambda stack: len(stack.endpoints)) != count - 1:
        assert time.monotonic() < end
        time.sleep(0.005)


def test_makefile_reads_lines_and_counts_references(pair):
    client, conn = pair
    with conn.makefile("rb") as file:
        conn.close()
        client.sendall(b"one\ntwo")
        client.shutdown(socket.SHUT_WR)
        assert file.readline() == b"one\n"
        assert file.read() == b"two"
    assert conn.fileno() == -1


def test_sendfile_of_something_that_is_no_file(pair):
    client, conn = pair
    client.sendfile(io.BytesIO(b"in memory"))
    assert conn.recv(100) == b"in memory"


def test_datagrams_over_the_loopback():
    with socket.socket(type=socket.SOCK_DGRAM) as server, socket.socket(type=socket.SOCK_DGRAM) as client:
        server.settimeout(PATIENCE)
        server.bind(("127.0.0.1", 0))
        client.connect(server.getsockname())
        client.send(b"hello")
        data, address = server.recvfrom(100)
        assert (data, address) == (b"hello", client.getsockname())
        server.sendto(b"x" * 100, 0, address)
        buffer = bytearray(10)
        assert client.recvfrom_into(buffer)[0] == 10
        assert buffer == b"x" * 10
        client.connect(("127.0.0.1", 1))
        client.send(b"nobody")
        client.settimeout(PATIENCE)
        with pytest.raises(ConnectionRefusedError):
            client.recv(1)


def test_unsupported_kinds():
    for args, code in (
        ((socket.AF_INET, socket.SOCK_STREAM, 17), errno.EPROTONOSUPPORT),
        ((socket.AF_INET, socket.SOCK_RAW, 0), errno.EPROTONOSUPPORT),
        ((socket.AF_INET, socket.SOCK_SEQPACKET), errno.ESOCKTNOSUPPORT),
    ):
        with pytest.raises(OSError) as caught:
            socket.socket(*args)
        assert caught.value.errno == code


def test_threads_share_a_stack(local):
    """20 threads, each with its own connection to one echo server, 50 messages each."""

    def serve(conn):
        with conn:
            while data := conn.recv(1000):
                conn.sendall(data)

    def client(number, results):
        with socket.create_connection(address, timeout=20) as sock:
            for i in range(50):
                message = b"%d:%d" % (number, i)
                sock.sendall(message)
                if sock.recv(100) != message:
                    return
        results.append(number)

    with socket.create_server(("127.0.0.1", 0), backlog=50) as server:
        address = server.getsockname()
        results: list[int] = []
        clients = [threading.Thread(target=client, args=(n, results)) for n in range(20)]
        for thread in clients:
            thread.start()
        servers = [threading.Thread(target=serve, args=(server.accept()[0],)) for _ in clients]
        for thread in servers:
            thread.start()
        for thread in clients + servers:
            thread.join(30)
    assert sorted(results) == list(range(20))


def test_the_standard_librarys_servers_and_clients_run_on_it(local):
    """http.server and http.client, their `socket` replaced by ours."""
    import http.client
    import http.server
    import socketserver
    from unittest import mock

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"hello from " + self.path.encode())

        def log_message(self, *args):
            pass

    with mock.patch.object(socketserver, "socket", socket), mock.patch.object(http.client, "socket", socket):
        with socketserver.TCPServer(("127.0.0.1", 8000), Handler) as server:
            thread = threading.Thread(target=server.serve_forever, args=(0.05,))
            thread.start()
            try:
                connection = http.client.HTTPConnection("127.0.0.1", 8000, timeout=PATIENCE)
                connection.request("GET", "/page")
                assert connection.getresponse().read() == b"hello from /page"
                connection.close()
            finally:
                server.shutdown()
                thread.join()


def test_stub_names_exist():
    """pystack/socket.pyi is what type checkers see: nothing in it that is not there."""
    path = inspect.getsourcefile(_socket).replace("sockets/module.py", "socket.pyi")
    for node in ast.parse(open_text(path)).body:
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                assert alias.name == "*" or hasattr(socket, alias.name)


def open_text(path):
    with open(path) as file:
        return file.read()


def test_buffers_of_all_kinds_are_sent_and_may_change_afterwards(pair):
    import array

    client, conn = pair
    data = bytearray(b"x" * 1_000_000)
    done = threading.Thread(target=client.sendall, args=(data,))
    done.start()
    got = conn.recv(10)
    while len(got) < 1_000_000:
        got += conn.recv(1 << 20)
    done.join()
    assert got == data
    client.send(array.array("H", [0x4142, 0x4344]))
    assert conn.recv(10) == b"BADC"
    client.send(memoryview(b"abcdef")[::2])
    assert conn.recv(10) == b"ace"
    # the bytes are the stack's own from send() on
    small = bytearray(b"before")
    client.send(small)
    small[:] = b"after!"
    assert conn.recv(10) == b"before"
    with pytest.raises(TypeError, match="bytes-like"):
        client.send("text")


def test_asyncio_runs_on_the_descriptors():
    """Stock asyncio in real time: streams over sockets that the program made."""
    import asyncio

    async def echo(reader, writer):
        writer.write(await reader.readexactly(100_000))
        await writer.drain()
        writer.close()

    async def main():
        listener = socket.create_server(("127.0.0.1", 0))
        server = await asyncio.start_server(echo, sock=listener)

        async def one(i):
            sock = socket.socket()
            sock.setblocking(False)
            await asyncio.get_running_loop().sock_connect(sock, listener.getsockname())
            reader, writer = await asyncio.open_connection(sock=sock)
            writer.write(bytes([i]) * 100_000)
            data = await reader.read(-1)
            writer.close()
            return data == bytes([i]) * 100_000

        async with server:
            return await asyncio.wait_for(asyncio.gather(*(one(i) for i in range(10))), 20)

    assert asyncio.run(main()) == [True] * 10


def test_a_program_that_forgets_to_close_ends_cleanly(tmp_path):
    import subprocess
    import sys

    code = (
        "import pystack, threading\n"
        "from pystack import socket\n"
        "stack = pystack.up(tap=None, control=True)\n"
        "server = socket.create_server(('127.0.0.1', 80))\n"
        "threading.Thread(target=server.accept, daemon=True).start()\n"
        "print('done')\n"
    )
    env = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=env)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr
    assert os.listdir(tmp_path / "pystack") == []


def test_zerocopy_completion_and_transmit_timestamps():
    zerocopy, timestamping, errqueue = 60, 37, 0x2000
    with socket.socket() as server, socket.socket() as client:
        server.bind(("127.0.0.1", 0))
        server.listen()
        client.connect(server.getsockname())
        peer, _ = server.accept()
        with peer:
            with pytest.raises(BlockingIOError):
                client.recvmsg(0, 200, errqueue)
            client.setsockopt(socket.SOL_SOCKET, zerocopy, 1)
            client.setsockopt(socket.SOL_SOCKET, timestamping, 512 | 128 | 16)
            before = time.time()
            client.sendall(b"x" * 600_000, 0x4000000)
            left = 600_000
            while left:
                left -= len(peer.recv(left))
            deadline = time.monotonic() + PATIENCE
            found = []
            while len(found) < 2 and time.monotonic() < deadline:
                try:
                    data, messages, flags, _ = client.recvmsg(0, 200, errqueue)
                    assert data == b"" and flags & errqueue
                    found.append(messages)
                except BlockingIOError:
                    time.sleep(0.01)
    stamp, completion = found
    assert [message[:2] for message in stamp] == [(1, 37), (0, 11)]
    assert before - 1 < struct.unpack_from("@2l", stamp[0][2])[0] < time.time() + 1
    assert struct.unpack_from("=I4BII", stamp[1][2]) == (errno.ENOMSG, 4, 0, 0, 0, 2, 599_999)
    # One send, however many pieces it was cut into: one number. The core had bytes of its own, so it says "copied".
    assert struct.unpack_from("=I4BII", completion[0][2]) == (0, 5, 0, 1, 0, 0, 0)


def test_a_record_in_the_error_queue_ends_no_wait(pair):
    """It is EPOLLERR all the time, but a call that waits for data or for room goes on waiting, and its timeout passes."""
    client, conn = pair
    client.setsockopt(socket.SOL_SOCKET, 60, 1)  # SO_ZEROCOPY
    client.send(b"x", 0x4000000)
    assert conn.recv(10) == b"x"
    client.settimeout(0.1)
    with pytest.raises(TimeoutError):
        client.recv(10)
    conn.send(b"y")
    assert client.recv(10) == b"y"
    with pytest.raises(TimeoutError):
        while True:
            client.send(bytes(1 << 20))
    assert client.recvmsg(0, 200, 0x2000)[1]


@pytest.mark.parametrize("call", ["send", "sendall"])
def test_a_buffer_may_change_its_size_after_a_failed_send(call):
    """As asyncio does it: `except: buffer.clear()`. No view of the buffer may live in the traceback."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        sock = socket.create_connection(server.getsockname(), timeout=PATIENCE)
        sock.shutdown(socket.SHUT_WR)
        data = bytearray(1000)
        try:
            getattr(sock, call)(data)
        except BrokenPipeError:
            data.clear()
        sock.close()
    assert data == b""
