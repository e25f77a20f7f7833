"""UDP and raw sockets between the kernel and the stack."""

import errno
import socket as std
import struct
import time

import pytest

from pystack import socket
from tests.support.patience import until


@pytest.fixture
def pair(anynet):
    """(the stack's bound socket, a kernel socket connected to it)"""
    sock = anynet.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("", 7000))
    client = anynet.kernel(std.SOCK_DGRAM)
    client.connect(("10.0.0.2", 7000))
    return sock, client


@pytest.mark.parametrize("size", [0, 1, 1472, 1473, 9000, 65507])
def test_datagrams_of_any_size_both_ways(pair, size):
    sock, client = pair
    payload = bytes(i & 255 for i in range(size))
    client.send(payload)
    data, address = sock.recvfrom(65535)
    assert (data, address) == (payload, client.getsockname())
    assert sock.sendto(data, address) == size
    assert client.recv(65535) == payload


def test_too_long_is_emsgsize(net):
    sock = net.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with pytest.raises(OSError) as caught:
        sock.sendto(bytes(65508), ("10.0.0.1", 9))
    assert caught.value.errno == errno.EMSGSIZE


def test_connected_gets_econnrefused(net):
    sock = net.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.connect(("10.0.0.1", 9))
    sock.send(b"x")
    with pytest.raises(ConnectionRefusedError):
        sock.recv(10)


def test_the_kernel_gets_econnrefused_from_the_stack(net):
    client = net.kernel(std.SOCK_DGRAM)
    client.connect(("10.0.0.2", 9))
    client.send(b"x")
    with pytest.raises(ConnectionRefusedError):
        client.recv(10)


def test_unconnected_times_out_instead(net):
    sock = net.socket(socket.AF_INET, socket.SOCK_DGRAM, timeout=0.2)
    sock.sendto(b"x", ("10.0.0.1", 9))
    with pytest.raises(TimeoutError):
        sock.recv(10)


def test_broadcast_needs_the_option(net):
    receiver = net.kernel(std.SOCK_DGRAM)
    receiver.bind(("", 7001))
    sock = net.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with pytest.raises(PermissionError):
        sock.sendto(b"all", ("10.0.0.255", 7001))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    sock.sendto(b"all", ("10.0.0.255", 7001))
    assert receiver.recv(10) == b"all"


def test_recvmsg_tells_destination_ttl_and_tos(pair):
    sock, client = pair
    for option in (socket.IP_PKTINFO, socket.IP_RECVTTL, socket.IP_RECVTOS):
        sock.setsockopt(socket.IPPROTO_IP, option, 1)
    client.setsockopt(std.IPPROTO_IP, std.IP_TTL, 33)
    client.setsockopt(std.IPPROTO_IP, std.IP_TOS, 0x20)
    client.send(b"hello")
    data, messages, flags, address = sock.recvmsg(3, 200)
    assert (data, flags, address) == (b"hel", socket.MSG_TRUNC, client.getsockname())
    found = {kind: value for _, kind, value in messages}
    assert found[socket.IP_PKTINFO][4:] == socket.inet_aton("10.0.0.2") * 2
    assert struct.unpack("i", found[socket.IP_TTL]) == (33,)
    assert found[socket.IP_TOS] == b"\x20"


def test_ttl_and_tos_are_sent(net):
    client = net.kernel(std.SOCK_DGRAM)
    client.bind(("", 7002))
    client.setsockopt(std.IPPROTO_IP, socket.IP_RECVTTL, 1)
    client.setsockopt(std.IPPROTO_IP, socket.IP_RECVTOS, 1)
    sock = net.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 5)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 0x10)
    sock.sendto(b"x", ("10.0.0.1", 7002))
    messages = {kind: value for _, kind, value in client.recvmsg(10, 100)[1]}
    assert struct.unpack("i", messages[std.IP_TTL]) == (5,)
    assert messages[std.IP_TOS] == b"\x10"


def test_raw_icmp_ping_of_the_kernel(net):
    """Echo request by hand, as a ping program does it."""
    sock = net.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    head = struct.pack("!BBHHH", 8, 0, 0, 0x1234, 1)
    body = b"abcdefgh"
    total = sum(struct.unpack("!8H", head + body))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    sock.sendto(struct.pack("!BBHHH", 8, 0, ~total & 0xFFFF, 0x1234, 1) + body, ("10.0.0.1", 0))
    while True:
        packet, address = sock.recvfrom(2000)
        if packet[20] == 0:
            break
    assert address == ("10.0.0.1", 0)
    assert packet[9] == 1
    assert packet[28:] == body


def test_flood_of_datagrams_is_bounded_and_counted(net):
    """Nobody reads: the queue fills up to SO_RCVBUF, the rest is dropped with a reason."""
    sock = net.socket(socket.AF_INET, socket.SOCK_DGRAM, timeout=0.5)
    sock.bind(("", 7003))
    client = net.kernel(std.SOCK_DGRAM)
    client.connect(("10.0.0.2", 7003))
    for _ in range(2000):
        client.send(bytes(1000))
    limit = time.monotonic() + 5
    while time.monotonic() < limit:
        counters = net.running.host.inspect(lambda stack: stack.counters.nonzero())
        if counters.get("UdpInDatagrams", 0) + counters.get("UdpRcvbufErrors", 0) >= 1990:
            break
        time.sleep(0.01)
    drops = net.running.host.inspect(lambda stack: dict(stack.counters.drops))
    # If the machine is busy, the TAP's queue of 1,000 frames drops the others before they reach the stack.
    assert drops.get("udp-queue-full", 0) > 600
    got = 0
    with pytest.raises(TimeoutError):
        while sock.recv(2000):
            got += 1
    assert got == net.running.host.inspect(lambda stack: stack.counters.UdpInDatagrams) < 300


def test_ping_socket(net):
    sock = net.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP)
    sock.sendto(struct.pack("!BBHHH", 8, 0, 0, 0, 7) + b"abcdefgh", ("10.0.0.1", 0))
    data, address = sock.recvfrom(100)
    assert address[0] == "10.0.0.1"
    assert (data[0], data[8:]) == (0, b"abcdefgh")
    assert struct.unpack("!H", data[6:8]) == (7,)


def test_udp_echo_service_answers_the_kernel(anynet):
    from pystack import services

    started = services.start("echo:7/udp", host=anynet.running.host)
    client = anynet.kernel(std.SOCK_DGRAM)
    client.connect(("10.0.0.2", 7))
    for size in (0, 1, 1472, 5000, 65507):
        client.send(bytes(size))
        assert client.recv(65535) == bytes(size)
    for service in started:
        service.close()


def test_multicast_both_ways(net):
    group = socket.inet_aton("239.1.2.3")
    sock = net.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("", 7010))
    client = net.kernel(std.SOCK_DGRAM)
    client.bind(("", 7010))
    client.setsockopt(std.IPPROTO_IP, std.IP_MULTICAST_IF, socket.inet_aton("10.0.0.1"))
    client.sendto(b"before", ("239.1.2.3", 7010))
    assert until(lambda: net.running.host.inspect(lambda stack: dict(stack.counters.drops).get("ip-not-for-us")))
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group + socket.inet_aton("10.0.0.2"))
    client.sendto(b"joined", ("239.1.2.3", 7010))
    assert sock.recv(10) == b"joined"
    client.setsockopt(std.IPPROTO_IP, std.IP_ADD_MEMBERSHIP, group + socket.inet_aton("10.0.0.1"))
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 0)
    sock.setsockopt(
        socket.IPPROTO_IP, socket.IP_MULTICAST_IF, struct.pack("4s4si", b"", socket.inet_aton("10.0.0.2"), 0)
    )
    sock.sendto(b"from the stack", ("239.1.2.3", 7010))
    assert client.recv(100) in (b"before", b"joined", b"from the stack")
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_DROP_MEMBERSHIP, group + socket.inet_aton("10.0.0.2"))
    with pytest.raises(OSError) as caught:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_DROP_MEMBERSHIP, group + socket.inet_aton("10.0.0.2"))
    assert caught.value.errno == errno.EADDRNOTAVAIL
    with pytest.raises(OSError) as caught:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, 1)
    assert caught.value.errno == errno.EINVAL


def test_bind_to_device(net):
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        sock = net.socket(socket.AF_INET, kind)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"tap0\0")
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16).rstrip(b"\0") == b"tap0"
        with pytest.raises(OSError) as caught:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"nosuch")
        assert caught.value.errno == errno.ENODEV
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
        # As on Linux, a bound socket without a route takes the destination for a neighbour there, where nobody answers.
        if kind == socket.SOCK_DGRAM:
            sock.connect(("10.0.0.1", 9))
        else:
            sock.settimeout(0.2)
            with pytest.raises(TimeoutError):
                sock.connect(("10.0.0.1", 9))
