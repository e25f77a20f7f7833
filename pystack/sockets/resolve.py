"""Names and addresses: literals, a table like /etc/hosts, and a hook where a resolver can be put."""

import _socket as _kernel
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from pystack_c.base.address import addr_text, from_bytes, v4

AF_UNSPEC = 0
AF_INET = int(_kernel.AF_INET)
SOCK_STREAM = int(_kernel.SOCK_STREAM)
SOCK_DGRAM = int(_kernel.SOCK_DGRAM)
SOCK_RAW = int(_kernel.SOCK_RAW)
gaierror = _kernel.gaierror


class Names:
    """The names that a stack knows.

    table  name -> addresses, as in /etc/hosts; a reverse lookup gives the first name with the address
    hook   called with a name that the table does not have; returns a list of addresses (empty: unknown)
    """

    def __init__(self, table: dict[str, list[str]] | None = None, hook: Callable[[str], list[str]] | None = None):
        self.table: dict[str, list[str]] = {"localhost": ["127.0.0.1"]}
        self.table.update(table or {})
        self.hook = hook

    @classmethod
    def read(cls, path: str) -> "Names":
        """Read a file in the format of hosts(5). Lines with IPv6 addresses are skipped."""
        table: dict[str, list[str]] = {}
        with open(path) as file:
            for line in file:
                words = line.split("#", 1)[0].split()
                if words and ":" not in words[0]:
                    for name in words[1:]:
                        table.setdefault(name.lower(), []).append(words[0])
        return cls(table)

    def lookup(self, name: str) -> list[str]:
        """The addresses of a name. Empty if it is unknown."""
        key = name.lower().rstrip(".")
        found = self.table.get(key)
        if found is None and key.endswith(".localhost"):
            found = self.table["localhost"]  # RFC 6761 6.3
        if found is None and self.hook is not None:
            found = self.hook(name)
        return list(found or ())

    def reverse(self, addr: str) -> str | None:
        """A name with this address, or None."""
        for name, addrs in self.table.items():
            if addr in addrs:
                return name
        return None


_plain = Names()


@lru_cache(1024)
def text(addr: int) -> str:
    """An address as text."""
    return addr_text(addr)


@lru_cache(1024)
def literal(host: str) -> int | None:
    """The address of a dotted quad (or inet_aton's shorter forms), or None if it is a name."""
    try:
        return from_bytes(_kernel.inet_aton(host))
    except OSError:
        return None


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
    found = (names or _plain).lookup(name)
    if not found:
        raise gaierror(_kernel.EAI_NONAME, "Name or service not known")
    return from_bytes(_kernel.inet_aton(found[0]))


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


_KINDS = ((SOCK_STREAM, 6, "tcp"), (SOCK_DGRAM, 17, "udp"), (SOCK_RAW, 0, ""))


def getaddrinfo(
    names: Names | None, host: Any, port: Any, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0
) -> list[tuple[int, int, int, str, Any]]:
    """socket.getaddrinfo() for IPv4. IPv6 literals go to the C library, which needs no network for them."""
    name = None if host is None else as_name(host)
    if name is not None and ":" in name or family not in (AF_UNSPEC, AF_INET):
        return _kernel.getaddrinfo(host, port, family, type, proto, flags | _kernel.AI_NUMERICHOST)  # type: ignore[return-value]
    numbers = _service(port, type, flags)
    if host is None and numbers is None:
        raise gaierror(_kernel.EAI_NONAME, "Name or service not known")
    canon = ""
    if name is None or name == "":
        addrs = ["0.0.0.0" if flags & _kernel.AI_PASSIVE else "127.0.0.1"]  # noqa: S104
    elif (addr := literal(name)) is not None:
        addrs = [text(addr)]
        canon = name
    elif flags & _kernel.AI_NUMERICHOST:
        raise gaierror(_kernel.EAI_NONAME, "Name or service not known")
    else:
        addrs = (names or _plain).lookup(name)
        if not addrs:
            raise gaierror(_kernel.EAI_NONAME, "Name or service not known")
        canon = name
    canon = canon if flags & _kernel.AI_CANONNAME else ""
    result: list[tuple[int, int, int, str, Any]] = []
    for a in addrs:
        for kind, number, _ in _KINDS:
            if type not in (0, kind) or (proto and number and proto != number):
                continue
            if numbers is not None and kind not in numbers:
                continue
            result.append((AF_INET, kind, proto or number, "" if result else canon, (a, (numbers or {}).get(kind, 0))))
    if not result:
        raise gaierror(_kernel.EAI_SERVICE, "Servname not supported for ai_socktype")
    return result


def _service(port: Any, kind: int, flags: int) -> dict[int, int] | None:
    """The port for each socket type, from a number, a decimal string or a service name. None if port is None."""
    if port is None:
        return None
    if isinstance(port, (bytes, bytearray)):
        port = bytes(port).decode("ascii")
    if isinstance(port, str):
        if port.isdigit():
            port = int(port)
        else:
            return _service_by_name(port, flags)
    if not isinstance(port, int):
        raise OSError("Int or String expected")
    number = port & 0xFFFF
    return {k: number for k, _, _ in _KINDS}


def _service_by_name(port: str, flags: int) -> dict[int, int]:
    found: dict[int, int] = {}
    if not flags & _kernel.AI_NUMERICSERV:
        for k, _, protocol in _KINDS[:2]:
            try:
                found[k] = _kernel.getservbyname(port, protocol)
            except OSError:
                continue
    if not found:
        raise gaierror(_kernel.EAI_SERVICE if port else _kernel.EAI_NONAME, "Servname not supported for ai_socktype")
    return found


def getnameinfo(names: Names | None, address: Any, flags: int) -> tuple[str, str]:
    """socket.getnameinfo() for IPv4."""
    if not isinstance(address, tuple):
        raise TypeError("getnameinfo() argument 1 must be a tuple")
    host, port = address[:2]
    if ":" in as_name(host):
        return _kernel.getnameinfo(address, flags | _kernel.NI_NUMERICHOST)
    addr = literal(as_name(host))
    if addr is None:
        raise gaierror(_kernel.EAI_NONAME, "Name or service not known")
    if len(address) != 2:
        raise OSError("IPv4 sockaddr must be 2 tuple")
    shown = text(addr)
    if not flags & _kernel.NI_NUMERICHOST:
        name = (names or _plain).reverse(shown)
        if name is None and flags & _kernel.NI_NAMEREQD:
            raise gaierror(_kernel.EAI_NONAME, "Name or service not known")
        shown = name or shown
    service = str(port)
    if not flags & _kernel.NI_NUMERICSERV:
        try:
            service = _kernel.getservbyport(port, "udp" if flags & _kernel.NI_DGRAM else "tcp")
        except OSError:
            pass
    return shown, service
