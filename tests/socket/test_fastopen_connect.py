"""TCP_FASTOPEN_CONNECT on a socket that waits: connect() returns at once, and the SYN goes with the first write (as on Linux since 4.11)."""

import errno
import socket

import pytest

from pystack.sim import MS, Network

TCP_FASTOPEN_CONNECT = 30
D = 10 * MS


def run(wait, server_settings):
    """Two requests on two connections, and the time that each took. The first one asks for a cookie."""
    times, codes = [], []
    with Network(1) as net:
        a = net.host("a", tcp_fastopen=1)
        b = net.host("b", **server_settings)
        net.link(a, b, addrs=("10.0.0.1/24", "10.0.0.2/24"), delay=D)
        net.introduce()

        def server():
            with socket.create_server(("", 80)) as listener:
                listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 5)
                while True:
                    conn, _ = listener.accept()
                    with conn:
                        conn.sendall(conn.recv(10))

        def client():
            for _ in range(2):
                begin = net.now
                with socket.socket() as sock:
                    sock.setsockopt(socket.IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1)
                    sock.settimeout(wait)
                    codes.append(sock.connect_ex(("10.0.0.2", 80)))
                    sock.settimeout(None)
                    if codes[-1] == errno.EINPROGRESS:
                        sock.connect(("10.0.0.2", 80))
                    sock.sendall(b"hello")
                    assert sock.recv(10) == b"hello"
                times.append(net.now - begin)

        net.run({a: client}, background={b: server}, limit=net.now + 10_000 * MS)
    return times, codes


@pytest.mark.parametrize("wait", [None, 5])
def test_with_a_cookie_the_request_goes_with_the_syn(wait):
    assert run(wait, {"tcp_fastopen": 2}) == ([4 * D, 2 * D], [0, 0])


def test_without_waiting_it_succeeds_at_once_too():
    assert run(0, {"tcp_fastopen": 2}) == ([4 * D, 2 * D], [errno.EINPROGRESS, 0])


def test_control_without_a_cookie_each_request_waits_for_the_handshake():
    assert run(None, {"tcp_fastopen": 0}) == ([4 * D, 4 * D], [0, 0])
