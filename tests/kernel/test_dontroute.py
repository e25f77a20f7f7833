"""SO_DONTROUTE and MSG_DONTROUTE: the same destinations, with the same routes, as the kernel takes or refuses them."""

import errno
import socket as std

import pytest

import pystack_c.const as C
from pystack.kernel.netns import Namespace
from pystack.phy.tap import TapDevice
from pystack_c.sockets import udp
from tests import frames as f
from tests.support.peer import Peer

ROUTES = (("0.0.0.0/0", "10.0.0.2"), ("192.0.2.0/24", ""), ("192.0.2.128/25", "10.0.0.2"))
TO = ("198.51.100.7", "10.0.0.2", "192.0.2.7", "192.0.2.200", "127.0.0.1", "10.0.0.255")


def kernels(option: int, flags: int) -> list[int]:
    """The errno of a datagram to each, or 0."""
    found = []
    for addr in TO:
        with std.socket(std.AF_INET, std.SOCK_DGRAM) as sock:
            sock.setsockopt(std.SOL_SOCKET, std.SO_DONTROUTE, option)
            try:
                sock.sendto(b"x", flags, (addr, 9))
                found.append(0)
            except OSError as exc:
                found.append(exc.errno or -1)
    return found


def ours(option: int, flags: int) -> list[int]:
    """The same."""
    peer = Peer()
    for prefix, gateway in ROUTES:
        dst, length = prefix.split("/")
        peer.stack.add_route(f.addr(dst), int(length), f.addr(gateway) if gateway else 0, peer.iface)
    found = []
    for addr in TO:
        ep = peer.call(udp.udp_open, peer.stack)
        peer.call(udp.setsockopt, ep, std.SOL_SOCKET, std.SO_DONTROUTE, option)
        try:
            peer.call(udp.sendto, ep, b"x", f.addr(addr), 9, flags)
            found.append(0)
        except OSError as exc:
            found.append(exc.errno or -1)
    return found


@pytest.mark.parametrize(("option", "flags"), [(0, 0), (1, 0), (0, C.MSG_DONTROUTE), (1, C.MSG_DONTROUTE)])
def test_the_kernel_takes_the_same_ways(option, flags):
    with Namespace.new() as space, TapDevice("d%d", netns=space) as device:
        routes = [["route", "add", prefix, *(["via", via] if via else ["dev", device.name])] for prefix, via in ROUTES]
        setup = [["link", "set", "lo", "up"], ["addr", "add", "10.0.0.1/24", "dev", device.name]]
        for words in [*setup, ["link", "set", device.name, "up"], *routes]:
            assert space.run(["ip", *words]).returncode == 0, words
        theirs = space.call(kernels, option, flags)
    assert ours(option, flags) == theirs
    assert (errno.ENETUNREACH in theirs) == bool(option or flags)
