"""getaddrinfo, getnameinfo and the older calls, with the answers and the errors of glibc, for IPv4."""

import _socket as _kernel
from typing import Any

from pystack.sockets import services
from pystack.sockets.destination import look, own_addresses
from pystack.sockets.resolve import SOCK_STREAM, Found, Names, _plain, as_name, fail, gaierror, literal, resolve, text

AF_UNSPEC = 0
AF_INET = int(_kernel.AF_INET)
SOCK_DGRAM = int(_kernel.SOCK_DGRAM)
SOCK_RAW = int(_kernel.SOCK_RAW)
#: (socket type, protocol, the protocol's name in /etc/services)
_KINDS = ((SOCK_STREAM, 6, "tcp"), (SOCK_DGRAM, 17, "udp"), (SOCK_RAW, 0, ""))
#: all flags that glibc knows
_FLAGS = 0x07FF
#: gaierror -> (h_errno, its text): what the older calls raise
_H_ERRORS = {
    _kernel.EAI_NONAME: (1, "Unknown host"),
    _kernel.EAI_AGAIN: (2, "Host name lookup failure"),
    _kernel.EAI_FAIL: (3, "Unknown server error"),
    _kernel.EAI_NODATA: (4, "No address associated with name"),
}
AddrInfo = tuple[int, int, int, str, Any]


def getaddrinfo(
    names: Names | None, host: Any, port: Any, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0
) -> list[AddrInfo]:
    """socket.getaddrinfo() for IPv4. The C library, which needs no network for them, answers for IPv6 literals.

    A name has no IPv6 addresses here, because the stack speaks only IPv4. AI_ADDRCONFIG keeps a stack without any address of its own
    from asking DNS.
    """
    name = None if host is None else _host_name(host)
    if family not in (AF_UNSPEC, AF_INET) or (name is not None and ":" in name):
        return _kernel.getaddrinfo(host, port, family, type, proto, flags | _kernel.AI_NUMERICHOST)  # type: ignore[return-value]
    service = _service(port)
    if name is None and service is None:
        fail(_kernel.EAI_NONAME)
    if flags & ~_FLAGS or (flags & _kernel.AI_CANONNAME and name is None):
        fail(_kernel.EAI_BADFLAGS)
    kinds = _kinds(service, type, proto, flags)
    canon, addresses = _addresses(names or _plain, name, flags)
    if not flags & _kernel.AI_CANONNAME:
        canon = ""
    result: list[AddrInfo] = []
    for address in addresses:
        for kind, number, there in kinds:
            result.append((AF_INET, kind, number, "" if result else canon, (address, there)))
    return result


def _host_name(host: Any) -> str:
    """The name as ASCII. UnicodeError: a label is empty or too long."""
    if not isinstance(host, (str, bytes)):
        raise TypeError("getaddrinfo() argument 1 must be string or None")
    if isinstance(host, str) and (len(host) > 63 or ".." in host or host == "."):
        return host.encode("idna").decode("ascii")
    return as_name(host)


def _addresses(names: Names, name: str | None, flags: int) -> tuple[str, list[str]]:
    """The canonical name and the addresses."""
    if name is None:
        return "", ["0.0.0.0" if flags & _kernel.AI_PASSIVE else "127.0.0.1"]  # noqa: S104
    addr = literal(name)
    if addr is not None:
        return name, [text(addr)]
    if not name or flags & _kernel.AI_NUMERICHOST:
        fail(_kernel.EAI_NONAME)
    far = True
    if flags & _kernel.AI_ADDRCONFIG and names.dns is not None:
        far = bool(look(names.host(), own_addresses))
    found = names.find(name, far)
    return found.name, found.addresses


def _service(port: Any) -> int | str | None:
    """The service as a number, or its name. None: none was given."""
    if isinstance(port, (bytes, bytearray)):
        port = bytes(port).decode("ascii")
    if isinstance(port, str):
        digits = port.lstrip(" \t\n\v\f\r").removeprefix("+")
        if digits and not (digits.isascii() and digits.isdigit()):
            return port
        port = int(digits or 0)
    if port is not None and type(port) is not int:
        raise OSError("Int or String expected")
    return port


def _kinds(service: int | str | None, type: int, proto: int, flags: int) -> list[tuple[int, int, int]]:
    """The socket types, protocols and ports of the answer."""
    chosen = [
        row for row in _KINDS if type in (0, row[0]) and (proto in (0, row[1]) or (row[0] == SOCK_RAW and row[1] == 0))
    ]
    if not chosen:
        fail(_kernel.EAI_SOCKTYPE if type else _kernel.EAI_SERVICE)
    if type or proto:
        del chosen[1:]
    if service is None:
        return [(kind, proto or number, 0) for kind, number, _ in chosen]
    if len(chosen) == 1 and chosen[0][0] == SOCK_RAW:
        fail(_kernel.EAI_SERVICE)  # a raw socket has no ports
    if isinstance(service, int):
        if service < 0:
            fail(_kernel.EAI_SERVICE)
        return [(kind, number, service & 0xFFFF) for kind, number, _ in chosen]
    if flags & _kernel.AI_NUMERICSERV:
        fail(_kernel.EAI_NONAME)
    ports = [(kind, number, services.port_of(service, protocol)) for kind, number, protocol in chosen if protocol]
    found = [(kind, number, port) for kind, number, port in ports if port is not None]
    if not found:
        fail(_kernel.EAI_SERVICE)
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
        fail(_kernel.EAI_NONAME)
    if len(address) != 2:
        raise OSError("IPv4 sockaddr must be 2 tuple")
    shown = text(addr)
    if not flags & _kernel.NI_NUMERICHOST:
        name = (names or _plain).reverse(shown)
        if name is None and flags & _kernel.NI_NAMEREQD:
            fail(_kernel.EAI_NONAME)
        shown = name or shown
    service = str(port)
    if not flags & _kernel.NI_NUMERICSERV:
        service = services.name_of(port, "udp" if flags & _kernel.NI_DGRAM else "tcp") or service
    return shown, service


def gethostbyname_ex(names: Names | None, host: Any) -> Found:
    """socket.gethostbyname_ex(), which does not sort the addresses. Its errors are gaierror, because CPython asks getaddrinfo first."""
    name = as_name(host)
    addr = literal(name)
    if addr is not None or name in ("", "<broadcast>"):
        return Found(name, [], [text(resolve(names, name))])
    return (names or _plain).known(name)


def gethostbyaddr(names: Names | None, host: Any) -> Found:
    """socket.gethostbyaddr(), which also takes a name. herror: the address has no name."""
    address = text(resolve(names, host))
    try:
        return (names or _plain).back(address)
    except gaierror as exc:
        code = exc.errno or _kernel.EAI_FAIL
        raise _kernel.herror(*_H_ERRORS[code]) from None
