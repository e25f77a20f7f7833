"""Sockets of `pystack.socket` on simulated hosts, and the promises of the seam between sockets and hosts."""

import ctypes
import errno
import io
import re
import select
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from pystack import socket
from pystack.sim.network import MS, Network, S
from pystack.sim.scheduler import SimDeadlock
from pystack.sockets import current
from pystack.sockets.handles import lookup
from pystack.trace.replay import replay
from tests.trace.test_replay import Kept

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def net():
    with Network(seed=3) as network:
        a, b = network.host("a"), network.host("b")
        network.link(a, b, addrs=("10.0.0.1/24", "10.0.0.2/24"), delay=20 * MS)
        yield network


def on(host, *args):
    with current.bound(host):
        return socket.socket(*args)


def connected(net):
    listener = on(net.hosts["b"])
    listener.bind(("", 80))
    listener.listen()
    client = on(net.hosts["a"])
    client.connect(("b", 80))
    server, peer = listener.accept()
    listener.close()
    return client, server, peer


def test_a_blocking_connection_takes_virtual_time_alone(net):
    client, server, peer = connected(net)
    assert 80 * MS <= net.now < 130 * MS  # ARP and the handshake
    assert peer[0] == "10.0.0.1" and server.getsockname() == ("10.0.0.2", 80)
    data = bytes(range(256)) * 4000
    client.settimeout(60)
    sent = 0
    got = bytearray()
    while len(got) < len(data):
        if sent < len(data):
            sent += client.send(data[sent : sent + 50_000])
        got += server.recv(1 << 16)
    assert bytes(got) == data
    client.close()
    assert server.recv(1) == b""
    server.close()


def test_a_timeout_is_exact_virtual_time(net):
    client, server, _ = connected(net)
    before = net.now
    client.settimeout(2.5)
    with pytest.raises(TimeoutError):
        client.recv(1)
    assert net.now == before + 2_500_000_000
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, b"\x01" + bytes(15))
    client.settimeout(None)
    with pytest.raises(BlockingIOError):
        client.recv(1)
    assert net.now == before + 3_500_000_000
    client.close(), server.close()


def test_linger_waits_in_virtual_time(net):
    client, server, _ = connected(net)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\x0a\0\0\0")
    client.send(b"x")
    before = net.now
    client.close()
    assert 40 * MS <= net.now - before < S  # until the peer has acknowledged the FIN
    server.close()


def test_nothing_can_happen_any_more(net):
    lone = on(net.hosts["a"], socket.AF_INET, socket.SOCK_DGRAM)
    lone.bind(("", 9))
    net.run_until_idle()
    with pytest.raises(SimDeadlock, match="nothing can ever happen again"):
        lone.recv(1)
    lone.close()


def test_descriptors_are_numbers_without_files(net):
    client, server, _ = connected(net)
    number = client.fileno()
    assert number >= 1 << 30 and number != server.fileno() and lookup(number).description is not None
    with pytest.raises((OSError, ValueError)):
        select.select([number], [], [], 0)  # the kernel does not know it
    again = client.dup()
    assert again.fileno() > number
    client.close()
    assert lookup(number) is None and server.fileno() > 0
    again.send(b"still open")
    assert server.recv(100) == b"still open"
    again.close(), server.close()


def test_datagrams_and_control_messages(net):
    a, b = (on(host, socket.AF_INET, socket.SOCK_DGRAM) for host in net.hosts.values())
    b.bind(("", 53))
    b.setsockopt(socket.IPPROTO_IP, 12, 1)  # IP_RECVTTL
    a.sendto(b"question", ("b", 53))
    data, ancillary, _, peer = b.recvmsg(100, 100)
    assert data == b"question" and ancillary[0][2][0] == 64
    b.sendto(b"answer", peer)
    assert a.recvfrom(100) == (b"answer", ("10.0.0.2", 53))
    a.close(), b.close()


def test_the_bound_host_comes_before_the_pushed_one(net):
    a, b = net.hosts.values()
    with pytest.raises(OSError, match="no pystack stack"):
        socket.socket()
    current.push(a)
    try:
        with current.bound(b):
            made = socket.socket()
            assert made._open_description().host is b
            made.close()
        made = socket.socket()
        assert made._open_description().host is a
        made.close()
    finally:
        current.drop(a)
    assert current.default() is None


@pytest.mark.parametrize("family", [socket.AF_INET6, getattr(socket, "AF_VSOCK", 40)])
def test_other_families_are_refused_and_unix_sockets_are_the_kernels(net, family):
    with current.bound(net.hosts["a"]):
        with pytest.raises(OSError) as caught:
            socket.socket(family, socket.SOCK_STREAM)
        assert caught.value.errno == errno.EAFNOSUPPORT and "IPv4" in str(caught.value)
        local = socket.socket(socket.AF_UNIX)
        assert local.fileno() < 1 << 30
        local.close()


def test_a_lost_socket_is_closed_and_names_resolve(net):
    client, server, _ = connected(net)
    with pytest.warns(ResourceWarning):
        del client
    assert server.recv(1) == b""
    server.close()
    with current.bound(net.hosts["a"]):
        assert socket.gethostbyname("b") == "10.0.0.2" and socket.gethostname() == "a"
        assert socket.getaddrinfo("b", 80, type=socket.SOCK_STREAM)[0][4] == ("10.0.0.2", 80)
        with pytest.raises(socket.gaierror):
            socket.gethostbyname("elsewhere")


def test_no_socket_module_reads_the_systems_clock():
    for path in sorted((ROOT / "pystack" / "sockets").glob("*.p*")):
        if path.suffix in (".py", ".pxd"):
            assert not re.search(r"\bimport time\b|from time |monotonic|clock_gettime", path.read_text()), path.name


def test_the_uncompiled_simulator_imports_without_the_modules_that_a_browser_lacks():
    program = (
        "import sys\n"
        "for name in ('fcntl', 'select', 'ctypes'): sys.modules[name] = None\n"
        "from pystack.sim import network, programs\n"
        "from pystack.sim.network import Network\n"
        "net = Network(); a, b = net.host('a'), net.host('b')\n"
        "net.link(a, b, addrs=('10.0.0.1/24', '10.0.0.2/24'))\n"
        "programs.datagram(a).sendto(b'x', '10.0.0.2', 9); net.run_until_idle()\n"
        "assert b.stack.counters.UdpNoPorts == 1\n"
    )
    env = {"PYSTACK_PURE": "1", "PATH": "/usr/bin", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_timestamps_are_virtual_times(net):
    """SO_TIMESTAMPNS is the time of arrival on the network's clock, whenever the program reads the datagram."""
    server, client = (
        on(net.hosts["b"], socket.AF_INET, socket.SOCK_DGRAM),
        on(net.hosts["a"], socket.AF_INET, socket.SOCK_DGRAM),
    )
    server.bind(("", 5000))
    server.settimeout(3)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_TIMESTAMPNS, 1)
    client.sendto(b"for ARP", ("b", 5000))
    server.recv(10)
    sent = net.now
    client.sendto(b"x", ("b", 5000))
    net.run(until=net.now + 2 * S)
    _, [(level, kind, data)], _, _ = server.recvmsg(10, 100)
    sec, nsec = struct.unpack("@2l", data)
    assert (level, kind) == (socket.SOL_SOCKET, socket.SCM_TIMESTAMPNS)
    assert sec * S + nsec - net.epoch - sent == 20 * MS
    server.close()
    client.close()


def test_a_run_with_control_messages_filters_and_groups_replays(net):
    """sendmsg, memberships, filters and the error queue are calls that a recording has."""
    kept = Kept()
    recording = Network(seed=5)
    recording.record(kept)
    with recording:
        a, b = recording.host("a"), recording.host("b")
        recording.link(a, b, addrs=("10.0.0.1/24", "10.0.0.2/24"), delay=MS)
        server, client = on(b, socket.AF_INET, socket.SOCK_DGRAM), on(a, socket.AF_INET, socket.SOCK_DGRAM)
        server.bind(("", 5000))
        server.settimeout(1)
        client.settimeout(1)
        for name in (socket.IP_RECVTTL, socket.IP_PKTINFO):
            server.setsockopt(0, name, 1)
        server.setsockopt(0, socket.IP_ADD_MEMBERSHIP, socket.inet_aton("239.1.2.3") + socket.inet_aton("10.0.0.2"))
        code = struct.pack("=HBBI", 6, 0, 0, 10)
        memory = ctypes.create_string_buffer(code, 8)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_ATTACH_FILTER, struct.pack("@HP", 1, ctypes.addressof(memory)))
        info = struct.pack("=i4s4s", 2, socket.inet_aton("10.0.0.1"), bytes(4))
        client.sendmsg(
            [b"one"], [(0, socket.IP_TTL, struct.pack("i", 7)), (0, socket.IP_PKTINFO, info)], 0, ("239.1.2.3", 5000)
        )
        data, messages, _, address = server.recvmsg(10, 100)
        assert (data, messages[1], address[0]) == (b"on", (0, socket.IP_TTL, struct.pack("i", 7)), "10.0.0.1")
        client.setsockopt(0, socket.IP_RECVERR, 1)
        client.sendto(b"refused", ("10.0.0.2", 9))
        recording.run(until=recording.now + S)
        assert client.recvmsg(10, 200, socket.MSG_ERRQUEUE)[0] == b"refused"
        server.close()
        client.close()
    assert replay(io.BytesIO(kept.kept)).calls > 10
