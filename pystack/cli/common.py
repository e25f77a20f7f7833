"""The options that bring a stack up. `up`, `ping` and `traceroute` share them."""

import contextlib
import ipaddress
import os
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from pystack.addresses import parse_addr, parse_network, wrong
from pystack.cli import devices
from pystack.cli.filters import FILTER_OPTION, filtered, needs_write
from pystack.cli.link import LINK_OPTIONS, chosen
from pystack.cli.names import NAME_OPTIONS, dns_settings, known_names
from pystack.runtime import forked
from pystack.runtime.sleep import BUSY_POLL
from pystack.style import echo
from pystack_c.base.address import addr_text

if TYPE_CHECKING:
    from pystack.kernel.netns import Namespace
    from pystack.running import Running
    from pystack.stepper.live import StepGate
    from pystack.trace.annotate import FrameProbe
    from pystack.trace.narrator import Narrator


@dataclass
class Settings:
    """The values of the options."""

    device: str = "tap0"
    link: str | None = None
    packet: str | None = None
    tun: bool = False
    netns: str | None = None
    address: tuple[str, ...] = ()
    dhcp: bool = False
    kernel_address: str | None = None
    gateway: str | None = None
    route: tuple[str, ...] = ()
    mtu: int | None = None
    mac: str | None = None
    no_offload: bool = False
    delay: str | None = None
    jitter: str | None = None
    loss: str | None = None
    rate: str | None = None
    profile_link: str | None = None
    middlebox: tuple[str, ...] = ()
    busy_poll: int = BUSY_POLL
    profile: str = "linux"
    set: tuple[str, ...] = ()
    hosts: str | None = None
    host_entry: tuple[str, ...] = ()
    dns: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    name: str = "pystack"
    seed: int | None = None
    write: str | None = None
    filter: str | None = None
    keylog: str | None = None
    record: str | None = None
    verbose: bool = False


class AddressType(click.ParamType):
    """An IPv4 address, with or without a prefix length."""

    def __init__(self, prefix: bool):
        self.name = "ADDRESS/PREFIX" if prefix else "ADDRESS"
        self.prefix = prefix

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The address in its usual form; a usage error if it is malformed."""
        try:
            if not self.prefix:
                return str(ipaddress.IPv4Address(value))
            if "/" not in value:
                self.fail(f"{value!r} needs a prefix length, such as /24", param, ctx)
            return str(ipaddress.IPv4Interface(value))
        except ValueError as error:
            self.fail(f"{value!r}: {wrong(value, error) if self.prefix else error}", param, ctx)


_OPTIONS = [
    click.option("--device", "--tap", default="tap0", show_default=True, help="Name of the TAP or TUN device."),
    *devices.OPTIONS,
    click.option("--tun", is_flag=True, help="Use a TUN device: bare IP packets without Ethernet and ARP."),
    click.option(
        "--netns", help="Namespace of the kernel's side: a name as in `ip netns` (it is created if needed) or a path."
    ),
    click.option("-a", "--address", type=AddressType(True), multiple=True, help="Address of the stack; repeatable."),
    click.option("--dhcp", is_flag=True, help="Ask a DHCP server for the address, the gateway and the DNS servers."),
    click.option(
        "--kernel-address",
        type=AddressType(True),
        help="Address for the kernel's side of the device; the default is the gateway's if the device is made here.",
    ),
    click.option("--gateway", type=AddressType(False), help="Default gateway of the stack."),
    click.option("--route", multiple=True, metavar="NET=GATEWAY", help="A route, such as 10.1.0.0/16=10.0.0.9."),
    click.option("--mtu", type=click.IntRange(68, 65521), help="MTU of the device."),
    click.option("--mac", help="MAC address of the stack; derived from --seed if that is given, otherwise random."),
    click.option("--no-offload", is_flag=True, help="Use plain frames without segmentation and checksum offload."),
    *LINK_OPTIONS,
    click.option(
        "--busy-poll",
        type=click.IntRange(0, 1_000_000),
        default=BUSY_POLL,
        show_default=True,
        metavar="US",
        help="Poll the device instead of sleeping as long as sleeps are shorter than this many microseconds; 0 never polls.",
    ),
    click.option(
        "--profile", default="linux", show_default=True, help="Settings to start from: linux, rfc, lab or tahoe."
    ),
    click.option(
        "--set", multiple=True, metavar="NAME=VALUE", help="Change a setting, such as tcp_nagle=false; repeatable."
    ),
    *NAME_OPTIONS,
    click.option("--name", default="pystack", show_default=True, help="Name of the host, and of its control socket."),
    click.option("--seed", type=int, help="Seed of the stack's random generator; random by default."),
    click.option(
        "--write", metavar="FILE", help="Write a pcapng capture with the reasons as comments; - is standard output."
    ),
    FILTER_OPTION,
    click.option(
        "--keylog",
        metavar="FILE",
        help="TLS keys for --write, in the format of SSLKEYLOGFILE; FILE is read as it grows.",
    ),
    click.option("--record", metavar="FILE", help="Record everything that enters the stack, for `pystack replay`."),
    click.option("-v", "--verbose", is_flag=True, help="Print each frame and the stack's decisions."),
]


def stack_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator that adds the options; the command receives them as one argument, `settings`."""

    def wrapper(**options: Any) -> Any:
        mine = {name: options.pop(name) for name in Settings.__dataclass_fields__ if name in options}
        return command(settings=Settings(**mine), **options)

    wrapper.__doc__ = command.__doc__
    wrapper.__name__ = command.__name__
    wrapper.__click_params__ = getattr(command, "__click_params__", [])  # type: ignore[attr-defined]
    for option in reversed(_OPTIONS):
        option(wrapper)
    return wrapper


def parse_setting(config: Any, text: str) -> tuple[str, Any]:
    """Split NAME=VALUE and convert the value to the type of the setting. UsageError if that is not possible."""
    from pystack_c.config import unknown

    name, equals, value = text.partition("=")
    known = config.as_dict()
    if not equals:
        raise click.UsageError(f"--set {text}: write NAME=VALUE")
    if name not in known:
        raise click.UsageError(f"--set {text}: {unknown(name)}")
    old = known[name]
    try:
        if isinstance(old, bool):
            return name, {"true": True, "1": True, "on": True, "false": False, "0": False, "off": False}[value.lower()]
        return name, type(old)(value.replace("_", "") if isinstance(old, int) else value)
    except (KeyError, ValueError):
        raise click.UsageError(
            f"--set {text}: the value of {name} must be of type {type(old).__name__}, such as {old}"
        ) from None


def change_settings(config: Any, texts: Iterable[str]) -> dict[str, Any]:
    """Set each NAME=VALUE in the Config, and return what was set.

    UsageError if a value is not allowed, or if two are not allowed together.
    """
    changes = dict(parse_setting(config, text) for text in texts)
    try:
        config.update(changes)
    except ValueError as error:
        raise click.UsageError(f"--set: {error}") from None
    return changes


def make_config(settings: Settings) -> Any:
    """Return the Config of the profile, changed by the settings of --set."""
    from pystack_c import config as core_config

    try:
        config = core_config.profile(settings.profile)
    except ValueError as error:
        raise click.UsageError(f"--profile: {error}") from None
    change_settings(config, settings.set)
    return config


def parse_route(text: str) -> tuple[int, int, int]:
    """Return NET=GATEWAY as (network, prefix length, gateway)."""
    net, equals, gateway = text.partition("=")
    try:
        if not equals:
            raise ValueError("write NET=GATEWAY")
        return (*parse_network(net), parse_addr(gateway))
    except ValueError as error:
        raise click.UsageError(f"--route {text}: {wrong(net, error)}") from None


def parse_mac(text: str) -> int:
    """Return a MAC address as a number."""
    digits = text.replace(":", "").replace("-", "")
    if len(digits) != 12 or any(c not in "0123456789abcdefABCDEF" for c in digits):
        raise click.UsageError(f"--mac {text}: a MAC address has twelve hexadecimal digits, such as 02:00:00:00:00:02")
    mac = int(digits, 16)
    if mac >> 40 & 1 or mac == 0:
        raise click.UsageError(
            f"--mac {text}: this is not the address of a single station (it is a group address or zero)"
        )
    return mac


def output(path: str, undo: contextlib.ExitStack) -> BinaryIO:
    """Open the file to write to; `-` is standard output. `undo` closes it."""
    if path == "-":
        return sys.stdout.buffer
    return undo.enter_context(forked.parents(open(path, "wb")))


def while_read(sink: "Callable[..., None]", file: BinaryIO) -> "Callable[..., None]":
    """Return a function that writes with `sink` until the reader of `file` is gone (for example, Wireshark was closed).

    Then the capture ends, and the stack goes on.
    """
    gone = False

    def one(record: Any) -> None:
        nonlocal gone
        if gone:
            return
        try:
            sink(record)
        except BrokenPipeError:
            gone = True
            # Nobody reads the data that is still buffered: without this, writing it would fail again at exit.
            with open(os.devnull, "wb") as nowhere:
                os.dup2(nowhere.fileno(), file.fileno())
            echo("the reader of the capture is gone: nothing more is written to it", err=True)

    return one


def _check_addresses(settings: Settings) -> None:
    """Raise UsageError if the addresses are missing, or do not fit each other and --dhcp."""
    if settings.dhcp and (settings.tun or settings.gateway):
        raise click.UsageError(
            "--dhcp is for Ethernet, without --tun, and finds the gateway by itself, without --gateway"
        )
    if not settings.address and not settings.dhcp:
        raise click.UsageError("the stack needs an address, such as -a 10.0.0.2/24, or --dhcp")
    if settings.kernel_address is not None:
        own = [text.partition("/")[0] for text in settings.address]
        if settings.kernel_address.partition("/")[0] in own:
            raise click.UsageError(
                f"--kernel-address {settings.kernel_address} is the stack's own address: the kernel's side of the link needs another one"
            )


@contextlib.contextmanager
def bring_up(settings: Settings, control: bool = False, gate: "StepGate | None" = None) -> "Iterator[Running]":
    """Run a stack with these settings. At the end everything is released."""
    settings = devices.named(settings)
    config = make_config(settings)
    routes = [parse_route(text) for text in settings.route]
    mac = parse_mac(settings.mac) if settings.mac is not None else None
    names, dns = known_names(settings.hosts, settings.host_entry), dns_settings(settings.dns, settings.search)
    _check_addresses(settings)
    from pystack.kernel.netns import Namespace
    from pystack.running import up

    seed = int.from_bytes(os.urandom(8), "big") >> 1 if settings.seed is None else settings.seed
    if mac is None and settings.seed is not None:
        mac = 0x020000000000 | seed & 0xFFFFFFFFFF
    with contextlib.ExitStack() as undo:
        netns = None
        if settings.netns is not None:
            netns = undo.enter_context(Namespace.open(settings.netns, create=True))
        probe, narrator = _probe(settings, undo)
        if settings.dhcp:
            echo(f"pystack: asking for an address by DHCP on {settings.device}", err=True)
        running = _refusals(
            up,
            settings.device,
            "10.0.0.2/24" if settings.dhcp else settings.address[0],
            settings.gateway,
            dhcp=settings.dhcp,
            netns=netns,
            host_address=_kernel_address(settings, netns),
            mode="tun" if settings.tun else "tap",
            mtu=settings.mtu,
            offload=not settings.no_offload,
            link=chosen(settings),
            busy_poll=settings.busy_poll,
            mac=mac,
            device=devices.make(settings, netns, mac),
            config=config,
            seed=seed,
            name=settings.name,
            probe=probe,
            recorder=_recorder(settings, undo),
            hosts=names,
            dns=dns,
            control=control,
            gate=gate,
        )
        undo.callback(running.close)
        if probe is not None and narrator is not None:
            narrator.flush = lambda: running.host.inspect(lambda stack: probe.flush())
        for address in settings.address if settings.dhcp else settings.address[1:]:
            running.add_address(address)
        _look_at_gateway(settings)
        for route in routes:
            _add_route(running, *route)
        yield running


def _kernel_address(settings: Settings, netns: "Namespace | None") -> str | None:
    """Return the address for the kernel's side: that of --kernel-address, or else the gateway's on a new device.

    Nobody but the kernel is at the other end of a device that did not exist, so the gateway can be nowhere else. A device
    that exists may be in a bridge, with the gateway behind it.
    """
    from pystack.kernel import netns as ns

    if settings.kernel_address is not None or settings.gateway is None or not settings.address:
        return settings.kernel_address
    own = ipaddress.IPv4Interface(settings.address[0])
    gateway = ipaddress.IPv4Address(settings.gateway)
    if gateway not in own.network or gateway == own.ip or ns.exists(settings.device, netns):
        return None
    return f"{gateway}/{own.network.prefixlen}"


def _look_at_gateway(settings: Settings) -> None:
    """Warn if the gateway is in no network of the stack. (On a TUN device, there is no ARP, and any gateway will do.)"""
    networks = [ipaddress.IPv4Interface(address).network for address in settings.address]
    if settings.gateway is None or settings.tun:
        return
    if not any(ipaddress.IPv4Address(settings.gateway) in network for network in networks):
        where = ", ".join(map(str, networks))
        echo(
            f"pystack: warning: the gateway {settings.gateway} is outside {where}, so it is reachable only if it answers ARP all the same",
            err=True,
        )


def _add_route(running: "Running", network: int, prefixlen: int, gateway: int) -> None:
    """Add a route that --route asks for."""
    try:
        running.host.setup("add_route", network, prefixlen, gateway, running.iface)
    except FileExistsError:
        name = "default" if prefixlen == 0 else f"{addr_text(network)}/{prefixlen}"
        raise click.UsageError(f"there are two routes to {name}") from None


def _refusals(up: "Callable[..., Running]", *args: Any, **kwargs: Any) -> "Running":
    """Call up(...). A name that is taken or a package that is missing becomes an error message.

    A warning becomes a line on stderr.
    """
    from pystack.control.server import ControlError
    from pystack.kernel.netns import NetlinkMissing

    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", RuntimeWarning)
            running = up(*args, **kwargs)
    except (ControlError, NetlinkMissing, TimeoutError) as error:
        raise click.ClickException(str(error)) from None
    for warning in caught:
        echo(f"pystack: {warning.message}", err=True)
    return running


def _recorder(settings: Settings, undo: contextlib.ExitStack) -> "Callable[[Any], Any] | None":
    path = settings.record
    if path is None:
        return None
    from pystack.trace.recorder import Recorder

    recorder = Recorder(path, {"made by": "pystack"})
    undo.callback(recorder.close)
    return lambda stack: recorder.host(stack.name, stack.seed, stack.config)


def _probe(settings: Settings, undo: contextlib.ExitStack) -> "tuple[FrameProbe | None, Narrator | None]":
    """Return the probe for --write and -v, or None if neither is given."""
    if settings.keylog is not None and settings.write is None:
        raise click.UsageError("--keylog needs --write: the keys are written into the capture")
    needs_write(settings.filter, settings.write)
    if settings.write is None and not settings.verbose:
        return None, None
    from pystack.style import Style
    from pystack.trace import pcapng
    from pystack.trace.annotate import AnnotatedCapture, FrameProbe, tee, wall_clock
    from pystack.trace.narrator import Narrator
    from pystack_c.const import LINK_ETHERNET, LINK_IP

    kinds = {settings.device: LINK_IP if settings.tun else LINK_ETHERNET}
    sinks: list[Callable[..., None]] = []
    if settings.write is not None:
        file = output(settings.write, undo)
        writer = pcapng.PcapngWriter(file)
        capture = filtered(settings.filter, AnnotatedCapture(writer, kinds, epoch=wall_clock()), kinds)
        if settings.keylog is None:
            sinks.append(while_read(capture, file))
        else:
            from pystack.trace.keylog import Delayed, Keyed, KeyLog

            delayed = Delayed(while_read(Keyed(capture, writer, KeyLog(settings.keylog)), file))
            undo.callback(delayed.close)
            sinks.append(delayed)
    stream = sys.stderr if settings.write == "-" else sys.stdout
    narrator = Narrator(Style(stream=stream), everything=True, quiet=not settings.verbose)
    sinks.append(narrator.frame)
    undo.callback(narrator.close)
    return FrameProbe(tee(*sinks), kinds), narrator
