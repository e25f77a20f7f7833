"""QUIC on simulated sockets: aioquic computes what to send, and the stack's UDP carries it in virtual time."""

import datetime
import math
import ssl
from collections.abc import Callable
from functools import cache
from typing import Any

from pystack.sim.network import Network
from pystack.sim.programs import Program, ProgramDatagrams, datagram, spawn
from pystack.testing.lab import B, Lab, S

PORT, ALPN = 443, "lab"


@cache
def certificate() -> tuple[Any, Any]:
    """Return a self-signed certificate with a fixed key and fixed dates, and its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.derive_private_key(44, ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "pystack")])
    first = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 44, first, first.replace(year=2040))
    return builder.sign(key, hashes.SHA256()), key


class QuicEnd:
    """One end of a connection. `quic` is aioquic's, which has no sockets and no clock. `take(stream, data)` gets what arrives.

    `ready` is True when the handshake is complete. What aioquic draws by chance (keys and numbers of connections) changes no time and no size.
    """

    def __init__(self, net: Network, sock: ProgramDatagrams, take: Callable[[int, bytes], None]):
        self.net, self.sock, self.take = net, sock, take
        self.quic: Any = None
        self.peer = ("", 0)
        self.ready = False
        self.on_ready: Callable[[], None] = lambda: None
        self.armed = 0  # the number of the newest timer
        self.due = 0.0  # the newest timer that has fired (s)

    def now(self) -> float:
        """Return the time in seconds, as aioquic wants it. After a timer it is not before the timer, although it is rounded to nanoseconds."""
        return max(self.net.now / S, self.due)

    def read(self) -> Program:
        """Read datagrams, for ever."""
        while True:
            item = yield self.sock.recvfrom()
            if self.quic is None:
                self.accept(item.data, item.src, item.sport)
            self.quic.receive_datagram(item.data, self.peer, self.now())
            self.go_on()

    def accept(self, data: bytes, addr: int, port: int) -> None:
        """Begin a server's end with the first datagram of a client."""
        from aioquic.buffer import Buffer
        from aioquic.quic.configuration import QuicConfiguration
        from aioquic.quic.connection import QuicConnection
        from aioquic.quic.packet import pull_quic_header

        settings = QuicConfiguration(is_client=False, alpn_protocols=[ALPN])
        settings.certificate, settings.private_key = certificate()
        header = pull_quic_header(Buffer(data=data), host_cid_length=settings.connection_id_length)
        self.quic = QuicConnection(configuration=settings, original_destination_connection_id=header.destination_cid)
        self.peer = (".".join(str(addr >> shift & 255) for shift in (24, 16, 8, 0)), port)

    def connect(self, addr: str) -> None:
        """Begin a client's end."""
        from aioquic.quic.configuration import QuicConfiguration
        from aioquic.quic.connection import QuicConnection

        settings = QuicConfiguration(is_client=True, alpn_protocols=[ALPN], verify_mode=ssl.CERT_NONE)
        self.quic, self.peer = QuicConnection(configuration=settings), (addr, PORT)
        self.quic.connect(self.peer, self.now())
        self.go_on()

    def send(self, stream: int, data: bytes, end: bool = False) -> None:
        """Put data into a stream. `go_on` sends it, together with that of other streams if it fits into a packet."""
        self.quic.send_stream_data(stream, data, end)

    def go_on(self) -> None:
        """Take what happened, send what is due, and set the timer."""
        while (event := self.quic.next_event()) is not None:
            kind = type(event).__name__
            if kind == "StreamDataReceived":
                self.take(event.stream_id, event.data)
            elif kind == "HandshakeCompleted":
                self.ready = True
                self.on_ready()
        for data, _ in self.quic.datagrams_to_send(self.now()):
            self.sock.sendto(data, *self.peer)
        self.armed += 1
        due = self.quic.get_timer()
        if due is not None:
            self.net.at(max(self.net.now, math.ceil(due * S)), self.fire, self.armed, due)

    def fire(self, number: int, due: float) -> None:
        """React to a timer, unless a newer one is set."""
        if number == self.armed:
            self.due = due
            self.quic.handle_timer(self.now())
            self.go_on()


def quic_pair(
    lab: Lab, take: Callable[[int, bytes], None], answer: Callable[[int, bytes], None]
) -> tuple[QuicEnd, QuicEnd]:
    """Return a client's end on `a`, which begins, and a server's end on `b`. `take` gets what arrives at the server, `answer` what arrives at the client."""
    socks = [datagram(host) for host in (lab.a, lab.b)]
    socks[1].bind("", PORT)
    client, server = QuicEnd(lab.net, socks[0], answer), QuicEnd(lab.net, socks[1], take)
    for end in (client, server):
        spawn(lab.net, end.read())
    client.connect(B)
    return client, server
