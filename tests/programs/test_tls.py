"""TLS for programs that block, on the stack's loopback: ssl.SSLContext.wrap_socket under pystack.patch."""

import contextlib
import http.server
import os
import select
import signal
import socket
import ssl
import threading
import time

import pytest
import trustme

import pystack
from pystack import socket as ours
from pystack.sim import MS
from tests.programs.test_patch import errors_in_a_child
from tests.sim.test_asyncio import pair
from tests.support.patience import PATIENCE, until

AUTHORITY = trustme.CA(key_type=trustme.KeyType.RSA)
LEAF = AUTHORITY.issue_cert("localhost", "10.0.0.1", key_type=trustme.KeyType.RSA)


@pytest.fixture
def patched(local):
    with pystack.patch():
        yield local


def contexts(**settings):
    """Return the contexts of the server and of the client."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    LEAF.configure_cert(server)
    client = ssl.create_default_context()
    AUTHORITY.configure_trust(client)
    for name, value in settings.items():
        setattr(server, name, value)
        setattr(client, name, value)
    return server, client


def raw_pair():
    with ours.create_server(("127.0.0.1", 0)) as listener:
        client = ours.create_connection(listener.getsockname(), timeout=20)
        conn, _ = listener.accept()
    conn.settimeout(20)
    return conn, client


def both(first, second):
    """Run two functions at the same time, and return their results. If both raise an error, the second's is raised."""
    results = {}

    def work():
        try:
            results["value"] = first()
        except BaseException as exc:
            results["error"] = exc

    thread = threading.Thread(target=work)
    thread.start()
    try:
        value = second()
    finally:
        thread.join(30)
    if "error" in results:
        raise results["error"]
    return results["value"], value


def tls_pair(server=None, client=None, **settings):
    """Return the server's end and the client's end after the handshake."""
    contexts_ = contexts(**settings)
    server, client = server or contexts_[0], client or contexts_[1]
    conn, sock = raw_pair()
    return both(
        lambda: server.wrap_socket(conn, server_side=True),
        lambda: client.wrap_socket(sock, server_hostname="localhost"),
    )


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_the_methods_of_a_connection(patched, version):
    server, client = contexts(maximum_version=version)
    server.set_alpn_protocols(["h2", "http/1.1"])
    client.set_alpn_protocols(["http/1.1"])
    names = []
    server.sni_callback = lambda sock, name, context: names.append((type(sock), name, context is server))
    a, b = tls_pair(server, client)
    with a, b:
        assert isinstance(a, ssl.SSLSocket) and issubclass(type(a), ours.socket) and isinstance(a, socket.socket)
        assert names == [(type(a), "localhost", True)]
        assert a.selected_alpn_protocol() == b.selected_alpn_protocol() == "http/1.1"
        assert a.version() == b.version() == version.name.replace("_", ".")
        assert a.cipher() == b.cipher() and a.cipher() is not None
        assert ("DNS", "localhost") in b.getpeercert()["subjectAltName"] and a.getpeercert() is None
        assert a.getpeername() == b.getsockname() and a.server_side and b.server_hostname == "localhost"
        assert a.context is server and b.get_channel_binding() == a.get_channel_binding()
        assert a.send(b"hello") == 5
        assert b.recv(2) == b"he" and b.pending() == 3 and b.read(10) == b"llo"
        with pytest.raises(NotImplementedError):
            a.dup()
        with pytest.raises(NotImplementedError):
            a.sendmsg([b"x"])
        with pytest.raises(ValueError):
            a.recv(1, socket.MSG_PEEK)
        buffer = bytearray(10)
        b.sendall(b"12345")
        assert a.recv_into(buffer) == 5 and buffer[:5] == b"12345"


def test_much_data_in_both_directions_by_threads(patched):
    """On each end one thread writes more than fits between them while another reads."""
    a, b = tls_pair()
    a.settimeout(10), b.settimeout(10)
    data = os.urandom(1 << 22)

    def read(sock):
        got = bytearray()
        while len(got) < len(data):
            got += sock.recv(70_000)
        return bytes(got)

    with a, b:
        result = both(
            lambda: both(lambda: a.sendall(data), lambda: read(a)),
            lambda: both(lambda: b.sendall(data), lambda: read(b)),
        )
    assert result[0][1] == data and result[1][1] == data


def test_a_reader_does_not_wait_for_room_to_send(patched):
    """Both ends have sent all that fits. Each can read the other's data, with and without a timeout, before it can send more."""
    a, b = tls_pair()
    with a, b:
        a.settimeout(0), b.settimeout(0)
        sent = {a: 0, b: 0}
        quiet = 0
        while quiet < 3:  # rounds in which there was no room for a write
            quiet += 1
            for sock in (a, b):
                with contextlib.suppress(ssl.SSLWantWriteError):
                    while True:
                        sent[sock] += sock.send(bytes(1 << 14))
                        quiet = 0
            time.sleep(0.1)
        assert len(a.recv(1000)) == 1000
        b.settimeout(10)
        left = sent[a]
        while left:
            left -= len(b.recv(min(left, 1 << 16)))
        assert a.send(bytes(1 << 14)) == 1 << 14  # the write that had not ended
        assert len(b.recv(1 << 14)) == 1 << 14


def test_an_interrupted_write_leaves_the_records_whole(patched):
    """A signal handler raises an error while a write waits in the middle of a record. The next write sends the rest of that record first."""

    class Interrupt(Exception):
        pass

    interrupted = []

    def interrupt(*args):
        if not interrupted:
            interrupted.append(True)
            raise Interrupt

    def signals():
        # Only a write that waits is interrupted, and not the work of the stack, however long that takes.
        if until(lambda: patched.host.waiting):
            # Again and again: a signal right before the thread sleeps does not wake it. (This is so with Python's own calls, too.)
            until(lambda: os.kill(os.getpid(), signal.SIGALRM) or interrupted)

    a, b = tls_pair()
    before = signal.signal(signal.SIGALRM, interrupt)
    sender = threading.Thread(target=signals)
    try:
        with a, b:
            a.settimeout(None)
            b.settimeout(PATIENCE)
            sent = 0
            sender.start()
            with pytest.raises(Interrupt):
                while True:
                    sent += a.send(bytes(1 << 14))

            def read():
                got = bytearray()
                while not got.endswith(b"end"):
                    got += b.recv(1 << 16)
                return len(got)

            # OpenSSL had taken the interrupted write.
            assert both(lambda: a.sendall(b"end"), read)[1] == sent + (1 << 14) + 3
    finally:
        sender.join(2 * PATIENCE)
        signal.signal(signal.SIGALRM, before)  # only now: the last signal would end the process


def test_makefile_and_sendfile(patched, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"line one\n" + os.urandom(100_000))
    a, b = tls_pair()
    with a, b, a.makefile("rwb") as one, path.open("rb") as file:
        count, line = both(lambda: b.sendfile(file, 0), one.readline)
        assert line == b"line one\n"
        assert one.read(count - len(line)) == path.read_bytes()[9:]
        one.write(b"answer\n")
        one.flush()
        assert b.recv(100) == b"answer\n"


def test_timeouts(patched):
    server, client = contexts()
    conn, sock = raw_pair()
    sock.settimeout(0.1)
    with conn, pytest.raises(TimeoutError, match="handshake operation timed out"):
        client.wrap_socket(sock, server_hostname="localhost")
    a, b = tls_pair()
    with a, b:
        b.settimeout(0.1)
        before = time.monotonic()
        with pytest.raises(TimeoutError, match="read operation timed out"):
            b.recv(1)
        assert time.monotonic() - before >= 0.09
        with pytest.raises(TimeoutError, match="write operation timed out"):
            while True:
                b.sendall(bytes(1 << 20))
    assert (sock.fileno(), b.fileno()) == (-1, -1)


def test_a_socket_that_does_not_wait(patched):
    """A non-blocking socket raises the errors that a loop expects, select() waits for it, and no byte is lost or duplicated."""
    server, client = contexts()
    conn, sock = raw_pair()
    conn.setblocking(False), sock.setblocking(False)
    other, rest = raw_pair()
    other.setblocking(False), rest.close()
    with pytest.raises(ValueError, match="do_handshake_on_connect"):
        server.wrap_socket(other, server_side=True)
    a = server.wrap_socket(conn, server_side=True, do_handshake_on_connect=False)
    b = client.wrap_socket(sock, server_hostname="localhost", do_handshake_on_connect=False)

    def step(function, *args):
        """Wait for what the error names, as an event loop does, and repeat the call."""
        while True:
            try:
                return function(*args)
            except ssl.SSLWantReadError:
                assert select.select([function.__self__], [], [], 20)[0]
            except ssl.SSLWantWriteError:
                assert select.select([], [function.__self__], [], 20)[1]

    both(lambda: step(a.do_handshake), lambda: step(b.do_handshake))
    with pytest.raises(ssl.SSLWantReadError):
        a.recv(1)
    data = os.urandom(1 << 21)

    def write():
        view, sent = memoryview(data), 0
        while sent < len(data):
            sent += step(b.send, view[sent:])
        return sent

    def read():
        got = bytearray()
        while len(got) < len(data):
            got += step(a.recv, 60_000)
        return bytes(got)

    assert both(write, read) == (len(data), data)
    with pytest.raises(ssl.SSLWantWriteError):
        while True:
            b.send(bytes(1 << 14))
    while not select.select([], [b], [], 0)[1]:
        step(a.recv, 1 << 14)
    with pytest.raises(ssl.SSLError, match="bad write retry"):
        step(b.send, b"other data")
    a.close(), b.close()


def test_the_end_with_and_without_its_announcement(patched):
    a, b = tls_pair()
    # Both ends announce the end of TLS, and the connection goes on without it. Bytes that follow at once are not lost.
    plain_a, plain_b = both(a.unwrap, b.unwrap)
    plain_b.sendall(b"no longer secret")
    assert plain_a.recv(100) == b"no longer secret"
    a.close(), b.close()
    for ragged, expected in ((True, b""), (False, ssl.SSLEOFError)):
        conn, sock = raw_pair()
        server, client = contexts(
            maximum_version=ssl.TLSVersion.TLSv1_2
        )  # with 1.3, close() would send a reset because of the tickets that nobody read
        a, b = both(
            lambda conn=conn, server=server, ragged=ragged: server.wrap_socket(
                conn, server_side=True, suppress_ragged_eofs=ragged
            ),
            lambda sock=sock, client=client: client.wrap_socket(sock, server_hostname="localhost"),
        )
        b.close()
        if expected == b"":
            assert a.recv(10) == b""
        else:
            with pytest.raises(expected):
                a.recv(10)
        a.close()


def test_one_record_at_a_time_is_taken_from_the_socket(patched):
    """So select() shows what OpenSSL has not read, and bytes directly behind the end of TLS are still there for the program."""
    a, b = tls_pair()
    b.sendall(b"first")
    b.sendall(b"second")
    assert a.recv(5) == b"first" and a.pending() == 0
    assert select.select([a], [], [], 20)[0] == [a] and a.recv(6) == b"second"
    b.setblocking(False)
    with pytest.raises(ssl.SSLWantReadError):
        b.unwrap()
    ours.socket.send(b, b"plain")
    assert a.unwrap().recv(100) == b"plain"
    a.close(), b.close()


def test_two_readers_share_a_record(patched):
    """The second reader waits for the first one. Then it must look again, and not wait for another record."""
    a, b = tls_pair()
    with a, b:
        timer = threading.Timer(0.3, b.sendall, [b"0123456789"])
        timer.start()
        assert sorted(both(lambda: a.recv(5), lambda: a.recv(5))) == [b"01234", b"56789"]
        timer.join()


def test_a_child_process_does_not_wait_for_a_lock_of_the_parent(patched):
    """While this process forks, one of its threads reads and has a lock. In the child, nothing would release that lock."""
    a, b = tls_pair()
    with a, b:
        a.settimeout(10)

        def fork():
            time.sleep(0.3)
            try:
                return errors_in_a_child(lambda: a.recv(1))
            finally:
                b.sendall(b"x")

        got, (text,) = both(lambda: a.recv(1), fork)
        assert got == b"x" and "belongs to the parent process" in text


def test_text_from_before_tls_is_refused(patched):
    """A connection that has ended may still hold bytes. They must not pass for the bytes of TLS."""
    server, _ = contexts()
    conn, sock = raw_pair()
    sock.sendall(b"plain text")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    sock.close()
    with pytest.raises(ssl.SSLError, match="Closed before TLS handshake"):
        server.wrap_socket(conn, server_side=True)
    assert conn.fileno() == -1


def test_a_session_is_resumed(patched):
    server, client = contexts(maximum_version=ssl.TLSVersion.TLSv1_2)
    a, b = tls_pair(server, client)
    session = b.session
    assert not b.session_reused
    a.close(), b.close()
    conn, sock = raw_pair()
    a, b = both(
        lambda: server.wrap_socket(conn, server_side=True),
        lambda: client.wrap_socket(sock, server_hostname="localhost", session=session),
    )
    with a, b:
        assert a.session_reused and b.session_reused


def test_a_certificate_that_is_not_trusted(patched):
    server, _ = contexts()
    client = ssl.create_default_context()
    conn, sock = raw_pair()

    def serve():
        with pytest.raises(ssl.SSLError, match="UNKNOWN_CA|unknown ca"):
            with server.wrap_socket(conn, server_side=True) as sock:
                sock.recv(1)

    def ask():
        with pytest.raises(ssl.SSLCertVerificationError):
            client.wrap_socket(sock, server_hostname="localhost")

    both(serve, ask)


def test_connect_and_accept_of_wrapped_sockets_and_the_key_log(patched, tmp_path):
    server, client = contexts()
    client.keylog_filename = str(tmp_path / "keys")
    with (
        server.wrap_socket(ours.create_server(("127.0.0.1", 0)), server_side=True) as listener,
        client.wrap_socket(ours.socket(), server_hostname="localhost") as b,
    ):
        listener.settimeout(20), b.settimeout(20)
        with pytest.raises(ValueError):
            listener.connect(("127.0.0.1", 1))
        (a, peer), _ = both(listener.accept, lambda: b.connect(listener.getsockname()))
        with a:
            assert peer == b.getsockname() and isinstance(a, ssl.SSLSocket)
            a.sendall(b"hello")
            assert b.recv(10) == b"hello"
    assert "CLIENT_TRAFFIC_SECRET_0" in (tmp_path / "keys").read_text()


def test_outside_of_patch_it_raises_at_once(local):
    server, client = contexts()
    conn, sock = raw_pair()
    with conn, sock:
        for call in (
            lambda: client.wrap_socket(sock, server_hostname="localhost"),
            lambda: server.wrap_socket(conn, server_side=True),
        ):
            with pytest.raises(OSError, match=r"pystack\.patch"):
                call()
        conn.sendall(b"as before")
        assert sock.recv(100) == b"as before"


class Counting(ssl.SSLSocket):
    """A class of the program's own."""

    factor = 10
    __slots__ = ("sent",)

    def send(self, data, flags=0):
        self.sent = super().send(data, flags)
        return self.sent

    @property
    def total(self):
        return self.count(self.sent)

    @classmethod
    def count(cls, number):
        return cls.factor * number


class Derived(Counting, contextlib.AbstractContextManager):
    def send(self, data, flags=0):
        return super().send(data + b"!", flags)


def test_a_class_of_the_programs_own(patched):
    """Its methods, and their super(), are those of a class on a socket of the stack."""
    server, client = contexts()
    server.sslsocket_class, client.sslsocket_class = Counting, Derived
    a, b = tls_pair(server, client)
    c, d = tls_pair(server, client)
    with a, b, c, d:
        assert isinstance(a, Counting) and not isinstance(a, Derived) and isinstance(b, Derived)
        assert issubclass(type(b), ours.socket) and b.__class__ is Derived and type(b) is type(d) is not Derived
        assert b.send(b"abc") == b.sent == 4 and b.total == 40 and a.recv(10) == b"abc!"
        assert a.send(b"xy") == 2 and b.recv(10) == b"xy" and a.total == 20


def test_a_class_that_is_no_sslsocket_is_refused(patched):
    server, client = contexts()
    conn, sock = raw_pair()
    with conn, sock:
        for kind in (ours.socket, object, None):
            client.sslsocket_class = kind
            with pytest.raises(TypeError, match="cannot become a"):
                client.wrap_socket(sock, server_hostname="localhost")
        conn.sendall(b"as before")
        assert sock.recv(100) == b"as before"


def test_a_name_of_a_host_that_cannot_be_one(patched):
    """As ssl.SSLSocket: the socket is taken over first, so it is closed, and nothing of it is left for the garbage collector."""
    server, client = contexts()
    conn, sock = raw_pair()
    with conn:
        with pytest.raises(ValueError, match="idna|leading dot"):
            client.wrap_socket(sock, server_hostname=".localhost")
        assert sock.fileno() == -1 and conn.recv(1) == b""


def test_sockets_of_the_kernel_are_as_before(patched):
    server, client = contexts()
    left, right = socket.socketpair()
    a, b = both(
        lambda: server.wrap_socket(left, server_side=True),
        lambda: client.wrap_socket(right, server_hostname="localhost"),
    )
    with a, b:
        assert type(a) is ssl.SSLSocket
        a.sendall(b"x")
        assert b.recv(1) == b"x"


def test_in_virtual_time(tmp_path):
    """Two runs of requests and http.server over TLS on simulated hosts take the same virtual time."""
    pytest.importorskip("greenlet")
    requests = pytest.importorskip("requests")
    AUTHORITY.cert_pem.write_to_path(str(tmp_path / "authority"))

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"secret" * 10_000)

        def log_message(self, *args):
            pass

    def serve():
        with http.server.HTTPServer(("", 443), Handler) as httpd:
            httpd.socket = contexts()[0].wrap_socket(httpd.socket, server_side=True)
            httpd.handle_request()

    def ask():
        time.sleep(0.1)
        with requests.Session() as session:
            session.trust_env = False
            answer = session.get("https://10.0.0.1/", verify=str(tmp_path / "authority"), timeout=60)
        return answer.content == b"secret" * 10_000, time.monotonic()

    results = []
    for _ in range(2):
        net, a, b = pair(delay=50 * MS, loss=0.02)
        results.append(net.run({a: serve, b: ask})[b])
    assert results[0] == results[1] and results[0][0] and results[0][1] > 0.3


def test_an_object_that_passes_calls_on_to_a_socket(patched):
    class Wrapper:
        def __init__(self, sock):
            self._sock = sock

        def __getattr__(self, name):
            return getattr(self._sock, name)

    server, client = contexts()
    conn, sock = raw_pair()
    a, b = both(
        lambda: server.wrap_socket(Wrapper(conn), server_side=True),
        lambda: client.wrap_socket(Wrapper(sock), server_hostname="localhost"),
    )
    with a, b:
        assert conn.fileno() == -1 and a.gettimeout() == 20
        a.sendall(b"x")
        assert b.recv(1) == b"x"
