"""The names of services: a table of the usual ones (IANA's registry), so that they need no file, and then /etc/services."""

import _socket as _kernel

#: name -> (port, protocols)
TABLE: dict[str, tuple[int, tuple[str, ...]]] = {
    name: (port, tuple(protocols.split()))
    for name, port, protocols in (
        ("echo", 7, "tcp udp"), ("discard", 9, "tcp udp"), ("daytime", 13, "tcp udp"), ("chargen", 19, "tcp udp"),
        ("ftp-data", 20, "tcp"), ("ftp", 21, "tcp"), ("ssh", 22, "tcp"), ("telnet", 23, "tcp"), ("smtp", 25, "tcp"),
        ("time", 37, "tcp udp"), ("domain", 53, "tcp udp"), ("bootps", 67, "udp"), ("bootpc", 68, "udp"),
        ("tftp", 69, "udp"), ("http", 80, "tcp"), ("kerberos", 88, "tcp udp"), ("pop3", 110, "tcp"),
        ("sunrpc", 111, "tcp udp"), ("ntp", 123, "udp"), ("imap2", 143, "tcp"), ("snmp", 161, "tcp udp"),
        ("bgp", 179, "tcp"), ("ldap", 389, "tcp udp"), ("https", 443, "tcp udp"), ("submission", 587, "tcp"),
        ("ldaps", 636, "tcp udp"), ("imaps", 993, "tcp"), ("pop3s", 995, "tcp"), ("mysql", 3306, "tcp"),
        ("postgresql", 5432, "tcp"), ("amqp", 5672, "tcp"), ("http-alt", 8080, "tcp"),
    )
}  # fmt: skip
ALIASES = {"www": "http", "imap": "imap2", "mail": "smtp", "kerberos5": "kerberos", "portmapper": "sunrpc"}
_NAMES = {(port, protocol): name for name, (port, protocols) in TABLE.items() for protocol in protocols}


def port_of(name: str, protocol: str) -> int | None:
    """The port of a service over "tcp" or "udp", or None."""
    port, protocols = TABLE.get(ALIASES.get(name, name), (0, ()))
    if protocol in protocols:
        return port
    try:
        return _kernel.getservbyname(name, protocol)
    except OSError:
        return None


def name_of(port: int, protocol: str) -> str | None:
    """The service at a port over "tcp" or "udp", or None."""
    found = _NAMES.get((port, protocol))
    if found is not None:
        return found
    try:
        return _kernel.getservbyport(port, protocol)
    except OSError:
        return None
