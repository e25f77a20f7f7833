"""The kernel's side: network namespaces, and devices, addresses and routes in them.

Bringing a TAP up with an address and an MTU takes a few ioctls (netdevice(7)) and no library. Routes, veth pairs,
bridges and named namespaces go through pyroute2 (`pip install pystack[netlink]`), imported when first asked for.

A thread may enter another namespace without taking the process along (setns(2)), so everything that must
happen inside one runs in a thread of its own, which ends afterwards.
"""

import fcntl
import ipaddress
import os
import socket
import struct
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    import subprocess

CLONE_NEWNET = 0x40000000
# linux/sockios.h
SIOCGIFFLAGS = 0x8913
SIOCSIFFLAGS = 0x8914
SIOCGIFADDR = 0x8915
SIOCSIFADDR = 0x8916
SIOCSIFNETMASK = 0x891C
SIOCGIFMTU = 0x8921
SIOCSIFMTU = 0x8922
SIOCGIFHWADDR = 0x8927
IFF_UP = 0x1


class NetlinkMissing(ImportError):
    """pyroute2 is not installed."""


def pyroute2() -> Any:
    """The pyroute2 module, or an error that says how to get it."""
    try:
        import pyroute2 as module
    except ImportError as exc:
        raise NetlinkMissing("this needs pyroute2: pip install 'pystack[netlink]'") from exc
    return module


class Namespace:
    """A network namespace, held by a file descriptor.

    `Namespace.new()` makes one without a name: it goes away when it is closed and the last process in it ends, so
    nothing can be left behind. `Namespace.open(name)` joins one that `ip netns add` made (or makes it, with
    create=True).
    """

    def __init__(self, fd: int, name: str = "", created: bool = False):
        self.fd = fd
        self.name = name
        self._created = created
        self._owner = os.getpid()

    @classmethod
    def new(cls) -> "Namespace":
        """A fresh namespace without a name, its loopback up. Needs CAP_SYS_ADMIN (root, or inside unshare -Ur)."""
        return cls(_in_thread(None, _unshare))

    @classmethod
    def open(cls, name: str, create: bool = False) -> "Namespace":
        """One of /run/netns, or any path such as /proc/123/ns/net."""
        path = name if "/" in name else f"/run/netns/{name}"
        created = False
        if create and not os.path.exists(path):
            pyroute2().netns.create(name)
            created = True
        space = cls(os.open(path, os.O_RDONLY | os.O_CLOEXEC), name, created)
        if created:
            configure("lo", up=True, netns=space)
        return space

    def call(self, fn: Callable[..., Any], *args: Any) -> Any:
        """fn(*args) inside the namespace."""
        return _in_thread(self.fd, fn, *args)

    def command(self, argv: Sequence[str]) -> list[str]:
        """The command line that runs argv inside (the fd must be passed on: pass_fds=[space.fd])."""
        return ["nsenter", f"--net=/proc/self/fd/{self.fd}", *argv]

    def popen(self, argv: Sequence[str], **kwargs: Any) -> "subprocess.Popen[Any]":
        """subprocess.Popen inside the namespace."""
        import subprocess

        return subprocess.Popen(self.command(argv), pass_fds=[self.fd], **kwargs)

    def run(self, argv: Sequence[str], **kwargs: Any) -> "subprocess.CompletedProcess[Any]":
        """subprocess.run inside the namespace."""
        import subprocess

        return subprocess.run(self.command(argv), pass_fds=[self.fd], **kwargs)  # noqa: PLW1510

    def quiet(self) -> None:
        """No IPv6 in it: the kernel then sends no router solicitations of its own into a capture."""
        self.call(_write, "/proc/sys/net/ipv6/conf/all/disable_ipv6", "1")
        self.call(_write, "/proc/sys/net/ipv6/conf/default/disable_ipv6", "1")

    def close(self) -> None:
        """Let go of it; one that open(create=True) made is removed."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)
            if self._created and self._owner == os.getpid():
                pyroute2().netns.remove(self.name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def call(space: Namespace | None, fn: Callable[..., Any], *args: Any) -> Any:
    """fn(*args), inside `space` where one is given."""
    return fn(*args) if space is None else space.call(fn, *args)


def _in_thread(fd: int | None, fn: Callable[..., Any], *args: Any) -> Any:
    """fn(*args) in a new thread, which first enters the namespace `fd`; the thread's result or exception."""
    box: list[Any] = [None, None]

    def body() -> None:
        try:
            if fd is not None:
                _libc("setns", fd, CLONE_NEWNET)
            box[0] = fn(*args)
        except BaseException as exc:  # noqa: BLE001 (handed to the caller's thread)
            box[1] = exc

    thread = threading.Thread(target=body, name="pystack-netns")
    thread.start()
    thread.join()
    if box[1] is not None:
        raise box[1]
    return box[0]


def _libc(name: str, *args: int) -> None:
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*args) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")


def _unshare() -> int:
    _libc("unshare", CLONE_NEWNET)
    configure("lo", up=True)
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def _write(path: str, text: str) -> None:
    if os.path.exists(path):
        with open(path, "w") as file:
            file.write(text)


# -- devices, by ioctl -------------------------------------------------------------------------------------------


def ifreq(name: str, value: bytes = b"") -> bytes:
    """struct ifreq: the interface's name, and 24 bytes that mean what the request says."""
    raw = name.encode()
    if len(raw) > 15:
        raise ValueError(f"an interface name has at most 15 bytes: {name!r}")
    return struct.pack("16s24s", raw, value)


def configure(
    name: str,
    *,
    address: str | None = None,
    mtu: int | None = None,
    up: bool | None = None,
    netns: Namespace | None = None,
) -> None:
    """Give the kernel's device an address ("10.0.0.1/24"), an MTU, and switch it on or off."""
    call(netns, _configure, name, address, mtu, up)


def _configure(name: str, address: str | None, mtu: int | None, up: bool | None) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        if mtu is not None:
            fcntl.ioctl(sock, SIOCSIFMTU, ifreq(name, struct.pack("=i", mtu)))
        if address is not None:
            iface = ipaddress.IPv4Interface(address)
            fcntl.ioctl(sock, SIOCSIFADDR, ifreq(name, _sockaddr(iface.ip)))
            fcntl.ioctl(sock, SIOCSIFNETMASK, ifreq(name, _sockaddr(iface.netmask)))
        if up is not None:
            answer = fcntl.ioctl(sock, SIOCGIFFLAGS, ifreq(name))
            (flags,) = struct.unpack_from("=H", answer, 16)
            flags = flags | IFF_UP if up else flags & ~IFF_UP
            fcntl.ioctl(sock, SIOCSIFFLAGS, ifreq(name, struct.pack("=H", flags)))


def be_patient(name: str, netns: Namespace | None = None) -> None:
    """The kernel's side waits a minute, not a second, for the answer to each of its three ARP requests; and it speaks no IPv6,
    so that what is held first is not a router solicitation. Where it does not let us say so, all is as ever."""
    for path, value in (
        (f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6", "1"),
        (f"/proc/sys/net/ipv4/neigh/{name}/retrans_time_ms", "60000"),
    ):
        try:
            call(netns, _write, path, value)
        except OSError:
            pass


def _sockaddr(addr: ipaddress.IPv4Address) -> bytes:
    return struct.pack("=HH", socket.AF_INET, 0) + addr.packed


def get_mtu(name: str, netns: Namespace | None = None) -> int:
    """The device's MTU."""
    (mtu,) = struct.unpack_from("=i", _query(netns, SIOCGIFMTU, name), 16)
    return int(mtu)


def exists(name: str, netns: Namespace | None = None) -> bool:
    """True where there is a device of that name."""
    try:
        _query(netns, SIOCGIFFLAGS, name)
    except OSError:
        return False
    return True


def is_up(name: str, netns: Namespace | None = None) -> bool:
    """True if the kernel's side of the device is switched on."""
    (flags,) = struct.unpack_from("=H", _query(netns, SIOCGIFFLAGS, name), 16)
    return bool(flags & IFF_UP)


def get_address(name: str, netns: Namespace | None = None) -> str | None:
    """The device's (first) IPv4 address, or None."""
    try:
        return socket.inet_ntoa(_query(netns, SIOCGIFADDR, name)[20:24])
    except OSError:
        return None


def get_mac(name: str, netns: Namespace | None = None) -> int:
    """The device's own MAC address (the kernel's side)."""
    return int.from_bytes(_query(netns, SIOCGIFHWADDR, name)[18:24], "big")


def _query(netns: Namespace | None, request: int, name: str) -> bytes:
    def ask() -> bytes:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            return fcntl.ioctl(sock, request, ifreq(name))

    answer: bytes = call(netns, ask)
    return answer


# -- the rest, by netlink ----------------------------------------------------------------------------------------


def netlink(netns: Namespace | None, fn: Callable[..., Any], *args: Any) -> Any:
    """fn(ipr, *args) with a pyroute2.IPRoute inside the namespace."""
    module = pyroute2()

    def inside() -> Any:
        with module.IPRoute() as ipr:
            return fn(ipr, *args)

    # In a thread of its own in any case: pyroute2 runs an event loop of its own, and the caller may have one.
    return _in_thread(None if netns is None else netns.fd, inside)


def add_route(dst: str, *, gateway: str | None = None, dev: str | None = None, netns: Namespace | None = None) -> None:
    """A route of the kernel's: add_route("10.1.0.0/16", gateway="10.0.0.2")."""

    def add(ipr: Any) -> None:
        request: dict[str, Any] = {"dst": dst}
        if gateway is not None:
            request["gateway"] = gateway
        if dev is not None:
            request["oif"] = ipr.link_lookup(ifname=dev)[0]
        ipr.route("add", **request)

    netlink(netns, add)


def add_address(name: str, address: str, netns: Namespace | None = None) -> None:
    """One more address on a kernel device."""

    def add(ipr: Any) -> None:
        iface = ipaddress.IPv4Interface(address)
        index = ipr.link_lookup(ifname=name)[0]
        ipr.addr("add", index=index, address=str(iface.ip), prefixlen=iface.network.prefixlen)

    netlink(netns, add)


def delete_link(name: str, netns: Namespace | None = None) -> None:
    """Take a kernel device away."""

    def delete(ipr: Any) -> None:
        ipr.link("del", index=ipr.link_lookup(ifname=name)[0])

    netlink(netns, delete)
