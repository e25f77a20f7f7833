"""The stub resolver in virtual time: what it asks, how long it waits, what it takes, remembers and refuses."""

import asyncio
import socket
import time

import dns.edns
import dns.rcode
import pytest

from pystack.dns import DnsSettings
from pystack.sim import MS, S
from tests.resolver.world import RTT, Scripted, network, reply, servers

PAIR = "10.0.0.53", "10.0.0.54"


def run(net, client, program, **background):
    """Run a program on the client, with the servers by the names of their hosts."""
    return net.run({client: program}, background=background)[client]


def error(name, call="gethostbyname"):
    """The number of the error for a name, and the seconds until it came."""
    began = time.monotonic()
    with pytest.raises((socket.gaierror, socket.herror)) as caught:
        getattr(socket, call)(name)
    return caught.value.errno, round(time.monotonic() - began, 6)


def asked(server):
    return [(name.lower(), kind, how) for name, kind, how in server.questions]


def test_names_aliases_and_addresses():
    net, client = network()
    ns, _ = servers()

    def program():
        began = time.monotonic()
        assert socket.getaddrinfo("web.example", 80, type=socket.SOCK_STREAM) == [(2, 1, 6, "", ("10.0.0.80", 80))]
        assert time.monotonic() - began == RTT / S
        assert socket.gethostbyname_ex("www.example.") == ("web.example", ["www.example"], ["10.0.0.80"])
        assert socket.getaddrinfo("WWW.example", 0, flags=socket.AI_CANONNAME)[0][3] == "web.example"
        assert socket.gethostbyname("x.y.wild.example") == "10.0.0.83"
        assert socket.gethostbyaddr("10.0.0.80") == ("web.example", [], ["10.0.0.80"])
        assert socket.getnameinfo(("10.0.0.80", 443), 0) == ("web.example", "https")
        assert socket.getnameinfo(("10.0.0.85", 443), 0) == ("10.0.0.85", "https")
        assert error("10.0.0.85", "gethostbyaddr")[0] == 1
        # an answer that would upset a terminal is no name
        assert socket.getnameinfo(("10.0.0.81", 443), 0)[0] == "10.0.0.81"
        # the order is the one of RFC 6724
        pool = [entry[4][0] for entry in socket.getaddrinfo("pool.example", 80, type=socket.SOCK_STREAM)]
        assert sorted(pool) == ["10.0.0.90", "10.0.0.91", "10.1.0.1"] and pool[2] == "10.1.0.1"
        with socket.create_connection(("web.example", 53)) as sock:  # connect() with a name
            return sock.getpeername()

    with pytest.raises(OSError, match="No route to host"):  # 10.0.0.80 is nobody's
        run(net, client, program, ns=ns)


def test_the_networks_names_and_addresses_are_never_asked_for():
    net, client = network()
    ns, _ = servers()

    def program():
        assert socket.gethostbyname("ns") == "10.0.0.53"
        assert socket.gethostbyname("client") == "10.0.0.2" and socket.gethostbyname("a.localhost") == "127.0.0.1"
        assert socket.gethostbyaddr("10.0.0.53")[0] == "ns"
        assert error("a b")[0] == error("-x")[0] == error("x\x1b[2Jy")[0] == socket.EAI_NONAME
        assert socket.getaddrinfo("10.1.2.3", 80) and socket.getaddrinfo("::1", 80)
        for family in (socket.AF_INET6, socket.AF_INET):
            with pytest.raises(socket.gaierror):
                socket.getaddrinfo("web.example", 80, family, flags=socket.AI_NUMERICHOST if family == 2 else 0)

    run(net, client, program, ns=ns)
    assert ns.questions == [] and client.counters.UdpOutDatagrams == 0


def test_an_answer_that_is_too_long_for_udp_comes_over_tcp():
    net, client = network()
    ns, _ = servers()
    assert len(run(net, client, lambda: socket.gethostbyname_ex("big.example")[2], ns=ns)) == 100  # of 150
    assert asked(ns) == [("big.example.", "A", "udp"), ("big.example.", "A", "tcp")]
    net, client = network(dns=DnsSettings((("10.0.0.53", 53),), use_tcp=True))
    ns, _ = servers()
    assert run(net, client, lambda: socket.gethostbyname("web.example"), ns=ns) == "10.0.0.80"
    assert asked(ns) == [("web.example.", "A", "tcp")]


def test_what_does_not_exist():
    net, client = network()
    ns, _ = servers()

    def program():
        assert error("nosuch.example") == (socket.EAI_NONAME, RTT / S)
        assert error("text.example") == (socket.EAI_NODATA, RTT / S)
        assert error("deep.example")[0] == socket.EAI_NODATA  # only names below it exist
        assert error("nosuch.example") == (socket.EAI_NONAME, 0)  # RFC 2308
        time.sleep(59.9)
        assert error("nosuch.example") == (socket.EAI_NONAME, 0)
        time.sleep(0.2)  # the minimum of the SOA, 60 s, is smaller than its TTL
        assert error("nosuch.example") == (socket.EAI_NONAME, RTT / S)
        assert error("loop1.example")[0] == socket.EAI_FAIL
        assert error("other.test")[0] == socket.EAI_AGAIN  # REFUSED: another server may know it
        assert error("10.0.0.85", "gethostbyaddr")[0] == 1

    run(net, client, program, ns=ns)


def test_answers_are_kept_as_long_as_they_say():
    net, client = network()
    ns, _ = servers()

    def program():
        for _ in range(3):
            assert socket.gethostbyname("web.example") == "10.0.0.80"
            assert socket.gethostbyname("www.example") == "10.0.0.80"
        assert len(ns.questions) == 2
        time.sleep(35)
        assert socket.gethostbyname("WEB.EXAMPLE.") == "10.0.0.80" and len(ns.questions) == 2
        socket.gethostbyname("www.example")  # the alias has 30 s, its target 100 s
        assert len(ns.questions) == 3
        time.sleep(65.1)
        socket.gethostbyname("web.example")
        assert len(ns.questions) == 4
        for _ in range(3):
            socket.gethostbyname("zero.example")  # for one question only
        assert len(ns.questions) == 7

    run(net, client, program, ns=ns)


def test_a_reboot_forgets_the_answers():
    net, client = network()
    ns, _ = servers()
    lookup = lambda: socket.gethostbyname("web.example")  # noqa: E731
    run(net, client, lookup, ns=ns)
    run(net, client, lookup, ns=ns)
    assert len(ns.questions) == 1
    client.crash(), client.boot()
    run(net, client, lookup, ns=ns)
    assert len(ns.questions) == 2


@pytest.mark.parametrize(
    "name, ndots, expected",
    [
        ("web", 1, ["web.deep.example.", "web.example."]),
        ("web.example", 1, ["web.example."]),
        ("web.example", 2, ["web.example.deep.example.", "web.example.example.", "web.example."]),
        ("a.deep", 1, ["a.deep.", "a.deep.deep.example.", "a.deep.example."]),
        ("web.", 1, ["web."]),
        ("nosuch", 1, ["nosuch.deep.example.", "nosuch.example.", "nosuch."]),
        ("text", 1, ["text.deep.example.", "text.example.", "text."]),
    ],
)
def test_the_search_list(name, ndots, expected):
    net, client = network(
        dns=DnsSettings((("10.0.0.53", 53),), ndots=ndots, attempts=1), search=["deep.example", "example."]
    )
    ns, _ = servers()

    def program():
        if expected[-1] in ("web.example.", "a.deep.example."):
            socket.gethostbyname(name)
        elif name == "text":
            assert error(name)[0] == socket.EAI_NODATA  # more telling than what came last
        else:
            assert error(name)[0] == (socket.EAI_AGAIN if name in ("web.", "nosuch") else socket.EAI_NONAME)

    run(net, client, program, ns=ns)
    assert [question for question, _, _ in asked(ns)] == expected


def test_the_target_of_an_alias_is_asked_for_if_the_answer_lacks_it():
    net, client = network(dns=list(PAIR), names=("ns", "other"))
    ns, other = servers()
    result = run(net, client, lambda: socket.gethostbyname_ex("away.example"), ns=ns, other=other)
    assert result == ("web.elsewhere.test", ["away.example"], ["10.0.0.99"])
    assert asked(ns) == [("away.example.", "A", "udp"), ("web.elsewhere.test.", "A", "udp")]
    assert asked(other) == [("web.elsewhere.test.", "A", "udp")]


def silent(query, count):
    return []


def test_how_long_it_waits_for_servers_that_do_not_answer():
    settings = DnsSettings(tuple((address, 53) for address in PAIR), timeout=2, attempts=3)
    net, client = network(dns=settings, names=("ns", "other"))
    ns, other = Scripted(silent), Scripted(silent)
    result = run(net, client, lambda: error("web.example"), ns=ns, other=other)
    assert result == (socket.EAI_AGAIN, 2 * (2 + 4 + 8))
    assert len(ns.asked) == len(other.asked) == 3 and len(set(ns.ports + other.ports)) == 6


def test_a_closed_port_is_noticed_at_once_and_the_next_server_answers():
    net, client = network(dns=list(PAIR), names=("nobody", "ns"))
    ns, _ = servers()
    began = net.now
    assert run(net, client, lambda: socket.gethostbyname("web.example"), ns=ns) == "10.0.0.80"
    assert net.now - began == 2 * RTT


@pytest.mark.parametrize("code, number", [("SERVFAIL", -3), ("REFUSED", -3), ("NOTIMP", -3), ("FORMERR", -4)])
def test_a_server_that_cannot_answer(code, number):
    settings = DnsSettings(tuple((address, 53) for address in PAIR), edns=0)
    net, client = network(dns=settings, names=("bad", "ns"))
    bad = Scripted(lambda query, count: [reply(query, rcode=getattr(dns.rcode, code))])
    ns, _ = servers()
    assert run(net, client, lambda: socket.gethostbyname("web.example"), bad=bad, ns=ns) == "10.0.0.80"
    worse = Scripted(bad.script)
    assert run(net, client, lambda: error("x.example")[0], bad=bad, ns=worse) == number


def test_servers_take_turns():
    settings = DnsSettings(tuple((address, 53) for address in PAIR), rotate=True)
    net, client = network(dns=settings, names=("one", "two"))
    one, two = (Scripted(lambda query, count: [reply(query, "@ 9 A 10.0.0.7")]) for _ in range(2))

    def program():
        for number in range(6):
            socket.gethostbyname(f"x{number}.example")

    run(net, client, program, one=one, two=two)
    assert len(one.asked) == len(two.asked) == 3


def test_a_server_without_edns_is_asked_without_it_from_then_on():
    def old(query, count):
        return [
            reply(query, "@ 9 A 10.0.0.7") if query.edns < 0 else query.id.to_bytes(2, "big") + b"\x80\x01" + bytes(8)
        ]

    net, client = network()
    ns = Scripted(old)
    assert run(net, client, lambda: [socket.gethostbyname(f"x{n}.example") for n in (1, 2)], ns=ns) == ["10.0.0.7"] * 2
    assert [(query.edns, query.payload) for query in ns.asked] == [(0, 1232), (-1, 0), (-1, 0)]


def test_a_lookup_does_not_stop_the_other_tasks_of_a_loop():
    net, client = network(names=("ns", "web"))
    ns, _ = servers()
    ticks = []

    async def program():
        async def tick():
            while True:
                ticks.append(round(asyncio.get_running_loop().time(), 3))
                await asyncio.sleep(0.005)

        ticking = asyncio.create_task(tick())
        loop = asyncio.get_running_loop()
        first = await asyncio.gather(
            loop.getaddrinfo("web.example", 80, type=socket.SOCK_STREAM),
            loop.getaddrinfo("zero.example", 80, type=socket.SOCK_STREAM),
        )
        name = await loop.getnameinfo(("10.0.0.80", 80))
        ticking.cancel()
        return [entry[0][4][0] for entry in first], name

    assert run(net, client, program, ns=ns) == (["10.0.0.80", "10.0.0.81"], ("web.example", "http"))
    assert ticks == [0, 0.005, 0.01, 0.015, 0.02, 0.025, 0.03, 0.035]


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others():
    def record(seed):
        net, client = network(seed=seed)
        frames = []
        client.port().taps.append(lambda time, direction, frame: frames.append((time, frame)))
        ns, _ = servers()

        def program():
            socket.gethostbyname("www.example"), error("nosuch.example"), socket.gethostbyname_ex("big.example")

        run(net, client, program, ns=ns)
        return frames

    first = record(1)
    assert len(first) > 8 and record(1) == first and record(2) != first


def test_a_stack_without_an_address_does_not_ask_if_it_shall_not():
    from pystack.sim import Network

    net = Network()
    alone = net.host("alone", dns="10.0.0.53")

    def program():
        with pytest.raises(socket.gaierror) as caught:
            socket.getaddrinfo("web.example", 80, flags=socket.AI_ADDRCONFIG)
        assert caught.value.errno == socket.EAI_NONAME
        return error("web.example")  # without the flag: no route, which is noticed at once

    assert net.run({alone: program})[alone] == (socket.EAI_AGAIN, 0)
    assert MS and net.now == 0
