"""Code that uses a socket's descriptor as a file, in a patched program: it works as on a kernel socket. Each test runs on both."""

import array
import contextlib
import errno
import fcntl
import os
import select
import socket
import termios
import time

import pytest

import pystack
from tests.support.patience import PATIENCE

SIOCATMARK = 0x8905


@pytest.fixture(params=["kernel", "stack"])
def patched(request):
    """A program on kernel sockets, and the same one on a stack."""
    with contextlib.ExitStack() as undo:
        if request.param == "stack":
            undo.enter_context(pystack.up(tap=None))
            undo.enter_context(pystack.patch())
        yield request.param


@pytest.fixture
def pair(patched):
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname(), timeout=10)
        conn, _ = server.accept()
    for sock in (client, conn):
        sock.settimeout(None)
    yield client, conn
    client.close()
    conn.close()


def until(check, expected):
    """Wait until `check()` gives the expected value, because data needs a moment to arrive."""
    limit = time.monotonic() + PATIENCE
    while (found := check()) != expected and time.monotonic() < limit:
        time.sleep(0.005)
    return found


def test_read_and_write(pair):
    client, conn = pair
    assert os.write(client.fileno(), b"one") == 3
    assert os.read(conn.fileno(), 100) == b"one"
    assert os.writev(client.fileno(), [b"two", bytearray(b" and three")]) == 13
    buffers = bytearray(4), bytearray(20)
    assert os.readv(conn.fileno(), buffers) == 13
    assert bytes(buffers[0]) == b"two " and buffers[1].rstrip(b"\0") == b"and three"
    os.set_blocking(conn.fileno(), False)
    for call in (lambda: os.read(conn.fileno(), 1), lambda: os.readv(conn.fileno(), [bytearray(1)])):
        with pytest.raises(BlockingIOError):
            call()
    with pytest.raises(OSError) as caught:
        os.read(conn.fileno(), -1)
    assert caught.value.errno == errno.EINVAL
    conn.setblocking(False)
    with pytest.raises(BlockingIOError):
        while os.write(conn.fileno(), bytes(1 << 16)):
            pass
    client.close()
    with pytest.raises(OSError):
        for _ in range(100):
            os.write(conn.fileno(), b"x" * 1000)
            time.sleep(0.01)


def test_the_end_of_the_stream(pair):
    client, conn = pair
    client.sendall(b"last")
    client.shutdown(socket.SHUT_WR)
    assert os.read(conn.fileno(), 100) == b"last"
    assert os.read(conn.fileno(), 100) == b"" == os.read(conn.fileno(), 100)


def test_a_listening_socket_and_a_closed_one(patched):
    with socket.create_server(("127.0.0.1", 0)) as server:
        number = server.fileno()
        for call in (lambda: os.read(number, 10), lambda: os.write(number, b"x")):
            with pytest.raises(OSError) as caught:
                call()
            assert caught.value.errno in (errno.ENOTCONN, errno.EPIPE)
    with pytest.raises(OSError) as caught:
        os.read(number, 10)
    assert caught.value.errno == errno.EBADF


def test_datagrams(patched):
    with socket.socket(type=socket.SOCK_DGRAM) as one, socket.socket(type=socket.SOCK_DGRAM) as two:
        one.bind(("127.0.0.1", 0))
        two.connect(one.getsockname())
        count = array.array("i", [7])
        assert fcntl.ioctl(one, termios.FIONREAD, count) == 0 and count[0] == 0
        assert os.write(two.fileno(), b"first") == 5
        os.write(two.fileno(), b"the second one")
        assert until(lambda: fcntl.ioctl(one, termios.FIONREAD, bytes(4)), b"\5\0\0\0") == b"\5\0\0\0"
        assert os.read(one.fileno(), 3) == b"fir"
        assert os.read(one.fileno(), 100) == b"the second one"


@pytest.mark.parametrize("offset", [0, 1000, None])
def test_sendfile(pair, tmp_path, offset):
    client, conn = pair
    data = os.urandom(300_000)
    (tmp_path / "file").write_bytes(data)
    with (tmp_path / "file").open("rb", buffering=0) as file:
        file.seek(500)
        rest = data[500 if offset is None else offset :]
        client.setblocking(False)
        got = bytearray()
        at = offset
        conn.settimeout(PATIENCE)
        while len(got) < len(rest):
            try:
                count = os.sendfile(client.fileno(), file.fileno(), at, 1 << 20)
            except BlockingIOError:
                count = 0
            if at is not None:
                at += count
            got += conn.recv(1 << 16)
        assert bytes(got) == rest
        assert file.tell() == (len(data) if offset is None else 500)
        assert os.sendfile(client.fileno(), file.fileno(), len(data), 10) == 0
        client.setblocking(True)
        assert os.sendfile(out_fd=client.fileno(), in_fd=file.fileno(), offset=0, count=1000) == 1000
        assert len(conn.recv(1000, socket.MSG_WAITALL)) == 1000
        with pytest.raises(OSError):
            os.sendfile(client.fileno(), conn.fileno(), None, 10)


def test_dup(pair):
    client, conn = pair
    number = os.dup(client.fileno())
    assert number != client.fileno()
    client.close()
    os.write(number, b"still open")
    assert conn.recv(100) == b"still open"
    twin = socket.socket(fileno=number)
    twin.sendall(b"a socket again")
    assert conn.recv(100) == b"a socket again"
    os.close(twin.detach())
    assert conn.recv(100) == b""


def test_fionread(pair):
    """It counts the bytes that can be read, and not the end of the stream."""
    client, conn = pair

    def unread():
        count = array.array("i", [-1])
        assert fcntl.ioctl(conn.fileno(), termios.FIONREAD, count) == 0
        return count[0]

    assert unread() == 0
    client.sendall(b"12345")
    assert until(unread, 5) == 5
    client.sendall(b"678")
    client.shutdown(socket.SHUT_WR)
    assert until(unread, 8) == 8
    assert conn.recv(6) == b"123456" and unread() == 2
    assert fcntl.ioctl(conn, termios.FIONREAD, b"....and more") == b"\2\0\0\0and more"
    assert until(lambda: fcntl.ioctl(client, termios.TIOCOUTQ, bytes(4)), bytes(4)) == bytes(4)
    with socket.create_server(("127.0.0.1", 0)) as server, pytest.raises(OSError) as caught:
        fcntl.ioctl(server, termios.FIONREAD, bytes(4))
    assert caught.value.errno == errno.EINVAL


def test_urgent_data_and_its_mark(pair):
    client, conn = pair
    client.send(b"ab!", socket.MSG_OOB)
    client.send(b"cd")
    got = []
    # The kernel counts only the bytes before the urgent one.
    until(lambda: fcntl.ioctl(conn, termios.FIONREAD, bytes(4))[0] >= 2, True)
    for _ in range(2):
        got.append(fcntl.ioctl(conn, SIOCATMARK, bytes(4))[0])
        if got[-1]:
            assert conn.recv(1, socket.MSG_OOB) == b"!"
        got.append(conn.recv(100))
    assert got == [0, b"ab", 1, b"cd"]


def test_other_descriptors_are_the_kernels(patched):
    ends = os.pipe()
    os.write(ends[1], b"through a pipe")
    assert fcntl.ioctl(ends[0], termios.FIONREAD, bytes(4))[0] == 14
    assert os.read(ends[0], 100) == b"through a pipe"
    copy = os.dup(ends[0])
    for fd in (*ends, copy):
        os.close(fd)
    with pytest.raises(OSError) as caught:
        os.read(ends[0], 1)
    assert caught.value.errno == errno.EBADF
    with pytest.raises(TypeError):
        os.read("no descriptor", 1)


def test_select_shows_readiness(pair):
    client, conn = pair
    assert select.select([conn], [conn], [], 0) == ([], [conn], [])
    os.write(client.fileno(), b"x")
    assert select.select([conn], [], [], 5)[0] == [conn]
    assert os.read(conn.fileno(), 10) == b"x"
    assert select.select([conn], [], [], 0)[0] == []
