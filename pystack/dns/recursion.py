"""A recursive resolver without I/O (RFC 1034 section 5.3.3): from the root down, zone by zone.

`Recursion.resolve` is a generator. It yields each question for a server (`Ask`), and is sent the answer, a message, or None if there is none.

What a server says counts only for names in its own zone ("bailiwick"), and only if it was asked: the records of the question's name, the aliases
that start there, the name servers of a zone below that contains the name, and addresses of these servers that lie in the server's zone (glue).
Delegations and answers are kept apart, so glue is never an answer. The work for one question is bounded (`WorkLimits`): questions, aliases, nested lookups of
name servers, and names of servers that are looked up for one delegation (NXNSAttack, Afek and others, 2020).
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from pystack.dns.exchange import Secret
from pystack.dns.memory import Memory, Negative, ServerNames

_A, _CNAME, _NS, _SOA, _ANY, _DS = (
    dns.rdatatype.A, dns.rdatatype.CNAME, dns.rdatatype.NS, dns.rdatatype.SOA, dns.rdatatype.ANY, dns.rdatatype.DS,
)  # fmt: skip


@dataclass(frozen=True)
class WorkLimits:
    """The bounds of the work for one question of a client.

    queries   questions to servers, for all nested lookups together
    chain     aliases that are followed
    depth     nested lookups of addresses of name servers
    targets   names of servers without glue that are looked up for one delegation
    rounds    how often each server of a zone is asked
    wait      seconds to wait for an answer in the first round; twice as long in the next one
    """

    queries: int = 60
    chain: int = 12
    depth: int = 4
    targets: int = 3
    rounds: int = 2
    wait: float = 1.0


class Ask(NamedTuple):
    """A question for a server: its address, the name and type, and the seconds to wait."""

    server: str
    name: dns.name.Name
    rdtype: dns.rdatatype.RdataType
    wait: float


class LookupOutcome(NamedTuple):
    """The result: the records along the chain of aliases, and the SOA record if there is nothing. SERVFAIL: nothing is known."""

    rcode: dns.rcode.Rcode
    answer: list[dns.rrset.RRset]
    soa: dns.rrset.RRset | None = None


#: returns the time (ns)
Clock = Callable[[], int]
Lookup = Generator[Ask, "dns.message.Message | None", LookupOutcome]


class Failed(Exception):
    """No server of a zone gave an answer that can be used, or a bound is reached. The text says which."""


@dataclass
class _Work:
    """What one question of a client has cost, and the names that are being looked up for it."""

    limits: WorkLimits
    queries: int = 0
    quiet: bool = False
    busy: set[tuple[dns.name.Name, dns.rdatatype.RdataType]] = field(default_factory=set)

    def count(self) -> None:
        self.queries += 1
        if self.queries > self.limits.queries:
            raise Failed(f"the question needs more than {self.limits.queries} queries")


class _Zone(NamedTuple):
    """A zone, the names of its servers, and the addresses that are known."""

    name: dns.name.Name
    servers: tuple[dns.name.Name, ...]
    addresses: Mapping[dns.name.Name, Sequence[str]]


class Recursion:
    """Resolves names. `roots` maps the names of the root's servers to their addresses. Times are in ns."""

    def __init__(
        self,
        roots: "Mapping[str, str | Sequence[str]]",
        secret: Secret,
        memory: Memory,
        limits: WorkLimits | None = None,
    ):
        if not roots:
            raise ValueError("a recursive resolver needs the address of a root server")
        known = {
            dns.name.from_text(name): [addrs] if isinstance(addrs, str) else list(addrs)
            for name, addrs in roots.items()
        }
        self.root = _Zone(dns.name.root, tuple(known), known)
        self.secret = secret
        self.memory = memory
        self.limits = limits or WorkLimits()
        #: why the last question failed, for people
        self.failure = ""
        #: called with each decision: (name, type, action, reason, RFC, further fields)
        self.on_note: (
            Callable[[dns.name.Name, dns.rdatatype.RdataType, str, str, str, dict[str, object]], None] | None
        ) = None

    def resolve(
        self, name: dns.name.Name, rdtype: dns.rdatatype.RdataType, clock: Clock, quiet: bool = False
    ) -> Lookup:
        """Look a name up. `clock` returns the time. `quiet`: report nothing, because only the cache is tried."""
        work = _Work(self.limits, quiet=quiet)
        try:
            return (yield from self._resolve(name, rdtype, clock, work, 0))
        except Failed as failure:
            self.failure = f"{name} {rdtype.name}: {failure}"
            self._note(name, rdtype, "fail", f"{failure}", "RFC 1035 7.1")
            return LookupOutcome(dns.rcode.SERVFAIL, [])

    def _resolve(
        self, name: dns.name.Name, rdtype: dns.rdatatype.RdataType, clock: Clock, work: _Work, depth: int
    ) -> Lookup:
        answer: list[dns.rrset.RRset] = []
        seen = set()
        for _ in range(self.limits.chain):
            if name in seen:
                raise Failed(f"{name} is an alias of itself")
            seen.add(name)
            found = self._remembered(name, rdtype, clock())
            if found is None:
                found = yield from self._iterate(name, rdtype, clock, work, depth)
            if isinstance(found, Negative):
                return LookupOutcome(found.rcode, answer, found.soa)
            answer.append(found)
            if found.rdtype == rdtype or rdtype in (_CNAME, _ANY):
                return LookupOutcome(dns.rcode.NOERROR, answer)
            name = found[0].target
        raise Failed(f"there are more than {self.limits.chain} aliases")

    def _note(
        self, name: dns.name.Name, rdtype: dns.rdatatype.RdataType, action: str, reason: str, rfc: str, **fields: object
    ) -> None:
        if self.on_note is not None:
            self.on_note(name, rdtype, action, reason, rfc, fields)

    def _remembered(
        self, name: dns.name.Name, rdtype: dns.rdatatype.RdataType, now: int
    ) -> "dns.rrset.RRset | Negative | None":
        found = self.memory.get(name, rdtype, now)
        if found is None and rdtype not in (_CNAME, _DS):
            alias = self.memory.get(name, _CNAME, now)
            found = None if isinstance(alias, Negative) else alias
        return found

    # -- from the root down ------------------------------------------------------------------------------------------

    def _iterate(
        self, name: dns.name.Name, rdtype: dns.rdatatype.RdataType, clock: Clock, work: _Work, depth: int
    ) -> "Generator[Ask, dns.message.Message | None, dns.rrset.RRset | Negative]":
        """Ask the servers of the closest zone that is known, and follow its delegations."""
        zone = self._closest(name.parent() if rdtype == _DS and name != dns.name.root else name, clock())
        while True:
            found = yield from self._ask_zone(zone, name, rdtype, clock, work, depth)
            if not isinstance(found, _Zone):
                return found
            zone = found  # it is deeper than the last one, so this ends after as many steps as the name has labels

    def _closest(self, name: dns.name.Name, now: int) -> _Zone:
        while name != dns.name.root:
            known = self.memory.delegation(name, now)
            if known is not None:
                return _Zone(name, known.servers, known.addresses)
            name = name.parent()
        return self.root

    def _ask_zone(
        self, zone: _Zone, name: dns.name.Name, rdtype: dns.rdatatype.RdataType, clock: Clock, work: _Work, depth: int
    ) -> "Generator[Ask, dns.message.Message | None, dns.rrset.RRset | Negative | _Zone]":
        """Ask the servers of a zone until one gives an answer that can be used. Failed: none does."""
        bad: set[str] = set()
        for attempt in range(self.limits.rounds):
            wait = self.limits.wait * (1 << attempt)
            known = [address for server in zone.servers for address in zone.addresses.get(server, ())]
            lookups = self._without_glue(zone)
            for address in self._shuffled(list(dict.fromkeys(known))):
                found = yield from self._ask(zone, address, name, rdtype, clock, work, wait, bad)
                if found is not None:
                    return found
            for server in lookups:
                for address in (yield from self._addresses(server, clock, work, depth)):
                    found = yield from self._ask(zone, address, name, rdtype, clock, work, wait, bad)
                    if found is not None:
                        return found
        raise Failed(f"no server of {zone.name} gives an answer")

    def _ask(
        self, zone: _Zone, address: str, name: dns.name.Name, rdtype: dns.rdatatype.RdataType, clock: Clock, work: _Work,
        wait: float, bad: set[str],
    ) -> "Generator[Ask, dns.message.Message | None, dns.rrset.RRset | Negative | _Zone | None]":  # fmt: skip
        """Ask one server. None: it gives no answer that can be used. `bad` are those that gave a wrong one, which are not asked again."""
        if address in bad:
            return None
        work.count()
        why = f"the server of {zone.name} at {address} is asked: it is the closest zone whose servers are known"
        if not work.quiet:
            self._note(name, rdtype, "ask", why, "RFC 1034 5.3.3", server=address, zone=zone.name.to_text())
        reply = yield Ask(address, name, rdtype, wait)
        found = None if reply is None else self._judge(reply, zone, name, rdtype, clock())
        action, why, rfc = _meaning(reply, found, zone, rdtype)
        self._note(name, rdtype, action, why, rfc, server=address, zone=zone.name.to_text())
        if reply is not None and found is None:
            bad.add(address)
        return found

    def _without_glue(self, zone: _Zone) -> list[dns.name.Name]:
        """The servers whose addresses must be looked up. A server inside the zone cannot be found without glue."""
        missing = [server for server in zone.servers if not zone.addresses.get(server)]
        return self._shuffled([server for server in missing if not server.is_subdomain(zone.name)])[
            : self.limits.targets
        ]

    def _addresses(
        self, server: dns.name.Name, clock: Clock, work: _Work, depth: int
    ) -> Generator[Ask, "dns.message.Message | None", list[str]]:
        """The addresses of a name server, by a nested lookup. Empty: there are none, or a bound is reached."""
        key = (server, _A)
        if depth >= self.limits.depth or key in work.busy:
            return []
        work.busy.add(key)
        try:
            outcome = yield from self._resolve(server, _A, clock, work, depth + 1)
        except Failed:
            if work.queries > self.limits.queries:
                raise
            return []
        finally:
            work.busy.discard(key)
        found = [record.address for rrset in outcome.answer if rrset.rdtype == _A for record in rrset]
        return self._shuffled(found[: self.limits.targets])

    def _shuffled(self, values: "list[str] | list[dns.name.Name]") -> list:  # type: ignore[type-arg]
        """The values in random order: a forger must guess the server, too (RFC 5452 section 9.1)."""
        return sorted(values, key=lambda value: self.secret.bits())

    # -- what an answer means ----------------------------------------------------------------------------------------

    def _judge(
        self, reply: dns.message.Message, zone: _Zone, name: dns.name.Name, rdtype: dns.rdatatype.RdataType, now: int
    ) -> "dns.rrset.RRset | Negative | _Zone | None":
        """The records, "there is nothing", or a zone below; None: the answer cannot be used (a lame server, an upward referral)."""
        if reply.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
            return None
        first = None
        here = name
        for _ in range(self.limits.chain):
            if not here.is_subdomain(zone.name):
                break
            records = _find(reply.answer, here, rdtype)
            alias = None if records or rdtype == _CNAME else _find(reply.answer, here, _CNAME)
            found = records or alias
            if found is None:
                break
            # A server may have compressed the alias's target with our question, whose letters have random case.
            kept = list(found) if alias is None else [found[0].replace(target=found[0].target.canonicalize())]
            found = dns.rrset.from_rdata_list(here, found.ttl, kept)
            if alias or not self._cut_below(reply, zone, here):
                self.memory.put(here, found.rdtype, found, found.ttl, now)
            first = first or found
            if records:
                break
            here = found[0].target
        if first is not None:
            return first
        below = self._referral(reply, zone, name, rdtype, now)
        return below if below is not None else self._nothing(reply, zone, name, rdtype, now)

    def _cut_below(self, reply: dns.message.Message, zone: _Zone, name: dns.name.Name) -> bool:
        """Whether a server answers for a zone below its own, although it refers to that zone's servers: a parent that is not authoritative."""
        return not reply.flags & dns.flags.AA and any(
            rrset.rdtype == _NS and rrset.name != zone.name and name.is_subdomain(rrset.name)
            for rrset in reply.authority
        )

    def _referral(
        self, reply: dns.message.Message, zone: _Zone, name: dns.name.Name, rdtype: dns.rdatatype.RdataType, now: int
    ) -> _Zone | None:
        """The zone below to which a server refers, or None. It must contain the name, and lie below the server's own zone."""
        if reply.rcode() != dns.rcode.NOERROR or reply.flags & dns.flags.AA:
            return None
        for rrset in reply.authority:
            if rrset.rdtype != _NS or rrset.rdclass != dns.rdataclass.IN:
                continue
            deeper = rrset.name != zone.name and rrset.name.is_subdomain(zone.name)
            if not deeper or not name.is_subdomain(rrset.name):
                continue
            servers = tuple(dict.fromkeys(record.target.canonicalize() for record in list(rrset)[: Memory.SERVERS]))
            glue: dict[dns.name.Name, list[str]] = {}
            for server in servers:
                if server.is_subdomain(zone.name):
                    records = _find(reply.additional, server, _A)
                    if records is not None:
                        glue[server] = [record.address for record in list(records)[: Memory.SERVERS]]
            below = rrset.name.canonicalize()
            self.memory.delegate(below, ServerNames(servers, glue), rrset.ttl, now)
            return _Zone(below, servers, glue)
        return None

    def _nothing(
        self, reply: dns.message.Message, zone: _Zone, name: dns.name.Name, rdtype: dns.rdatatype.RdataType, now: int
    ) -> Negative | None:
        """NXDOMAIN or no data (RFC 2308 section 2), for as long as the SOA says. An answer without AA and SOA is none."""
        soa = None
        for rrset in reply.authority:
            inside = rrset.name.is_subdomain(zone.name) and name.is_subdomain(rrset.name)
            if rrset.rdtype == _SOA and inside:
                soa = rrset
        if soa is None and not reply.flags & dns.flags.AA:
            return None
        ttl = 0 if soa is None else min(soa.ttl, soa[0].minimum)
        found = Negative(reply.rcode(), soa)
        self.memory.deny(name, rdtype, found, ttl, now)
        return found


def _meaning(
    reply: dns.message.Message | None, found: object, zone: _Zone, rdtype: dns.rdatatype.RdataType
) -> tuple[str, str, str]:
    """The name of what an answer means, the reason, and the section."""
    if reply is None:
        return "silence", "no answer came in time, or the connection failed", "RFC 1034 5.3.3"
    if isinstance(found, _Zone):
        glue = sum(len(addresses) for addresses in found.addresses.values())
        one = len(found.servers) == 1
        names = f"{len(found.servers)} name {'server' if one else 'servers'}, and {glue} of {'its' if one else 'their'} addresses (glue)"
        return "refer", f"the server of {zone.name} refers to the zone {found.name}, with {names}", "RFC 1034 4.2.1"
    if isinstance(found, Negative):
        what = "there is no such name" if found.rcode == dns.rcode.NXDOMAIN else "the name has no such record"
        return "nothing", f"the server says that {what}", "RFC 2308 2"
    if isinstance(found, dns.rrset.RRset):
        if found.rdtype != rdtype:
            return "alias", f"the name is an alias of {found[0].target}, which is looked up next", "RFC 1034 3.6.2"
        return (
            "answer",
            f"the server knows {len(found)} {'record' if len(found) == 1 else 'records'}, for {found.ttl} s",
            "RFC 1034 5.3.3",
        )
    return (
        "lame",
        f"the answer cannot be used: {dns.rcode.to_text(reply.rcode())} without records in the zone",
        "RFC 1912 2.8",
    )


def _find(
    section: list[dns.rrset.RRset], name: dns.name.Name, rdtype: dns.rdatatype.RdataType
) -> dns.rrset.RRset | None:
    """The records of a name and type in a section of a message."""
    for rrset in section:
        if rrset.rdtype == rdtype and rrset.rdclass == dns.rdataclass.IN and rrset.name == name and len(rrset):
            return rrset
    return None
