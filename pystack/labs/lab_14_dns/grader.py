"""Grades `resolve`: it asks simulated servers, and the grader looks at the addresses and at the times."""

from types import ModuleType
from typing import Any

import dns.message
import dns.rcode
import dns.rdatatype

from pystack.dns.authority import Authority, Zone
from pystack.labs.judging import compare, program, shown
from pystack.labs.lab_14_dns.zones import ADDRESSES, NEGATIVE, ZONES, build
from pystack.labs.values import WrongAnswer
from pystack.sim.programs import datagram, spawn
from pystack.testing.lab import S, sleep

HINTS = [
    "Run `pystack lab run 14`. Which of the three servers does the resolver ask again after the record's life has ended?",
    "Follow referrals in a loop until the kind is another one. Keep the server of each zone, and begin with that of the smallest zone that has the name.",
    "Keep (value, now() + life) under each name and each zone. The zones of a.b.c. are a.b.c., b.c. and c.: split at the points, and join the rest.",
]
WRONG = {
    "wrong_referral.py": "You return the address of a server. A referral is no answer: ask the server that it names.",
    "wrong_root.py": "You begin at the root each time. The referral to a zone lives for a day, so keep it, and ask the zone's server at once.",
    "wrong_ever.py": "You use what has ended: a record was asked for after its life, and you did not ask again.",
    "wrong_alias.py": "You return a name. An alias has no address of its own: go on with the name that it gives.",
    "wrong_zone.py": "You asked a server about a name that is not in its zone: myexample.test. ends with the text example.test., and is not in it. Compare whole labels.",
    "wrong_missing.py": "You ask again for a name that is missing, although you knew that. This answer has a life, too.",
}
#: (seconds of pause before it, name)
LOOKUPS = [
    (0, "web"),
    (0, "web"),
    (1, "nothing"),
    (0, "nothing"),
    (10, "alias"),
    (0, "alias"),
    (20, "web"),
    (1, "zero"),
    (0, "zero"),
]
LOOKUPS += [(1, "nothing"), (NEGATIVE, "nothing"), (1, "web"), (0, "my")]


def full(name: str) -> str:
    """Return the whole name. That of "my" is not in the zone `example.test.`, although it ends with this text."""
    return "myexample.test." if name == "my" else f"{name}.example.test."


def serve(net: Any, name: str) -> Any:
    """A server: it answers with real messages."""
    sock = datagram(net.hosts[name])
    sock.bind("", 53)
    authority = Authority((Zone(*ZONES[name]),))
    while True:
        got = yield sock.recvfrom()
        for reply in authority.answers(got.data, False, "10.1.0.53"):
            sock.sendto(reply, "10.1.0.53", got.sport)


def reading(data: bytes) -> tuple[str, Any, int]:
    """Return what a message says, in the form of the exercise."""
    message = dns.message.from_wire(data)
    if message.rcode() == dns.rcode.REFUSED:
        raise WrongAnswer(WRONG["wrong_zone.py"])
    if message.rcode() == dns.rcode.NXDOMAIN:
        return "missing", None, NEGATIVE
    if message.answer:
        first = message.answer[0]
        kind = "alias" if first.rdtype == dns.rdatatype.CNAME else "address"
        return kind, first[0].to_text(), first.ttl
    (servers,) = message.authority
    addresses = [found for found in message.additional if found.name == servers[0].target]
    return "referral", (servers.name.to_text(), addresses[0][0].to_text()), servers.ttl


def play(resolve: Any, count: int) -> tuple[Any, float]:
    """Make the first lookups. Returns the address of the last one, and its time in ms."""
    net = build()
    sock = datagram(net.hosts["resolver"])
    cache: dict[Any, Any] = {}
    for name in ADDRESSES:
        spawn(net, serve(net, name))

    def ask(server, name):
        if not isinstance(server, str):
            raise WrongAnswer(
                f"`ask` got {shown(server)} as the server. The value of a referral is a pair: the zone, and the server's address."
            )
        sock.sendto(dns.message.make_query(name, "A").to_wire(), server, 53)
        return reading((yield sock.recvfrom()).data)

    def look():
        for pause, name in LOOKUPS[:count]:
            yield sleep(pause * S)
            began = net.now
            found = yield from resolve(full(name), ask, cache, lambda: net.now / S)
        return found, (net.now - began) / 1_000_000

    proc = spawn(net, look())
    net.run_until(proc.finished, limit=3600 * S)
    return proc.value


#: address and time of each lookup
RIGHT = [
    *(("192.0.2.80", 120.0), ("192.0.2.80", 0.0)),  # web: cold, kept
    *((None, 40.0), (None, 0.0)),  # nothing: the zone is known, kept
    *(("192.0.2.80", 40.0), ("192.0.2.80", 0.0)),  # alias: its own record only
    *(("192.0.2.80", 40.0),),  # web, after its life
    *(("192.0.2.81", 40.0), ("192.0.2.81", 40.0)),  # zero: not kept
    *((None, 0.0), (None, 40.0)),  # nothing: kept, and after its life
    *(("192.0.2.80", 40.0),),  # web again
    *((None, 40.0),),  # myexample: the server of `test.` knows
]


def words(count: int) -> str:
    """Describe the last lookup."""
    at = sum(pause for pause, _ in LOOKUPS[:count])
    return f"Lookup {count}, of {full(LOOKUPS[count - 1][1])} after {at} s: the address and the time (ms)"


def check(answer: ModuleType) -> None:
    """Raise WrongAnswer unless the exercise is solved."""
    program(answer, "resolve")
    cases = [(count,) for count in range(1, len(LOOKUPS) + 1)]
    compare(answer, "resolve", cases, lambda count: RIGHT[count - 1], WRONG, __package__, play, words)
