"""The resolver: which names it asks for, which servers, how often, and what it makes of the answers."""

import _socket as _kernel
import errno
import re
from typing import Any

import dns.exception
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rdtypes.ANY.CNAME
import dns.rdtypes.ANY.OPT
import dns.rdtypes.ANY.PTR
import dns.rdtypes.ANY.SOA
import dns.rdtypes.IN.A  # dnspython loads the modules of record types when they are needed; a program must not wait for that
import dns.rrset

from pystack.dns.asking import Asker
from pystack.dns.cache import Cache
from pystack.dns.exchange import Secret
from pystack.dns.settings import DnsSettings
from pystack.sockets.resolve import Found, fail, gaierror

#: aliases (CNAME) that one lookup follows, and how many further questions it asks for their targets
CHAIN = 16
FOLLOW = 8
#: addresses of one name that are taken
ADDRESSES = 100
#: the longest wait (s) for one answer
LONGEST_WAIT = 30.0
_A, _PTR, _CNAME, _SOA = (dns.rdatatype.A, dns.rdatatype.PTR, dns.rdatatype.CNAME, dns.rdatatype.SOA)
#: names of hosts as glibc takes them; other names may upset a program or a terminal
_HOST_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_.])?\Z")


class DnsResolver:
    """Looks names up by DNS, by the sockets of a host. It is the `dns` of the host's Names."""

    def __init__(self, host: Any, settings: DnsSettings):
        self.host = host
        self.settings = settings
        #: by (name, type): what was found, or the number of the error
        self.cache: Cache[Found | int] = Cache()
        self._asker = Asker(
            host, Secret(host.stack.seed), edns=settings.edns, use_tcp=settings.use_tcp, mix_case=settings.mix_case
        )
        self._turn = 0

    def forget(self) -> None:
        """Forget all answers."""
        self.cache.clear()

    # -- names -------------------------------------------------------------------------------------------------------

    def addresses(self, name: str) -> Found:
        """The addresses of a name, which may need a domain of the search list. gaierror: there are none, or no answer.

        As in glibc, a name that ends in a dot is complete, and one with `ndots` dots is tried as it is before the search list.
        """
        if not _HOST_NAME.match(name):
            fail(_kernel.EAI_NONAME)
        worst = _kernel.EAI_NONAME
        for each in self._candidates(name):
            try:
                return self._lookup(each, _A)
            except gaierror as exc:
                if exc.errno == _kernel.EAI_FAIL:
                    raise
                # "No address of that kind" comes before "no answer", and that comes before "no such name".
                if worst == _kernel.EAI_NONAME or exc.errno == _kernel.EAI_NODATA:
                    worst = exc.errno or worst
        fail(worst)

    def _candidates(self, name: str) -> list[str]:
        """The complete names to ask for, in order."""
        if name.endswith("."):
            return [name]
        longer = [f"{name}.{domain.removesuffix('.')}.".replace("..", ".") for domain in self.settings.search]
        plain = f"{name}."
        return [plain, *longer] if name.count(".") >= self.settings.ndots else [*longer, plain]

    def names(self, address: str) -> Found:
        """The names of an address. gaierror: there is none, or no answer."""
        found = self._lookup(".".join(reversed(address.split("."))) + ".in-addr.arpa.", _PTR)
        return Found(found.addresses[0], found.addresses[1:], [address])

    # -- one complete name -------------------------------------------------------------------------------------------

    def _lookup(self, name: str, rdtype: dns.rdatatype.RdataType) -> Found:
        """The records of a complete name, from the cache or from a server."""
        key = (name.lower(), rdtype.name)
        found = self.cache.get(key, self.host.clock())
        if found is None:
            found, ttl = self._follow(name, rdtype)
            self.cache.put(key, found, self.host.clock(), ttl, negative=isinstance(found, int))
        if isinstance(found, int):
            fail(found)
        # Without an alias, the canonical name is the name as it was asked for.
        return found if found.aliases else found._replace(name=name.removesuffix("."))

    def _follow(self, name: str, rdtype: dns.rdatatype.RdataType) -> tuple[Found | int, int]:
        """Ask for a name, and for the names of which it is an alias. Returns what was found, or an error, with its time to live (s)."""
        try:
            here = dns.name.from_text(name)
        except dns.exception.DNSException:
            return _kernel.EAI_NONAME, 0
        aliases: list[str] = []
        ttl = 1 << 31
        for _ in range(FOLLOW):
            reply = self._ask(here.to_text(), rdtype)
            start, records = here, None
            for _ in range(CHAIN):
                records = _records(reply, here, rdtype)
                alias = None if records else _records(reply, here, _CNAME)
                if not alias or len(aliases) >= CHAIN:
                    break
                aliases.append(_text(here) if aliases else name.removesuffix("."))
                ttl = min(ttl, alias.ttl)
                here = alias[0].target
            if records:
                return self._found(_text(here), aliases, records, min(ttl, records.ttl))
            if len(aliases) >= CHAIN:
                break
            if here == start or reply.rcode() == dns.rcode.NXDOMAIN or _denied(reply, here):
                missing = reply.rcode() == dns.rcode.NXDOMAIN
                return (_kernel.EAI_NONAME if missing else _kernel.EAI_NODATA), min(ttl, _negative_ttl(reply, here))
        return _kernel.EAI_FAIL, 0  # aliases of aliases without an end

    def _found(self, name: str, aliases: list[str], records: dns.rrset.RRset, ttl: int) -> tuple[Found | int, int]:
        """The texts of the records, of which those that are no names of hosts are left out."""
        texts = [
            _text(record.target) if hasattr(record, "target") else record.to_text() for record in records[:ADDRESSES]
        ]
        texts = [each for each in texts if _HOST_NAME.match(each)]
        if not texts or not _HOST_NAME.match(name):
            return _kernel.EAI_NONAME, 0
        return Found(name, aliases, texts), ttl

    # -- servers -----------------------------------------------------------------------------------------------------

    def _ask(self, name: str, rdtype: dns.rdatatype.RdataType) -> dns.message.Message:
        """Ask the servers in turn, in several rounds. gaierror: none has answered, or none could."""
        settings = self.settings
        servers = list(settings.servers)
        if settings.rotate:
            first = self._turn % len(servers)
            self._turn += 1
            servers = servers[first:] + servers[:first]
        code = _kernel.EAI_AGAIN
        for attempt in range(settings.attempts):
            wait = min(settings.timeout * (1 << attempt), LONGEST_WAIT)
            for server in servers:
                try:
                    reply = self._asker.ask(server, name, rdtype, wait)
                except OSError as exc:
                    if exc.errno in (errno.ENETDOWN, errno.EMFILE):
                        raise  # the stack has stopped, or the program has no descriptors left
                    continue
                if reply.rcode() in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
                    return reply
                code = _kernel.EAI_FAIL if reply.rcode() == dns.rcode.FORMERR else _kernel.EAI_AGAIN
        fail(code)


def _text(name: dns.name.Name) -> str:
    """A name as programs see it, without the dot at its end. Its case is lost, because an answer refers to our mixed letters."""
    return name.to_text(omit_final_dot=True).lower()


def _records(
    reply: dns.message.Message, name: dns.name.Name, rdtype: dns.rdatatype.RdataType
) -> dns.rrset.RRset | None:
    """The records of a name and type in the answer, or None."""
    return reply.get_rrset(reply.answer, name, dns.rdataclass.IN, rdtype)


def _soa(reply: dns.message.Message, name: dns.name.Name) -> dns.rrset.RRset | None:
    """The SOA record of a zone above `name`, by which a server says that there is nothing else (RFC 2308 section 2)."""
    for rrset in reply.authority:
        if rrset.rdtype == _SOA and name.is_subdomain(rrset.name):
            return rrset
    return None


def _denied(reply: dns.message.Message, name: dns.name.Name) -> bool:
    """Whether the answer says that the name, to which an alias leads, has no such records."""
    return _soa(reply, name) is not None


def _negative_ttl(reply: dns.message.Message, name: dns.name.Name) -> int:
    """For how many seconds "there is nothing" holds: the smaller of the TTL and the minimum of the SOA (RFC 2308 section 5)."""
    rrset = _soa(reply, name)
    return 0 if rrset is None else min(rrset.ttl, rrset[0].minimum)
