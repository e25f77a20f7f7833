"""Which servers a stack asks for names, and how: from Python, and from a file in the format of resolv.conf(5)."""

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from pystack.sockets.resolve import literal, text


class DnsMissing(ImportError):
    """dnspython is not installed."""


def need_dnspython() -> None:
    """Raise DnsMissing, which says how to install it, if dnspython is missing."""
    if importlib.util.find_spec("dns") is None:
        raise DnsMissing("names by DNS need dnspython: pip install 'pystack[dns]'")


def is_domain(domain: str) -> bool:
    """Whether a domain of a search list can be appended to a name: no label is empty, longer than 63 bytes, or contains a blank.

    One dot at the end is allowed, and the root (".") is a domain, too.
    """
    labels = domain.removesuffix(".").split(".") if domain != "." else []
    return len(domain) <= 253 and all(
        0 < len(label.encode()) <= 63 and label.isprintable() and " " not in label for label in labels
    )


@dataclass(frozen=True)
class DnsSettings:
    """The settings of a resolver. The defaults are those of resolv.conf(5), except that EDNS is on.

    servers   (address, port) of each server, in the order in which they are asked
    search    domains that are tried after short names
    ndots     a name with at least so many dots is tried as it is first
    timeout   seconds to wait for an answer in the first round; each further round waits twice as long, 30 s at most
    attempts  how often each server is asked
    rotate    whether each question begins with the next server, so that the load is shared
    edns      the largest answer over UDP in bytes (RFC 6891), 0: no EDNS; 1232 bytes are not fragmented on any usual path
    use_tcp   whether all questions go over TCP
    mix_case  whether the letters of a question get random case, which an answer has to repeat (the "0x20" of forgery resilience)
    """

    servers: tuple[tuple[str, int], ...]
    search: tuple[str, ...] = ()
    ndots: int = 1
    timeout: float = 5.0
    attempts: int = 2
    rotate: bool = False
    edns: int = 1232
    use_tcp: bool = False
    mix_case: bool = True

    def __post_init__(self) -> None:
        if not self.servers:
            raise ValueError("a resolver needs the address of a DNS server")
        for name, value, low, high in (
            ("ndots", self.ndots, 0, 15),
            ("timeout", self.timeout, 0.001, 30),
            ("attempts", self.attempts, 1, 5),
            ("edns", self.edns, 0, 4096),
        ):
            if not low <= value <= high:
                raise ValueError(f"{name}={value}: it must be in {low}..{high}")
        for domain in self.search:
            if not is_domain(domain):
                raise ValueError(f"search={domain!r:.80}: a domain has labels of 1 to 63 letters, such as lab.example")
        if 0 < self.edns < 512:
            raise ValueError(f"edns={self.edns}: the smallest size of RFC 6891 is 512 bytes; 0 switches EDNS off")


#: how servers may be given to `pystack.up(dns=...)` and `Network.host(dns=...)`
Servers: TypeAlias = str | Sequence[str] | DnsSettings


def parse_server(server: str) -> tuple[str, int]:
    """Return ADDRESS or ADDRESS:PORT as a pair. ValueError: it is neither. TypeError: it is no text."""
    if not isinstance(server, str):
        raise TypeError(f"{server!r:.60} is no DNS server: write an IPv4 address as a text, such as '10.0.0.1:5353'")
    address, colon, digits = server.partition(":")
    addr = literal(address) if address.count(".") == 3 else None
    port = int(digits) if digits.isascii() and digits.isdigit() else 0 if colon else 53
    if addr is None or not 0 < port < 65536:
        raise ValueError(f"{server!r} is no DNS server: write an IPv4 address, such as 10.0.0.1 or 10.0.0.1:5353")
    return text(addr), port


def settings_of(servers: Servers, search: Sequence[str] = ()) -> DnsSettings:
    """The DnsSettings of `servers`: "10.0.0.53", a list of such addresses, the path of a file like /etc/resolv.conf (with a slash), or DnsSettings.

    `search` replaces the search list. ValueError: a text is no server, or `search` is no list. TypeError: these are no texts. OSError: the file
    cannot be read.
    """
    if isinstance(search, str):
        raise ValueError(f"search={search!r}: write a list of domains, such as [{search!r}]")
    if not isinstance(search, Sequence) or not all(isinstance(domain, str) for domain in search):
        raise TypeError(f"search={search!r:.60}: write a list of domains, such as ['example.com']")
    if not isinstance(servers, str | Sequence | DnsSettings):
        raise TypeError(f"dns={servers!r:.60}: write the address of a DNS server, or a list of addresses")
    if isinstance(servers, str):
        found = read(servers) if "/" in servers else DnsSettings((parse_server(servers),))
    elif isinstance(servers, DnsSettings):
        found = servers
    else:
        found = DnsSettings(tuple(parse_server(server) for server in servers))
    return replace(found, search=tuple(search)) if search else found


#: the name of an option with a number in resolv.conf -> (our name, the highest value)
_NUMBERS = {"ndots": ("ndots", 15), "timeout": ("timeout", 30), "attempts": ("attempts", 5)}


def read(path: str) -> DnsSettings:
    """Read a file in the format of resolv.conf(5). As in glibc, the first three servers count; IPv6 servers do not.

    ValueError: there is no server in it.
    """
    servers: list[tuple[str, int]] = []
    search: tuple[str, ...] = ()
    options: dict[str, float] = {}
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            words = line.split()
            if len(words) < 2 or words[0][0] in "#;":
                continue
            if words[0] == "nameserver" and ":" not in words[1] and len(servers) < 3:
                servers.append(parse_server(words[1]))
            elif words[0] in ("search", "domain"):
                # A domain that cannot be appended to a name is skipped: the file may serve other programs, too.
                search = tuple(filter(is_domain, words[1:2] if words[0] == "domain" else words[1:]))
            elif words[0] == "options":
                options.update(_options(words[1:]))
    if not servers:
        raise ValueError(f"{path} names no server with an IPv4 address (nameserver 10.0.0.1)")
    return DnsSettings(
        tuple(servers),
        search,
        ndots=int(options.get("ndots", 1)),
        timeout=options.get("timeout", 5),
        attempts=int(options.get("attempts", 2)),
        rotate=bool(options.get("rotate", 0)),
        use_tcp=bool(options.get("use-vc", 0)),
    )


def _options(words: list[str]) -> dict[str, float]:
    """The options that matter here. Others are ignored, and numbers are limited, as in glibc."""
    found: dict[str, float] = {}
    for word in words:
        name, _, value = word.partition(":")
        if name in _NUMBERS and value.isascii() and value.isdigit():
            key, most = _NUMBERS[name]
            low = 0 if key == "ndots" else 1
            found[key] = max(low, min(int(value[:9]), most))
        elif name in ("rotate", "use-vc"):
            found[name] = 1
    return found
