"""The options for names: which ones a stack knows, and which DNS servers it asks."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from pystack.dns import DnsSettings
    from pystack.sockets.resolve import Names

NAME_OPTIONS: list[Callable[..., Any]] = [
    click.option("--hosts", metavar="FILE", help="Names that the stack knows: a file such as /etc/hosts."),
    click.option(
        "--host-entry", multiple=True, metavar="NAME=ADDRESS", help="A name that the stack knows; repeatable."
    ),
    click.option(
        "--dns",
        multiple=True,
        metavar="ADDRESS",
        help="A DNS server to ask for other names; repeatable. ADDRESS may have a :PORT, or be a file such as /etc/resolv.conf.",
    ),
    click.option(
        "--search", multiple=True, metavar="DOMAIN", help="A domain that DNS tries for short names; repeatable."
    ),
]


def known_names(hosts: str | None, entries: Sequence[str]) -> "Names":
    """The names of --hosts and --host-entry."""
    from pystack.sockets.resolve import Names

    names = Names() if hosts is None else Names.read(hosts)
    for entry in entries:
        name, _, address = entry.partition("=")
        try:
            if not name or not address:
                raise ValueError("write NAME=ADDRESS")
            names.add(address, name)
        except ValueError as error:
            raise click.UsageError(f"--host-entry {entry}: {error}") from None
    return names


def dns_settings(servers: Sequence[str], search: Sequence[str]) -> "DnsSettings | None":
    """The settings of --dns and --search, or None without --dns."""
    if not servers:
        if search:
            raise click.UsageError("--search needs --dns: the domains are tried by DNS")
        return None
    from pystack.dns import DnsMissing, need_dnspython, settings_of

    try:
        need_dnspython()
        return settings_of(servers[0] if len(servers) == 1 else list(servers), search)
    except DnsMissing as error:
        raise click.ClickException(str(error)) from None
    except ValueError as error:
        raise click.UsageError(f"--dns: {error}") from None
