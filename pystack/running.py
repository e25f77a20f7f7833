"""A running stack on a TAP, in one call: `with pystack.up(...) as stack:`."""

import atexit
import contextlib
import ipaddress
import os
import socket as _std
import sys
import warnings
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, Self

import pystack_c.const as C
from pystack import dns as _dns
from pystack.kernel import netns as ns
from pystack.phy.device import Device
from pystack.phy.tap import TapDevice
from pystack.runtime.realtime import RealtimeHost, check_free
from pystack.runtime.sleep import BUSY_POLL
from pystack.sockets import current as _current
from pystack.sockets.resolve import Names
from pystack_c.base.address import v4
from pystack_c.config import Config, profile
from pystack_c.stack import Stack

if TYPE_CHECKING:
    from pystack.dhcp import ClientSettings
    from pystack.dhcp.agent import LiveAgent
    from pystack.stepper.live import StepGate

#: the names that are given to a stack (`up(hosts=...)`)
Hosts = Names | Mapping[str, str | Sequence[str]] | str | None


def socket_class(host: RealtimeHost | None) -> Any:
    """Return the class `socket.socket` for sockets on `host` (None: on the default stack)."""
    from pystack import socket as module

    if host is None:
        return module.socket
    if host.socket_type is None:
        host.socket_type = type("socket", (module.socket,), {"_pystack_host": host, "__slots__": ()})
    return host.socket_type


@contextlib.contextmanager
def using(host: RealtimeHost) -> Iterator[RealtimeHost]:
    """Make new sockets of `pystack.socket` belong to `host` inside a `with` block."""
    _current.push(host)
    try:
        yield host
    finally:
        _current.drop(host)


@contextlib.contextmanager
def patch(stack: "Running | None" = None) -> Iterator[None]:
    """Run the code of a `with` block, and all that it calls, on the stack: the standard library's sockets are the stack's.

        with pystack.up(...), pystack.patch():
            print(urllib.request.urlopen("http://10.0.0.1/").status)

    stack  the stack of new sockets; None: the default stack (`pystack.up(default=True)`) at the time when a socket is made

    `socket.socket` and all that is made of it, `getaddrinfo` and its relatives, `ssl.SSLContext.wrap_socket`, and new event loops of asyncio
    are replaced, in all modules that have imported them. AF_INET and AF_PACKET mean the stack. AF_INET6 raises OSError(EAFNOSUPPORT),
    because the stack has none. AF_UNIX, `socketpair` and a socket on a given descriptor are the kernel's, as before.

    Patching concerns the whole process, all threads included, until the last block ends, in whatever order blocks end. A `stack` holds for
    the block's own code and for the tasks that it makes; threads use the stack that was named last. Not reached are classes that
    were derived from `socket.socket` before, other processes, and extension modules that call the kernel themselves (uvloop).
    """
    from pystack import aio  # registers its event loop; `up` alone needs no asyncio
    from pystack.patching import live

    assert aio
    if not isinstance(stack, Running | None):
        raise TypeError(f"patch() takes the stack that up() returned, or nothing for the default stack, not {stack!r}")
    with live(None if stack is None else stack.host):
        yield


class Running:
    """A running stack. `up` makes it; `close` or the end of a `with` block ends it.

    host     the RealtimeHost that drives it
    device   its network card, or None
    link     the bad link in front of the card (sim.fault.FaultDevice), or None
    netns    the namespace of the kernel's side of the card, or None
    """

    def __init__(
        self, host: RealtimeHost, device: Device | None, iface: Any, netns: ns.Namespace | None, own_netns: bool
    ):
        self.host = host
        self.device: Any = device
        self.iface = iface
        self.netns = netns
        self.control: Any = None
        #: the agent that asks a DHCP server (pystack.dhcp.agent), or None
        self.dhcp: LiveAgent | None = None
        self.link: Any = _link_of(device)
        if self.link is not None:
            self.link.host = host
        self._own_netns = own_netns
        self._closed = False
        #: True in a child process, where this is a copy of an object of the parent
        self._parents = False
        _open.add(self)

    def _start(self, control: bool, default: bool) -> None:
        """Serve the stack from now on, with a control socket, and as the default stack for new sockets."""
        if control:
            from pystack.control.server import ControlServer

            self.control = ControlServer(self.host, link=self.link)
            self.control.start()
        self.host.start()
        if default:
            _current.push(self.host)

    def _ask(self, dhcp: "bool | ClientSettings") -> Self:
        """Get an address from a DHCP server, if that is wanted. TimeoutError: none answered, so the stack is closed."""
        if not dhcp:
            return self
        from pystack.dhcp import Client, ClientSettings  # most stacks have an address, and start faster without it
        from pystack.dhcp.agent import LiveAgent
        from pystack.dhcp.message import CLIENT_PORT

        settings = dhcp if isinstance(dhcp, ClientSettings) else ClientSettings(host_name=self.name)
        try:
            if self.iface is None:
                raise ValueError("DHCP needs a device")
            self.dhcp = LiveAgent(self.host, self.iface, Client(self.iface.mac, self.stack.seed, settings), CLIENT_PORT)
            self.dhcp.start()
            self.dhcp.wait(settings.timeout)
        except BaseException:
            self.close(flush=0)
            raise
        return self

    @property
    def name(self) -> str:
        """The stack's name."""
        return self.host.name

    @property
    def stack(self) -> Stack:
        """The core. Access it through `host.inspect` while it runs."""
        return self.host.stack  # type: ignore[no-any-return]

    def socket(self, *args: Any, **kwargs: Any) -> _std.socket:
        """Return a socket on this stack, whatever the default stack is. The arguments are those of `socket.socket`."""
        return socket_class(self.host)(*args, **kwargs)  # type: ignore[no-any-return]

    def add_address(self, address: str) -> None:
        """Add another address to the stack, such as "10.0.0.3/24". Raises ValueError."""
        parsed = ipaddress.IPv4Interface(address)
        self.host.setup("add_addr", self.iface, v4(int(parsed.ip)), parsed.network.prefixlen)

    def add_route(self, destination: str, gateway: str) -> None:
        """Add a route: add_route("10.1.0.0/16", "10.0.0.1").

        Raises FileExistsError if there is already a route to this network, and ValueError for a bad address.
        """
        net = ipaddress.IPv4Network(destination)
        via = v4(int(ipaddress.IPv4Address(gateway)))
        self.host.setup("add_route", v4(int(net.network_address)), net.prefixlen, via, self.iface)

    def nft(self, commands: Any) -> None:
        """Change the packet filter, by commands in nft's language, by a file of them (a Path), or by nft's JSON.

        Raises pystack.nft.RulesetError with the line that is wrong or not supported, and then nothing has changed.
        """
        from pystack.nft import as_program

        as_program(commands, self.ruleset()).run(lambda text: self.host.setup("nft", text))

    def ruleset(self) -> list[dict[str, Any]]:
        """Return the packet filter as `nft -j list ruleset` shows it, with its counters."""
        rules: list[dict[str, Any]] = self.host.inspect(lambda stack: stack.nftables.dump() if stack.nftables else [])
        return rules

    def change_link(self, **settings: Any) -> None:
        """Change settings of the link of `up(link=...)`: change_link(delay="100ms", loss=0.05). They hold for frames sent from now on."""
        if self.link is None:
            raise ValueError(f"{self.name} was not started with a link, and cannot have one while it runs")
        self.host.inspect(lambda stack: self.link.change(settings))

    def flush(self, timeout: float) -> bool:
        """Wait until closed connections have delivered their data. Returns False if `timeout` seconds pass first."""
        limit = monotonic() + timeout
        while self.host.failure is None and self.host.inspect(_unfinished):
            if monotonic() >= limit:
                return False
            sleep(0.002)
        return True

    def close(self, flush: float = 1.0, leaving: bool = False) -> None:
        """Stop the stack. Closed connections get up to `flush` seconds to deliver their last bytes.

        `leaving` means that the interpreter ends, and that threads in a call stay
        there (RealtimeHost.close). In a child process of os.fork(), this closes
        only the child's copies of descriptors, and the parent's stack continues.
        """
        if self._closed:
            return
        self._closed = True
        _open.discard(self)
        if self._parents:
            self._forget()
            return
        if self.dhcp is not None and not leaving:
            self.dhcp.stop()
        if self.host.gate is not None:
            self.host.gate.end()
        try:
            self.flush(flush)
        except OSError:
            pass
        finally:
            _current.drop(self.host)
            if self.control is not None:
                self.control.close()
            self.host.close(leaving)
            if self._own_netns and self.netns is not None:
                self.netns.close()

    def _forget(self) -> None:
        """Close the child's copies of the parent's descriptors."""
        _current.drop(self.host)
        if self.control is not None:
            self.control.close()
        self.host.close()
        if self._own_netns and self.netns is not None:
            self.netns.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<pystack {self.name} on {self.device!r}{' closed' if self._closed else ''}>"


_open: "weakref.WeakSet[Running]" = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    """Let closed connections finish briefly if a program ends without closing its stacks."""
    for running in list(_open):
        running.close(leaving=True)


def _after_fork() -> None:
    """Leave the parent's stacks alone in a child, which also runs the functions registered with atexit."""
    for running in list(_open):
        running._parents = True
    _open.clear()


os.register_at_fork(after_in_child=_after_fork)


def _unfinished(stack: Stack) -> bool:
    """Return True while a connection that no socket refers to has data to deliver."""
    busy = (C.FIN_WAIT_1, C.CLOSING, C.LAST_ACK)
    return any(getattr(endpoint, "state", 0) in busy for endpoint in stack.endpoints.values())


def up(
    tap: str | None = "tap0",
    address: str = "10.0.0.2/24",
    gateway: str | None = "10.0.0.1",
    *,
    dhcp: "bool | ClientSettings" = False,
    netns: "ns.Namespace | str | None" = None,
    host_address: str | None = "auto",
    mode: str = "tap",
    mtu: int | None = None,
    offload: bool = True,
    busy_poll: int = BUSY_POLL,
    mac: int | None = None,
    device: Device | None = None,
    link: "str | Mapping[str, Any] | None" = None,
    wrap: Callable[[Device], Device] | None = None,
    config: "Config | dict[str, Any] | str | None" = None,
    seed: int | None = None,
    name: str = "pystack",
    probe: Any = None,
    recorder: "Callable[[Stack], Any] | None" = None,
    hosts: Hosts = None,
    dns: "_dns.Servers | None" = None,
    search: Sequence[str] = (),
    control: bool = False,
    default: bool = True,
    gate: "StepGate | None" = None,
) -> Running:
    """Bring a stack up on a TAP device and serve it. Returns as soon as the stack answers.

    tap           the device's name; the device is made if it does not exist. None: no device, only the loopback interface
    address, gateway  the stack's own address with its prefix length; the default gateway, or None for no default route
    dhcp          True or dhcp.ClientSettings: ask a DHCP server instead of using `address` and `gateway`; TimeoutError: none answers
    netns         the namespace of the kernel's side: a Namespace, the name of one, or "new" for one without a name
    host_address  the kernel side's address, "auto" (the gateway's) or None; a warning says if the device stays off
    mode, mtu, offload, mac  parameters of the device: see phy.tap.TapDevice
    busy_poll     microseconds: the stack polls its device before a shorter sleep (see runtime/sleep.py); 0: never
    device        a device to use instead of a TAP; `wrap` puts a wrapper around the device (capture, faults)
    link          a bad link in front of the device, without offload: "lte", or {"delay": "50ms", "loss": 0.01} (see sim/live.py)
    config, seed  a Config, a dict of settings, or a profile's name; the seed of the stack's random generator (None: from os.urandom)
    probe, recorder  the receiver of every event of the core; a function that gets the stack and returns a recorder of what enters it
    hosts         the names that sockets know: a dict name -> address or addresses, or the path of a file such as /etc/hosts
    dns, search   DNS servers for other names: addresses, a file such as /etc/resolv.conf, or dns.DnsSettings; and domains for short names
    control, default  whether to serve a control socket under `name`; whether new sockets of `pystack.socket` belong to this stack
    gate          holds the stack at each frame with its clock stopped (pystack.stepper.live)
    """
    _look_at_interpreter()
    own = None if dhcp else ipaddress.IPv4Interface(address)
    with contextlib.ExitStack() as undo:
        space = _namespace(netns, undo)
        if device is None and tap is not None:
            options = {"mode": mode, "netns": space, "mtu": mtu, "mac": mac}
            device = _tap(tap, (host_address, gateway, own), gate is not None, link is not None or not offload, options)
        stack = _stack(seed, config, name, probe)
        card = _card(stack, device, link, wrap, gate, undo)
        host = _host(stack, recorder, (hosts, dns, search), gate, busy_poll, undo)
        running = Running(host, card, _attach(host, card, own, gateway), space, space is not netns)
        running._start(control, default)
        undo.pop_all()
    return running._ask(dhcp)


def _link_of(device: Any) -> Any:
    """Return the bad link (sim.fault.FaultDevice) among a device and the devices that it wraps, or None."""
    while device is not None and not hasattr(device, "link_text"):
        device = getattr(device, "device", None)
    return device


def _card(
    stack: Stack,
    device: Device | None,
    link: Any,
    wrap: Callable[[Device], Device] | None,
    gate: "StepGate | None",
    undo: contextlib.ExitStack,
) -> Device | None:
    """Return the device that the host serves: `device` in its wrappers. `undo` closes it."""
    if device is not None:
        check_free(device)  # before `undo` knows it, so that the other stack keeps it
        undo.callback(device.close)
        if link is not None:
            from pystack.sim.fault import faulty  # most stacks have no link, and start faster without it

            device = faulty(device, link, stack.seed)
            undo.callback(device.close)
        if wrap is not None:
            device = wrap(device)
            undo.callback(device.close)
    elif link is not None:
        raise ValueError("a link needs a device")
    return device if gate is None else gate.install(stack, device)


def _host(
    stack: Stack,
    recorder: "Callable[[Stack], Any] | None",
    names: "tuple[Hosts, _dns.Servers | None, Sequence[str]]",
    gate: "StepGate | None",
    busy_poll: int,
    undo: contextlib.ExitStack,
) -> RealtimeHost:
    """Return the host that drives the stack. `undo` closes it."""
    known, servers = _names(names[0]), _servers(*names[1:])
    clock = None if gate is None else gate.clock
    host = RealtimeHost(stack, None if recorder is None else recorder(stack), clock)
    host.gate = gate
    undo.callback(host.close)
    host.names = known.of(host)
    if servers is not None:
        _dns.use(host, servers)
    host.set_busy_poll(busy_poll)
    return host


def _attach(host: RealtimeHost, card: Device | None, own: ipaddress.IPv4Interface | None, gateway: str | None) -> Any:
    """Make `card` an interface with the stack's address (None: a DHCP server will give it) and its default route.

    Returns the Iface, or None if there is no card.
    """
    iface = None if card is None else host.attach(card)
    if iface is None or own is None:
        return iface
    host.setup("add_addr", iface, v4(int(own.ip)), own.network.prefixlen)
    if gateway is not None:
        host.setup("add_route", 0, 0, v4(int(ipaddress.IPv4Address(gateway))), iface)
    return iface


def _look_at_interpreter() -> None:
    """Warn on an interpreter without a GIL, which was not tested.

    Importing the compiled modules switches the GIL on.
    """
    has_lock: Callable[[], bool] = getattr(sys, "_is_gil_enabled", lambda: True)
    if not has_lock():
        text = "pystack has not been tested on an interpreter without the GIL; PYTHON_GIL=1 switches it on"
        warnings.warn(text, RuntimeWarning, stacklevel=3)


def _tap(name: str, side: "tuple[Any, Any, Any]", stepped: bool, plain: bool, options: dict[str, Any]) -> TapDevice:
    """Open the TAP device, and switch its kernel side on. If frames will be held, prepare the kernel for that first.

    `side` has the first arguments of `_host_address`.
    """
    kernel_side = _host_address(*side, name, options["netns"])
    card = TapDevice(name, offload=not plain, **options)
    try:
        if stepped:
            ns.be_patient(card.name, options["netns"])
        elif card.made:
            ns.be_quiet(card.name, options["netns"])
        _switch_on(card.name, kernel_side, options["netns"])
    except BaseException:
        card.close()
        raise
    return card


def _switch_on(name: str, address: str | None, netns: ns.Namespace | None) -> None:
    """Give the kernel's side its address, if any, and switch it on.

    If only the switching is not allowed, warn, and name the command for it.
    """
    if address is not None:
        ns.configure(name, address=address, up=True, netns=netns)
    elif not ns.is_up(name, netns):
        try:
            ns.configure(name, up=True, netns=netns)
        except PermissionError:
            warnings.warn(ns.down_text(name), RuntimeWarning, stacklevel=4)


def _host_address(
    asked: str | None, gateway: str | None, own: ipaddress.IPv4Interface | None, tap: str, space: ns.Namespace | None
) -> str | None:
    """Return the address to give to the kernel's side, or None to leave the device as it is."""
    if asked != "auto":
        return asked
    if own is None or gateway is None or (ns.exists(tap, space) and ns.get_address(tap, space) == gateway):
        return None
    return f"{gateway}/{own.network.prefixlen}"


def _namespace(netns: "ns.Namespace | str | None", undo: contextlib.ExitStack) -> ns.Namespace | None:
    """Return the requested namespace. `undo` closes it if it was opened here."""
    if netns is None or isinstance(netns, ns.Namespace):
        return netns
    space = ns.Namespace.new() if netns == "new" else ns.Namespace.open(netns)
    undo.callback(space.close)
    return space


def _stack(seed: int | None, config: "Config | dict[str, Any] | str | None", name: str, probe: Any) -> Stack:
    """Return a new stack that the probe watches."""
    stack = Stack(_seed(seed), _config(config), name)
    stack.probe = probe
    return stack


def _seed(seed: int | None) -> int:
    """Return the given seed, or a random one of 63 bits."""
    return int.from_bytes(os.urandom(8), "big") >> 1 if seed is None else seed


def _config(config: "Config | dict[str, Any] | str | None") -> Config | None:
    if config is None or isinstance(config, Config):
        return config
    if isinstance(config, str):
        return profile(config)
    return Config().update(config)


def _names(hosts: Hosts) -> Names:
    if isinstance(hosts, Names):
        return hosts
    if isinstance(hosts, str):
        return Names.read(hosts)
    return Names(hosts)


def _servers(dns: "_dns.Servers | None", search: Sequence[str]) -> "_dns.DnsSettings | None":
    """Return the settings of the resolver, or None without one. DnsMissing: dnspython is not installed."""
    if dns is None:
        if search:
            raise ValueError("search domains are for DNS: name a server (dns=...), too")
        return None
    _dns.need_dnspython()
    return _dns.settings_of(dns, search)
