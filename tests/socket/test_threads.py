"""Sockets that several threads share: one sender at a time, closed from another thread, and connect() tried again."""

import errno
import os
import select
import signal
import socket as kernel
import struct
import threading
import time

import pytest

from pystack import socket
from tests.support.patience import PATIENCE, until

RECORDS = 2000
SENDERS = 6
SIZE = 512


def pair(module=socket, seconds=20):
    """Two ends of one connection."""
    with module.create_server(("127.0.0.1", 0)) as server:
        client = module.create_connection(server.getsockname(), timeout=seconds)
        conn, _ = server.accept()
    client.settimeout(None)
    conn.settimeout(seconds)
    return client, conn


def whole_records(client, conn, send):
    """How many of the records that six threads send arrive in one piece, and how many were sent."""

    def work(i):
        record = bytes([i + 1]) * SIZE
        for _ in range(RECORDS):
            send(client, record)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(SENDERS)]
    for thread in threads:
        thread.start()
    got = bytearray()
    while len(got) < SENDERS * RECORDS * SIZE:
        piece = conn.recv(1 << 16)
        assert piece
        got += piece
    for thread in threads:
        thread.join(20)
    return sum(len(set(got[at : at + SIZE])) == 1 for at in range(0, len(got), SIZE))


@pytest.mark.parametrize("how", ["sendall", "send", "sendall-view", "sendall-timeout"])
def test_records_of_several_threads_arrive_whole(local, how):
    client, conn = pair()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 100_000)  # it is full most of the time
    if how == "sendall-timeout":
        client.settimeout(30)

    def send(sock, data):
        if how == "send":
            assert sock.send(data) == len(data)  # a blocking send(2) takes all
        elif how == "sendall-view":
            sock.sendall(memoryview(bytearray(data)))
        else:
            sock.sendall(data)

    assert whole_records(client, conn, send) == SENDERS * RECORDS
    client.close()
    conn.close()


def test_large_sends_of_two_threads_do_not_mix(local):
    """Each is many times what the send buffer holds."""
    client, conn = pair()
    size = 2_000_000
    threads = [threading.Thread(target=client.sendall, args=(bytes([i]) * size,)) for i in (1, 2, 3)]
    for thread in threads:
        thread.start()
    got = bytearray()
    while len(got) < 3 * size:
        got += conn.recv(1 << 20)
    for thread in threads:
        thread.join(10)
    assert [len(set(got[i * size : (i + 1) * size])) for i in range(3)] == [1, 1, 1]
    client.close()
    conn.close()


def blocked(local, client, count, send=None):
    """Threads that are blocked in sendall or wait for their turn, and where their errnos come."""
    errors = []

    def work():
        try:
            (send or client.sendall)(bytes(10_000_000))
            errors.append(0)
        except OSError as exc:
            errors.append(exc.errno if exc.errno is not None else type(exc).__name__)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    assert until(lambda: local.host.waiting)  # one of them, for room
    time.sleep(0.2)  # The others join the queue now, or later: they get the same answer.
    assert errors == []
    return threads, errors


def test_close_wakes_the_sender_and_those_that_wait_for_their_turn(local):
    client, conn = pair()
    threads, errors = blocked(local, client, 3)
    client.close()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    assert errors == [errno.EBADF] * 3
    conn.close()


def test_a_reset_ends_all_senders(local):
    client, conn = pair()
    threads, errors = blocked(local, client, 3)
    conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    conn.close()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    assert len(errors) == 3 and set(errors) <= {errno.ECONNRESET, errno.EPIPE}
    client.close()


def test_who_must_not_wait_does_not_wait_for_its_turn(local):
    client, conn = pair()
    threads, errors = blocked(local, client, 1)
    with pytest.raises(BlockingIOError):
        client.send(b"x", socket.MSG_DONTWAIT)
    twin = client.dup()
    twin.settimeout(0.1)
    with pytest.raises(TimeoutError):
        twin.sendall(b"x")
    twin.settimeout(None)
    twin.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", 0, 100_000))
    with pytest.raises(BlockingIOError):
        twin.send(b"x")
    got = 0
    while got < 10_000_000:
        got += len(conn.recv(1 << 20))
    threads[0].join(PATIENCE)
    assert errors == [0]
    twin.send(b"x")
    assert conn.recv(10) == b"x"
    for end in (client, twin, conn):
        end.close()


def test_a_signal_handler_may_send_in_the_middle_of_a_send(local):
    """It interrupted its own thread, and must not wait for it. Whether the byte finds room depends on when the signal comes."""
    client, conn = pair()
    tries, got = [], []

    def handler(*_):
        if not tries:
            try:
                tries.append(client.send(b"!", socket.MSG_DONTWAIT))
            except BlockingIOError:
                tries.append(0)

    old = signal.signal(signal.SIGUSR1, handler)

    def read():
        until(lambda: tries)
        while sum(got) < 10_000_000 + tries[0]:
            got.append(len(conn.recv(1 << 20)))

    def interrupt():
        # A signal right before the thread sleeps does not wake it. (This is so with Python's own calls, too.)
        if until(lambda: local.host.waiting):  # it sends
            until(lambda: os.kill(os.getpid(), signal.SIGUSR1) or tries)

    threads = [threading.Thread(target=work) for work in (read, interrupt)]
    for thread in threads:
        thread.start()
    try:
        client.sendall(bytes(10_000_000))
    finally:
        for thread in threads:
            thread.join(PATIENCE)
        signal.signal(signal.SIGUSR1, old)  # only now: the last signal would end the process
    assert len(tries) == 1 and sum(got) == 10_000_000 + tries[0]
    client.close()
    conn.close()


# -- connecting again ----------------------------------------------------------------------------------------------------


def free_address():
    """An address of the stack nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()


def settled(sock):
    """Wait until a connection attempt is over."""
    limit = time.monotonic() + PATIENCE
    while time.monotonic() < limit:
        code = sock.connect_ex(sock_address[0])
        if code not in (errno.EALREADY, errno.EINPROGRESS):
            return code
        time.sleep(0.01)
    raise AssertionError("it does not end")


sock_address = [("127.0.0.1", 0)]


def story(module, blocking, ask):
    """The errnos of connect_ex to nobody, three times, then to a listener, then once more."""
    server = module.socket(module.AF_INET, module.SOCK_STREAM)
    server.bind(("127.0.0.1", 0))  # nobody listens there yet, and no other program can take the port
    address = sock_address[0] = server.getsockname()
    sock = module.socket(module.AF_INET, module.SOCK_STREAM)
    sock.settimeout(None if blocking else 0)
    codes = []
    for _ in range(3):
        code = sock.connect_ex(address)
        codes.append(code == errno.EINPROGRESS)
        if code == errno.EINPROGRESS:
            if ask:
                while (code := sock.getsockopt(module.SOL_SOCKET, module.SO_ERROR)) == 0:
                    time.sleep(0.01)
                codes.append(("SO_ERROR", code))
            code = settled(sock)
        codes.append(code)
    server.listen()
    code = sock.connect_ex(address)
    if code == errno.EINPROGRESS:
        code = settled(sock)
    codes.append(code if code != errno.EISCONN else 0)
    conn, _ = server.accept()
    sock.settimeout(PATIENCE)
    sock.sendall(b"hello")
    codes.append(conn.recv(10))
    codes.append(sock.connect_ex(address))
    for end in (conn, server, sock):
        end.close()
    return codes


@pytest.mark.parametrize("blocking", [True, False])
@pytest.mark.parametrize("ask", [False, True])
def test_a_socket_connects_again_after_a_refusal_as_in_the_kernel(local, blocking, ask):
    ours = story(socket, blocking, ask)
    theirs = story(kernel, blocking, ask)
    assert ours == theirs
    assert ours[0] is not blocking and ours[-3:] == [0, b"hello", errno.EISCONN]


def test_a_connect_that_must_not_wait_is_in_progress_although_the_loopback_has_answered(local):
    """As on Linux. select() shows that it is over, and then connect() succeeds once."""
    for module in (socket, kernel):
        with module.create_server(("127.0.0.1", 0)) as server, module.socket() as sock:
            sock.setblocking(False)
            with pytest.raises(BlockingIOError) as caught:
                sock.connect(server.getsockname())
            assert caught.value.errno == errno.EINPROGRESS
            assert select.select([], [sock], [], PATIENCE) == ([], [sock], [])
            codes = [sock.connect_ex(server.getsockname()) for _ in range(2)]
            assert codes == [0, errno.EISCONN] and sock.getsockopt(module.SOL_SOCKET, module.SO_ERROR) == 0


def test_what_a_socket_is_and_was_told_survives_a_refusal(local):
    options = [
        (socket.SOL_SOCKET, name, value)
        for name, value in (
            (socket.SO_REUSEADDR, 1), (socket.SO_REUSEPORT, 1), (socket.SO_KEEPALIVE, 1), (socket.SO_SNDBUF, 30_000),
            (socket.SO_RCVBUF, 40_000), (socket.SO_OOBINLINE, 1), (socket.SO_BROADCAST, 1), (socket.SO_RCVLOWAT, 7),
            (socket.SO_DONTROUTE, 0), (socket.SO_PRIORITY, 3), (socket.SO_MARK, 5), (47, 1_000_000),
        )
    ] + [
        (socket.IPPROTO_IP, name, value)
        for name, value in ((socket.IP_TTL, 33), (socket.IP_TOS, 0x10), (10, 0), (21, 3), (15, 1), (11, 1))
    ] + [
        (socket.IPPROTO_TCP, name, value)
        for name, value in (
            (socket.TCP_NODELAY, 1), (socket.TCP_CORK, 1), (socket.TCP_KEEPIDLE, 11), (socket.TCP_KEEPINTVL, 12),
            (socket.TCP_KEEPCNT, 13), (socket.TCP_SYNCNT, 4), (socket.TCP_LINGER2, 14), (socket.TCP_DEFER_ACCEPT, 0),
            (socket.TCP_WINDOW_CLAMP, 9000), (socket.TCP_USER_TIMEOUT, 77_000), (socket.TCP_NOTSENT_LOWAT, 9999),
            (socket.TCP_MAXSEG, 700), (34, 1),
        )
    ]  # fmt: skip
    sock = socket.socket()
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"reno")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 9))
    plain = socket.socket()
    changed = 0
    for level, name, value in options:
        sock.setsockopt(level, name, value)
        changed += sock.getsockopt(level, name) != plain.getsockopt(level, name)
    assert changed >= len(options) - 2
    sock.bind(("127.0.0.1", 0))
    name = sock.getsockname()

    def all_options():
        return [sock.getsockopt(level, name) for level, name, _ in options] + [
            sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16),
            sock.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8),
        ]

    before = all_options()
    for _ in range(2):
        assert sock.connect_ex(free_address()) == errno.ECONNREFUSED
        assert sock.getsockname() == name
        assert all_options() == before
    with socket.create_server(("127.0.0.1", 0)) as server:
        sock.connect(server.getsockname())
        conn, peer = server.accept()
        assert peer == name
        conn.close()
    sock.close()
    plain.close()


def test_an_unbound_socket_gets_another_port_and_address(local):
    """What the failed attempt chose does not bind the next one."""
    local.host.setup("add_addr", local.host.stack.ifaces[0], 0x0A090909, 32)
    sock = socket.socket()
    assert sock.connect_ex(("10.9.9.9", free_address()[1])) == errno.ECONNREFUSED
    with socket.create_server(("127.0.0.1", 0)) as server:
        sock.connect(server.getsockname())
        assert sock.getsockname()[0] == "127.0.0.1"
        conn, _ = server.accept()
        conn.close()
    sock.close()


# -- very long timeouts -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [1 << 40, (1 << 63) - 1, 1 << 50, 5_000_000_000])
@pytest.mark.parametrize("option", ["SO_RCVTIMEO", "SO_SNDTIMEO"])
def test_very_long_timeouts_are_taken_as_the_kernel_takes_them(local, seconds, option):
    name = getattr(socket, option)
    value = struct.pack("@ll", seconds, 0)
    client, conn = pair()
    other = kernel.socket()
    for sock in (client, other):
        sock.setsockopt(socket.SOL_SOCKET, name, value)
    assert client.getsockopt(socket.SOL_SOCKET, name, 16) == other.getsockopt(socket.SOL_SOCKET, name, 16)
    timer = threading.Timer(0.1, conn.sendall, [b"late"])
    timer.start()
    assert client.recv(10) == b"late"
    timer.join()
    client.sendall(b"x")
    for sock in (client, conn, other):
        sock.close()


def test_a_negative_timeout_is_none_at_all(local):
    client, conn = pair()
    other, far = pair(kernel)
    for sock in (client, other):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", -1, 0))
        with pytest.raises(BlockingIOError):
            sock.recv(1)
    assert client.getsockopt(1, socket.SO_RCVTIMEO, 16) == other.getsockopt(1, socket.SO_RCVTIMEO, 16)
    for sock in (client, conn, other, far):
        sock.close()
