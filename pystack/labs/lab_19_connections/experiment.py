"""A client sends 100 requests of 100 bytes, each with an answer of 100 bytes: on one connection, or on a new one each."""

import ssl
import tempfile
from pathlib import Path
from typing import Any

from pystack.labs.looks import LabLook
from pystack.labs.tls import SimTls, certificate
from pystack.labs.values import LabControl, LabValue
from pystack.testing.lab import MS, Lab, S, lab_net
from pystack.testing.segments import ACK, SYN

R = 20 * MS  # the round trip
TIMES = 100


def network(rtt: int = R, **settings: Any) -> Lab:
    """Build the network: a client `a` and a server `b`, half a round trip apart each way."""
    return lab_net(rtt // 2, **settings)


def requests(keep: bool, rtt: int = R) -> tuple[int, int]:
    """Return the time of 100 requests (ns) and the number of SYNs, on one connection (`keep`) or on a new one each."""
    lab = network(rtt)
    listener = lab.listener()

    def serve():
        while True:
            sock = yield listener.accept()
            while (yield sock.recv_exactly(100)):
                yield sock.sendall(bytes(100))
            sock.close()

    def ask():
        sock = yield from lab.client()
        for number in range(TIMES):
            if number and not keep:
                sock.close()
                sock = yield from lab.client()
            yield sock.sendall(bytes(100))
            yield sock.recv_exactly(100)
        return lab.net.now

    lab.spawn(serve())
    (end,) = lab.run(ask())
    return end, syns(lab)


def syns(lab: Lab) -> int:
    """Return how many connections the client opened: its SYNs without an ACK."""
    return sum(1 for seg in lab.log.sent["a"] if seg.has(SYN) and not seg.has(ACK))


def contexts(version: ssl.TLSVersion) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return the settings of TLS for the server, which has a new certificate, and for the client."""
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with tempfile.TemporaryDirectory() as folder:
        server.load_cert_chain(*certificate(Path(folder)))
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    client.minimum_version = client.maximum_version = version
    return server, client


def tls_requests(pooled: bool, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3, rtt: int = R) -> int:
    """Return the time of the same requests over TLS (ns)."""
    server, client = contexts(version)
    lab = network(rtt, tcp_nagle=False)
    listener = lab.listener()

    def serve():
        while True:
            tls = SimTls((yield listener.accept()), server, True)
            yield from tls.handshake()
            while (yield from tls.exactly(100)):
                yield from tls.do(tls.tls.write, bytes(100))
            tls.sock.close()

    def dial():
        tls = SimTls((yield from lab.client()), client, False)
        yield from tls.handshake()
        return tls

    def ask():
        tls = yield from dial()
        for number in range(TIMES):
            if number and not pooled:
                tls.sock.close()
                tls = yield from dial()
            yield from tls.do(tls.tls.write, bytes(100))
            assert len((yield from tls.exactly(100))) == 100
        return lab.net.now

    lab.spawn(serve())
    end: int = lab.run(ask())[0]
    return end


VALUES = [
    LabValue("new", "A new connection for each request: how long do 100 take?", "100 * 2 R", 4 * S, "s"),
    LabValue("keep", "One connection for all (keep-alive): how long?", "R + 100 R", 2 * S + R, "s"),
    LabValue("new SYNs", "A new connection for each request: how many SYNs?", "100", 100, "SYNs"),
    LabValue("keep SYNs", "One connection for all: how many SYNs?", "1", 1, "SYNs"),
    LabValue("tls new", "TLS 1.3, a new connection each: how long?", "100 * 3 R", 6 * S, "s", needs="openssl"),
    LabValue("tls pooled", "TLS 1.3, one connection: how long?", "2 R + 100 R", 102 * R, "s", needs="openssl"),
]


def measure(name: str) -> int:
    """Measure one of VALUES."""
    kind, _, what = name.partition(" ")
    if kind == "tls":
        return tls_requests(pooled=what == "pooled")
    return requests(keep=kind == "keep")[1 if what == "SYNs" else 0]


CONTROLS = [
    LabControl(
        "There is no distance (R = 0): how much longer do new connections take than one?",
        LabValue("near", "New connections against one", "0", 0),
    ),
    LabControl(
        "There is no distance, with TLS 1.3, too",
        LabValue(
            "near tls",
            "The slowest of the four ways against the fastest",
            "0",
            0,
            needs="openssl",
        ),
    ),
    LabControl(
        "TLS 1.2 instead of 1.3, a new connection each",
        LabValue("tls 1.2", "TLS 1.2", "100 * 4 R", 8 * S, "s", needs="openssl"),
    ),
]


def control(name: str) -> int:
    """Measure a control."""
    if name == "near":
        return requests(keep=False, rtt=0)[0] - requests(keep=True, rtt=0)[0]
    if name == "near tls":
        times = [requests(keep, rtt=0)[0] for keep in (False, True)] + [
            tls_requests(pooled, rtt=0) for pooled in (False, True)
        ]
        return max(times) - min(times)
    return tls_requests(pooled=False, version=ssl.TLSVersion.TLSv1_2)


LOOKS = [
    LabLook("A new connection for each request", lambda: requests(False), 'host == "a" and event.kind == "state" and state == ESTABLISHED', "ladder", frames="1-20"),
    LabLook("One connection for all requests", lambda: requests(True), 'host == "a" and event.kind == "state" and state == ESTABLISHED', "ladder", frames="1-20"),
]  # fmt: skip
