"""What a whole request has besides TCP: the lookup of the name, the handshake of TLS, and a proxy that keeps bytes. Known by construction."""

import socket
from functools import partial

import pytest

from pystack.sim.network import MS
from pystack.sim.programs import sleep, spawn
from pystack.stepper.scenarios import tlsrecords
from pystack.stepper.scenarios.base import Scenario, finish, listener, pair, stream
from pystack.stepper.timing import path
from tests.stepper.timing.cases import HANDSHAKE, PLAIN, QUICK
from tests.stepper.timing.tls import TLS, messages, tls


def found(run, conn=""):
    """The sums of a run."""
    walked = path(Scenario("run", run, "", "", (), "").timeline(), conn)
    assert walked.elapsed == sum(span.duration for span in walked)
    return walked.totals()


# -- TLS -------------------------------------------------------------------------------------------------------------


def test_control_the_same_bytes_without_tls():
    def plain(steps):
        return [(think, [b"\x00" + part[1:] for part in data]) for think, data in steps]

    assert found(partial(tls, steps=plain(messages()))) == {
        HANDSHAKE: 20 * MS,
        ("client thinking", ""): 4 * MS,
        ("server thinking", ""): 6 * MS,
        PLAIN: 40 * MS,
    }


def test_the_handshake_of_tls_1_2_takes_two_round_trips():
    """RFC 5246 7.3: hello, hello and certificate, key exchange and Finished, Finished; then text."""
    change = tlsrecords.record(20, b"\x01")

    def message(kind, size):
        return tlsrecords.record(22, bytes([kind]) + bytes(size))

    steps = [
        (0, [message(1, 200)]),
        (1 * MS, [message(2, 90) + message(11, 900) + message(14, 3)]),
        (2 * MS, [message(16, 70) + change + message(20, 40)]),
        (3 * MS, [change + message(20, 40)]),
        (0, [tlsrecords.sealed(bytes(100))]),
        (0, [tlsrecords.sealed(bytes(100))]),
    ]
    assert found(partial(tls, steps=steps)) == {
        HANDSHAKE: 20 * MS,
        TLS: 40 * MS,
        ("TLS computing", ""): 6 * MS,
        PLAIN: 20 * MS,
    }


def test_a_handshake_whose_answer_is_lost_waits_for_the_loss():
    def run(net):
        a, b, link = pair(net, a=QUICK, b=QUICK, delay=10 * MS)
        link.ba.drop(3)  # the SYN-ACK and the ACK of the hello come first
        waiting, flights = listener(b), tlsrecords.flights("shop.test")

        def server():
            sock = yield waiting.accept()
            yield sock.recv_exactly(len(flights.hello))
            yield sock.sendall(flights.answer[:1000])

        def client():
            sock = stream(a)
            yield sock.connect("10.0.0.2", 80)
            yield sock.sendall(flights.hello)
            yield sock.recv_exactly(1000)

        finish(net, spawn(net, server()), spawn(net, client()))

    totals = found(run)
    assert totals[TLS] == 20 * MS  # the hello, and the repeated answer
    assert not any(cause == "TLS computing" for cause, _ in totals)
    assert sum(time for (_, why), time in totals.items() if why.startswith("loss")) > 20 * MS


# -- a proxy ---------------------------------------------------------------------------------------------------------


def relay(net, streaming=False, small=False, pause=30 * MS):
    """A client writes two parts with a pause between them, to a host that passes them on to a server (or asks it something small)."""
    a, b, c = net.host("a", **QUICK), net.host("b", **QUICK), net.host("c", **QUICK)
    net.link(a, b, addrs=("10.0.1.1/24", "10.0.1.2/24"), delay=10 * MS)
    net.link(b, c, addrs=("10.0.2.1/24", "10.0.2.2/24"), delay=1 * MS)
    net.introduce()
    front, back = listener(b), listener(c)
    passed = 20 if small else 2000

    def server():
        sock = yield back.accept()
        yield sock.recv_exactly(passed)
        yield sock.sendall(b"done")

    def proxy():
        sock = yield front.accept()
        onward = stream(b)
        if streaming:
            yield onward.connect("10.0.2.2", 80)
            for _ in range(2):
                yield sock.recv_exactly(1000)
                yield onward.sendall(bytes(1000))
        else:
            yield sock.recv_exactly(2000)
            yield onward.connect("10.0.2.2", 80)
            yield onward.sendall(bytes(passed))
        yield onward.recv_exactly(4)
        yield sock.sendall(b"done")

    def client():
        sock = stream(a)
        yield sock.connect("10.0.1.2", 80)
        yield sock.sendall(bytes(1000))
        yield sleep(pause)
        yield sock.sendall(bytes(1000))
        yield sock.recv_exactly(4)

    finish(net, spawn(net, server()), spawn(net, proxy()), spawn(net, client()))


def test_a_proxy_that_waits_for_everything_keeps_what_came_first():
    assert found(relay) == {
        ("propagation", "connection"): 22 * MS,
        ("client thinking", ""): 10 * MS,  # until the first part is at the proxy
        ("client thinking", "proxy buffer"): 20 * MS,
        ("propagation", "proxy buffer"): 10 * MS,
        PLAIN: 2 * MS + 10 * MS,
    }


@pytest.mark.parametrize("kind", ["streaming", "small"])
def test_control_a_proxy_that_passes_on_at_once_and_a_server_that_asks_another_one(kind):
    totals = found(partial(relay, **{kind: True}))
    assert not any(why == "proxy buffer" for _, why in totals)
    assert totals["client thinking", ""] == 30 * MS


# -- the name --------------------------------------------------------------------------------------------------------


def test_a_request_begins_with_the_lookup_of_the_name():
    from pystack.services.dns import DnsServer, Zone

    zone = Zone("test.", "@ 300 SOA ns h 1 3600 600 86400 60\n@ NS ns\nns A 10.0.0.53\nweb A 10.0.0.2\n")

    def run(net, known=False):
        a, b, names = net.host("a", dns="10.0.0.53", **QUICK), net.host("b", **QUICK), net.host("names")
        lan = net.switch("lan")
        for host, address, delay in ((a, "10.0.0.1", 4), (b, "10.0.0.2", 1), (names, "10.0.0.53", 3)):
            net.link(host, lan, addrs=(f"{address}/24", None), delay=delay * MS)
        net.introduce()
        waiting = listener(b)

        def server():
            sock = yield waiting.accept()
            yield sock.recv_exactly(10)
            yield sock.sendall(bytes(10))

        def client():
            if known:
                socket.getaddrinfo("web.test", 80, socket.AF_INET)
            with socket.create_connection(("web.test", 80)) as sock:
                sock.sendall(bytes(10))
                sock.recv(10)

        spawn(net, server())
        net.run({a: client}, background={names: DnsServer(zone)})

    totals = found(run)
    assert totals == {("propagation", "name lookup"): 14 * MS, HANDSHAKE: 10 * MS, PLAIN: 10 * MS}
