"""DNS servers as programs: they answer at a port, over UDP and TCP. They run on simulated hosts and on live stacks.

zone = Zone("example.", "@ 300 SOA ns hostmaster 1 3600 600 86400 60\\n@ NS ns\\nns A 10.0.0.53\\nweb 60 A 10.0.0.80")
net.run({client: program}, background={server: DnsServer(zone)})                          # authoritative
net.run({client: program}, background={server: RecursiveServer({"a.root": "10.0.0.1"})})  # recursive and caching
"""

import errno
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from pystack import socket as _socket
from pystack.dns.authority import Authority, Zone
from pystack.dns.recursive import LOOKUPS, Recursive
from pystack.sockets import current as _current

__all__ = ["DnsServer", "RecursiveServer", "Zone"]

#: seconds for which a TCP connection may be idle (RFC 7766 section 6.2.3), and the most connections at a time
IDLE = 10
CONNECTIONS = 100


class _Server:
    """The program of a host that answers DNS messages. It never ends: run it in the background."""

    def __init__(self, address: str, port: int):
        self.address = address
        self.port = port
        self._connections = 0
        #: answers over UDP that could not be sent
        self.unsent = 0
        #: called with this server once it listens
        self.on_ready: Callable[[Any], None] = lambda server: None
        self._sockets: list[Any] = []

    def __call__(self) -> None:
        """Serve, until `close`."""
        self.begin(_current.default())
        with _socket.socket() as listener, _socket.socket(type=_socket.SOCK_DGRAM) as sock:
            self._sockets = [listener, sock]
            listener.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
            listener.bind((self.address, self.port))
            listener.listen()
            sock.bind((self.address, self.port))
            threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
            self.on_ready(self)
            while True:
                try:
                    data, peer = sock.recvfrom(65535)
                    self.datagram(sock, data, peer)
                except ConnectionError:
                    pass  # a client is gone
                except OSError as error:
                    if self._sockets and error.errno != errno.ENETDOWN:
                        raise
                    return  # the server is closed, or the stack

    def close(self) -> None:
        """End the program."""
        sockets, self._sockets = self._sockets, []
        for sock in sockets:
            sock.close()

    def begin(self, host: Any) -> None:
        """Called first, with the stack."""

    def answers(self, data: bytes, tcp: bool, peer: str) -> Iterable[bytes]:
        """The answers to a message."""
        raise NotImplementedError

    def datagram(self, sock: Any, data: bytes, peer: Any) -> None:
        """Answer a message that came over UDP."""
        for reply in self.answers(data, False, peer[0]):
            self.send(sock, reply, peer)

    def send(self, sock: Any, reply: bytes, peer: Any) -> None:
        """Send an answer. The sender of a question chooses its source, which may be port 0 or an address without a route."""
        try:
            sock.sendto(reply, peer)
        except OSError:
            self.unsent += 1

    def _accept(self, listener: Any) -> None:
        while True:
            try:
                conn, peer = listener.accept()
            except ConnectionError:
                continue
            except OSError:
                return
            if self._connections >= CONNECTIONS:
                conn.close()
                continue
            self._connections += 1
            threading.Thread(target=self._serve, args=(conn, peer[0]), daemon=True).start()

    def _serve(self, conn: Any, peer: str) -> None:
        """Answer the questions of one connection (RFC 7766)."""
        try:
            with conn, conn.makefile("rb") as file:
                conn.settimeout(IDLE)
                while size := file.read(2):
                    answered = False
                    for reply in self.answers(file.read(int.from_bytes(size, "big")), True, peer):
                        conn.sendall(len(reply).to_bytes(2, "big") + reply)
                        answered = True
                    if not answered:
                        return
        except OSError:
            pass
        finally:
            self._connections -= 1


class DnsServer(_Server):
    """An authoritative server.

    transfers  a function that says whether the client with this address may have whole zones (AXFR), or None: nobody may
    """

    def __init__(self, *zones: Zone, address: str = "", port: int = 53, transfers: Callable[[str], bool] | None = None):
        super().__init__(address, port)
        self.authority = Authority(zones, transfers)
        #: the last questions that were answered, as (name, type, "udp" or "tcp")
        self.questions: list[tuple[str, str, str]] = []
        self.authority.on_question = self._note

    def _note(self, name: str, kind: str, how: str) -> None:
        self.questions.append((name, kind, how))
        if len(self.questions) > 10_000:
            del self.questions[:5_000]

    def answers(self, data: bytes, tcp: bool, peer: str) -> Iterable[bytes]:
        """The answers to a message."""
        return self.authority.answers(data, tcp, peer)


class RecursiveServer(_Server):
    """A recursive resolver with a cache.

    roots    the name servers of the root: name -> address or addresses
    allow    networks whose hosts may ask; others get REFUSED
    options  see dns.recursion.WorkLimits
    """

    def __init__(
        self,
        roots: "Mapping[str, str | Sequence[str]]",
        *,
        address: str = "",
        port: int = 53,
        allow: Sequence[str] = ("0.0.0.0/0",),
        **options: Any,
    ):
        super().__init__(address, port)
        self.recursive = Recursive(roots, allow, **options)
        #: threads that look a name up for a datagram, or wait for another one's lookup
        self.threads = 0

    def begin(self, host: Any) -> None:
        """Use the stack's sockets and its seed."""
        self.recursive.use(host)

    def datagram(self, sock: Any, data: bytes, peer: Any) -> None:
        """Answer in a thread, because the answer may take seconds, unless the cache has it."""
        ready = self.recursive.quick(data, peer[0], self.threads >= LOOKUPS)
        if ready is not None:
            if ready:
                self.send(sock, ready, peer)
        else:
            self.threads += 1
            threading.Thread(target=self._later, args=(sock, data, peer), daemon=True).start()

    def _later(self, sock: Any, data: bytes, peer: Any) -> None:
        try:
            for reply in self.answers(data, False, peer[0]):
                self.send(sock, reply, peer)
        except OSError:
            pass  # the client or the server is gone
        finally:
            self.threads -= 1

    def answers(self, data: bytes, tcp: bool, peer: str) -> Iterable[bytes]:
        """The answers to a message."""
        return self.recursive.answers(data, tcp, peer)
