"""Calls about names, of which `socket` (the C library) and `pystack.socket` have to give the same results."""

import socket
from typing import Any

STREAM, DGRAM, RAW, INET = socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW, socket.AF_INET
CANON, PASSIVE, NUMERIC = socket.AI_CANONNAME, socket.AI_PASSIVE, socket.AI_NUMERICHOST
Call = tuple[Any, ...]

#: calls that need neither a file nor a server
NUMERIC_CALLS: list[Call] = [
    *(
        ("getaddrinfo", host, 80)
        for host in (
            "127.0.0.1", "1.2.3", "0x7f.1", "::1", b"1.2.3.4", "127.0.0.1 x", "127.0.0.1 ", "1.2.3.4%lo", "a b", "x\0y", "",
            "fe80::1%lo", "a" * 64, "a" * 300, "a..b", ".", "x.invalid", 5, "1.2.3.4.5", "256.1.1.1",
        )
    ),
    *(
        ("getaddrinfo", "1.2.3.4", port)
        for port in (
            70000, "70000", -1, "-1", "", " 80", "+80", "80 ", "http", "domain", "tftp", "ntp", "nosuch", "syslog", "HTTP", None,
            8.0, b"80", b"http", True, "8x",
        )
    ),
    *(("getaddrinfo", "1.2.3.4", *rest) for port in (80, None, "http", "domain") for rest in (
        (port, 0, STREAM), (port, 0, DGRAM), (port, 0, RAW), (port, INET, RAW, 1), (port, 0, STREAM, 17), (port, 0, DGRAM, 17),
        (port, 0, 0, 6), (port, 0, 0, 17), (port, 0, 0, 1), (port, 0, 99), (port, 0, 0, 99), (port, 0, STREAM, 99), (port, 0, 10),
        (port, 1), (port, 17), (port, socket.AF_INET6), (port, socket.AF_INET6, STREAM, 0, socket.AI_V4MAPPED),
        (port, INET, STREAM, 0, CANON), (port, INET, STREAM, 0, CANON | NUMERIC), (port, INET, STREAM, 0, 1 << 14),
        (port, INET, STREAM, 0, socket.AI_NUMERICSERV), (port, INET, STREAM, 0, socket.AI_ALL),
    )),
    ("getaddrinfo", None, None), ("getaddrinfo", None, 80, INET), ("getaddrinfo", None, 80, INET, STREAM, 0, PASSIVE),
    ("getaddrinfo", None, 80, INET, 0, 0, CANON), ("getaddrinfo", "", None, INET, STREAM), ("getaddrinfo", "::1", 80, INET),
    ("getaddrinfo", "x", 80, 0, STREAM, 0, NUMERIC), ("getaddrinfo", "localhost", 80, 0, STREAM, 0, NUMERIC),
    ("getaddrinfo", "x", "nosuch", INET, STREAM), ("getaddrinfo", "", 80, INET, STREAM, 0, PASSIVE),
    *(
        ("getnameinfo", address, socket.NI_NUMERICHOST | flags)
        for address in (("1.2.3.4", 80), ("1.2.3.4", 53), ("1.2.3.4", 69), ("1.2.3", 80), ("x", 80), ("::1", 80), ("1.2.3.4", 9999))
        for flags in (0, socket.NI_DGRAM, socket.NI_NUMERICSERV)
    ),
    ("gethostbyname", "1.2.3"), ("gethostbyname", ""), ("gethostbyname", "<broadcast>"), ("gethostbyname", "x.invalid"),
    ("gethostbyname_ex", "1.2.3.4"), ("gethostbyname_ex", "x.invalid"),
]  # fmt: skip

HOSTS = """
# a comment
127.0.0.1 localhost
10.0.0.80 web.site web WWW   # two more names
10.0.0.81 two
10.0.0.82 two second.two
10.0.0.83 Mixed.Case
::1 six
10.0.0.300 wrong
10.0.0.84 override.example
192.0.2.1 order
127.0.0.9 order
10.0.0.90 order
10.0.0.200 order
169.254.1.1 order
10.0.0.81 order
198.51.100.7 order
10.0.0.80 later
"""
#: calls that are answered from HOSTS
HOSTS_CALLS: list[Call] = [
    *(
        (name, *rest)
        for host in ("web", "web.site", "www", "WEB", "two", "second.two", "mixed.case", "six", "wrong", "override.example", "order", "later")
        for name, *rest in (
            ("getaddrinfo", host, 80, INET, STREAM), ("getaddrinfo", host, 80, INET, STREAM, 0, CANON), ("getaddrinfo", host, 53, INET),
            ("gethostbyname", host), ("gethostbyname_ex", host),
        )
    ),
    *(("gethostbyaddr", host) for host in ("10.0.0.80", "10.0.0.82", "10.0.0.83", "web", "192.0.2.1", "10.0.0.99")),
    *(
        ("getnameinfo", (address, 80), flags)
        for address in ("10.0.0.80", "10.0.0.82", "10.0.0.99")
        for flags in (0, socket.NI_NAMEREQD)
    ),
]  # fmt: skip

#: calls that are answered by a server for the zone example (tests/kernel/test_dns.py)
DNS_CALLS: list[Call] = [
    *(
        (name, *rest)
        for host in (
            "web.example", "web.example.", "www.example", "web", "www", "WEB.example", "nosuch.example", "nosuch", "text.example",
            "text", "far.other", "big.example", "sub.deep", "sub.deep.example", "override.example", "chain1.example",
        )
        for name, *rest in (
            ("getaddrinfo", host, 80, INET, STREAM, 0, CANON), ("gethostbyname", host), ("gethostbyname_ex", host),
        )
    ),
    *(("gethostbyaddr", host) for host in ("10.9.0.80", "10.9.0.99")),
    *(
        ("getnameinfo", (address, 80), flags)
        for address in ("10.9.0.80", "10.9.0.99")
        for flags in (0, socket.NI_NAMEREQD)
    ),
]  # fmt: skip


def ask(module: Any, calls: list[Call]) -> list[Any]:
    """The results of the calls, with the number and text of each error."""
    results = []
    for name, *args in calls:
        try:
            result = getattr(module, name)(*args)
        except (OSError, ValueError, TypeError, OverflowError) as exc:
            result = (type(exc).__name__, *(exc.args if isinstance(exc, OSError) else ()))
        if name == "gethostbyname_ex" and len(result) == 3 and isinstance(result[2], list) and len(result[2]) > 30:
            result = (*result[:2], sorted(result[2]))  # a server may rotate its answers
        elif isinstance(result, list):
            result = [(int(entry[0]), int(entry[1]), *entry[2:]) for entry in result]
            if len(result) > 30:
                result = sorted((*entry[:3], entry[4]) for entry in result)
        results.append(result)
    return results
