"""What a recursive resolver remembers: records and "there is nothing" (RFC 2308), and apart from them the servers of zones.

Everything has a time to live and a bound on how much there is. The oldest entries give way.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar, NamedTuple

import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

_S = 1_000_000_000
#: the longest time (s) for which records and delegations are kept, and "there is nothing" (RFC 2308 section 5)
LONGEST = 86_400
LONGEST_NEGATIVE = 10_800
#: records of one name and type that are kept
MOST_RECORDS = 300


class Negative(NamedTuple):
    """There is no such name (NXDOMAIN), or no record of the type (NOERROR), and the SOA record that says so."""

    rcode: dns.rcode.Rcode
    soa: dns.rrset.RRset | None


class ServerNames(NamedTuple):
    """The name servers of a zone, and the addresses of some of them."""

    servers: tuple[dns.name.Name, ...]
    addresses: Mapping[dns.name.Name, Sequence[str]]


class _Kept(NamedTuple):
    until: int
    value: "dns.rrset.RRset | Negative | ServerNames"


class Memory:
    """The cache of a recursive resolver. Times are in ns, times to live in s."""

    #: name servers of one zone, and addresses of one of them, that are kept
    SERVERS: ClassVar[int] = 13

    def __init__(self, most: int = 10_000):
        self.most = most
        self._records: dict[tuple[dns.name.Name, int], _Kept] = {}
        self._zones: dict[dns.name.Name, _Kept] = {}

    def __len__(self) -> int:
        return len(self._records) + len(self._zones)

    def get(
        self, name: dns.name.Name, rdtype: dns.rdatatype.RdataType, now: int
    ) -> "dns.rrset.RRset | Negative | None":
        """The records with the time that is left to them, or "there is nothing", or None: nothing is known."""
        for key in ((name, int(rdtype)), (name, 0)):
            kept = self._records.get(key)
            if kept is None or kept.until <= now:
                continue
            left = -(-(kept.until - now) // _S)  # what began less than a second ago has all of its time
            value = kept.value
            if isinstance(value, Negative):
                return value._replace(soa=None if value.soa is None else _aged(value.soa, left))
            assert isinstance(value, dns.rrset.RRset)
            return _aged(value, left)
        return None

    def put(
        self, name: dns.name.Name, rdtype: dns.rdatatype.RdataType, rrset: dns.rrset.RRset, ttl: int, now: int
    ) -> None:
        """Keep records. Nobody may hold a name's memory with millions of records, so too many are not kept."""
        if len(rrset) <= MOST_RECORDS:
            self._keep(self._records, (name, int(rdtype)), rrset, min(ttl, LONGEST), now)

    def deny(self, name: dns.name.Name, rdtype: dns.rdatatype.RdataType, found: Negative, ttl: int, now: int) -> None:
        """Keep that there is nothing: for a type, or (NXDOMAIN) for all types."""
        key = (name, 0 if found.rcode == dns.rcode.NXDOMAIN else int(rdtype))
        self._keep(self._records, key, found, min(ttl, LONGEST_NEGATIVE), now)

    def delegation(self, zone: dns.name.Name, now: int) -> ServerNames | None:
        """The servers of a zone, or None."""
        kept = self._zones.get(zone)
        if kept is None or kept.until <= now:
            return None
        assert isinstance(kept.value, ServerNames)
        return kept.value

    def delegate(self, zone: dns.name.Name, servers: ServerNames, ttl: int, now: int) -> None:
        """Keep the servers of a zone."""
        self._keep(self._zones, zone, servers, min(ttl, LONGEST), now)

    def _keep(self, table: dict, key: object, value: object, ttl: int, now: int) -> None:  # type: ignore[type-arg]
        if ttl <= 0:
            return  # RFC 1035 section 3.2.1: for this question only
        table.pop(key, None)
        while len(table) >= self.most:
            try:
                table.pop(next(iter(table)), None)
            except (StopIteration, RuntimeError):
                break  # another thread has changed it
        table[key] = _Kept(now + ttl * _S, value)  # type: ignore[arg-type]


def _aged(rrset: dns.rrset.RRset, left: int) -> dns.rrset.RRset:
    """A copy of records whose time to live is what is left of it."""
    return dns.rrset.from_rdata_list(rrset.name, min(left, rrset.ttl), list(rrset))
