"""A small authoritative DNS server, which answers from the text of zones (RFC 1034 4.3.2). For simulated hosts and tests.

    zone = Zone("example.", "@ 300 SOA ns hostmaster 1 3600 600 86400 60\\n@ NS ns\\nns A 10.0.0.53\\nweb 60 A 10.0.0.80")
    net.run({client: program}, background={server: DnsServer(zone)})

It knows aliases, wildcards and delegations, EDNS, and TCP for answers that are too long for UDP. It has no transfers, updates or DNSSEC.
"""

import threading
from typing import Any

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

from pystack import socket as _socket

#: the longest answer over UDP (bytes), and the number of aliases that one answer follows
LONGEST = 1232
CHAIN = 8
#: seconds for which a TCP connection may be idle (RFC 7766 section 6.2.3)
IDLE = 10
_CNAME, _NS, _SOA = dns.rdatatype.CNAME, dns.rdatatype.NS, dns.rdatatype.SOA


class Zone:
    """A zone: its name, and its records in the format of RFC 1035 section 5. ValueError: it has no SOA record."""

    def __init__(self, origin: str, records: str):
        self.origin = dns.name.from_text(origin)
        self.records = dns.zone.from_text(f"$TTL 60\n{records}\n", self.origin, relativize=False, check_origin=False)
        if self.records.get_rrset(self.origin, _SOA) is None:
            raise ValueError(f"the zone {origin} needs an SOA record: @ SOA ns hostmaster 1 3600 600 86400 60")

    def get(self, name: dns.name.Name, kind: dns.rdatatype.RdataType) -> dns.rrset.RRset | None:
        """The records of a name and type, those of the wildcard above it included, or None."""
        if self.exists(name):
            return self.records.get_rrset(name, kind)
        while not self.exists(name):
            name = name.parent()
        return self.records.get_rrset(dns.name.Name((b"*", *name.labels)), kind)  # RFC 4592 section 3.3.1

    def exists(self, name: dns.name.Name) -> bool:
        """Whether there is the name, or one below it (RFC 4592 section 2.2)."""
        return name in self.records.nodes or any(other.is_subdomain(name) for other in self.records.nodes)

    def denies(self, name: dns.name.Name) -> bool:
        """Whether there is neither the name nor a wildcard for it."""
        if self.exists(name):
            return False
        while not self.exists(name):
            name = name.parent()
        return dns.name.Name((b"*", *name.labels)) not in self.records.nodes

    def delegation(self, name: dns.name.Name) -> dns.rrset.RRset | None:
        """The name servers of the zone below this one to which a name belongs, or None."""
        while name != self.origin:
            found = self.records.get_rrset(name, _NS)
            if found is not None:
                return found
            name = name.parent()
        return None


class DnsServer:
    """The program of a host that answers for zones, at a port, over UDP and TCP. It never ends: run it in the background."""

    def __init__(self, *zones: Zone, port: int = 53):
        self.zones = zones
        self.port = port
        #: the questions that were answered, as (name, type, "udp" or "tcp")
        self.questions: list[tuple[str, str, str]] = []

    def __call__(self) -> None:
        """Serve."""
        with _socket.socket() as listener, _socket.socket(type=_socket.SOCK_DGRAM) as sock:
            listener.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
            listener.bind(("", self.port))
            listener.listen()
            sock.bind(("", self.port))
            threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
            while True:
                try:
                    data, peer = sock.recvfrom(65535)
                    reply = self.answer(data)
                    if reply is not None:
                        sock.sendto(reply, peer)
                except ConnectionError:
                    pass  # a client is gone

    def _accept(self, listener: Any) -> None:
        while True:
            conn, _ = listener.accept()
            threading.Thread(target=self._serve, args=(conn,), daemon=True).start()

    def _serve(self, conn: Any) -> None:
        """Answer the questions of one connection (RFC 7766)."""
        with conn, conn.makefile("rb") as file:
            conn.settimeout(IDLE)
            try:
                while size := file.read(2):
                    reply = self.answer(file.read(int.from_bytes(size, "big")), tcp=True)
                    if reply is None:
                        return
                    conn.sendall(len(reply).to_bytes(2, "big") + reply)
            except OSError:
                pass

    def answer(self, data: bytes, tcp: bool = False) -> bytes | None:
        """The answer to a message, or None if it gets none."""
        try:
            query = dns.message.from_wire(data)
        except (dns.exception.DNSException, ValueError, IndexError):
            if len(data) < 12 or data[2] & 0x80:
                return None
            return data[:2] + bytes((0x80 | data[2] & 0x79, dns.rcode.FORMERR)) + bytes(8)
        if query.flags & dns.flags.QR:
            return None
        reply = dns.message.make_response(query)
        if query.opcode() != dns.opcode.QUERY:
            reply.set_rcode(dns.rcode.NOTIMP)
        elif len(query.question) != 1:
            reply.set_rcode(dns.rcode.FORMERR)
        else:
            asked = query.question[0]
            self.questions.append((asked.name.to_text(), dns.rdatatype.to_text(asked.rdtype), "tcp" if tcp else "udp"))
            self._fill(reply, asked.name, asked.rdtype)
        limit = 65535 if tcp else max(512, min(query.payload, LONGEST))
        try:
            return bytes(reply.to_wire(max_size=limit))
        except dns.exception.TooBig:
            reply.answer, reply.authority, reply.additional = [], [], []
            reply.flags |= dns.flags.TC
            return bytes(reply.to_wire())

    def _fill(self, reply: dns.message.Message, name: dns.name.Name, kind: dns.rdatatype.RdataType) -> None:
        """Put the records of a name into the answer, and those of the names of which it is an alias."""
        for step in range(CHAIN):
            zone = self._zone(name)
            if zone is None:
                if step == 0:
                    reply.set_rcode(dns.rcode.REFUSED)
                return
            below = zone.delegation(name)
            if below is not None:
                reply.authority.append(below)
                glue = [zone.get(record.target, dns.rdatatype.A) for record in below]
                reply.additional += [each for each in glue if each is not None]
                return
            reply.flags |= dns.flags.AA
            alias = None if kind == _CNAME else zone.get(name, _CNAME)
            found = alias or zone.get(name, kind)
            if found is None:
                self._deny(reply, zone, name)
                return
            reply.answer.append(dns.rrset.from_rdata_list(name, found.ttl, list(found)))
            if alias is None:
                return
            name = alias[0].target

    def _deny(self, reply: dns.message.Message, zone: Zone, name: dns.name.Name) -> None:
        """Say that there is nothing, and for how long (RFC 2308 section 3)."""
        if zone.denies(name):
            reply.set_rcode(dns.rcode.NXDOMAIN)
        soa = zone.get(zone.origin, _SOA)
        if soa is not None:
            reply.authority.append(soa)

    def _zone(self, name: dns.name.Name) -> Zone | None:
        """The zone to which a name belongs."""
        found = [zone for zone in self.zones if name.is_subdomain(zone.origin)]
        return max(found, key=lambda zone: len(zone.origin), default=None)
