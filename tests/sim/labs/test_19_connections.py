"""Lab 19: the cost of a connection: 100 requests of 100 B with answers of 100 B."""

import shutil
import ssl

import pytest

from pystack.testing.lab import MS, S, lab_net
from pystack.testing.segments import ACK, SYN
from tests.trace.test_keylog import Tls, certificate

R = 20 * MS


def requests(keep: bool, rtt: int):
    """(Time, SYNs) of 100 requests, on one connection or on a new one each."""
    lab = lab_net(rtt // 2)
    listener = lab.listener()

    def serve():
        while True:
            sock = yield listener.accept()
            while (yield sock.recv_exactly(100)):
                yield sock.sendall(bytes(100))
            sock.close()

    def ask():
        sock = yield from lab.client()
        for number in range(100):
            if number and not keep:
                sock.close()
                sock = yield from lab.client()
            yield sock.sendall(bytes(100))
            yield sock.recv_exactly(100)
        return lab.net.now

    lab.spawn(serve())
    (end,) = lab.run(ask())
    return end, sum(1 for seg in lab.log.sent["a"] if seg.has(SYN) and not seg.has(ACK))


def test_a_new_connection_each_costs_two_round_trips():
    assert requests(keep=False, rtt=R) == (4 * S, 100)


def test_keep_alive_costs_one():
    assert requests(keep=True, rtt=R) == (2 * S + R, 1)


@pytest.mark.parametrize("keep", [False, True])
def test_control_without_distance_it_does_not_matter(keep):
    assert requests(keep, rtt=0)[0] < MS


def tls_requests(directory, pooled: bool, version=ssl.TLSVersion.TLSv1_3):
    """The same over TLS, with the standard library's ssl."""
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    server.load_cert_chain(*certificate(directory))
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    client.minimum_version = client.maximum_version = version
    lab = lab_net(R // 2, tcp_nagle=False)
    listener = lab.listener()

    def exactly(tls, size):
        got = b""
        while len(got) < size and (part := (yield from tls.do(tls.tls.read, size - len(got)))):
            got += part
        return got

    def serve():
        while True:
            tls = Tls((yield listener.accept()), server, True)
            yield from tls.handshake()
            while (yield from exactly(tls, 100)):
                yield from tls.do(tls.tls.write, bytes(100))
            tls.sock.close()

    def dial():
        tls = Tls((yield from lab.client()), client, False)
        yield from tls.handshake()
        return tls

    def ask():
        tls = yield from dial()
        for number in range(100):
            if number and not pooled:
                tls.sock.close()
                tls = yield from dial()
            yield from tls.do(tls.tls.write, bytes(100))
            assert len((yield from exactly(tls, 100))) == 100
        return lab.net.now

    lab.spawn(serve())
    return lab.run(ask())[0]


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl for a certificate")
def test_tls_costs_one_more_each(tmp_path):
    assert tls_requests(tmp_path, pooled=False) == 6 * S
    assert tls_requests(tmp_path, pooled=True) == 2 * R + 100 * R  # 2.04 s
    # Control: TLS 1.2 takes one round trip more to agree.
    assert tls_requests(tmp_path, pooled=False, version=ssl.TLSVersion.TLSv1_2) == 8 * S
