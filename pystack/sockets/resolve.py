"""Names and addresses: literals, what a stack knows about names, and the host argument of bind() and connect().

A name is looked up in this order: the table (as in /etc/hosts), "localhost", the stack's own name, the network's names, DNS.
"""

import _socket as _kernel
import copy
import weakref
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, NoReturn, Protocol

from pystack.sockets.destination import look, ordered, own_addresses
from pystack_c.base.address import addr_text, from_bytes, v4

SOCK_STREAM = int(_kernel.SOCK_STREAM)
gaierror = _kernel.gaierror
#: the texts of gaierror, as gai_strerror(3) gives them
TEXTS = {
    _kernel.EAI_BADFLAGS: "Bad value for ai_flags",
    _kernel.EAI_NONAME: "Name or service not known",
    _kernel.EAI_AGAIN: "Temporary failure in name resolution",
    _kernel.EAI_FAIL: "Non-recoverable failure in name resolution",
    _kernel.EAI_NODATA: "No address associated with hostname",
    _kernel.EAI_FAMILY: "ai_family not supported",
    _kernel.EAI_SOCKTYPE: "ai_socktype not supported",
    _kernel.EAI_SERVICE: "Servname not supported for ai_socktype",
}


def fail(code: int) -> NoReturn:
    """Raise the gaierror with this number (EAI_...)."""
    raise gaierror(code, TEXTS[code])


class Found(NamedTuple):
    """The facts about a name: its canonical name, its other names, and its addresses as text."""

    name: str
    aliases: list[str]
    addresses: list[str]


class Dns(Protocol):
    """What `Names` asks of a DNS resolver (pystack.dns). Both methods raise gaierror."""

    def addresses(self, name: str) -> Found:
        """The addresses of a name."""

    def names(self, address: str) -> Found:
        """The names of an address."""

    def forget(self) -> None:
        """Forget all answers."""


def check_table(table: Any) -> "Mapping[str, str | Sequence[str]]":
    """The table of names, or an empty one for None. TypeError: it is no mapping of names to addresses as texts."""
    if table is None:
        return {}
    if not isinstance(table, Mapping):
        raise TypeError(f"the names are a mapping such as {{'web': '10.0.0.1'}}, not {table!r:.60}")
    for name, addresses in table.items():
        several = [addresses] if isinstance(addresses, str) else addresses
        good = isinstance(several, Sequence) and all(isinstance(address, str) for address in several)
        if not isinstance(name, str) or not good:
            raise TypeError(
                f"the names are a mapping such as {{'web': '10.0.0.1'}}; {name!r:.40}: {addresses!r:.40} is not"
            )
    return table


class Names:
    """The names that a stack knows.

    table      name -> addresses, as in /etc/hosts; a reverse lookup gives the first name with the address
    hook       called with a name that the table does not have; returns a list of addresses (empty: unknown)
    back_hook  the same for a reverse lookup: called with an address, returns a name or None
    dns        the resolver that is asked last, or None
    """

    def __init__(
        self,
        table: "Mapping[str, str | Sequence[str]] | None" = None,
        hook: Callable[[str], list[str]] | None = None,
        back_hook: Callable[[str], str | None] | None = None,
    ):
        self.table: dict[str, list[str]] = {"localhost": ["127.0.0.1"]}
        #: name -> the names of the line of the hosts file in which it comes first, for lines with several names
        self.lines: dict[str, list[str]] = {}
        for name, addresses in check_table(table).items():
            for address in [addresses] if isinstance(addresses, str) else addresses:
                self.add(address, name)
        self.hook = hook
        self.back_hook = back_hook
        self.dns: Dns | None = None
        #: returns the host to which the names belong, or None
        self.host: Callable[[], Any] = lambda: None

    @classmethod
    def read(cls, path: str) -> "Names":
        """Read a file in the format of hosts(5). As in glibc, ::1 is 127.0.0.1 here, and lines with other IPv6 addresses are skipped."""
        names = cls()
        with open(path, encoding="utf-8", errors="replace") as file:
            for line in file:
                words = line.split("#", 1)[0].split()
                if len(words) > 1 and words[0] == "::1":
                    words[0] = "127.0.0.1"
                if len(words) > 1 and literal(words[0]) is not None:
                    names.add(*words)
        return names

    def add(self, address: str, *names: str) -> None:
        """Add a line of the hosts file: an address, its canonical name, and other names. ValueError: no IPv4 address."""
        addr = literal(address)
        if addr is None:
            raise ValueError(f"{names[0]}: {address!r} is not an IPv4 address")
        keys = [name.lower().rstrip(".") for name in names]
        for key in keys:
            known = self.table.setdefault(key, [])
            if text(addr) not in known:
                known.append(text(addr))
            if len(keys) > 1 or key != names[0]:
                self.lines.setdefault(key, list(names))

    def of(self, host: Any) -> "Names":
        """These names for one host, which gets its own name, its own order of addresses, and may get its own DNS."""
        mine = copy.copy(self)
        mine.host = weakref.ref(host)
        return mine

    def lookup(self, name: str) -> list[str]:
        """The addresses of a name. Empty if it is unknown. gaierror: DNS gave no answer."""
        try:
            return self.find(name).addresses
        except gaierror as exc:
            if exc.errno in (_kernel.EAI_NONAME, _kernel.EAI_NODATA):
                return []
            raise

    def known(self, name: str, far: bool = True) -> Found:
        """Return the facts about a name, with the addresses in the order of the source. gaierror: nothing is known.

        far  whether DNS may be asked
        """
        found = self.near(name)
        if found is None:
            if self.dns is None or not far:
                fail(_kernel.EAI_NONAME)
            found = self.dns.addresses(name)
        return found

    def find(self, name: str, far: bool = True) -> Found:
        """`known`, with the addresses in the order of RFC 6724."""
        found = self.known(name, far)
        if len(found.addresses) < 2:
            return found
        numbers = [from_bytes(_kernel.inet_aton(address)) for address in found.addresses]
        return found._replace(addresses=[text(addr) for addr in ordered(self.host(), numbers)])

    def near(self, name: str) -> Found | None:
        """Return the facts about a name that are known without DNS, or None."""
        key = name.lower().rstrip(".")
        known = self.table.get(key)
        if known is None and key.endswith(".localhost"):
            known = self.table["localhost"]  # RFC 6761 6.3: such a name is never asked for
        if known is not None:
            line = self.lines.get(key, [name])
            return Found(line[0], line[1:], list(known))
        host = self.host()
        if host is not None and key == host.name.lower().rstrip("."):
            return Found(host.name, [], self._own())
        known = [] if self.hook is None else self.hook(name)
        return Found(name, [], list(known)) if known else None

    def _own(self) -> list[str]:
        """The own addresses, or the loopback address if there are no others."""
        return [text(addr) for addr in look(self.host(), own_addresses)] or ["127.0.0.1"]

    def reverse(self, addr: str) -> str | None:
        """A name with this address, or None."""
        try:
            return self.back(addr).name
        except gaierror as exc:
            if exc.errno in (_kernel.EAI_NONAME, _kernel.EAI_NODATA):
                return None
            raise

    def back(self, addr: str) -> Found:
        """The names of an address. gaierror: there is none."""
        for name, addrs in self.table.items():
            if addr in addrs:
                line = self.lines.get(name, [name])
                return Found(line[0], line[1:], [addr])
        host = self.host()
        if host is not None and addr in self._own():
            return Found(host.name, [], [addr])
        known = None if self.back_hook is None else self.back_hook(addr)
        if known is not None:
            return Found(known, [], [addr])
        if self.dns is None:
            fail(_kernel.EAI_NONAME)
        return self.dns.names(addr)


_plain = Names()


@lru_cache(1024)
def text(addr: int) -> str:
    """An address as text."""
    return addr_text(addr)


@lru_cache(1024)
def literal(host: str) -> int | None:
    """The address of a dotted quad (or inet_aton's shorter forms), or None if it is a name."""
    try:
        number = _kernel.inet_aton(host)
    except (OSError, ValueError):  # a name, or one with a null character
        return None
    # inet_aton takes anything after white space
    return from_bytes(number) if host.split() == [host] else None


def as_name(host: Any) -> str:
    """A host argument as str. A name may be bytes, and an international name becomes IDNA."""
    if isinstance(host, str):
        if host.isascii():
            return host
        return host.encode("idna").decode("ascii")
    if isinstance(host, (bytes, bytearray)):
        return bytes(host).decode("ascii")
    raise TypeError(f"str, bytes or bytearray expected, not {type(host).__name__}")


def resolve(names: Names | None, host: Any) -> int:
    """The address of the host argument of bind() and connect(). "" means any, and "<broadcast>" means 255.255.255.255."""
    name = as_name(host)
    if name == "":
        return 0
    if name == "<broadcast>":
        return v4(0xFFFFFFFF)
    addr = literal(name)
    if addr is not None:
        return addr
    return from_bytes(_kernel.inet_aton((names or _plain).find(name).addresses[0]))


def sockaddr(names: Names | None, address: Any, caller: str) -> tuple[int, int]:
    """(host, port) as ints. The checks and their errors are those of CPython's getsockaddrarg."""
    if not isinstance(address, tuple):
        raise TypeError(f"{caller}(): AF_INET address must be tuple, not {type(address).__name__}")
    if len(address) != 2:
        raise TypeError(f"{caller}(): AF_INET address must be a pair (host, port)")
    host, port = address
    if not hasattr(port, "__index__"):
        raise TypeError(f"'{type(port).__name__}' object cannot be interpreted as an integer")
    addr = resolve(names, host)
    number = port.__index__()
    if not 0 <= number <= 0xFFFF:
        raise OverflowError(f"{caller}(): port must be 0-65535.")
    return addr, number
