"""AF_PACKET sockets: the same steps on sockets of the stack and on sockets of the kernel, each on one end of a veth pair."""

import asyncio
import contextlib
import errno
import select
import socket as std
import struct

import pytest

from pystack import aio, patch
from pystack.control import views
from pystack.kernel.netns import Namespace
from pystack.patching import kernel_socket
from pystack.phy.packet import PacketDevice
from pystack.trace.recorder import Recorder
from pystack.trace.replay import replay
from tests.kernel.conftest import inside
from tests.support.patience import PATIENCE

TYPE, OTHER_TYPE, ARP = 0x88B5, 0x88B6, 0x0806
SOL_PACKET = 263
EVERYBODY = b"\xff" * 6
PEER = b"\x02\0\0\0\0\x01"
OWN = b"\x02\0\0\0\0\x77"


class End:
    """One end under test: how to make sockets on it, the name of its interface, and a socket of the kernel on the other end."""

    def __init__(self, make, name, mac, wire):
        self.make, self.name, self.mac, self.wire = make, name, mac, wire

    def shown(self, value):
        """A result without the name and the MAC address of this end."""
        if isinstance(value, tuple):
            return tuple(self.shown(item) for item in value)
        if isinstance(value, bytes):
            return value.replace(self.mac, b"MYMAC!")
        return "NAME" if value == self.name else value


def attempt(call, *args):
    try:
        return call(*args)
    except OSError as exc:
        return errno.errorcode.get(exc.errno, type(exc).__name__)
    except (TypeError, ValueError, OverflowError) as exc:
        return type(exc).__name__


def polled(sock):
    """What a socket returns that must not wait."""
    sock.setblocking(False)
    try:
        return attempt(sock.recv, 10)
    finally:
        sock.settimeout(PATIENCE)


@contextlib.contextmanager
def pair(name="v0"):
    with Namespace.new() as space:
        space.quiet()
        for command in (
            f"ip link add {name} address {OWN.hex(':')} type veth peer name v1 address {PEER.hex(':')}",
            "ip addr add 10.0.0.1/24 dev v1",
            "ip link set lo up",
            f"ip link set {name} up",
            "ip link set v1 up",
        ):
            space.run(command.split(), check=True, timeout=20)
        with space.call(kernel_socket, std.AF_PACKET, std.SOCK_RAW, 0) as wire:
            wire.bind(("v1", 3))
            wire.settimeout(PATIENCE)
            yield space, wire


@pytest.fixture
def net():
    with pair() as (space, wire):
        for made in inside(space, device=PacketDevice("v0", space)):
            made.wire = wire
            yield made


@pytest.fixture
def ends(net):
    """The stack's end, and the kernel's end."""
    iface = net.running.host.stack.ifaces[1]
    opened = contextlib.ExitStack()

    def make(*args):
        return net.socket(std.AF_PACKET, *args)

    with opened, pair(iface.name) as (space, wire):

        def its(*args):
            sock = opened.enter_context(space.call(kernel_socket, std.AF_PACKET, *args))
            sock.settimeout(PATIENCE)
            return sock

        yield End(make, iface.name, iface.mac.to_bytes(6, "big"), net.wire), End(its, iface.name, OWN, wire)


def frame(dst, src=PEER, kind=TYPE, data=b"data"):
    return dst + src + kind.to_bytes(2, "big") + data.ljust(50, b".")


def receiving(end):
    raw, dgram, every = (
        end.make(std.SOCK_RAW, std.htons(TYPE)),
        end.make(std.SOCK_DGRAM, std.htons(TYPE)),
        end.make(std.SOCK_RAW, 0),
    )
    yield raw.getsockname(), dgram.getsockname(), every.getsockname()
    every.bind((end.name, 3))
    yield every.getsockname(), raw.family, raw.type, every.getsockopt(std.SOL_SOCKET, std.SO_DOMAIN)
    for dst in (end.mac, EVERYBODY, b"\x01\0\x5e\0\0\x01", b"\x02\0\0\0\0\x55"):
        end.wire.send(frame(dst))
        yield raw.recvfrom(2000), dgram.recvfrom(2000)
        while (found := every.recvfrom(2000))[1][1] != TYPE:
            pass
        yield found
    dgram.bind((end.name, 0))
    yield dgram.getsockname()
    end.wire.send(frame(EVERYBODY))
    yield dgram.recv(10), raw.recv_into(bytearray(20)), raw.getsockopt(SOL_PACKET, 6, 8)
    dgram.bind(("lo", TYPE))
    end.wire.send(frame(EVERYBODY))
    yield raw.recvmsg(20)
    yield polled(dgram), dgram.getsockname()


def sending(end):
    raw, dgram = end.make(std.SOCK_RAW, 0), end.make(std.SOCK_DGRAM, std.htons(TYPE))
    watcher, typed = end.make(std.SOCK_RAW, 0), end.make(std.SOCK_RAW, std.htons(TYPE))
    watcher.bind((end.name, 3))
    typed.bind((end.name, 0))

    def heard(sock):
        while (found := sock.recvfrom(2000))[1][1] not in (TYPE, OTHER_TYPE):
            pass
        return found

    yield attempt(raw.send, frame(PEER)), attempt(dgram.send, b"x")
    yield attempt(raw.sendto, frame(PEER, end.mac), (end.name, 0)), heard(end.wire), heard(watcher)
    yield attempt(raw.sendto, frame(PEER, end.mac), ("none", 0))
    yield attempt(dgram.sendto, b"x" * 50, (end.name, OTHER_TYPE, 0, 0, PEER)), heard(end.wire), heard(watcher)
    yield attempt(dgram.sendto, b"x", (end.name, TYPE)), attempt(dgram.sendto, b"x", (end.name, TYPE, 0, 0, b""))
    # Without a link address, CPython passes on what was in the memory, and we pass on zeros.
    yield heard(end.wire)[0][6:], heard(end.wire)[0][6:]
    dgram.bind((end.name, 0))
    yield attempt(dgram.send, b"x")
    raw.bind((end.name, 0))
    yield attempt(raw.send, frame(PEER, end.mac)), heard(end.wire)[0]
    yield attempt(raw.sendmsg, [frame(PEER, end.mac)]), heard(end.wire)[0]
    for size in (0, 13, 1514, 1515):
        yield size, attempt(raw.send, frame(PEER, end.mac, TYPE, bytes(1600))[:size])
    for size in (1500, 1501):
        yield size, attempt(dgram.sendto, bytes(size), (end.name, TYPE, 0, 0, PEER))
    yield polled(typed)


def refused(end):
    sock = end.make(std.SOCK_RAW, std.htons(TYPE))
    for kind in (std.SOCK_STREAM, std.SOCK_SEQPACKET):
        yield attempt(end.make, kind, 0)
    for address in (
        ("none", 0), ("", 0), ("lo",), "lo", ("lo", "x"), ("lo", 65536), ("lo", -1), ("lo", 0, 0, 0, bytes(9)), ("lo", 0, 0, 0, bytes(8)),
    ):  # fmt: skip
        yield address, attempt(sock.bind, address)
    sock.bind((end.name, TYPE))
    yield attempt(sock.connect, (end.name, TYPE)), attempt(sock.getpeername), attempt(sock.shutdown, 2)
    yield attempt(sock.listen), polled(sock)
    # CPython waits before it makes these two calls, if there is a timeout.
    sock.settimeout(None)
    yield attempt(sock.accept), attempt(sock.recv, 1, std.MSG_OOB)
    sock.settimeout(0.01)
    yield attempt(sock.recv, 1)
    index = 2
    for value in (
        bytes(15), struct.pack("iHH8s", 99, 1, 0, b""), struct.pack("iHH8s", 0, 1, 0, b""),
        struct.pack("iHH8s", index, 1, 7, b""), struct.pack("iHH8s", 1, 1, 0, b""), struct.pack("iHH8s", 1, 0, 6, b""),
    ):  # fmt: skip
        yield value, attempt(sock.setsockopt, SOL_PACKET, 1, value)
    yield attempt(sock.setsockopt, SOL_PACKET, 2, struct.pack("iHH8s", 1, 1, 0, b""))
    yield attempt(sock.setsockopt, SOL_PACKET, 99, 1), attempt(sock.getsockopt, SOL_PACKET, 99)
    yield attempt(sock.setsockopt, 0, 2, 1), attempt(sock.setsockopt, std.SOL_SOCKET, 27, 0)


@pytest.mark.parametrize("scenario", [receiving, sending, refused], ids=lambda found: found.__name__)
def test_the_same_steps_as_on_the_kernel(ends, scenario):
    found = [[end.shown(step) for step in scenario(end)] for end in ends]
    assert len(found[0]) == len(found[1])
    for ours, its in zip(*found, strict=True):
        assert ours == its


def test_select_and_asyncio(net):
    name = net.running.host.stack.ifaces[1].name
    sock = net.socket(std.AF_PACKET, std.SOCK_RAW, std.htons(TYPE))
    assert select.select([sock], [sock], [], 0)[:2] == ([], [sock])
    net.wire.send(frame(EVERYBODY))
    assert select.select([sock], [], [], 5)[0] == [sock]
    assert sock.recv(99) and select.select([sock], [], [], 0)[0] == []

    async def main():
        sock.setblocking(False)
        asyncio.get_running_loop().call_later(0.05, net.wire.send, frame(EVERYBODY))
        return await asyncio.get_running_loop().sock_recvfrom(sock, 99)

    for run in (asyncio.run, with_our_loop):
        data, source = run(main())
        assert data == frame(EVERYBODY) and source == (name, TYPE, std.PACKET_BROADCAST, 1, PEER)


def with_our_loop(main):
    with asyncio.Runner(loop_factory=aio.EventLoop) as runner:
        return runner.run(main)


def sniff(socket, ready):
    """A sniffer of ten lines, which knows nothing of pystack."""
    found = []
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as sock:
        sock.settimeout(PATIENCE)
        ready()
        while len(found) < 3:
            data, (_, proto, kind, *_) = sock.recvfrom(65535)
            found.append((proto, kind, data[12:14].hex()))
    return found


def test_an_unmodified_sniffer_and_arp_under_patch(net):
    with patch(net.running):
        import socket

        def ping():
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
                udp.sendto(b"x", ("10.0.0.1", 9))

        assert sniff(socket, ping) == [(ARP, 4, "0806"), (ARP, 0, "0806"), (0x800, 4, "0800")]
        iface = net.running.host.stack.ifaces[1]
        mac = iface.mac.to_bytes(6, "big")
        with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ARP)) as sock:
            sock.settimeout(PATIENCE)
            own, target = socket.inet_aton("10.0.0.2"), socket.inet_aton("10.0.0.1")
            request = struct.pack("!HHBBH6s4s6s4s", 1, 0x800, 6, 4, 1, mac, own, bytes(6), target)
            sock.sendto(request, (iface.name, ARP, 0, 0, EVERYBODY))
            answer, source = sock.recvfrom(99)
            assert answer[6:28] == b"\0\x02" + PEER + target + mac + own and source[4] == PEER


def test_a_live_run_replays_to_the_byte(tmp_path):
    path = str(tmp_path / "run")
    recorder = Recorder(path)
    with pair() as (space, wire):
        options = {
            "device": PacketDevice("v0", space),
            "recorder": lambda stack: recorder.host(stack.name, stack.seed, stack.config),
        }
        for net in inside(space, **options):
            net.wire = wire
            sock = net.socket(std.AF_PACKET, std.SOCK_RAW, std.htons(TYPE))
            iface = net.running.host.stack.ifaces[1]
            sent = frame(PEER, iface.mac.to_bytes(6, "big"))
            sock.sendto(sent, (iface.name, 0))
            while net.wire.recv(99) != sent:
                pass
            net.wire.send(frame(EVERYBODY))
            assert sock.recv(99) == frame(EVERYBODY)
            rows = net.running.host.inspect(views.sockets)
            assert [(row["netid"], row["proto"]) for row in rows] == [("p_raw", TYPE)]
            with pytest.warns(ResourceWarning):
                lost = net.running.socket(std.AF_PACKET, std.SOCK_DGRAM)
                del lost
    recorder.close()
    counts = replay(path)
    assert counts.calls >= 4 and counts.frames >= 1
