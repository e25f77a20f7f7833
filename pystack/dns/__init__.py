"""The stub resolver: names through DNS, by the sockets of a stack (RFC 1034 5.3.1). `DnsResolver` is what `Names.dns` asks.

dnspython makes and reads the messages (the extra `dns`). This package decides whom to ask, when to ask again, and what to accept.
"""

from typing import Any

from pystack.dns.settings import DnsMissing, DnsSettings, Servers, need_dnspython, settings_of

__all__ = ["DnsMissing", "Servers", "DnsSettings", "need_dnspython", "settings_of", "use"]


def use(host: Any, settings: DnsSettings) -> None:
    """Let the sockets and calls of a host look names up by DNS. DnsMissing: dnspython is not installed."""
    need_dnspython()
    from pystack.dns.resolver import DnsResolver

    host.names.dns = DnsResolver(host, settings)
