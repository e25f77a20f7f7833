"""The simplest server: blocking sockets, and a thread for each connection."""

import threading
from collections.abc import Callable
from typing import Any

PAGE = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 14\r\n\r\nHello, world.\n"
CHUNK = bytes(1 << 18)


def echo(conn: Any) -> None:
    """Echo (RFC 862)."""
    while data := conn.recv(65536):
        conn.sendall(data)


def discard(conn: Any) -> None:
    """Discard (RFC 863)."""
    while conn.recv(1 << 20):
        pass


def chargen(conn: Any) -> None:
    """Chargen (RFC 864), with zeros."""
    while True:
        conn.sendall(CHUNK)


def http(conn: Any) -> None:
    """Return the same page for each request. The benchmark's clients send one request per segment."""
    while data := conn.recv(65536):
        if b"\r\n\r\n" in data:
            conn.sendall(PAGE)


SERVICES: dict[int, Callable[[Any], None]] = {7: echo, 9: discard, 19: chargen, 80: http}


def _serve(serve: Callable[[Any], None], conn: Any) -> None:
    with conn:
        try:
            serve(conn)
        except OSError:
            pass


def _listen(socket: Any, address: str, port: int) -> Any:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, port))
    listener.listen(1024)
    return listener


def _accept(listener: Any, socket: Any, serve: Callable[[Any], None]) -> None:
    while True:
        conn, _ = listener.accept()
        conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=_serve, args=(serve, conn), daemon=True).start()


def _hold(listener: Any) -> None:
    """Accept idle connections, and keep them in a list."""
    held = []
    while True:
        held.append(listener.accept()[0])


def _datagrams(sock: Any) -> None:
    while True:
        data, peer = sock.recvfrom(65536)
        sock.sendto(data, peer)


def main(socket: Any, address: str) -> None:
    """Serve with this module `socket` until killed."""
    threads = [
        threading.Thread(target=_accept, args=(_listen(socket, address, port), socket, serve), daemon=True)
        for port, serve in SERVICES.items()
    ]
    threads.append(threading.Thread(target=_hold, args=(_listen(socket, address, 99),), daemon=True))
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.bind((address, 7))
    for thread in threads:
        thread.start()
    print("ready", flush=True)
    _datagrams(datagrams)
