"""The DNS servers on hosts: questions whose answers cannot be sent, and mistakes on the command line."""

import socket
import threading
import time

import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import pytest
from click.testing import CliRunner

pytest.importorskip("greenlet")

from pystack.cli.main import cli  # noqa: E402
from pystack.dhcp.packets import write_udp  # noqa: E402
from pystack.dns.recursion import LookupOutcome  # noqa: E402
from pystack.dns.recursive import Recursive  # noqa: E402
from pystack.services.dns import DnsServer, RecursiveServer, Zone  # noqa: E402
from pystack.sim import MS, Network  # noqa: E402

RECORDS = "@ SOA ns h 1 3600 600 86400 60\n@ NS ns\nns A 10.0.0.53\nweb A 10.0.0.80\n"
HERE = 0x0A000035
#: sources to which no answer can be sent: an address without a route, and port 0
SOURCES = [(0xC0000209, 4000), (0x0A000002, 0)]


def trial(kind, source, port):
    """Whether the server answers a client after such a question. Returns the answer and the server."""
    net = Network(seed=1)
    ns, client, wire = net.host("ns"), net.host("client", dns="10.0.0.53"), net.wire("forger")
    lan = net.switch("lan")
    for host, address in ((ns, "10.0.0.53/24"), (client, "10.0.0.2/24")):
        net.link(host, lan, delay=1 * MS, addrs=(address, None))
    net.link(wire, lan)
    net.introduce()
    if kind == "recursive":
        server = RecursiveServer({"ns.": "10.0.0.9"}, allow=("192.0.2.0/24", "10.0.0.0/24"))
    else:
        server = DnsServer(Zone("example.", RECORDS))
    question = dns.message.make_query("web.example.", "NS" if kind == "recursive" else "A").to_wire()
    packet = write_udp(source, HERE, port, 53, question)

    def program():
        time.sleep(0.1)
        wire.send(ns.port().iface.mac.to_bytes(6, "big") + bytes.fromhex("020000000099") + b"\x08\x00" + packet)
        time.sleep(0.1)
        with socket.socket(type=socket.SOCK_DGRAM) as sock:
            sock.settimeout(60)
            sock.sendto(question, ("10.0.0.53", 53))
            return dns.message.from_wire(sock.recv(999))

    answer = net.run({client: program}, background={ns: server})[client]
    return answer, server


@pytest.mark.parametrize("kind", ["authoritative", "recursive"])
@pytest.mark.parametrize(("source", "port"), SOURCES)
def test_a_question_whose_answer_cannot_be_sent_ends_nothing(kind, source, port):
    answer, server = trial(kind, source, port)
    assert answer.rcode() == (2 if kind == "recursive" else 0)
    assert server.unsent == 1


def test_two_zones_with_one_name_are_an_error():
    zone = Zone("example.", RECORDS)
    with pytest.raises(ValueError, match="two of the zones have the same name"):
        DnsServer(zone, zone)


@pytest.mark.parametrize(
    ("text", "origin", "error"),
    [
        (RECORDS, "a..b", "'a..b' is not the name of a zone"),
        ("nonsense here now\n", "example.", "x.zone:1: unknown rdatatype"),
        (None, "example.", "x.zone: No such file or directory"),
        ("", "example.", "needs an SOA record"),
    ],
)
def test_mistakes_on_the_command_line(tmp_path, text, origin, error):
    path = tmp_path / "x.zone"
    if text is not None:
        path.write_text(text)
    done = CliRunner().invoke(cli, ["dns", "serve", str(path), "--origin", origin, "-a", "10.0.0.2/24"])
    assert done.exit_code == 2 and error in done.output.replace("\n", " "), done.output


class Interrupted(dict):
    """A dict whose threads all look for a key before one of them goes on, as if the interpreter had switched between them just then."""

    def __init__(self, threads):
        super().__init__()
        self.all_looked = threading.Barrier(threads)

    def get(self, key, default=None):
        found = super().get(key, default)
        self.all_looked.wait(10)
        return found

    def __contains__(self, key):
        found = super().__contains__(key)
        self.all_looked.wait(10)
        return found


def test_threads_that_ask_at_the_same_moment_share_one_lookup():
    """On a live stack, questions for one name may come to two threads at once (RFC 5452 section 5: our own questions help a forger)."""
    recursive = Recursive({"ns.": "10.0.0.9"})
    recursive._busy = Interrupted(2)
    key = dns.name.from_text("web.example."), dns.rdatatype.A
    waits, lookups, outcomes = threading.Event(), [], []

    def lookup(*asked):
        lookups.append(asked)
        waits.wait(10)
        return LookupOutcome(dns.rcode.NXDOMAIN, [])

    recursive.lookup = lookup
    threads = [threading.Thread(target=lambda: outcomes.append(recursive._shared(key).rcode)) for _ in range(2)]
    for thread in threads:
        thread.start()
    while not lookups:
        time.sleep(0.01)
    time.sleep(0.1)
    waits.set()
    for thread in threads:
        thread.join(10)
    assert lookups == [key]
    assert outcomes == [dns.rcode.NXDOMAIN] * 2
    assert not len(recursive._busy)
