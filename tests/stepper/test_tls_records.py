"""The records that scenarios write have the sizes of real ones: OpenSSL makes the same handshakes, and answers our first message."""

import ssl

import pytest

from pystack.stepper.scenarios import tlsrecords

trustme = pytest.importorskip("trustme")
NAME = "shop.test"
#: an ECDSA signature and the numbers of a certificate differ by a few bytes from run to run
NEAR = 40


def split(data):
    """The records: (type, size)."""
    found = []
    while data:
        size = 5 + int.from_bytes(data[3:5], "big")
        assert data[1] == 3 and len(data) >= size
        found.append((data[0], size))
        data = data[size:]
    return found


def contexts():
    authority = trustme.CA(organization_name="Example Trust Services")
    certificate = authority.create_child_ca().issue_cert(NAME, f"www.{NAME}", key_type=trustme.KeyType.ECDSA)
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    certificate.configure_cert(server)
    authority.configure_trust(client)
    for context in (server, client):
        context.set_ecdh_curve("X25519")
        context.set_alpn_protocols(["http/1.1"])
    return client, server


def handshake(client, server, session=None):
    """Make a handshake. Returns the flights as in tlsrecords, the records of 1000 bytes of text, and the session."""
    boxes = [ssl.MemoryBIO() for _ in range(4)]
    one = client.wrap_bio(boxes[0], boxes[1], False, NAME, session=session)
    two = server.wrap_bio(boxes[2], boxes[3], True)
    flights = []
    for side, out, into in ((one, 1, 2), (two, 3, 0), (one, 1, 2), (two, 3, 0)):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            pass
        flights.append(boxes[out].read())
        boxes[into].write(flights[-1])
    one.write(bytes(1000))
    text = boxes[1].read()
    boxes[2].write(text)
    two.read()
    two.write(b"x")
    boxes[0].write(boxes[3].read())
    one.read()
    return flights, text, one.session


@pytest.mark.skipif(ssl.OPENSSL_VERSION_INFO < (3, 0), reason="the sizes are those of OpenSSL 3")
@pytest.mark.parametrize("resumed", [False, True])
def test_the_sizes_are_those_of_openssl(resumed):
    client, server = contexts()
    real, text, session = handshake(client, server)
    if resumed:
        real, text, _ = handshake(client, server, session)
    ours = tlsrecords.flights(NAME, resumed)
    for flight, (wanted, found) in zip(ours._fields, zip(real, ours, strict=True), strict=True):
        wanted, found = split(wanted), split(found)
        assert [kind for kind, _ in found] == [kind for kind, _ in wanted], flight
        for (_, size), (_, ours_size) in zip(wanted, found, strict=True):
            assert abs(size - ours_size) <= NEAR * (ours_size in (tlsrecords.CERTIFICATE, tlsrecords.VERIFY)), flight
    assert split(text) == split(tlsrecords.sealed(bytes(1000))) == [(23, 1022)]
    assert tlsrecords.size_of(1000) == 1022 and tlsrecords.size_of(40_000) == len(tlsrecords.sealed(bytes(40_000)))


def test_the_first_messages_can_be_read():
    """A server of OpenSSL takes our client's first message for one that it can answer."""
    client, server = contexts()
    boxes = ssl.MemoryBIO(), ssl.MemoryBIO()
    seen = []
    server.sni_callback = lambda sock, name, context: seen.append(name)
    side = server.wrap_bio(*boxes, True)
    boxes[0].write(tlsrecords.flights(NAME).hello)
    with pytest.raises(ssl.SSLWantReadError):
        side.do_handshake()
    kinds = [kind for kind, _ in split(boxes[1].read())]
    assert seen == [NAME] and kinds[:2] == [22, 20]
