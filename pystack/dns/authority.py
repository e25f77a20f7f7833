"""An authoritative server without I/O: it answers messages from zones (RFC 1034 section 4.3.2, RFC 4592, RFC 2308).

dnspython reads the zones and the messages. The server knows aliases, wildcards, delegations with glue, EDNS and transfers over TCP (RFC 5936). It
has no DNAME, no updates and no DNSSEC.
"""

import io
from collections.abc import Callable, Iterator, Sequence

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import dns.zone

#: the longest answer over UDP (bytes), and the number of aliases that one answer follows
LONGEST = 1232
CHAIN = 8
#: bytes of records in one message of a transfer
TRANSFER = 16_000
_CNAME, _NS, _SOA, _DS = dns.rdatatype.CNAME, dns.rdatatype.NS, dns.rdatatype.SOA, dns.rdatatype.DS
_A, _AAAA, _ANY, _AXFR, _IXFR = (
    dns.rdatatype.A,
    dns.rdatatype.AAAA,
    dns.rdatatype.ANY,
    dns.rdatatype.AXFR,
    dns.rdatatype.IXFR,
)


def _origin(text: str) -> dns.name.Name:
    """The name of a zone. ValueError if it is not a name."""
    try:
        return dns.name.from_text(text)
    except dns.exception.DNSException as error:
        raise ValueError(f"{text!r} is not the name of a zone: {error}") from None


class Zone:
    """A zone: its name, and its records in the format of RFC 1035 section 5. ValueError: the records are not those of a zone."""

    def __init__(self, origin: str, records: str):
        self.origin = _origin(origin)
        try:
            found = dns.zone.from_text(f"$TTL 60\n{records}\n", self.origin, relativize=False, check_origin=False)
        except dns.exception.DNSException as error:
            raise ValueError(f"the zone {origin}: {error}") from None
        self._take(found)

    @classmethod
    def read(cls, path: str, origin: str = "") -> "Zone":
        """Read a zone file. Its name is `origin`, or what $ORIGIN in the file says. ValueError, OSError."""
        zone = cls.__new__(cls)
        name = _origin(origin) if origin else None
        with open(path, encoding="utf-8", errors="replace") as file:
            text = file.read()
        try:
            found = dns.zone.from_text(text, name, relativize=False, check_origin=False)
        except (dns.exception.DNSException, ValueError) as error:
            why = str(error) or type(error).__name__
            raise ValueError(
                f"{path}:{'' if why.startswith('<string>:') else ' '}{why.removeprefix('<string>:')}"
            ) from None
        if found.origin is None:
            raise ValueError(f"{path}: the file has no $ORIGIN, so the name of the zone must be given")
        zone.origin = found.origin
        zone._take(found)
        return zone

    def _take(self, records: dns.zone.Zone) -> None:
        self.records = records
        if records.get_rrset(self.origin, _SOA) is None:
            raise ValueError(
                f"the zone {self.origin.to_text()} needs an SOA record: @ SOA ns hostmaster 1 3600 600 86400 60"
            )
        #: the names that exist: those with records, and those above them (empty non-terminals, RFC 4592 section 2.2.2)
        self.names: set[dns.name.Name] = set()
        for each in records.nodes:
            if not isinstance(each, dns.name.Name) or not each.is_subdomain(self.origin):
                raise ValueError(f"{each} is not in the zone {self.origin}")
            name = each
            while name not in self.names:
                self.names.add(name)
                if name == self.origin:
                    break
                name = name.parent()

    def get(self, name: dns.name.Name, kind: dns.rdatatype.RdataType) -> dns.rrset.RRset | None:
        """The records of a name and type, those of the wildcard above it included, or None."""
        return self.records.get_rrset(self.source(name), kind)

    def source(self, name: dns.name.Name) -> dns.name.Name:
        """The name whose records answer: itself, or the wildcard at its closest encloser (RFC 4592 section 3.3.1)."""
        if name in self.names:
            return name
        while name not in self.names:
            name = name.parent()
        return dns.name.Name((b"*", *name.labels))

    def denies(self, name: dns.name.Name) -> bool:
        """Whether there is neither the name nor a wildcard for it."""
        return self.source(name) not in self.names

    def delegation(self, name: dns.name.Name) -> dns.rrset.RRset | None:
        """The name servers of the zone below this one to which a name belongs, or None. The highest cut counts."""
        found = None
        while name != self.origin:
            found = self.records.get_rrset(name, _NS) or found
            name = name.parent()
        return found

    def soa(self) -> dns.rrset.RRset:
        """The SOA record for a negative answer, which holds for the smaller of its TTL and its minimum (RFC 2308 section 3)."""
        found = self.records.get_rrset(self.origin, _SOA)
        assert found is not None
        return dns.rrset.from_rdata_list(self.origin, min(found.ttl, found[0].minimum), list(found))


class Authority:
    """Answers for zones.

    transfers  whether a client may have a whole zone (AXFR over TCP): called with its address; None: nobody may
    """

    def __init__(self, zones: Sequence[Zone], transfers: Callable[[str], bool] | None = None):
        self.zones = {zone.origin: zone for zone in zones}
        if len(self.zones) != len(zones):
            raise ValueError(f"two of the zones have the same name: {', '.join(z.origin.to_text() for z in zones)}")
        self.transfers = transfers
        #: called with (name, type, "udp" or "tcp") of each question
        self.on_question: Callable[[str, str, str], None] = lambda name, kind, how: None

    def answers(self, data: bytes, tcp: bool, peer: str) -> Iterator[bytes]:
        """The answers to a message: one, none, or the messages of a transfer."""
        query = read_query(data)
        if isinstance(query, bytes):
            if query:
                yield query
            return
        if (
            tcp
            and query.opcode() == dns.opcode.QUERY
            and len(query.question) == 1
            and query.question[0].rdtype == _AXFR
        ):
            yield from self._transfer(query, peer)
        else:
            yield self._answer(query, tcp)

    def _answer(self, query: dns.message.Message, tcp: bool) -> bytes:
        reply = dns.message.make_response(query, our_payload=LONGEST)
        code = refusal(query)
        if code != dns.rcode.NOERROR:
            reply.set_rcode(code)
        else:
            asked = query.question[0]
            kind = dns.rdatatype.to_text(asked.rdtype)
            self.on_question(asked.name.to_text(), kind, "tcp" if tcp else "udp")
            if asked.rdclass != dns.rdataclass.IN or asked.rdtype in (_AXFR, _IXFR):
                reply.set_rcode(dns.rcode.REFUSED)
            else:
                self._fill(reply, asked.name, asked.rdtype)
        return to_wire(reply, query, tcp)

    def _fill(self, reply: dns.message.Message, name: dns.name.Name, kind: dns.rdatatype.RdataType) -> None:
        """Put the records of a name into the answer, and those of the names of which it is an alias."""
        seen = set()
        for step in range(CHAIN):
            zone = self._zone(name, kind)
            if zone is None or name in seen:
                if step == 0:
                    reply.set_rcode(dns.rcode.REFUSED)
                return
            seen.add(name)
            cut = zone.delegation(name)
            # RFC 4035 section 3.1.4.1: a DS record belongs to the zone above the cut.
            if cut is not None and not (kind == _DS and cut.name == name):
                self._refer(reply, zone, cut, step)
                return
            reply.flags |= dns.flags.AA
            alias = None if kind in (_CNAME, _ANY) else zone.get(name, _CNAME)
            found = [alias] if alias else self._records(zone, name, kind)
            if not found:
                if zone.denies(name):
                    reply.set_rcode(dns.rcode.NXDOMAIN)
                reply.authority.append(zone.soa())
                return
            reply.answer += [dns.rrset.from_rdata_list(name, rrset.ttl, list(rrset)) for rrset in found]
            if alias is None:
                return
            name = alias[0].target

    def _records(self, zone: Zone, name: dns.name.Name, kind: dns.rdatatype.RdataType) -> list[dns.rrset.RRset]:
        source = zone.source(name)
        if kind != _ANY:
            found = zone.records.get_rrset(source, kind)
            return [] if found is None else [found]
        node = zone.records.get_node(source)
        return [] if node is None else [dns.rrset.from_rdata_list(source, each.ttl, list(each)) for each in node]

    def _refer(self, reply: dns.message.Message, zone: Zone, cut: dns.rrset.RRset, step: int) -> None:
        """Name the servers of the zone below, with the addresses that are in this zone (glue)."""
        if step == 0:
            reply.flags &= ~dns.flags.AA
        reply.authority.append(cut)
        for record in cut:
            for kind in (_A, _AAAA):
                glue = zone.records.get_rrset(record.target, kind) if record.target.is_subdomain(zone.origin) else None
                if glue is not None:
                    reply.additional.append(glue)

    def _zone(self, name: dns.name.Name, kind: dns.rdatatype.RdataType) -> Zone | None:
        """The zone to which a name belongs. The DS record of a zone's own name is in the zone above it, if that is here, too."""
        first = None
        if kind == _DS and name in self.zones and name != dns.name.root:
            first, name = self.zones[name], name.parent()
        while True:
            if name in self.zones:
                return self.zones[name]
            if name == dns.name.root:
                return first
            name = name.parent()

    def _transfer(self, query: dns.message.Message, peer: str) -> Iterator[bytes]:
        """All records of a zone, between two copies of its SOA record (RFC 5936 section 2.2)."""
        zone = self.zones.get(query.question[0].name)
        self.on_question(query.question[0].name.to_text(), "AXFR", "tcp")
        reply = dns.message.make_response(query, our_payload=LONGEST)
        if zone is None or self.transfers is None or not self.transfers(peer):
            reply.set_rcode(dns.rcode.NOTAUTH if zone is None else dns.rcode.REFUSED)
            yield bytes(reply.to_wire(max_size=65535))
            return
        soa = zone.records.get_rrset(zone.origin, _SOA)
        size = 0
        reply.flags |= dns.flags.AA
        for rrset in (soa, *_all(zone), soa):
            assert rrset is not None
            file = io.BytesIO()
            rrset.to_wire(file)
            length = file.tell()
            if size and size + length > TRANSFER:
                yield bytes(reply.to_wire(max_size=65535))
                reply = dns.message.make_response(query, our_payload=LONGEST)
                reply.flags |= dns.flags.AA
                size = 0
            reply.answer.append(dns.rrset.from_rdata_list(rrset.name, rrset.ttl, list(rrset)))
            size += length
        yield bytes(reply.to_wire(max_size=65535))


def _all(zone: Zone) -> Iterator[dns.rrset.RRset]:
    for name, node in sorted(zone.records.nodes.items()):
        assert isinstance(name, dns.name.Name)
        for rdataset in node:
            if rdataset.rdtype != _SOA:
                yield dns.rrset.from_rdata_list(name, rdataset.ttl, list(rdataset))


def read_query(data: bytes) -> "dns.message.Message | bytes":
    """The query, or the answer to bytes that are none: FORMERR, or b"" if they get no answer."""
    try:
        query = dns.message.from_wire(data)
    except (dns.exception.DNSException, ValueError, IndexError):
        if len(data) < 12 or data[2] & 0x80:
            return b""
        return data[:2] + bytes((0x80 | data[2] & 0x79, dns.rcode.FORMERR)) + bytes(8)
    return b"" if query.flags & dns.flags.QR else query


def refusal(query: dns.message.Message) -> dns.rcode.Rcode:
    """The code with which any server here refuses a query, or NOERROR: it may be answered."""
    if query.opcode() != dns.opcode.QUERY:
        return dns.rcode.NOTIMP
    if len(query.question) != 1:
        return dns.rcode.FORMERR
    return dns.rcode.BADVERS if query.edns > 0 else dns.rcode.NOERROR  # RFC 6891 section 6.1.3


def to_wire(reply: dns.message.Message, query: dns.message.Message, tcp: bool) -> bytes:
    """The bytes of an answer. If it does not fit, the additional records go, and then all (the bit TC: ask over TCP)."""
    limit = 65535 if tcp else max(512, min(query.payload, LONGEST))
    referral = not reply.answer and not reply.flags & dns.flags.AA
    for attempt in range(2):
        try:
            return bytes(reply.to_wire(max_size=limit))
        except dns.exception.TooBig:
            if attempt or referral or not reply.additional:
                break
            reply.additional = []
    reply.answer, reply.authority, reply.additional = [], [], []
    reply.flags |= dns.flags.TC
    return bytes(reply.to_wire())
