"""Answers that are forged, malformed or without an end (RFC 5452): none is taken, and each costs little."""

import socket

import dns.message
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pystack.dns import DnsSettings
from pystack.dns.cache import Cache
from pystack.dns.exchange import FORGED, Question, Secret, read
from tests.resolver.test_resolver import error, run
from tests.resolver.world import RTT, Scripted, network, reply

EVIL, GOOD = "@ 9 A 203.0.113.66", "@ 9 A 10.0.0.7"


def lookup(script, tcp=None, **options):
    """What a client finds with a scripted server, and the server."""
    net, client = network(dns=DnsSettings((("10.0.0.53", 53),), timeout=1, attempts=2, **options))
    server = Scripted(script, tcp)

    def program():
        try:
            return socket.gethostbyname("web.example")
        except socket.gaierror as exc:
            return exc.errno

    return run(net, client, program, ns=server), server, net


def other_name(query):
    """An answer to the question about another name."""
    wire = query.to_wire().replace(query.question[0].name.to_wire(), b"\x03xyz\x07example\x00")
    return reply(dns.message.from_wire(wire), "xyz.example. 9 A 203.0.113.66")


def no_answer(query):
    """A question, with the record behind it."""
    wire = bytearray(reply(query, EVIL).to_wire())
    wire[2] &= 0x7F
    return bytes(wire)


def other_type(query):
    wire = query.to_wire().replace(b"\x00\x00\x01\x00\x01", b"\x00\x00\x1c\x00\x01", 1)
    return reply(dns.message.from_wire(wire), "@ 9 AAAA 2001:db8::66")


FORGERIES = {
    "identifier": lambda query: reply(query, EVIL, change=1),
    "name": other_name,
    "type": other_type,
    "question": no_answer,
    "short": lambda query: query.id.to_bytes(2, "big") + b"\x80",
    "empty": lambda query: b"",
    "no question": lambda query: query.id.to_bytes(2, "big") + b"\x80\x00" + bytes(8),
}


@pytest.mark.parametrize("kind", FORGERIES)
def test_a_forged_answer_is_passed_over(kind):
    found, server, net = lookup(lambda query, count: [FORGERIES[kind](query), reply(query, GOOD)])
    assert found == "10.0.0.7" and len(server.asked) == 1 and net.now == RTT


def test_a_flood_of_forged_answers_is_answered_by_tcp():
    flood = lambda query, count: [reply(query, EVIL, change=number) for number in range(1, 200)]  # noqa: E731
    found, server, _ = lookup(flood, tcp=lambda query: reply(query, GOOD))
    assert (found, len(server.asked), server.by_tcp) == ("10.0.0.7", 1, 1)
    found, server, net = lookup(flood)  # without TCP, there is no answer
    assert found == socket.EAI_AGAIN and len(server.asked) == 2
    assert net.hosts["client"].counters.UdpInDatagrams <= 2 * 200 and FORGED < 200


def test_records_of_other_names_in_the_answer_are_not_taken():
    found, _, _ = lookup(lambda query, count: [reply(query, "bank.example. 9 A 203.0.113.66")])
    assert found == socket.EAI_NODATA
    net, client = network()
    server = Scripted(lambda query, count: [reply(query, GOOD, "bank.example. 999 A 203.0.113.66")])

    def program():
        return [socket.gethostbyname(name) for name in ("web.example", "bank.example")]

    assert run(net, client, program, ns=server) == ["10.0.0.7", "10.0.0.7"] and len(server.asked) == 2


def lower(query):
    """The same question, with its name in small letters."""
    name = query.question[0].name.to_wire()
    return dns.message.from_wire(query.to_wire().replace(name, name.lower()))


def test_the_letters_of_the_question_have_random_case_and_an_answer_repeats_them():
    small = lambda query, count: [reply(lower(query), GOOD)]  # noqa: E731
    found, server, _ = lookup(small, tcp=lambda query: reply(lower(query), GOOD))
    assert (found, len(server.asked), server.by_tcp) == ("10.0.0.7", 2, 1)  # small letters over TCP, too
    found, server, _ = lookup(small, tcp=lambda query: reply(query, GOOD))
    assert (found, len(server.asked), server.by_tcp) == ("10.0.0.7", 1, 1)
    found, server, _ = lookup(small)  # it has no TCP: from now on it is asked in small letters
    names = [query.question[0].name.to_text() for query in server.asked]
    assert found == "10.0.0.7" and names[1] == names[0].lower() != names[0]
    found, server, _ = lookup(small, mix_case=False)
    assert found == "10.0.0.7" and len(server.asked) == 1


def test_a_forger_cannot_make_the_resolver_give_up_the_case_of_letters():
    """Letters in another case count as the server's habit only with the right identifier. Otherwise each forged answer would."""
    forged = lambda query, count: [reply(lower(query), EVIL, change=7), reply(query, GOOD)]  # noqa: E731
    found, server, net = lookup(forged, tcp=lambda query: reply(query, GOOD))
    assert (found, len(server.asked), server.by_tcp, net.now) == ("10.0.0.7", 1, 0, RTT)


def test_ports_and_identifiers_cannot_be_guessed_from_earlier_ones():
    def sample(seed):
        net, client = network(seed=seed)
        server = Scripted(lambda query, count: [reply(query, GOOD)])
        run(net, client, lambda: [socket.gethostbyname(f"a{number}.example") for number in range(200)], ns=server)
        return [query.id for query in server.asked], server.ports

    idents, ports = sample(1)
    assert len(set(idents)) > 190 and len(set(ports)) > 190
    assert min(ports) >= 32768 and max(ports) - min(ports) > 20000 and max(idents) - min(idents) > 50000
    assert len({(b - a) & 0xFFFF for a, b in zip(idents, idents[1:])}) > 190
    assert sample(1) == (idents, ports) != sample(2)


def test_an_attacker_beside_the_path_has_to_guess_everything():
    """It knows the question and when it is asked, and sends 2,000 answers in the server's name to random ports."""
    net, client = network(names=("ns", "mallory"))
    mallory = net.hosts["mallory"]
    server = Scripted(lambda query, count: [reply(query, GOOD)])
    mallory.addr("10.0.0.53/32")  # it may send with the server's address

    def attack():
        import random

        query = dns.message.make_query("web.example", "A")
        with socket.socket(type=socket.SOCK_DGRAM) as sock:
            sock.bind(("10.0.0.53", 53))
            for _ in range(2000):
                query.id = random.randrange(65536)
                sock.sendto(reply(query, EVIL).to_wire(), ("10.0.0.2", random.randrange(32768, 61000)))

    results = net.run({client: lambda: socket.gethostbyname("web.example"), mallory: attack}, background={"ns": server})
    assert results[client] == "10.0.0.7" and client.counters.UdpNoPorts > 500


def test_aliases_without_an_end_cost_a_bounded_number_of_questions():
    def endless(query, count):
        return [reply(query, f"@ 9 CNAME x{count}.example.")]

    found, server, _ = lookup(endless)
    assert found == socket.EAI_FAIL and len(server.asked) == 8

    def long(query, count):
        return [
            reply(
                query,
                *(f"{'@' if n == 0 else f'y{n}.example.'} 9 CNAME y{n + 1}.example." for n in range(40)),
                "y40.example. 9 A 10.0.0.7",
            )
        ]

    found, server, _ = lookup(long, tcp=lambda query: long(query, 0)[0])
    assert found == socket.EAI_FAIL and len(server.asked) == 1
    assert lookup(lambda query, count: [reply(query, "@ 9 CNAME web.example.")])[0] in (
        socket.EAI_FAIL,
        socket.EAI_NODATA,
    )


def test_a_malformed_answer_and_an_answer_over_tcp_that_is_cut():
    broken = lambda query, count: [reply(query, GOOD).to_wire()[:-2]]  # noqa: E731
    assert lookup(broken, tcp=lambda query: reply(query, GOOD))[0] == "10.0.0.7"
    assert lookup(broken, tcp=lambda query: b"")[0] == socket.EAI_AGAIN
    assert lookup(broken, tcp=lambda query: reply(query, GOOD).to_wire()[:-2])[0] == socket.EAI_AGAIN
    net, client = network(dns=DnsSettings((("10.0.0.53", 53),), timeout=1, use_tcp=True))

    def half():
        with socket.socket() as listener:
            listener.bind(("", 53))
            listener.listen()
            while True:
                conn, _ = listener.accept()
                conn.sendall(b"\xff\xffabc")
                conn.close()

    assert run(net, client, lambda: error("web.example"), ns=half)[0] == socket.EAI_AGAIN


QUESTION = Question("web.example.", 1, Secret(1), 1232, True)
VALID = reply(dns.message.from_wire(QUESTION.wire), "@ 9 CNAME b.example.", "b.example. 9 A 10.0.0.7", EVIL).to_wire()


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.tuples(st.integers(0, len(VALID) - 1), st.integers(0, 255)), max_size=6),
    st.integers(0, len(VALID)),
    st.binary(max_size=40),
)
def test_any_bytes_give_a_message_or_none(changes, cut, tail):
    data = bytearray(VALID)
    for place, value in changes:
        data[place] = value
    for each in (bytes(data), bytes(data[:cut]), bytes(data[:cut]) + tail, tail):
        if QUESTION.matches(each):
            assert read(each) is None or read(each).id == QUESTION.ident
        QUESTION.only_case_differs(each)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.integers(25, len(VALID) - 1), st.integers(0, 255)), max_size=4), st.integers(30, len(VALID))
)
def test_any_answer_gives_addresses_or_an_error(changes, cut):
    def script(query, count):
        data = bytearray(reply(query, "@ 9 CNAME b.example.", "b.example. 9 A 10.0.0.7").to_wire())
        for place, value in changes:
            if place < len(data):
                data[place] = value
        return [bytes(data[:cut])]

    found, _, net = lookup(script)
    assert isinstance(found, int) or len(found.split(".")) == 4
    assert net.now <= 10_000_000_000


def test_the_cache_is_bounded_and_forgets_the_oldest():
    cache = Cache(3)
    for number in range(5):
        cache.put((str(number), "A"), number, 0, 10)
    assert [cache.get((str(number), "A"), 0) for number in range(5)] == [None, None, 2, 3, 4]
    assert cache.get(("4", "A"), 10_000_000_000) is None and len(cache) == 2
    cache.put(("9", "A"), 9, 0, 0)
    assert len(cache) == 2
    cache.put(("x", "A"), 1, 0, 1 << 40), cache.put(("y", "A"), 1, 0, 1 << 40, negative=True)
    day, hours = 86_400_000_000_000, 10_800_000_000_000
    assert (cache.get(("x", "A"), day - 1), cache.get(("x", "A"), day)) == (1, None)
    assert (cache.get(("y", "A"), hours - 1), cache.get(("y", "A"), hours)) == (1, None)


def test_control_the_forgeries_would_be_taken_if_they_were_right():
    assert lookup(lambda query, count: [reply(query, EVIL)])[0] == "203.0.113.66"
