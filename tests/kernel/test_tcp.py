"""TCP between kernel sockets and the stack's."""

import errno
import hashlib
import os
import select
import socket as std
import threading
import time

import pytest

from pystack import socket
from tests.support.patience import PATIENCE, until

DATA = hashlib.shake_128(b"data").digest(3_000_000)


def listener(net, port=80, backlog=128):
    sock = net.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("", port))
    sock.listen(backlog)
    return sock


def connected(net, port=80):
    """(the stack's accepted socket, the kernel's)"""
    server = listener(net, port)
    client = net.kernel()
    client.connect(("10.0.0.2", port))
    conn, address = server.accept()
    net._undo.callback(conn.close)
    assert address == client.getsockname()
    conn.settimeout(PATIENCE)
    return conn, client


def in_thread(fn, *args):
    """fn(*args) in a thread; calling what is returned waits for it and gives its result or raises."""
    box = []

    def body():
        try:
            box.append((fn(*args), None))
        except BaseException as exc:
            box.append((None, exc))

    thread = threading.Thread(target=body, daemon=True)
    thread.start()

    def result(timeout=PATIENCE):
        thread.join(timeout)
        assert not thread.is_alive(), "the thread hangs"
        if box[0][1] is not None:
            raise box[0][1]
        return box[0][0]

    return result


def read_all(sock):
    parts = []
    while data := sock.recv(65536):
        parts.append(data)
    return b"".join(parts)


def test_both_directions_every_byte(anynet):
    conn, client = connected(anynet)
    up = in_thread(client.sendall, DATA)
    got = b""
    while len(got) < len(DATA):
        got += conn.recv(1 << 20)
    up()
    assert hashlib.sha256(got).digest() == hashlib.sha256(DATA).digest()
    down = in_thread(read_all, client)
    conn.sendall(DATA)
    conn.close()
    assert hashlib.sha256(down()).digest() == hashlib.sha256(DATA).digest()


def test_addresses(net):
    conn, client = connected(net)
    assert conn.getsockname() == client.getpeername() == ("10.0.0.2", 80)
    assert conn.getpeername() == client.getsockname()


def test_connect_to_the_kernel(anynet):
    server = anynet.kernel()
    server.bind(("10.0.0.1", 8000))
    server.listen()
    client = anynet.socket()
    client.connect(("10.0.0.1", 8000))
    peer, address = server.accept()
    with peer:
        assert address == client.getsockname()
        client.sendall(b"hello")
        assert peer.recv(10) == b"hello"


def test_connect_refused(net):
    client = net.socket()
    with pytest.raises(ConnectionRefusedError):
        client.connect(("10.0.0.1", 1))
    other = net.socket()
    assert other.connect_ex(("10.0.0.1", 1)) == errno.ECONNREFUSED


def test_kernel_is_refused_by_a_port_nobody_listens_on(net):
    client = net.kernel()
    with pytest.raises(ConnectionRefusedError):
        client.connect(("10.0.0.2", 1))


def test_connect_times_out(net):
    net.sh("ip route add blackhole 10.0.0.2/32")  # the kernel does not answer back
    client = net.socket(timeout=0.2)
    start = time.monotonic()
    with pytest.raises(TimeoutError, match="timed out"):
        client.connect(("10.0.0.1", 80))
    assert 0.19 < time.monotonic() - start < PATIENCE  # without the timeout, it gives up after two minutes


def test_no_such_host_is_unreachable(net):
    client = net.socket()
    with pytest.raises(OSError) as caught:
        client.connect(("10.0.0.99", 80))
    assert caught.value.errno == errno.EHOSTUNREACH


def test_recv_and_accept_time_out(net):
    conn, _ = connected(net)
    conn.settimeout(0.05)
    start = time.monotonic()
    with pytest.raises(TimeoutError, match="timed out"):
        conn.recv(1)
    assert 0.04 < time.monotonic() - start < PATIENCE - 1
    server = listener(net, 81)
    server.settimeout(0.05)
    with pytest.raises(TimeoutError):
        server.accept()


def test_non_blocking(net):
    conn, client = connected(net)
    conn.setblocking(False)
    with pytest.raises(BlockingIOError):
        conn.recv(1)
    client.sendall(b"x")
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            assert conn.recv(1) == b"x"
            break
        except BlockingIOError:
            time.sleep(0.001)
    else:
        pytest.fail("the byte never came")
    server = listener(net, 81)
    server.setblocking(False)
    with pytest.raises(BlockingIOError):
        server.accept()


def test_non_blocking_connect(net):
    server = net.kernel()
    server.bind(("10.0.0.1", 8000))
    server.listen()
    client = net.socket(timeout=0)
    assert client.connect_ex(("10.0.0.1", 8000)) == errno.EINPROGRESS
    with server.accept()[0]:
        deadline = time.monotonic() + PATIENCE
        while (code := client.connect_ex(("10.0.0.1", 8000))) == errno.EALREADY and time.monotonic() < deadline:
            time.sleep(0.001)
        assert code == 0
        assert client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
        assert client.connect_ex(("10.0.0.1", 8000)) == errno.EISCONN


def test_send_blocks_while_the_peer_does_not_read(net):
    conn, client = connected(net)
    conn.settimeout(0.2)
    with pytest.raises(TimeoutError):
        for _ in range(1000):
            conn.sendall(bytes(100_000))
    conn.setblocking(False)
    with pytest.raises(BlockingIOError):
        for _ in range(100):
            conn.send(bytes(100_000))
    # control: once the peer reads, there is room again
    done = in_thread(read_all, client)
    conn.settimeout(PATIENCE)
    conn.sendall(b"y" * 1000)
    conn.close()
    assert done().endswith(b"y" * 1000)


def test_half_close(net):
    conn, client = connected(net)
    client.sendall(b"question")
    client.shutdown(std.SHUT_WR)
    assert read_all(conn) == b"question"
    conn.sendall(b"answer")
    conn.shutdown(socket.SHUT_WR)
    assert read_all(client) == b"answer"


def test_reset(net):
    conn, client = connected(net)
    client.setsockopt(std.SOL_SOCKET, std.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.close()
    with pytest.raises(ConnectionResetError):
        conn.recv(1)
    with pytest.raises(BrokenPipeError):
        conn.send(b"x")


def test_linger_zero_resets_the_peer(net):
    conn, client = connected(net)
    conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    conn.close()
    with pytest.raises(ConnectionResetError):
        client.recv(1)


def test_peek_waitall_dontwait(net):
    conn, client = connected(net)
    with pytest.raises(BlockingIOError):
        conn.recv(1, socket.MSG_DONTWAIT)
    client.sendall(b"abc")
    assert conn.recv(10, socket.MSG_PEEK) == b"abc"
    assert conn.recv(2, socket.MSG_PEEK) == b"ab"
    timer = threading.Timer(0.1, client.sendall, [b"defgh"])
    timer.start()
    assert conn.recv(6, socket.MSG_WAITALL) == b"abcdef"
    timer.join()
    client.shutdown(std.SHUT_WR)
    assert conn.recv(100, socket.MSG_WAITALL) == b"gh"


def test_into_and_msg(net):
    conn, client = connected(net)
    client.sendall(b"hello world")
    buffer = bytearray(5)
    assert conn.recv_into(buffer) == 5 and buffer == b"hello"
    assert conn.recvfrom(1) == (b" ", None)
    first, second = bytearray(3), bytearray(10)
    assert conn.recvmsg_into([first, second]) == (5, [], 0, None)
    assert (first, second[:2]) == (b"wor", b"ld")
    assert conn.sendmsg([b"a", bytearray(b"b"), memoryview(b"c")]) == 3
    assert client.recv(10) == b"abc"


def test_makefile(net):
    conn, client = connected(net)
    client.sendall(b"one\ntwo\n")
    with conn.makefile("rw", newline="\n") as file:
        assert [file.readline(), file.readline()] == ["one\n", "two\n"]
        file.write("three\n")
        file.flush()
    assert client.recv(100) == b"three\n"


def test_sendfile(net, tmp_path):
    path = tmp_path / "data"
    path.write_bytes(DATA)
    conn, client = connected(net)
    result = in_thread(read_all, client)
    with open(path, "rb") as file:
        assert conn.sendfile(file) == len(DATA)
    conn.close()
    assert result() == DATA


def test_tcp_info(net):
    conn, client = connected(net)
    client.sendall(b"x" * 1000)
    assert len(conn.recv(2000)) == 1000
    raw = conn.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 232)
    kernel_raw = client.getsockopt(std.IPPROTO_TCP, std.TCP_INFO, 232)
    assert raw[0] == kernel_raw[0] == 1  # ESTABLISHED
    offset = 8 + 24 * 4 + 3 * 8  # tcpi_bytes_received
    assert int.from_bytes(raw[offset : offset + 8], "little") == 1000
    assert int.from_bytes(kernel_raw[offset - 8 : offset], "little") in (1000, 1001)  # its bytes_acked


def test_close_wakes_a_thread_in_recv(net):
    conn, _ = connected(net)
    result = in_thread(conn.recv, 1)
    assert until(lambda: net.running.host.waiting)
    conn.close()
    with pytest.raises(OSError) as caught:
        result()
    assert caught.value.errno == errno.EBADF


def test_many_threads_in_accept_get_one_connection_each(net):
    server = listener(net)
    results = [in_thread(server.accept) for _ in range(5)]
    clients = [net.kernel() for _ in results]
    for client in clients:
        client.connect(("10.0.0.2", 80))
    accepted = [result() for result in results]
    for conn, _ in accepted:
        conn.close()
    assert sorted(address for _, address in accepted) == sorted(client.getsockname() for client in clients)


def test_reader_and_writer_share_a_socket(net):
    """One thread in recv, one in send, on the same connection, in full duplex."""
    conn, client = connected(net)
    echo = in_thread(lambda: [client.sendall(data) for data in iter(lambda: client.recv(65536), b"")])
    reader = in_thread(read_all, conn)
    conn.sendall(DATA[:1_000_000])
    conn.shutdown(socket.SHUT_WR)
    echo()
    client.shutdown(std.SHUT_WR)
    assert reader() == DATA[:1_000_000]


def test_thousand_connections_at_once(net):
    server = listener(net, backlog=1024)
    clients = [net.kernel() for _ in range(1000)]
    for client in clients:
        client.setblocking(False)
        client.connect_ex(("10.0.0.2", 80))
    conns = [server.accept()[0] for _ in clients]
    by_peer = {conn.getpeername(): conn for conn in conns}
    for i, client in enumerate(clients):
        client.setblocking(True)
        client.sendall(b"%d" % i)
    for i, client in enumerate(clients):
        conn = by_peer[client.getsockname()]
        assert conn.recv(10) == b"%d" % i
        conn.close()


@pytest.mark.slow
def test_short_connections_leave_nothing(net):
    """Endpoints, ports and memory are where they were after many short connections."""
    server = listener(net)
    server.settimeout(1)  # how long the serving thread takes to see that it has to stop
    net.running.host.inspect(lambda stack: stack.config.update({"tcp_time_wait": 1_000_000}))
    stop = False

    def serve():
        while not stop:
            try:
                conn, _ = server.accept()
            except TimeoutError:
                continue
            conn.sendall(conn.recv(100))
            conn.close()

    thread = in_thread(serve)

    def burst(n):
        for _ in range(n):
            client = net.space.call(std.socket) if n < 10 else fresh(net)
            with client:
                client.connect(("10.0.0.2", 80))
                client.sendall(b"ping")
                assert client.recv(10) == b"ping"

    burst(500)
    time.sleep(0.1)
    before = (rss(), net.running.host.inspect(lambda stack: len(stack.endpoints)))
    burst(5000)
    assert until(lambda: net.running.host.inspect(lambda stack: len(stack.endpoints)) <= before[1] + 2)
    after = rss()
    stop = True
    thread()
    assert after < before[0] * 1.05


def fresh(net):
    """A kernel socket made quickly: one thread entered the namespace and stays there."""
    if not hasattr(net, "maker"):
        from concurrent.futures import ThreadPoolExecutor

        from pystack.kernel.netns import CLONE_NEWNET, _libc

        net.maker = net._undo.enter_context(ThreadPoolExecutor(1))
        net.maker.submit(_libc, "setns", net.space.fd, CLONE_NEWNET).result()
    sock = net.maker.submit(std.socket).result()
    sock.settimeout(PATIENCE)
    return sock


def rss():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def test_urgent_byte_both_ways(net):
    conn, client = connected(net)
    client.send(b"ab!", std.MSG_OOB)
    assert conn.recv(10) == b"ab"
    assert conn.recv(1, socket.MSG_OOB) == b"!"
    with pytest.raises(OSError) as caught:
        conn.recv(1, socket.MSG_OOB)
    assert caught.value.errno == errno.EINVAL
    conn.send(b"cd?", socket.MSG_OOB)
    assert client.recv(10) == b"cd"
    client.settimeout(None)  # with a timeout, Python would first wait for ordinary data
    assert client.recv(1, std.MSG_OOB) == b"?"


def test_linger_waits_for_the_peer(net):
    """close() with SO_LINGER returns when everything is acknowledged, or after its seconds."""
    conn, client = connected(net)
    conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\x3c\0\0\0")
    conn.setblocking(False)
    sent = 0
    with pytest.raises(BlockingIOError):
        while True:
            sent += conn.send(bytes(65536))
    timer = threading.Timer(0.3, lambda: results.append(len(read_all(client))))
    results = []
    start = time.monotonic()
    timer.start()
    conn.close()
    took = time.monotonic() - start
    timer.join()
    assert results == [sent]
    assert 0.25 < took < PATIENCE  # and not the 60 s

    conn, client = connected(net, 81)
    conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\1\0\0\0")
    conn.setblocking(False)
    with pytest.raises(BlockingIOError):
        while True:
            conn.send(bytes(65536))
    start = time.monotonic()
    conn.close()
    assert 0.9 < time.monotonic() - start < PATIENCE  # the peer never reads


def test_fast_open_client(net):
    """MSG_FASTOPEN: the first time a cookie is asked for, then the data goes with the SYN."""
    net.running.host.inspect(lambda stack: stack.config.update({"tcp_fastopen": 3}))
    from pystack.kernel.netns import _write

    net.space.call(_write, "/proc/sys/net/ipv4/tcp_fastopen", "3")
    server = net.kernel()
    server.setsockopt(std.IPPROTO_TCP, std.TCP_FASTOPEN, 10)
    server.bind(("10.0.0.1", 8000))
    server.listen()
    for message in (b"first", b"second"):
        client = net.socket()
        assert client.sendto(message, socket.MSG_FASTOPEN, ("10.0.0.1", 8000)) == len(message)
        peer, _ = server.accept()
        with peer:
            peer.settimeout(PATIENCE)
            assert peer.recv(100) == message
    out = net.sh("nstat -az TcpExtTCPFastOpenPassive").stdout
    assert " 1 " in out


@pytest.mark.parametrize("ask", [False, True])
def test_connecting_again_after_a_refusal_as_the_kernel_does(net, ask):
    """Without waiting: EINPROGRESS, the error (or ECONNABORTED where SO_ERROR told it), and then the next attempt."""
    listener = net.kernel()
    listener.bind(("10.0.0.1", 0))
    address = listener.getsockname()  # nobody listens there yet
    told = errno.ECONNABORTED if ask else errno.ECONNREFUSED
    once = [errno.EINPROGRESS, errno.ECONNREFUSED, told] if ask else [errno.EINPROGRESS, told]

    def attempts(sock):
        codes = []
        for _ in range(2):
            code = sock.connect_ex(address)
            if code == errno.ECONNREFUSED:
                # The refusal arrived before connect_ex looked, as it may on a busy machine; nothing is left to ask for.
                codes += once
                continue
            codes.append(code)
            if ask:
                select.select([], [sock], [], PATIENCE)
                codes.append(sock.getsockopt(std.SOL_SOCKET, std.SO_ERROR))
            while (code := sock.connect_ex(address)) == errno.EALREADY:
                time.sleep(0.01)
            codes.append(code)
        return codes

    ours = net.socket(timeout=0)
    assert attempts(ours) == once * 2
    listener.listen(1)
    ours.settimeout(PATIENCE)
    ours.connect(address)
    conn, _ = listener.accept()
    ours.sendall(b"hello")
    assert conn.recv(10) == b"hello"
    conn.close()
