"""The kernel's side: network namespaces, and the devices, addresses and routes in them.

A TAP with an address and an MTU needs only a few ioctls (netdevice(7)) and no library. Routes, veth pairs,
bridges and named namespaces need pyroute2 (`pip install pystack[netlink]`), which is imported when it is first used.

A thread can enter another namespace while the rest of the process stays (setns(2)). So every action inside a
namespace runs in its own thread, which ends afterwards.
"""

import _socket  # not `socket.socket`, which means the stack while a program is patched
import contextlib
import ctypes
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
SIOCSIFHWADDR = 0x8924
SIOCADDRT = 0x890B
IFF_UP = 0x1
# linux/if_arp.h, linux/route.h
ARPHRD_ETHER = 1
RTF_UP, RTF_GATEWAY, RTF_HOST = 1, 2, 4


class NetlinkMissing(ImportError):
    """pyroute2 is not installed."""


def pyroute2() -> Any:
    """Return the pyroute2 module. Raises NetlinkMissing, which says how to install it."""
    try:
        import pyroute2 as module
    except ImportError as exc:
        raise NetlinkMissing("this needs pyroute2: pip install 'pystack[netlink]'") from exc
    return module


class Namespace:
    """A network namespace, held by a file descriptor.

    `Namespace.new()` makes one without a name. It disappears when it is closed and
    its last process has ended, so nothing can be left behind. `Namespace.open(name)`
    opens one that `ip netns add` made, or makes it with create=True.
    """

    def __init__(self, fd: int, name: str = "", created: bool = False):
        self.fd = fd
        self.name = name
        self._created = created
        self._owner = os.getpid()

    @classmethod
    def new(cls) -> "Namespace":
        """Make a namespace without a name, with its loopback up. Needs CAP_SYS_ADMIN (root, or inside unshare -Ur)."""
        return cls(_in_thread(None, _unshare))

    @classmethod
    def open(cls, name: str, create: bool = False) -> "Namespace":
        """Open a namespace by its name in /run/netns, or by any path such as /proc/123/ns/net. Raises OSError."""
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
        """Call fn(*args) inside the namespace, and return its result."""
        return _in_thread(self.fd, fn, *args)

    def command(self, argv: Sequence[str]) -> list[str]:
        """Return the command line that runs argv inside.

        The caller must pass on the descriptor: pass_fds=[space.fd].
        """
        return ["nsenter", f"--net=/proc/self/fd/{self.fd}", *argv]

    def popen(self, argv: Sequence[str], **kwargs: Any) -> "subprocess.Popen[Any]":
        """Start subprocess.Popen inside the namespace."""
        import subprocess

        return subprocess.Popen(self.command(argv), pass_fds=[self.fd], **kwargs)

    def run(self, argv: Sequence[str], **kwargs: Any) -> "subprocess.CompletedProcess[Any]":
        """Call subprocess.run inside the namespace."""
        import subprocess

        return subprocess.run(self.command(argv), pass_fds=[self.fd], **kwargs)  # noqa: PLW1510

    def quiet(self) -> None:
        """Disable IPv6 in the namespace, so that the kernel sends no router solicitations into a capture."""
        self.call(_write, "/proc/sys/net/ipv6/conf/all/disable_ipv6", "1")
        self.call(_write, "/proc/sys/net/ipv6/conf/default/disable_ipv6", "1")

    def close(self) -> None:
        """Close the descriptor, and remove a namespace that open(create=True) made."""
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
    """Call fn(*args), inside `space` if it is given, and return its result."""
    return fn(*args) if space is None else space.call(fn, *args)


def _in_thread(fd: int | None, fn: Callable[..., Any], *args: Any) -> Any:
    """Call fn(*args) in a new thread, which first enters the namespace `fd`. Returns or raises what the call did."""
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
    """Return a struct ifreq: the interface's name, and 24 bytes whose meaning depends on the request."""
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
    """Set the address ("10.0.0.1/24") and the MTU of a kernel device, and switch it on or off.

    None leaves a value as it is.
    """
    call(netns, _configure, name, address, mtu, up)


def _configure(name: str, address: str | None, mtu: int | None, up: bool | None) -> None:
    with contextlib.closing(_socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as sock:
        set_device(sock, name, address, mtu, up)


def set_device(
    sock: Any, name: str, address: str | None = None, mtu: int | None = None, up: bool | None = None
) -> None:
    """As `configure`, in the namespace in which the socket was made, wherever the caller is."""
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


def set_mac(sock: Any, name: str, mac: int) -> None:
    """Give a device that is switched off a MAC address, in the namespace in which the socket was made."""
    fcntl.ioctl(sock, SIOCSIFHWADDR, ifreq(name, struct.pack("=H", ARPHRD_ETHER) + mac.to_bytes(6, "big")))


def set_route(sock: Any, network: str, gateway: str = "", dev: str = "") -> None:
    """Add a route (struct rtentry of route(4)) in the namespace in which the socket was made: set_route(sock, "10.1.0.0/16", "10.0.0.2")."""
    net = ipaddress.IPv4Network(network)
    flags = RTF_UP | (RTF_GATEWAY if gateway else 0) | (RTF_HOST if net.prefixlen == 32 else 0)
    addresses = [_sockaddr(net.network_address), _sockaddr(ipaddress.IPv4Address(gateway or 0)), _sockaddr(net.netmask)]
    parts = [address.ljust(16, b"\0") for address in addresses]
    name = ctypes.create_string_buffer(dev.encode()) if dev else None
    pointer = 0 if name is None else ctypes.addressof(name)
    entry = struct.pack("@L16s16s16sHhLLhPLLH", 0, *parts, flags, 0, 0, 0, 0, pointer, 0, 0, 0)
    fcntl.ioctl(sock, SIOCADDRT, entry)


def be_patient(name: str, netns: Namespace | None = None) -> None:
    """Make the kernel wait a minute instead of a second for the answer to each of its three ARP requests, and disable
    IPv6, so that the first held frame is not a router solicitation. If the kernel does not allow a change, nothing
    happens."""
    be_quiet(name, netns)
    try:
        call(netns, _write, f"/proc/sys/net/ipv4/neigh/{name}/retrans_time_ms", "60000")
    except OSError:
        pass


def be_quiet(name: str, netns: Namespace | None = None) -> None:
    """Disable IPv6 on a device, because the stack speaks IPv4 alone, and the kernel would send router solicitations and
    group reports that the stack drops. If the kernel does not allow it, nothing happens."""
    try:
        call(netns, _write, f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6", "1")
    except OSError:
        pass


def _sockaddr(addr: ipaddress.IPv4Address) -> bytes:
    return struct.pack("=HH", socket.AF_INET, 0) + addr.packed


def get_mtu(name: str, netns: Namespace | None = None) -> int:
    """Return the device's MTU in bytes. Raises OSError if there is no such device."""
    (mtu,) = struct.unpack_from("=i", _query(netns, SIOCGIFMTU, name), 16)
    return int(mtu)


def exists(name: str, netns: Namespace | None = None) -> bool:
    """Return True if there is a device of that name."""
    try:
        _query(netns, SIOCGIFFLAGS, name)
    except OSError:
        return False
    return True


def is_up(name: str, netns: Namespace | None = None) -> bool:
    """Return True if the kernel's side of the device is switched on."""
    (flags,) = struct.unpack_from("=H", _query(netns, SIOCGIFFLAGS, name), 16)
    return bool(flags & IFF_UP)


def down_text(name: str) -> str:
    """Return a line for the user of a device that is switched off and that this program may not switch on."""
    return f"{name} is down, so no frame passes; switch it on as root: ip link set dev {name} up"


def get_address(name: str, netns: Namespace | None = None) -> str | None:
    """Return the device's first IPv4 address, or None."""
    try:
        return socket.inet_ntoa(_query(netns, SIOCGIFADDR, name)[20:24])
    except OSError:
        return None


def get_mac(name: str, netns: Namespace | None = None) -> int:
    """Return the device's own MAC address, which is the kernel side's."""
    return int.from_bytes(_query(netns, SIOCGIFHWADDR, name)[18:24], "big")


def _query(netns: Namespace | None, request: int, name: str) -> bytes:
    def ask() -> bytes:
        with contextlib.closing(_socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as sock:
            return fcntl.ioctl(sock, request, ifreq(name))

    answer: bytes = call(netns, ask)
    return answer


# -- the rest, by netlink ----------------------------------------------------------------------------------------


def netlink(netns: Namespace | None, fn: Callable[..., Any], *args: Any) -> Any:
    """Call fn(ipr, *args) with a pyroute2.IPRoute inside the namespace, and return its result."""
    module = pyroute2()

    def inside() -> Any:
        with module.IPRoute() as ipr:
            return fn(ipr, *args)

    # Always use a new thread, because pyroute2 runs an event loop, and the caller may have one, too.
    return _in_thread(None if netns is None else netns.fd, inside)


def add_route(dst: str, *, gateway: str | None = None, dev: str | None = None, netns: Namespace | None = None) -> None:
    """Add a route to the kernel: add_route("10.1.0.0/16", gateway="10.0.0.2")."""

    def add(ipr: Any) -> None:
        request: dict[str, Any] = {"dst": dst}
        if gateway is not None:
            request["gateway"] = gateway
        if dev is not None:
            request["oif"] = ipr.link_lookup(ifname=dev)[0]
        ipr.route("add", **request)

    netlink(netns, add)


def add_address(name: str, address: str, netns: Namespace | None = None) -> None:
    """Add another address to a kernel device."""

    def add(ipr: Any) -> None:
        iface = ipaddress.IPv4Interface(address)
        index = ipr.link_lookup(ifname=name)[0]
        ipr.addr("add", index=index, address=str(iface.ip), prefixlen=iface.network.prefixlen)

    netlink(netns, add)


def delete_link(name: str, netns: Namespace | None = None) -> None:
    """Delete a kernel device."""

    def delete(ipr: Any) -> None:
        ipr.link("del", index=ipr.link_lookup(ifname=name)[0])

    netlink(netns, delete)
