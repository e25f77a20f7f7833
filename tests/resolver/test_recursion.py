"""The recursive resolver without I/O, against servers that are a table: bailiwick, chains, glue, and bounds on the work."""

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest

from pystack.dns.exchange import Secret
from pystack.dns.memory import Memory, Negative
from pystack.dns.recursion import Recursion, WorkLimits

S = 1_000_000_000
A, NS = dns.rdatatype.A, dns.rdatatype.NS
ROOT = "10.0.0.1"


def sections(text):
    """RRsets from lines of "name ttl type value"."""
    found = []
    for line in text.strip().splitlines():
        name, ttl, kind, value = line.split(None, 3)
        rrset = dns.rrset.from_text(name, int(ttl), "IN", kind, value)
        same = next((each for each in found if (each.name, each.rdtype) == (rrset.name, rrset.rdtype)), None)
        if same is None:
            found.append(rrset)
        else:
            same.add(rrset[0])
    return found


def reply(name, rdtype, answer="", authority="", additional="", aa=True, rcode=dns.rcode.NOERROR):
    """An answer."""
    message = dns.message.make_response(dns.message.make_query(name, rdtype))
    message.answer, message.authority, message.additional = sections(answer), sections(authority), sections(additional)
    message.set_rcode(rcode)
    if aa:
        message.flags |= dns.flags.AA
    return message


class World:
    """Servers by address: a function (name as text, type as text) -> the arguments of `reply`, or None for no answer."""

    def __init__(self, servers, **limits):
        self.servers = servers
        self.memory = Memory()
        self.recursion = Recursion({"a.root.": ROOT}, Secret(1), self.memory, WorkLimits(**limits))
        self.now = 0
        self.asked = []

    def get(self, name, kind="A"):
        """Look a name up. Returns (rcode, the texts of the records)."""
        work = self.recursion.resolve(dns.name.from_text(name), dns.rdatatype.from_text(kind), lambda: self.now)
        try:
            question = next(work)
            while True:
                self.asked.append((question.server, question.name.to_text(), question.rdtype.name))
                server = self.servers.get(question.server)
                told = None if server is None else server(question.name.to_text(), question.rdtype.name)
                message = None if told is None else reply(question.name, question.rdtype, **told)
                question = work.send(message)
        except StopIteration as end:
            outcome = end.value
            return dns.rcode.to_text(outcome.rcode), [r.to_text() for rrset in outcome.answer for r in rrset]


def table(zone, records, soa=True):
    """A server that knows records: {(name, type): lines}. A delegation is {(name, "DELEGATE"): (authority, additional)}."""

    def server(name, kind):
        for (cut, what), (authority, additional) in ((k, v) for k, v in records.items() if k[1] == "DELEGATE"):
            if (name == cut or name.endswith("." + cut)) and what:
                return {"authority": authority, "additional": additional, "aa": False}
        found = records.get((name, kind)) or records.get((name, "CNAME"))
        if found:
            return {"answer": found}
        there = any(key[0] == name for key in records)
        authority = f"{zone} 60 SOA ns.{zone} h.{zone} 1 2 3 4 30" if soa else ""
        return {"authority": authority, "rcode": dns.rcode.NOERROR if there else dns.rcode.NXDOMAIN}

    return server


def tree(**extra):
    """root -> test. -> example.test., and other.test. without glue."""
    servers = {
        ROOT: table(".", {("test.", "DELEGATE"): ("test. 600 NS ns.test.", "ns.test. 600 A 10.0.0.2")}),
        "10.0.0.2": table("test.", {
            ("example.test.", "DELEGATE"): ("example.test. 600 NS ns.example.test.", "ns.example.test. 600 A 10.0.0.3"),
            ("other.test.", "DELEGATE"): ("other.test. 600 NS ns.example.test.", ""),
        }),
        "10.0.0.3": lambda name, kind: (example if name.endswith("example.test.") else other)(name, kind),
    }  # fmt: skip
    example = table("example.test.", {
        ("web.example.test.", "A"): "web.example.test. 60 A 192.0.2.1",
        ("ns.example.test.", "A"): "ns.example.test. 60 A 10.0.0.3",
        ("away.example.test.", "CNAME"): "away.example.test. 60 CNAME web.other.test.",
        ("loop1.example.test.", "CNAME"): "loop1.example.test. 60 CNAME loop2.example.test.",
        ("loop2.example.test.", "CNAME"): "loop2.example.test. 60 CNAME loop1.example.test.",
    })  # fmt: skip
    other = table("other.test.", {("web.other.test.", "A"): "web.other.test. 60 A 192.0.2.2"})
    return servers | extra


def test_from_the_root_down_and_from_the_cache():
    world = World(tree())
    assert world.get("web.example.test.") == ("NOERROR", ["192.0.2.1"])
    assert [server for server, *_ in world.asked] == [ROOT, "10.0.0.2", "10.0.0.3"]
    assert world.get("WEB.example.test.") == ("NOERROR", ["192.0.2.1"]) and len(world.asked) == 3
    world.now = 61 * S  # the record has ended, the delegation has not
    assert world.get("web.example.test.") == ("NOERROR", ["192.0.2.1"]) and world.asked[3:] == [
        ("10.0.0.3", "web.example.test.", "A")
    ]
    world.now = 700 * S
    assert world.get("web.example.test.")[0] == "NOERROR" and len(world.asked) == 7


def test_a_zone_without_glue_needs_a_nested_lookup():
    world = World(tree())
    assert world.get("web.other.test.") == ("NOERROR", ["192.0.2.2"])
    assert [name for _, name, _ in world.asked] == ["web.other.test."] * 2 + ["ns.example.test."] * 2 + [
        "web.other.test."
    ]


def test_aliases_across_zones_and_without_an_end():
    world = World(tree())
    assert world.get("away.example.test.") == ("NOERROR", ["web.other.test.", "192.0.2.2"])
    assert world.get("away.example.test.", "CNAME") == ("NOERROR", ["web.other.test."])
    assert world.get("loop1.example.test.") == ("SERVFAIL", []) and "alias of itself" in world.recursion.failure
    endless = World({ROOT: lambda name, kind: {"answer": f"{name} 60 CNAME x{name}"}})
    assert endless.get("a.") == ("SERVFAIL", []) and len(endless.asked) <= 12


def test_nothing_is_remembered_as_long_as_the_soa_says():
    world = World(tree())
    for _ in range(2):
        assert world.get("no.example.test.") == ("NXDOMAIN", []) and len(world.asked) == 3
    assert world.get("no.example.test.", "TXT") == ("NXDOMAIN", []) and len(world.asked) == 3  # no type of it exists
    for _ in range(2):
        assert world.get("web.example.test.", "TXT") == ("NOERROR", []) and len(world.asked) == 4
    assert world.get("web.example.test.")[1] == ["192.0.2.1"]
    world.now = 29 * S
    before = len(world.asked)
    assert world.get("no.example.test.")[0] == "NXDOMAIN" and len(world.asked) == before
    world.now = 31 * S
    assert world.get("no.example.test.")[0] == "NXDOMAIN" and len(world.asked) == before + 1


EVIL = "203.0.113.66"
POISON = {
    "an answer with another name": {"answer": f"x.evil.test. 60 A 192.0.2.9\nwww.bank.test. 9999 A {EVIL}"},
    "additional records": {"answer": "x.evil.test. 60 A 192.0.2.9", "additional": f"www.bank.test. 9999 A {EVIL}"},
    "an alias with the address of a foreign name": {"answer": f"x.evil.test. 60 CNAME www.bank.test.\nwww.bank.test. 9999 A {EVIL}"},
    "the name servers of another zone": {
        "answer": "x.evil.test. 60 A 192.0.2.9", "authority": "bank.test. 9999 NS ns.evil.test.", "additional": f"ns.evil.test. 9999 A {EVIL}",
    },
    "a referral to another zone": {"authority": "bank.test. 9999 NS ns.evil.test.", "additional": f"ns.evil.test. 9999 A {EVIL}", "aa": False},
    "a referral upward": {"authority": "test. 9999 NS ns.evil.test.", "additional": f"ns.evil.test. 9999 A {EVIL}", "aa": False},
    "a referral to the root": {"authority": ". 9999 NS ns.evil.test.", "additional": f"ns.evil.test. 9999 A {EVIL}", "aa": False},
    "glue for a foreign name": {
        "authority": "sub.x.evil.test. 9 NS ns.bank.test.\nx.evil.test. 9999 NS ns.bank.test.", "additional": f"ns.bank.test. 9999 A {EVIL}", "aa": False,
    },
    "the SOA of a foreign zone": {"authority": "bank.test. 9999 SOA a. b. 1 2 3 4 9999", "rcode": dns.rcode.NXDOMAIN},
    "the SOA of the zone above": {"authority": "test. 9999 SOA a. b. 1 2 3 4 9999", "rcode": dns.rcode.NXDOMAIN},
}  # fmt: skip


@pytest.mark.parametrize("kind", POISON)
def test_what_is_out_of_the_bailiwick_is_not_taken(kind):
    """The server of evil.test. says something about bank.test., and then bank.test. is looked up."""

    def bank(name, kind):
        records = {
            ("www.bank.test.", "A"): "www.bank.test. 60 A 192.0.2.7",
            ("ns.bank.test.", "A"): "ns.bank.test. 60 A 10.0.0.5",
        }
        return table("bank.test.", records)(name, kind)

    servers = {
        ROOT: table(".", {("test.", "DELEGATE"): ("test. 600 NS ns.test.", "ns.test. 600 A 10.0.0.2")}),
        "10.0.0.2": table("test.", {
            ("evil.test.", "DELEGATE"): ("evil.test. 600 NS ns.evil.test.", "ns.evil.test. 600 A 10.0.0.4"),
            ("bank.test.", "DELEGATE"): ("bank.test. 600 NS ns.bank.test.", "ns.bank.test. 600 A 10.0.0.5"),
        }),
        "10.0.0.4": lambda name, qtype: POISON[kind],
        "10.0.0.5": bank,
        EVIL: lambda name, qtype: {"answer": f"{name} 60 A {EVIL}"},
    }  # fmt: skip
    world = World(servers)
    world.get("x.evil.test.")
    assert world.get("www.bank.test.") == ("NOERROR", ["192.0.2.7"])
    assert world.get("ns.bank.test.") == ("NOERROR", ["10.0.0.5"])
    assert not any(server == EVIL for server, *_ in world.asked)


def test_the_random_case_of_our_question_is_not_passed_on():
    servers = tree() | {
        "10.0.0.3": lambda name, kind: (
            {"answer": f"{name} 60 CNAME WeB.ExAmPlE.tEsT."}
            if name.startswith("www")
            else tree()["10.0.0.3"](name, kind)
        )
    }
    assert World(servers).get("www.example.test.") == ("NOERROR", ["web.example.test.", "192.0.2.1"])


def test_glue_is_no_answer():
    """The parent says another address than the zone itself: the client gets the zone's own."""
    servers = tree()
    servers["10.0.0.2"] = table(
        "test.",
        {("example.test.", "DELEGATE"): ("example.test. 600 NS ns.example.test.", "ns.example.test. 600 A 10.0.0.33")},
    )
    servers["10.0.0.33"] = servers["10.0.0.3"]
    world = World(servers)
    assert world.get("web.example.test.")[1] == ["192.0.2.1"] and world.get("ns.example.test.")[1] == ["10.0.0.3"]


def test_servers_that_do_not_answer_or_are_lame_are_passed_over():
    names = "".join(f"example.test. 600 NS ns{number}.example.test.\n" for number in range(4))
    glue = "".join(f"ns{number}.example.test. 600 A 10.0.1.{number}\n" for number in range(4))
    good = tree()["10.0.0.3"]
    for bad in (None, {"rcode": dns.rcode.REFUSED}, {"rcode": dns.rcode.SERVFAIL}, {"aa": False}):
        servers = tree() | {"10.0.0.2": table("test.", {("example.test.", "DELEGATE"): (names, glue)})}
        servers |= {f"10.0.1.{number}": lambda name, kind, bad=bad: bad for number in range(3)} | {"10.0.1.3": good}
        world = World(servers)
        assert world.get("web.example.test.") == ("NOERROR", ["192.0.2.1"]) and len(world.asked) <= 6
        servers["10.0.1.3"] = servers["10.0.1.0"]
        world = World(servers)
        assert world.get("web.example.test.") == ("SERVFAIL", [])
        # A server that gives no answer is asked in each round, and one that gives a wrong one only once.
        assert len(world.asked) == 2 + (8 if bad is None else 4)


# -- bounds on the work ----------------------------------------------------------------------------------------------


def test_many_name_servers_without_glue_do_not_multiply_the_work():
    """NXNSAttack: a delegation to 100 names in the victim's zone. Each costs the attacker nothing, and the resolver a lookup."""
    names = "".join(f"attack.test. 600 NS n{number}.victim.test.\n" for number in range(100))
    servers = {
        ROOT: table(".", {("test.", "DELEGATE"): ("test. 600 NS ns.test.", "ns.test. 600 A 10.0.0.2")}),
        "10.0.0.2": table("test.", {
            ("attack.test.", "DELEGATE"): (names, ""),
            ("victim.test.", "DELEGATE"): ("victim.test. 600 NS ns.victim.test.", "ns.victim.test. 600 A 10.0.0.6"),
        }),
        "10.0.0.6": table("victim.test.", {}),
    }  # fmt: skip
    world = World(servers)
    assert world.get("x.attack.test.") == ("SERVFAIL", [])
    assert sum(server == "10.0.0.6" for server, *_ in world.asked) <= 2 * 3
    control = World(servers, targets=100, queries=1000)
    control.get("x.attack.test.")
    assert (
        sum(server == "10.0.0.6" for server, *_ in control.asked) == 13
    )  # only so many names of a delegation are kept


def test_zones_that_need_each_other_end():
    servers = {
        ROOT: table(".", {
            ("a.", "DELEGATE"): ("a. 600 NS ns.b.", ""),
            ("b.", "DELEGATE"): ("b. 600 NS ns.a.", ""),
            ("self.", "DELEGATE"): ("self. 600 NS ns.self.", ""),
        }),
    }  # fmt: skip
    world = World(servers)
    assert world.get("x.a.") == ("SERVFAIL", []) and len(world.asked) < 20
    assert world.get("x.self.") == ("SERVFAIL", [])


def test_the_total_of_all_queries_is_bounded():
    """Each name needs another zone without glue, and so on: the depth and the number of queries end it."""
    count = [0]

    def root(name, kind):
        count[0] += 1
        top = name.rstrip(".").split(".")[-1]
        return {"authority": "".join(f"{top}. 600 NS ns.{top}{number}.\n" for number in "abcdefgh"), "aa": False}

    world = World({ROOT: root})
    assert world.get("x.t.") == ("SERVFAIL", [])
    assert len(world.asked) <= 60
    deep = World({ROOT: root}, depth=100, targets=10)
    assert (
        deep.get("x.t.") == ("SERVFAIL", [])
        and len(deep.asked) == 60
        and "more than 60 queries" in deep.recursion.failure
    )


def test_a_referral_that_does_not_go_down_is_no_progress():
    world = World(
        {ROOT: lambda name, kind: {"authority": ". 600 NS a.root.", "additional": f"a.root. 600 A {ROOT}", "aa": False}}
    )
    assert world.get("x.test.") == ("SERVFAIL", []) and len(world.asked) == 1


def test_the_memory_is_bounded():
    memory = Memory(most=100)
    for number in range(1000):
        name = dns.name.from_text(f"a{number}.test.")
        memory.put(name, A, dns.rrset.from_text(name, 60, "IN", "A", "10.0.0.1"), 60, 0)
        memory.deny(name, NS, Negative(dns.rcode.NOERROR, None), 60, 0)
    assert len(memory) == 100
    name = dns.name.from_text("big.test.")
    memory.put(
        name, A, dns.rrset.from_text(name, 60, "IN", "A", *(f"10.0.{n // 200}.{n % 200}" for n in range(301))), 60, 0
    )
    assert memory.get(name, A, 0) is None
