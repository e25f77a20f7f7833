"""A client and a server with real TLS, on simulated sockets: how long until the first byte of the answer?"""

import ssl
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from pystack.labs.hosts import HostValue
from pystack.labs.lab_15_tls import tools
from pystack.labs.looks import LabLook
from pystack.labs.tls import SimTls, certificate
from pystack.labs.values import LabControl, LabValue
from pystack.testing.lab import MS, Lab, lab_net

R = 100 * MS
TLS13, TLS12 = ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2
NAMES = 140  # in the large certificate
CERTIFICATE = 11  # the type of this message of the handshake (RFC 8446, section 4)


def network(**settings: Any) -> Lab:
    """Build the network: a client `a` and a server `b`, half a round trip apart each way."""
    return lab_net(R // 2, tcp_nagle=False, **settings)


@cache
def contexts(version: ssl.TLSVersion, names: int = 1) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return the settings of TLS for the server, which has a new certificate with so many names, and for the client."""
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with tempfile.TemporaryDirectory() as folder:
        server.load_cert_chain(*certificate(Path(folder), [f"shop-{number}.example.test" for number in range(names)]))
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    client.minimum_version = client.maximum_version = version
    return server, client


def plain() -> int:
    """Return the time (ns) without TLS."""
    return network().fetch(1)


def visit(lab: Lab, listener: Any, settings: Any, session: Any = None) -> dict[str, Any]:
    """Connect, shake hands, ask, and wait for the first byte. Returns what happened."""
    certificates: list[int] = []
    started = lab.net.now

    def seen(conn, direction, version, kind, message, data):
        if direction == "read" and message == CERTIFICATE:
            certificates.append(len(data))

    def serve():
        tls = SimTls((yield listener.accept()), settings[0], True)
        yield from tls.handshake()
        yield from tls.exactly(100)
        yield from tls.do(tls.tls.write, b"!")

    def ask():
        settings[1]._msg_callback = seen
        tls = SimTls((yield from lab.client()), settings[1], False, session)
        yield from tls.handshake()
        yield from tls.do(tls.tls.write, bytes(100))
        assert (yield from tls.exactly(1)) == b"!"
        assert bool(session) == bool(tls.tls.session_reused)
        return tls.tls.session

    lab.spawn(serve())
    (found,) = lab.run(ask())
    return {"time": lab.net.now - started, "certificates": sum(certificates), "session": found}


def first(version: ssl.TLSVersion, names: int = 1, **settings: Any) -> int:
    """Return the time (ns) of a first visit."""
    lab = network(**settings)
    return int(visit(lab, lab.listener(), contexts(version, names))["time"])


@cache
def resumed(version: ssl.TLSVersion) -> dict[str, Any]:
    """Return what happens in a second visit, which resumes the session of the first one."""
    lab = network()
    listener = lab.listener()
    session = visit(lab, listener, contexts(version))["session"]
    return visit(lab, listener, contexts(version), session)


def flight() -> int:
    """Return how many segments the server needs for its first flight with the large certificate."""
    lab = network()
    visit(lab, lab.listener(), contexts(TLS13, NAMES))
    sent = lab.log.data("b")
    return sum(seg.time == sent[0].time for seg in sent)


VALUES = [
    LabValue("plain", "Without TLS: when is the first byte there?", "2 R", 2 * R),
    LabValue("tls 1.3", "With TLS 1.3?", "3 R", 3 * R, needs="openssl"),
    LabValue("tls 1.2", "With TLS 1.2?", "4 R", 4 * R, needs="openssl"),
    LabValue("resumed 1.3", "TLS 1.3, a resumed session?", "3 R", 3 * R, needs="openssl"),
    LabValue("resumed 1.2", "TLS 1.2, a resumed session?", "3 R", 3 * R, needs="openssl"),
    LabValue("bytes", "How many bytes of certificates come in a resumed session?", "none", 0, "bytes", needs="openssl"),
    LabValue(
        "flight", "How many segments is the flight with the large certificate?", "4", 4, "segments", needs="openssl"
    ),
    LabValue("large", "TLS 1.3 with this certificate, and an initial window of 2?", "4 R", 4 * R, needs="openssl"),
    HostValue("visits", "The real openssl visits twice: which visit resumes a session? (1 is yes)", "0, 1", [0, 1], "", needs="openssl"),
]  # fmt: skip


def measure(name: str) -> Any:
    """Measure one of VALUES."""
    if name.startswith("resumed"):
        return resumed(TLS13 if name.endswith("1.3") else TLS12)["time"]
    return {
        "plain": plain,
        "tls 1.3": lambda: first(TLS13),
        "tls 1.2": lambda: first(TLS12),
        "bytes": lambda: resumed(TLS13)["certificates"],
        "flight": flight,
        "large": lambda: first(TLS13, NAMES, server={"tcp_init_cwnd": 2}),
        "visits": lambda: tools.visits(contexts(TLS13)[0]),
    }[name]()


CONTROLS = [
    LabControl(
        "The same certificate, and an initial window of 10",
        LabValue("ten", "TLS 1.3 with the large certificate", "3 R", 3 * R, needs="openssl"),
    ),
    LabControl(
        "A first visit instead of a resumed one",
        LabValue("first", "Bytes of certificates", "about 425", 425, "bytes", 30, needs="openssl"),
    ),
]


def control(name: str) -> int:
    """Measure a control."""
    if name == "ten":
        return first(TLS13, NAMES)
    lab = network()
    return int(visit(lab, lab.listener(), contexts(TLS13))["certificates"])


LOOKS = [
    LabLook("A first visit with TLS 1.3", lambda: first(TLS13), 'host == "b" and event.kind == "out" and event.fields.length > 500', "ladder", to_scale=True, needs="openssl"),
    LabLook("Where the time of this visit goes", lambda: first(TLS13), "", "waterfall", needs="openssl"),
]  # fmt: skip
