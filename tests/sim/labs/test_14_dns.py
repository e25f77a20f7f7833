"""LABS section 14: what a name costs, from a cold cache, from a warm one, and after the time to live.

Stub -R 20 ms- resolver -R 40 ms- root, top-level domain, authority. Times are exact, because no time passes while a host works.
"""

import socket
import time

import pytest

pytest.importorskip("greenlet")
pytest.importorskip("dns")

from pystack.dns import DnsSettings  # noqa: E402
from pystack.services.dns import DnsServer, RecursiveServer, Zone  # noqa: E402
from pystack.sim import MS, Network  # noqa: E402

SOA = "@ 3600 SOA ns.example.test. hostmaster 1 3600 600 86400 60\n"
ROOT = SOA + "@ 86400 NS a.root.\na.root. 86400 A 10.1.0.1\ntest. 86400 NS ns.test.\nns.test. 86400 A 10.1.0.2\n"
TLD = (
    SOA
    + "@ 86400 NS ns.test.\nns.test. 86400 A 10.1.0.2\nexample.test. 86400 NS ns.example.test.\nns.example.test. 86400 A 10.1.0.3\n"
)
ZONE = (
    SOA
    + "@ 86400 NS ns\nns 86400 A 10.1.0.3\nweb 30 A 192.0.2.80\nzero 0 A 192.0.2.81\nalias 30 CNAME web\n"
    + "".join(f"big 30 A 192.0.2.{number}\n" for number in range(1, 101))
)


def world(seed=1, **options):
    """The lab's network. Returns it, the clients, and the background programs."""
    net = Network(seed)
    resolver = net.host("resolver")
    clients = [net.host(name, dns=DnsSettings((("10.0.0.53", 53),), **options)) for name in ("stub", "other")]
    lan, far = net.switch("lan"), net.switch("far")
    net.link(resolver, lan, delay=5 * MS, addrs=("10.0.0.53/24", None))
    for number, client in enumerate(clients):
        net.link(client, lan, delay=5 * MS, addrs=(f"10.0.0.{2 + number}/24", None))
    net.link(resolver, far, delay=10 * MS, addrs=("10.1.0.53/24", None))
    servers = {}
    for number, (name, origin, text) in enumerate(
        (("root", ".", ROOT), ("tld", "test.", TLD), ("auth", "example.test.", ZONE)), 1
    ):
        host = net.host(name)
        net.link(host, far, delay=10 * MS, addrs=(f"10.1.0.{number}/24", None))
        servers[host] = DnsServer(Zone(origin, text))
    net.introduce()
    servers[resolver] = RecursiveServer({"a.root.": "10.1.0.1"})
    return net, clients, servers


def timed(name, wanted=None):
    """The time (ms) that a lookup takes."""
    began = time.monotonic()
    try:
        found = socket.gethostbyname_ex(name)[2]
    except socket.gaierror as exc:
        found = exc.errno
    if wanted is not None:
        assert found == wanted, found
    return round((time.monotonic() - began) * 1000, 6)


WEB = ["192.0.2.80"]


def run(net, client, program, servers):
    return net.run({client: program}, background=servers)[client]


def test_cold_then_warm_then_cached():
    net, (stub, other), servers = world()
    assert run(net, stub, lambda: [timed("web.example.test", WEB), timed("web.example.test", WEB)], servers) == [140, 0]
    assert net.now == 140 * MS
    # The second asker pays only the way to the resolver.
    asked = servers[net.hosts["resolver"]].recursive.asked
    assert asked == 3


def test_a_second_asker_pays_only_the_way_to_the_resolver():
    net, (stub, other), servers = world()

    def second():
        time.sleep(1)
        return timed("web.example.test", WEB)

    found = net.run({stub: lambda: timed("web.example.test", WEB), other: second}, background=servers)
    assert found == {stub: 140, other: 20}


def test_after_the_time_to_live_only_the_authority_is_asked():
    net, (stub, other), servers = world()

    def program():
        first = timed("web.example.test", WEB)
        time.sleep(29.939)  # the resolver got the record at 130 ms, so it holds it until 30.130 s
        early = timed("WEB.example.test", WEB)  # the stub's own copy holds until 30.14 s
        time.sleep(0.062)
        return first, early, timed("web.example.test", WEB)

    assert run(net, stub, program, servers) == (140, 0, 60)
    assert servers[net.hosts["resolver"]].recursive.asked == 4


def test_control_a_time_to_live_of_0_pays_the_authority_each_time():
    net, (stub, _), servers = world()
    found = run(net, stub, lambda: [timed("zero.example.test", ["192.0.2.81"]) for _ in range(3)], servers)
    assert found == [140, 60, 60]


def test_a_truncated_answer_costs_a_connection_and_a_question():
    """UDP 20 + connect 20 + question 20 ms, from the resolver's cache."""
    net, (stub, other), servers = world()

    def second():
        time.sleep(2)
        return timed("big.example.test")

    found = net.run({stub: lambda: timed("big.example.test"), other: second}, background=servers)
    assert found[other] == 60
    # The resolver itself needs TCP, too: two referrals, and UDP, connect and question to the authority; then the stub's three.
    assert found[stub] == 20 + 40 + 40 + 3 * 40 + 2 * 20


def test_the_first_question_is_lost():
    """A timer of 5 s, and then 20 ms."""
    net, (stub, other), servers = world()

    def second():
        time.sleep(2)
        net.links["other-lan"].ab.drop(1)
        return timed("web.example.test", WEB)

    found = net.run({stub: lambda: timed("web.example.test", WEB), other: second}, background=servers)
    assert found[other] == 5020


def test_a_name_that_does_not_exist_is_remembered_for_the_minimum_of_the_soa():
    net, (stub, other), servers = world()
    nothing = socket.EAI_NONAME

    def program():
        cold = timed("nothing.example.test", nothing)
        cached = timed("nothing.example.test", nothing)
        time.sleep(59)
        still = timed("nothing.example.test", nothing)
        time.sleep(2)
        return cold, cached, still, timed("nothing.example.test", nothing)

    assert run(net, stub, program, servers) == (140, 0, 0, 60)


def test_an_alias_in_the_same_zone_costs_nothing_more():
    net, (stub, _), servers = world()
    assert run(net, stub, lambda: timed("alias.example.test", WEB), servers) == 140
