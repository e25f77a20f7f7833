"""`pystack proxy`."""

import logging
from typing import TYPE_CHECKING, Any

import click

from pystack.cli.common import Settings, bring_up, stack_options
from pystack.style import echo

if TYPE_CHECKING:
    import ssl

    from pystack.proxies import HealthCheck
    from pystack.proxies.server import ProxyServer

EXAMPLES = """\b
Examples:
  pystack proxy --on-kernel --listen http://127.0.0.1:8080 --upstream 127.0.0.1:8000
  pystack proxy -a 10.0.0.2/24 --kernel-address 10.0.0.1/24 --listen http://0.0.0.0:80 --upstream 10.0.0.1:8000
  pystack proxy --on-kernel --listen https://0.0.0.0:8443 --cert site.pem --upstream 10.0.0.2:80 --upstream 10.0.0.3:80,weight=2
  pystack proxy --on-kernel --listen tcp://0.0.0.0:5432 --upstream 10.0.0.2:5432 --balance least-connections --check tcp
  pystack proxy --on-kernel --listen socks5://127.0.0.1:1080 --user me:secret
"""
KINDS = ("tcp", "http", "https", "connect", "socks5")


def parse_listen(text: str) -> tuple[str, str, int]:
    """Return "http://0.0.0.0:80" as (kind, address, port). BadParameter if it is wrong."""
    kind, separator, rest = text.partition("://")
    address, colon, port = rest.rpartition(":")
    if not separator or kind not in KINDS or not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise click.BadParameter(f"{text!r} is not KIND://ADDRESS:PORT, where KIND is one of {', '.join(KINDS)}")
    return kind, address.removeprefix("[").removesuffix("]"), int(port)


def parse_upstream(text: str, send_proxy: int) -> Any:
    """Return the Upstream of "[https://]HOST:PORT[,weight=N]". BadParameter if it is wrong."""
    import ssl

    from pystack.proxies import Upstream

    where, *options = text.split(",")
    scheme, separator, rest = where.partition("://")
    host, colon, port = (rest if separator else where).rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    weight = "1"
    for option in options:
        name, _, weight = option.partition("=")
        if name != "weight":
            raise click.BadParameter(f"{option!r}: the only option of an upstream is weight=N")
    numbers = all(word.isascii() and word.isdigit() for word in (port, weight))
    if (
        not colon
        or not host
        or not numbers
        or int(port) > 65535
        or (separator and scheme not in ("http", "https", "tcp"))
    ):
        raise click.BadParameter(f"{text!r} is not [https://]HOST:PORT[,weight=N]")
    context = ssl.create_default_context() if scheme == "https" else None
    try:
        return Upstream(host, int(port), weight=int(weight), tls=context, proxy=send_proxy)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def parse_user(text: str) -> tuple[str, str]:
    """Return "NAME:PASSWORD" as a pair. BadParameter if it is wrong: a user without a password is no protection."""
    name, _, password = text.partition(":")
    if not name or not password:
        raise click.BadParameter(f"{name!r} needs a name and a password: NAME:PASSWORD", param_hint="--user")
    return name, password


def parse_check(text: str | None) -> "HealthCheck | None":
    """Return the HealthCheck of "PATH" or "tcp". BadParameter if it is wrong."""
    from pystack.proxies import HealthCheck

    try:
        return None if text is None else HealthCheck("" if text == "tcp" else text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--check") from None


def parse_tls(cert: str | None, key: str | None, http2: bool) -> "ssl.SSLContext | None":
    """Return the TLS settings with the certificates of a file. BadParameter if they cannot be read."""
    import ssl

    from pystack.proxies.http import server_context

    if cert is None:
        if key is not None:
            raise click.UsageError("--key needs --cert")
        return None
    files = cert if key is None else f"{cert} and {key}"
    try:
        return server_context(cert, key, http2=http2)
    except OSError as error:
        why = (
            error.strerror if type(error) is not ssl.SSLError else "there is no certificate with its key in PEM format"
        )
        raise click.BadParameter(f"{files}: {why}", param_hint="--cert") from None


def parse_settings(words: tuple[str, ...]) -> Any:
    """Return the ProxySettings of NAME=VALUE words. BadParameter if one is wrong."""
    from pystack.proxies import ProxySettings

    values: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        try:
            values[name] = float(value) if isinstance(getattr(ProxySettings(), name), float) else int(value)
        except (AttributeError, ValueError):
            raise click.BadParameter(
                f"{word!r} is not NAME=NUMBER for a setting of the proxy", param_hint="--limit"
            ) from None
    try:
        return ProxySettings(**values)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--limit") from None


def make(
    listen: str,
    upstream: tuple[str, ...],
    balance: str,
    check: str | None,
    cert: str | None,
    key: str | None,
    user: tuple[str, ...],
    accept_proxy: bool,
    send_proxy: str,
    options: tuple[str, ...],
) -> "ProxyServer":
    """The proxy of a command line. UsageError if the options do not fit together."""
    from pystack.proxies import ForwardProxy, HttpProxy, SocksProxy, TcpRelay

    kind, address, port = parse_listen(listen)
    settings = parse_settings(options)
    upstreams = [parse_upstream(text, int(send_proxy)) for text in upstream]
    names = dict(parse_user(word) for word in user)
    if kind in ("connect", "socks5"):
        if upstreams or check or cert:
            raise click.UsageError(f"--upstream, --check and --cert are not for {kind}: its clients name the servers")
        forward = ForwardProxy if kind == "connect" else SocksProxy
        return forward((address, port), users=names, settings=settings, accept_proxy=accept_proxy)
    if names:
        raise click.UsageError("--user is for connect and socks5")
    if not upstreams:
        raise click.UsageError("name at least one --upstream")
    if (kind == "https") != (cert is not None) and kind != "tcp":
        raise click.UsageError("https needs --cert, and http has none")
    common: dict[str, Any] = {
        "balance": balance,
        "settings": settings,
        "accept_proxy": accept_proxy,
        "check": parse_check(check),
        "tls": parse_tls(cert, key, kind == "https"),
    }
    return (TcpRelay if kind == "tcp" else HttpProxy)((address, port), upstreams, **common)


async def serve(server: "ProxyServer") -> None:
    """Run a proxy, and say where it listens."""
    import asyncio

    server.started = asyncio.Event()
    work = asyncio.ensure_future(server())
    ready = asyncio.ensure_future(server.started.wait())
    await asyncio.wait([work, ready], return_when=asyncio.FIRST_COMPLETED)
    if server.address is not None and not work.done():
        echo(f"listening on {server.address[0]}:{server.address[1]}; press Ctrl-C to stop", err=True)
    ready.cancel()
    await work


def run_server(server: "ProxyServer") -> None:
    """Run a proxy until Ctrl-C."""
    import asyncio

    try:
        asyncio.run(serve(server))
    except KeyboardInterrupt:
        pass


@click.command(epilog=EXAMPLES)
@click.option(
    "--listen",
    required=True,
    metavar="KIND://ADDRESS:PORT",
    help="What to serve and where: tcp, http, https, connect (a forward proxy) or socks5.",
)
@click.option(
    "--upstream",
    multiple=True,
    metavar="HOST:PORT",
    help="A server behind the proxy; https:// in front for TLS, and ,weight=N behind it; repeatable.",
)
@click.option(
    "--balance",
    type=click.Choice(["round-robin", "weighted", "least-connections", "source-hash", "maglev"]),
    default="round-robin",
    show_default=True,
    help="How to choose among the servers.",
)
@click.option("--check", metavar="PATH|tcp", help="Check the servers: GET this path, or only connect.")
@click.option(
    "--cert", metavar="FILE", help="The certificates for TLS in PEM format, with the key unless --key names it."
)
@click.option("--key", metavar="FILE", help="The key for --cert.")
@click.option("--user", multiple=True, metavar="NAME:PASSWORD", help="A user of connect or socks5; repeatable.")
@click.option("--accept-proxy", is_flag=True, help="Clients begin with a PROXY header.")
@click.option(
    "--send-proxy",
    type=click.Choice(["0", "1", "2"]),
    default="0",
    help="Send upstreams a PROXY header of this version.",
)
@click.option(
    "--limit",
    "options",
    multiple=True,
    metavar="NAME=NUMBER",
    help="A limit or timeout (docs/reference/proxies.md); repeatable.",
)
@click.option("--on-kernel", is_flag=True, help="Use the sockets of this machine, instead of a stack of its own.")
@stack_options
def proxy(settings: Settings, on_kernel: bool, **words: Any) -> int:
    """Run a proxy or load balancer until Ctrl-C, on a stack of its own or on the kernel's sockets.

    The options behind --on-kernel are those of `pystack up`, for the stack.
    """
    from pystack.running import patch

    logging.basicConfig(format="%(message)s", level=logging.INFO)
    try:
        server = make(**words)
    except ImportError as error:
        raise click.ClickException(str(error)) from None
    if on_kernel:
        run_server(server)
        return 0
    with bring_up(settings, control=True) as running:
        with patch(running):
            run_server(server)
        if running.host.failure is not None:
            echo(f"pystack: the stack stopped: {running.host.failure!r}", err=True)
            return 1
    return 0
