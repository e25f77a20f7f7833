"""`pystack dns`: DNS servers on a stack."""

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from pystack.cli.common import Settings, bring_up, stack_options
from pystack.cli.up import introduce, wait_for_the_end
from pystack.style import echo

if TYPE_CHECKING:
    from pystack.services.dns import DnsServer, RecursiveServer

EXAMPLES = """\b
Examples:
  pystack dns serve example.zone --origin example. -a 10.0.0.53/24 --kernel-address 10.0.0.1/24
  dig @10.0.0.53 www.example                      from another terminal
  pystack dns resolve --root a.root=198.41.0.4 -a 10.0.0.53/24 --gateway 10.0.0.1
"""


@click.group(epilog=EXAMPLES)
def dns() -> None:
    """Serve zones, or resolve names recursively."""


def _need_dnspython() -> None:
    from pystack.dns import DnsMissing, need_dnspython

    try:
        need_dnspython()
    except DnsMissing as error:
        raise click.ClickException(str(error)) from None


def serve_until_the_end(settings: Settings, server: "DnsServer | RecursiveServer", what: str) -> int:
    """Run a server on a stack until Ctrl-C."""
    with bring_up(settings, control=True) as running:
        failed: list[BaseException] = []
        ready = threading.Event()
        server.on_ready = lambda _: ready.set()

        def run() -> None:
            try:
                server()
            except OSError as error:
                if running.host.error is None:
                    failed.append(error)
            ready.set()

        threading.Thread(target=run, name="dns", daemon=True).start()
        ready.wait()
        if failed:
            raise click.ClickException(f"cannot serve at port {server.port}: {failed[0]}")
        introduce(settings, running, [])
        echo(f"  {what}", err=True)
        try:
            wait_for_the_end(running.host)
        except KeyboardInterrupt:
            pass
        server.close()
        if running.host.failure is not None:
            echo(f"pystack: the stack stopped: {running.host.failure!r}", err=True)
            return 1
    return 0


@dns.command(epilog=EXAMPLES)
@click.argument("zones", nargs=-1, required=True, metavar="ZONE...")
@click.option(
    "--origin", multiple=True, metavar="NAME", help="The zone's name, if its file has no $ORIGIN; one for each ZONE."
)
@click.option(
    "--port", type=click.IntRange(1, 65535), default=53, show_default=True, help="Port of the server, UDP and TCP."
)
@click.option("--transfers", is_flag=True, help="Give whole zones to everybody who asks (AXFR over TCP).")
@stack_options
def serve(settings: Settings, zones: Sequence[str], origin: Sequence[str], port: int, transfers: bool) -> int:
    """Answer for the zones in these files (the format of RFC 1035), authoritatively, until Ctrl-C."""
    _need_dnspython()
    from pystack.services.dns import DnsServer, Zone

    if origin and len(origin) != len(zones):
        raise click.UsageError(f"there are {len(zones)} zones, but {len(origin)} names (--origin)")
    try:
        everybody: Any = (lambda peer: True) if transfers else None
        found = [Zone.read(path, name) for path, name in zip(zones, origin or [""] * len(zones), strict=True)]
        server = DnsServer(*found, port=port, transfers=everybody)
    except OSError as error:
        raise click.UsageError(f"{error.filename}: {error.strerror}") from None
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    names = ", ".join(zone.origin.to_text() for zone in found)
    return serve_until_the_end(settings, server, f"zones: {names}; port {port}")


def parse_roots(texts: Sequence[str]) -> dict[str, list[str]]:
    """NAME=ADDRESS of each --root."""
    import ipaddress

    found: dict[str, list[str]] = {}
    for text in texts:
        name, equals, address = text.partition("=")
        try:
            if not equals or not name:
                raise ValueError("write NAME=ADDRESS")
            found.setdefault(name, []).append(str(ipaddress.IPv4Address(address)))
        except ValueError as error:
            raise click.UsageError(f"--root {text}: {error}") from None
    return found


@dns.command(epilog=EXAMPLES)
@click.option(
    "--root", multiple=True, required=True, metavar="NAME=ADDRESS", help="A server of the root zone; repeatable."
)
@click.option(
    "--port", type=click.IntRange(1, 65535), default=53, show_default=True, help="Port of the server, UDP and TCP."
)
@click.option(
    "--allow", multiple=True, metavar="NETWORK", help="A network whose hosts may ask; repeatable. By default, all."
)
@stack_options
def resolve(settings: Settings, root: Sequence[str], port: int, allow: Sequence[str]) -> int:
    """Resolve names recursively, with a cache, until Ctrl-C."""
    _need_dnspython()
    from pystack.services.dns import RecursiveServer

    try:
        server = RecursiveServer(parse_roots(root), port=port, allow=allow or ("0.0.0.0/0",))
    except ValueError as error:
        raise click.UsageError(f"--allow: {error}") from None
    return serve_until_the_end(settings, server, f"recursive resolver; port {port}")
