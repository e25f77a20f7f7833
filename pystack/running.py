"""A running stack on a TAP, in one call: `with pystack.up(...) as stack:`."""

import atexit
import contextlib
import ipaddress
import os
import socket as _std
import sys
import warnings
import weakref
from collections.abc import Callable, Iterator
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, Self

import pystack_c.const as C
from pystack.kernel import netns as ns
from pystack.phy.device import Device
from pystack.phy.tap import TapDevice
from pystack.runtime.realtime import RealtimeHost
from pystack.runtime.sleep import BUSY_POLL
from pystack.sockets import current as _current
from pystack.sockets.resolve import Names
from pystack_c.base.address import v4
from pystack_c.config import Config, profile
from pystack_c.stack import Stack

if TYPE_CHECKING:
    from pystack.stepper.live import StepGate


def socket_class(host: RealtimeHost | None) -> Any:
    """The class `socket.socket`, its sockets on `host` (None: on the default stack)."""
    from pystack import socket as module

    if host is None:
        return module.socket
    if host.socket_type is None:
        host.socket_type = type("socket", (module.socket,), {"_pystack_host": host, "__slots__": ()})
    return host.socket_type


@contextlib.contextmanager
def using(host: RealtimeHost) -> Iterator[RealtimeHost]:
    """While it lasts, new sockets of `pystack.socket` belong to `host`."""
    _current.push(host)
    try:
        yield host
    finally:
        _current.drop(host)


class Running:
    """A stack that runs: made by `up`, ended by `close` or by leaving the `with` block.

    host     the RealtimeHost that drives it
    device   its network card, or None
    netns    the namespace the kernel's side of the card lives in, or None
    """

    def __init__(
        self, host: RealtimeHost, device: Device | None, iface: Any, netns: ns.Namespace | None, own_netns: bool
    ):
        self.host = host
        self.device: Any = device
        self.iface = iface
        self.netns = netns
        self.control: Any = None
        self._own_netns = own_netns
        self._closed = False
        #: this is a child process's copy of what runs in the parent
        self._parents = False
        _open.add(self)

    def _start(self, control: bool, default: bool) -> None:
        """Serve the stack from now on (`up` calls this): with a control socket, and as the default stack for new sockets."""
        if control:
            from pystack.control.server import ControlServer

            self.control = ControlServer(self.host)
            self.control.start()
        self.host.start()
        if default:
            _current.push(self.host)

    @property
    def name(self) -> str:
        """The stack's name."""
        return self.host.name

    @property
    def stack(self) -> Stack:
        """The core. Look at it through `host.inspect` while it runs."""
        return self.host.stack  # type: ignore[no-any-return]

    def socket(self, *args: Any, **kwargs: Any) -> _std.socket:
        """A socket on this stack, whatever the default stack is; otherwise as `socket.socket`."""
        return socket_class(self.host)(*args, **kwargs)  # type: ignore[no-any-return]

    def add_address(self, address: str) -> None:
        """One more address of the stack, such as "10.0.0.3/24"."""
        parsed = ipaddress.IPv4Interface(address)
        self.host.setup("add_addr", self.iface, v4(int(parsed.ip)), parsed.network.prefixlen)

    def add_route(self, destination: str, gateway: str) -> None:
        """A route: add_route("10.1.0.0/16", "10.0.0.1")."""
        net = ipaddress.IPv4Network(destination)
        via = v4(int(ipaddress.IPv4Address(gateway)))
        self.host.setup("add_route", v4(int(net.network_address)), net.prefixlen, via, self.iface)

    def flush(self, timeout: float) -> bool:
        """Wait until closed connections have delivered what was written to them. False: not within `timeout` seconds."""
        limit = monotonic() + timeout
        while self.host.failure is None and self.host.inspect(_unfinished):
            if monotonic() >= limit:
                return False
            sleep(0.002)
        return True

    def close(self, flush: float = 1.0, leaving: bool = False) -> None:
        """Stop. Connections that were closed get up to `flush` seconds to deliver their last bytes.

        `leaving`: the interpreter ends, and threads that are in a call stay there (RealtimeHost.close). In a child process made by
        os.fork() only the child's copies of descriptors are closed: the parent's stack goes on.
        """
        if self._closed:
            return
        self._closed = True
        _open.discard(self)
        if self._parents:
            self._forget()
            return
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
        """Give back the child's copies of the parent's descriptors."""
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
    """A program that ends without closing its stacks still lets its closed connections finish, briefly."""
    for running in list(_open):
        running.close(leaving=True)


def _after_fork() -> None:
    """A child that ends normally runs what is registered with atexit; the parent's stacks are none of its business."""
    for running in list(_open):
        running._parents = True
    _open.clear()


os.register_at_fork(after_in_child=_after_fork)


def _unfinished(stack: Stack) -> bool:
    """True while a connection nobody has a socket for still has something to deliver."""
    busy = (C.FIN_WAIT_1, C.CLOSING, C.LAST_ACK)
    return any(getattr(endpoint, "state", 0) in busy for endpoint in stack.endpoints.values())


def up(
    tap: str | None = "tap0",
    address: str = "10.0.0.2/24",
    gateway: str | None = "10.0.0.1",
    *,
    netns: "ns.Namespace | str | None" = None,
    host_address: str | None = "auto",
    mode: str = "tap",
    mtu: int | None = None,
    offload: bool = True,
    busy_poll: int = BUSY_POLL,
    mac: int | None = None,
    device: Device | None = None,
    wrap: Callable[[Device], Device] | None = None,
    config: "Config | dict[str, Any] | str | None" = None,
    seed: int | None = None,
    name: str = "pystack",
    probe: Any = None,
    recorder: "Callable[[Stack], Any] | None" = None,
    names: "Names | dict[str, list[str]] | str | None" = None,
    control: bool = False,
    default: bool = True,
    gate: "StepGate | None" = None,
) -> Running:
    """Bring a stack up on a TAP device and serve it; returns as soon as the stack answers.

    tap           the device's name; the device is made if it does not exist. None: no device, only the loopback interface
    address       the stack's own address with its prefix length
    gateway       the default route, or None for none
    netns         namespace of the kernel's side: a Namespace, the name of one, or "new" for one without a name
    host_address  the kernel side's address; "auto" is the gateway's, None leaves the device as it is
    mode, mtu, offload, mac  of the device: see phy.tap.TapDevice
    busy_poll     microseconds: before a sleep shorter than this the stack polls its device (see runtime/sleep.py); 0: it always sleeps
    device        another device than a TAP; `wrap` puts a wrapper around the device (capture, faults)
    config        a Config, a dict of settings, or a profile's name
    seed          of the stack's random generator; None: from os.urandom
    probe         receives every event of the core
    recorder      called with the stack; returns the recorder of everything that goes in
    names         the names that sockets know: Names, a dict name -> addresses, or the path of a hosts file
    control       serve a control socket under `name`, for `pystack ss` and others
    default       new sockets of `pystack.socket` belong to this stack
    gate          holds the stack at each frame with its clock stopped (pystack.stepper.live)
    """
    _look_at_interpreter()
    own = ipaddress.IPv4Interface(address)
    with contextlib.ExitStack() as undo:
        space = _namespace(netns, undo)
        if device is None and tap is not None:
            kernel_side = _host_address(host_address, gateway, own, tap, space)
            device = _tap(tap, kernel_side, gate is not None, mode=mode, netns=space, offload=offload, mtu=mtu, mac=mac)
        stack = Stack(_seed(seed), _config(config), name)
        stack.probe = probe
        card = _card(stack, device, wrap, gate, undo)
        host = _host(stack, recorder, _names(names), gate, undo)
        host.set_busy_poll(busy_poll)
        iface = None if card is None else _attach(host, card, own, gateway)
        running = Running(host, card, iface, space, space is not netns)
        running._start(control, default)
        undo.pop_all()
    return running


def _card(
    stack: Stack,
    device: Device | None,
    wrap: Callable[[Device], Device] | None,
    gate: "StepGate | None",
    undo: contextlib.ExitStack,
) -> Device | None:
    """The device that the host serves: `device` in its wrappers. `undo` closes it."""
    if device is not None:
        undo.callback(device.close)
        if wrap is not None:
            device = wrap(device)
            undo.callback(device.close)
    return device if gate is None else gate.install(stack, device)


def _host(
    stack: Stack,
    recorder: "Callable[[Stack], Any] | None",
    names: Names,
    gate: "StepGate | None",
    undo: contextlib.ExitStack,
) -> RealtimeHost:
    """The host that drives the stack. `undo` closes it."""
    clock = None if gate is None else gate.clock
    host = RealtimeHost(stack, None if recorder is None else recorder(stack), clock, names)
    host.gate = gate
    undo.callback(host.close)
    return host


def _attach(host: RealtimeHost, card: Device, own: ipaddress.IPv4Interface, gateway: str | None) -> Any:
    """Make `card` an interface with the stack's address and its default route. Returns the Iface."""
    iface = host.attach(card)
    host.setup("add_addr", iface, v4(int(own.ip)), own.network.prefixlen)
    if gateway is not None:
        host.setup("add_route", 0, 0, v4(int(ipaddress.IPv4Address(gateway))), iface)
    return iface


def _look_at_interpreter() -> None:
    """An interpreter without its lock: say what was not tested. (The compiled modules switch that lock on as they are imported.)"""
    has_lock: Callable[[], bool] = getattr(sys, "_is_gil_enabled", lambda: True)
    if not has_lock():
        text = "pystack has not been tested on an interpreter without the GIL; PYTHON_GIL=1 switches it on"
        warnings.warn(text, RuntimeWarning, stacklevel=3)


def _tap(name: str, kernel_side: str | None, stepped: bool, **options: Any) -> TapDevice:
    """The device; where its frames will be held, its kernel's side is told so before it is on."""
    if not stepped or kernel_side is None:
        return TapDevice(name, address=kernel_side, **options)
    card = TapDevice(name, **options)
    try:
        ns.be_patient(card.name, options["netns"])
        ns.configure(card.name, address=kernel_side, up=True, netns=options["netns"])
    except BaseException:
        card.close()
        raise
    return card


def _host_address(
    asked: str | None, gateway: str | None, own: ipaddress.IPv4Interface, tap: str, space: ns.Namespace | None
) -> str | None:
    """The address to give to the kernel's side, or None to leave the device as it is."""
    if asked != "auto":
        return asked
    if gateway is None or (ns.exists(tap, space) and ns.get_address(tap, space) == gateway):
        return None
    return f"{gateway}/{own.network.prefixlen}"


def _namespace(netns: "ns.Namespace | str | None", undo: contextlib.ExitStack) -> ns.Namespace | None:
    """The namespace that was asked for. `undo` closes it if it was opened here."""
    if netns is None or isinstance(netns, ns.Namespace):
        return netns
    space = ns.Namespace.new() if netns == "new" else ns.Namespace.open(netns)
    undo.callback(space.close)
    return space


def _seed(seed: int | None) -> int:
    """The seed that was given, or a random one of 63 bits."""
    return int.from_bytes(os.urandom(8), "big") >> 1 if seed is None else seed


def _config(config: "Config | dict[str, Any] | str | None") -> Config | None:
    if config is None or isinstance(config, Config):
        return config
    if isinstance(config, str):
        return profile(config)
    return Config().update(config)


def _names(names: "Names | dict[str, list[str]] | str | None") -> Names:
    if isinstance(names, Names):
        return names
    if isinstance(names, str):
        return Names.read(names)
    return Names(names)
