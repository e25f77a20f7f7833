"""What a socket's descriptor shows to epoll and poll, line by line as docs/reference/driver-safety.md states it."""

import array
import fcntl
import select
import struct
import termios
import time

import pytest

from pystack import socket
from tests.socket.test_descriptors import pair, ready
from tests.support.patience import PATIENCE

pytestmark = pytest.mark.usefixtures("local")
EVERYTHING = (
    select.EPOLLIN | select.EPOLLOUT | select.EPOLLPRI | select.EPOLLRDHUP | select.EPOLLRDNORM | select.EPOLLWRNORM
)
IN = select.EPOLLIN | select.EPOLLRDNORM
OUT = select.EPOLLOUT | select.EPOLLWRNORM


@pytest.fixture
def ends():
    client, conn = pair()
    epoll = select.epoll()
    epoll.register(conn, EVERYTHING)
    yield client, conn, epoll
    epoll.close()
    client.close()
    conn.close()


def shown(epoll, wanted):
    """The events of the one socket, as soon as they are those that the test wants, or after PATIENCE."""
    limit = time.monotonic() + PATIENCE
    while (bits := sum(bits for _, bits in epoll.poll(0))) != wanted and time.monotonic() < limit:
        time.sleep(0.005)
    return bits


def test_urgent_data_is_not_shown(ends):
    client, conn, epoll = ends
    client.send(b"ab!", socket.MSG_OOB)
    assert shown(epoll, IN | OUT) == IN | OUT  # without EPOLLPRI
    assert select.select([], [], [conn], 0)[2] == []
    assert conn.recv(1, socket.MSG_OOB) == b"!"
    assert conn.recv(10) == b"ab"
    assert shown(epoll, OUT) == OUT


def test_urgent_data_in_line_is_shown_as_data(ends):
    client, conn, epoll = ends
    conn.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
    client.send(b"!", socket.MSG_OOB)
    assert shown(epoll, IN | OUT) == IN | OUT
    assert conn.recv(10) == b"!"


def test_the_peers_end_is_shown_as_readable(ends):
    client, conn, epoll = ends
    client.shutdown(socket.SHUT_WR)
    assert shown(epoll, IN | OUT) == IN | OUT  # without EPOLLRDHUP
    assert conn.recv(10) == b""
    assert shown(epoll, IN | OUT) == IN | OUT


def test_a_reset_is_shown_as_readable_and_writable(ends):
    client, conn, epoll = ends
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    assert shown(epoll, IN | OUT) == IN | OUT  # without EPOLLERR and EPOLLHUP
    with pytest.raises(ConnectionResetError):
        conn.recv(10)


def test_edges(ends):
    """An edge when the socket becomes readable, and none for more data while it is."""
    client, conn, _ = ends
    edges = select.epoll()
    edges.register(conn, select.EPOLLIN | select.EPOLLET)
    for text in (b"once", b"again"):
        client.sendall(text)
        assert edges.poll(5) == [(conn.fileno(), select.EPOLLIN)]
        assert edges.poll(0) == []
        assert conn.recv(100) == text
    client.sendall(b"part")
    assert edges.poll(5) == [(conn.fileno(), select.EPOLLIN)]
    client.sendall(b" and the rest")
    assert edges.poll(0.05) == []
    got = b""
    conn.setblocking(False)
    with pytest.raises(BlockingIOError):
        while True:
            got += conn.recv(3)
    assert got == b"part and the rest"
    client.sendall(b"!")
    assert edges.poll(5) == [(conn.fileno(), select.EPOLLIN)]
    edges.close()


def test_the_number_of_bytes_is_not_shown(ends):
    """In a program that is not patched. tests/programs/test_files.py has the patched one."""
    client, conn, _ = ends
    client.sendall(b"12345")
    assert ready(conn, wait=5000)
    count = array.array("i", [-1])
    fcntl.ioctl(conn, termios.FIONREAD, count)
    assert count[0] == 0
    assert conn.recv(10) == b"12345"
