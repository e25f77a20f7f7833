"""A forger in the simulator, who floods the recursive resolver with answers (RFC 5452): how often it wins is what the arithmetic says.

The forger hears nothing. It knows which name is asked for and when, the resolver's address, and the addresses of the name servers. Its answers arrive before the
real one. With full entropy it must guess 16 bits of the identifier, about 15 bits of the port, and one bit for each letter of the name.
"""

import contextlib
import socket
import time

import dns.flags
import dns.message
import dns.name
import dns.rdatatype
import dns.rrset
import pytest

pytest.importorskip("greenlet")

from pystack.dhcp.packets import write_udp  # noqa: E402
from pystack.dns import DnsSettings, exchange  # noqa: E402
from pystack.dns.exchange import FORGED, Secret  # noqa: E402
from pystack.services.dns import DnsServer, RecursiveServer, Zone  # noqa: E402
from pystack.sim import MS, Network  # noqa: E402

EVIL, GOOD = "203.0.113.66", "192.0.2.80"
RESOLVER, SERVER = 0x0A000035, 0x0A000001
ZONE = "@ 3600 SOA a.root. h 1 3600 600 86400 60\n@ NS a.root.\na.root. A 10.0.0.1\n*.test. 1 A 192.0.2.80\n"
PORT = 40_000


class Weak(Secret):
    """A generator with few bits: identifiers and ports of `bits` bits."""

    def __init__(self, seed, bits):
        super().__init__(seed)
        self.mask = (1 << bits) - 1

    def bits(self):
        return super().bits() & self.mask


def attack(seed, trials, guesses, bits=None, mix_case=False, one_port=True):
    """The number of names of `trials` for which the forger wins. It sends `guesses` different answers for each.

    bits      of the identifier; None: all 16
    one_port  whether the resolver has only one port
    """
    net = Network(seed)
    ports = {"port_min": PORT, "port_max": PORT} if one_port else {}
    resolver, root, wire = net.host("resolver", **ports), net.host("root"), net.wire("forger")
    client = net.host("client", dns=DnsSettings((("10.0.0.53", 53),), attempts=1), search=[])
    lan = net.switch("lan")
    for host, address in ((resolver, "10.0.0.53/24"), (root, "10.0.0.1/24"), (client, "10.0.0.2/24")):
        net.link(host, lan, delay=10 * MS if host is root else 1 * MS, addrs=(address, None))
    net.link(wire, lan)
    net.introduce()
    server = RecursiveServer({"a.root.": "10.0.0.1"}, mix_case=mix_case)
    if bits is not None:
        begin = server.begin
        server.begin = lambda host: (begin(host), server.recursive.use(host, Weak(seed, bits)))
    mac = resolver.port().iface.mac.to_bytes(6, "big")

    def answer(name):
        message = dns.message.make_response(dns.message.make_query(name, "A"))
        message.flags |= dns.flags.AA
        message.answer.append(dns.rrset.from_text(name, 9999, "IN", "A", EVIL))
        return message.to_wire()[2:]

    def forge(data, guess):
        packet = write_udp(SERVER, RESOLVER, 53, PORT, guess.to_bytes(2, "big") + data)
        wire.send(mac + bytes.fromhex("020000000099") + b"\x08\x00" + packet)

    def program():
        won = 0
        for trial in range(trials):
            name = f"name{trial}.test."
            data = answer(name)
            for number in range(guesses):
                # The client's question needs 2 ms to the resolver, and the root's answer comes 22 ms later.
                net.at(
                    net.now + 3 * MS + number * 1000,
                    forge,
                    data,
                    (trial * 7 + number * 31) & 0xFFFF if bits is None else number,
                )
            found = socket.gethostbyname(name)
            assert found in (EVIL, GOOD)
            won += found == EVIL
        return won

    result = net.run({client: program}, background={resolver: server, root: DnsServer(Zone(".", ZONE))})
    return result[client], server


def one_port_for_udp(monkeypatch):
    """Let the resolver ask from one port, but use any port for TCP."""
    bind = exchange.DnsSockets._bind
    one = lambda self, sock: sock.bind(("", PORT)) if self.host.name == "resolver" else bind(self, sock)  # noqa: E731
    monkeypatch.setattr(exchange.DnsSockets, "_bind", one)


@pytest.mark.parametrize(("bits", "guesses"), [(6, 8), (6, 15), (4, 4), (8, 15)])
def test_with_few_bits_the_forger_wins_as_often_as_the_arithmetic_says(bits, guesses):
    """One port, `bits` bits of the identifier: guesses / 2**bits. The deviation is below four standard deviations."""
    trials, chance = 400, guesses / (1 << bits)
    won, _ = attack(1, trials, guesses, bits)
    spread = (trials * chance * (1 - chance)) ** 0.5
    assert abs(won - trials * chance) < 4 * spread and won > 0


def test_a_flood_does_not_help_more_than_its_first_answers(monkeypatch):
    """After 16 wrong answers, the question goes on over TCP, so a flood of all 256 identifiers wins no more often than 16 guesses."""
    one_port_for_udp(monkeypatch)
    won, _ = attack(2, 100, 256, 8, one_port=False)
    chance = FORGED / 256
    assert 0 < won < 100 * chance + 4 * (100 * chance * (1 - chance)) ** 0.5


def test_with_all_bits_of_the_identifier_one_port_is_not_enough_for_the_forger():
    won, _ = attack(3, 200, 16)
    assert won == 0  # the chance is 200 * 16 / 65536 = 0.05


def test_control_the_case_of_letters_alone_is_an_obstacle(monkeypatch):
    """Without 0x20, a forger that knows the identifier and the port always wins; with it, it must guess a bit for each letter."""
    one_port_for_udp(monkeypatch)
    always, _ = attack(4, 30, 1, 0, one_port=False)
    mixed, strong = exchange._mixed, Secret(4)
    monkeypatch.setattr(exchange, "_mixed", lambda name, secret: mixed(name, strong))
    never, _ = attack(4, 30, 1, 0, mix_case=True, one_port=False)
    assert always == 30 and never == 0


def test_with_full_entropy_the_forger_never_wins():
    won, server = attack(5, 100, 100, mix_case=True, one_port=False)
    assert won == 0 and server.recursive.asked == 100


def test_a_flood_of_questions_holds_a_bounded_number_of_threads():
    """600 clients' questions for one name, whose server is silent, and 600 for different ones. The server goes on after that."""
    net = Network(1)
    resolver, client, root = net.host("resolver"), net.host("client"), net.host("root")
    net.link(client, resolver, delay=1 * MS, addrs=("10.1.0.2/24", "10.1.0.53/24"))
    link = net.link(root, resolver, delay=1 * MS, addrs=("10.0.0.1/24", "10.0.0.53/24"))
    net.introduce()
    server = RecursiveServer({"a.root.": "10.0.0.1"}, rounds=1)
    most = []

    def program():
        def ask(sock, name):
            sock.sendto(dns.message.make_query(name, "A").to_wire(), ("10.1.0.53", 53))

        codes = []
        with socket.socket(type=socket.SOCK_DGRAM) as sock:
            link.down()
            for number in range(1200):
                ask(sock, f"name{number if number % 2 else 0}.test.")
                time.sleep(0.0001)
            most.append(server.threads)
            sock.settimeout(5)
            with contextlib.suppress(TimeoutError):
                while True:
                    codes.append(dns.message.from_wire(sock.recv(999)).rcode())
            link.restore()
            ask(sock, "good.test.")
            return codes, dns.message.from_wire(sock.recv(999)).answer[0][0].address

    codes, last = net.run({client: program}, background={resolver: server, root: DnsServer(Zone(".", ZONE))})[client]
    assert most[0] == 200 and set(codes) == {2} and len(codes) > 500 and last == GOOD and server.threads == 0
