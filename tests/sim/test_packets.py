"""AF_PACKET sockets of a stack, on simulated hosts (packet(7)). tests/kernel/test_afpacket.py compares them with the kernel's."""

import asyncio
import ctypes
import errno
import io
import struct

import pytest

from pystack import bpf, socket
from pystack.sim.network import MS, Network
from pystack.sockets import current
from pystack.trace.replay import replay
from pystack_c.filter import cbpf
from tests.sim.test_sockets import on
from tests.trace.test_replay import Kept

ALL, IP, ARP = 3, 0x0800, 0x0806
SOL_PACKET = 263
EVERYBODY = b"\xff" * 6


@pytest.fixture
def net():
    with Network(seed=3) as network:
        a, b = network.host("a"), network.host("b")
        network.link(a, b, addrs=("10.0.0.1/24", "10.0.0.2/24"), delay=20 * MS)
        yield network


def opened(net, name="a", kind=socket.SOCK_RAW, proto=ALL):
    sock = on(net.hosts[name], socket.AF_PACKET, kind, socket.htons(proto))
    sock.settimeout(1)
    return sock


def device(net, name="a"):
    """The name and the MAC address of a host's interface."""
    iface = net.hosts[name].stack.ifaces[1]
    return iface.name, iface.mac.to_bytes(6, "big")


def datagram(net, data=b"hello"):
    """Send a UDP datagram from a to b, and receive it."""
    with on(net.hosts["b"], socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("10.0.0.2", 7))
        with on(net.hosts["a"], socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.sendto(data, ("10.0.0.2", 7))
            assert server.recv(2000) == data


def drain(sock):
    sock.setblocking(False)
    found = []
    while True:
        try:
            found.append(sock.recvfrom(65535))
        except BlockingIOError:
            return found


def test_a_sniffer_sees_what_the_host_receives_and_sends(net):
    with opened(net) as here, opened(net, "b") as there:
        datagram(net)
        name, mac = device(net)
        other, other_mac = device(net, "b")
        sent = drain(here)
        assert [source for _, source in sent] == [
            (name, ARP, socket.PACKET_OUTGOING, 1, mac),
            (name, ARP, socket.PACKET_HOST, 1, other_mac),
            (name, IP, socket.PACKET_OUTGOING, 1, mac),
        ]
        assert sent[0][0][:6] == EVERYBODY and sent[2][0][14] == 0x45 and sent[2][0].endswith(b"hello")
        assert [source for _, source in drain(there)] == [
            (other, ARP, socket.PACKET_BROADCAST, 1, mac),
            (other, ARP, socket.PACKET_OUTGOING, 1, other_mac),
            (other, IP, socket.PACKET_HOST, 1, mac),
        ]
    assert all(host.stack.raw.packets is None for host in net.hosts.values())


def test_a_protocol_has_no_outgoing_frames_and_dgram_has_no_link_header(net):
    with opened(net, "a", socket.SOCK_DGRAM, IP) as here, opened(net, "b", socket.SOCK_DGRAM, IP) as there:
        datagram(net)
        assert drain(here) == []
        ((data, source),) = drain(there)
        assert data[0] == 0x45 and data.endswith(b"hello") and source[1] == IP
    with opened(net, "b", socket.SOCK_RAW, 0) as there:
        datagram(net)
        assert drain(there) == []
        there.bind((device(net, "b")[0], ARP))
        assert there.getsockname() == (device(net, "b")[0], ARP, 0, 1, device(net, "b")[1])
        datagram(net)
        assert drain(there) == []
        there.bind((device(net, "b")[0], IP))
        datagram(net)
        assert len(drain(there)) == 1
        there.bind(("lo", IP))
        datagram(net)
        assert drain(there) == []


def arp(op, sender, sender_ip, target, target_ip):
    fixed = struct.pack("!HHBBH", 1, IP, 6, 4, op)
    return fixed + sender + socket.inet_aton(sender_ip) + target + socket.inet_aton(target_ip)


@pytest.mark.parametrize("kind", [socket.SOCK_RAW, socket.SOCK_DGRAM])
def test_arp_by_hand(net, kind):
    name, mac = device(net)
    request = arp(1, mac, "10.0.0.1", bytes(6), "10.0.0.2")
    with opened(net, "a", kind, ARP) as sock:
        if kind == socket.SOCK_RAW:
            sock.bind((name, 0))
            frame = EVERYBODY + mac + ARP.to_bytes(2, "big") + request
            assert sock.send(frame) == len(frame)
        else:
            assert sock.sendto(request, (name, ARP, 0, 0, EVERYBODY)) == len(request)
        data, source = sock.recvfrom(2000)
        assert source == (name, ARP, socket.PACKET_HOST, 1, device(net, "b")[1])
        answer = data[14:] if kind == socket.SOCK_RAW else data
        assert answer == arp(2, device(net, "b")[1], "10.0.0.2", mac, "10.0.0.1")


def test_the_sender_gets_no_copy_but_others_do(net):
    name, mac = device(net)
    with opened(net) as one, opened(net) as two:
        frame = EVERYBODY + mac + b"\x88\xb5" + b"data"
        one.sendto(frame, (name, 0))
        assert drain(one) == []
        assert drain(two) == [(frame, (name, 0x88B5, socket.PACKET_OUTGOING, 1, mac))]


def test_frames_for_another_host_and_with_a_length(net):
    name, mac = device(net)
    other, _ = device(net, "b")
    with opened(net) as here, opened(net, "b") as there:
        here.sendto(b"\x02\0\0\0\0\x77" + mac + b"\x88\xb5", (name, 0))
        here.sendto(b"\x01\0\x5e\0\0\x01" + mac + b"\x00\x04\x42\x42\x03\x00", (name, 0))
        there.recv(1), there.recv(1)
        here.sendto(b"\x02\0\0\0\0\x77" + mac + b"\x88\xb5", (name, 0))
        here.sendto(b"\x01\0\x5e\0\0\x01" + mac + b"\x00\x04\xff\xff\x03\x00", (name, 0))
        assert there.recvfrom(99)[1] == (other, 0x88B5, socket.PACKET_OTHERHOST, 1, mac)
        assert there.recvfrom(99)[1] == (other, 1, socket.PACKET_MULTICAST, 1, mac)


def test_lo_has_a_header_of_zeros(net):
    with opened(net) as sock:
        sock.bind(("lo", ALL))
        with on(net.hosts["a"], socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.bind(("127.0.0.1", 9))
            udp.sendto(b"x", ("127.0.0.1", 9))
            assert udp.recv(9) == b"x"
            found = drain(sock)
            assert [source[1:] for _, source in found] == [(IP, kind, 772, bytes(6)) for kind in (4, 0)]
            assert found[0][0] == found[1][0] and found[0][0][:15] == bytes(12) + b"\x08\x00\x45"
            # The same frame again is one more datagram.
            sock.send(found[0][0])
            assert udp.recv(9) == b"x"
            assert [source[2] for _, source in drain(sock)] == [0]
        assert sock.getsockname() == ("lo", ALL, 0, 772, bytes(6))


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda sock, name: sock.send(bytes(60)), errno.ENXIO),
        (lambda sock, name: sock.sendto(bytes(60), ("none", IP)), errno.ENODEV),
        (lambda sock, name: sock.bind(("none", IP)), errno.ENODEV),
        (lambda sock, name: sock.sendto(bytes(13), (name, IP)), errno.EINVAL),
        (lambda sock, name: sock.sendto(bytes(1515), (name, IP)), errno.EMSGSIZE),
        (lambda sock, name: sock.connect((name, IP)), errno.EOPNOTSUPP),
        (lambda sock, name: sock.getpeername(), errno.EOPNOTSUPP),
        (lambda sock, name: sock.shutdown(2), errno.EOPNOTSUPP),
        (lambda sock, name: sock.listen(), errno.EOPNOTSUPP),
        (lambda sock, name: sock.accept(), errno.EOPNOTSUPP),
        (lambda sock, name: sock.setsockopt(SOL_PACKET, 5, 1), errno.ENOPROTOOPT),
        (lambda sock, name: sock.getsockopt(SOL_PACKET, 12), errno.ENOPROTOOPT),
        (lambda sock, name: sock.setsockopt(0, 2, 1), errno.ENOPROTOOPT),
        (lambda sock, name: sock.setsockopt(SOL_PACKET, 1, bytes(15)), errno.EINVAL),
        (lambda sock, name: sock.setsockopt(SOL_PACKET, 1, struct.pack("iHH8s", 9, 1, 0, b"")), errno.ENODEV),
        (lambda sock, name: sock.setsockopt(SOL_PACKET, 1, struct.pack("iHH8s", 2, 1, 7, b"")), errno.EINVAL),
        (lambda sock, name: sock.recv(1, socket.MSG_DONTWAIT), errno.EAGAIN),
        (lambda sock, name: sock.recv(1, socket.MSG_OOB), errno.EINVAL),
    ],
)
def test_errors(net, call, code):
    with opened(net) as sock:
        with pytest.raises(OSError) as caught:
            call(sock, device(net)[0])
        assert caught.value.errno == code


def test_errors_of_dgram_types_and_interfaces_that_are_down(net):
    name, _ = device(net)
    with opened(net, "a", socket.SOCK_DGRAM, IP) as sock:
        with pytest.raises(OSError) as caught:
            sock.sendto(bytes(1501), (name, IP, 0, 0, EVERYBODY))
        assert caught.value.errno == errno.EMSGSIZE
        sock.bind((name, IP))
        with pytest.raises(OSError) as caught:
            sock.send(b"x")
        assert caught.value.errno == errno.EINVAL
        host = net.hosts["a"]
        host.setup("set_iface", host.stack.iface(name), False)
        for call in (lambda: sock.recv(1), lambda: sock.sendto(b"", (name, IP, 0, 0, EVERYBODY))):
            with pytest.raises(OSError) as caught:
                call()
            assert caught.value.errno == errno.ENETDOWN
        with pytest.raises(BlockingIOError):
            sock.recv(1, socket.MSG_DONTWAIT)
    for kind in (socket.SOCK_STREAM, 10):
        with pytest.raises(OSError) as caught:
            on(net.hosts["a"], socket.AF_PACKET, kind)
        assert caught.value.errno == errno.ESOCKTNOSUPPORT
    with opened(net) as sock:
        with pytest.raises(TypeError):
            sock.bind("lo")
        with pytest.raises(OverflowError):
            sock.bind(("lo", 65536))
        with pytest.raises(ValueError, match="8 bytes"):
            sock.sendto(b"", ("lo", 0, 0, 0, bytes(9)))


def test_the_buffer_is_bounded_and_counts(net):
    name, mac = device(net)
    with opened(net) as sender, opened(net) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) == 4096
        for _ in range(10):
            sender.sendto(EVERYBODY + mac + bytes(1000), (name, 0))
        assert struct.unpack("II", sock.getsockopt(SOL_PACKET, 6, 8)) == (10, 7)
        assert struct.unpack("II", sock.getsockopt(SOL_PACKET, 6, 8)) == (0, 0)
        assert net.hosts["a"].stack.counters.drops["packet-queue-full"] == 7
        assert len(drain(sock)) == 3
        sock.setsockopt(SOL_PACKET, 1, struct.pack("iHH8s", 2, socket.PACKET_HOST + 1, 0, b""))
        sock.setsockopt(SOL_PACKET, 2, struct.pack("iHH8s", 2, socket.PACKET_HOST + 1, 0, b""))


def attach(sock, *instructions):
    code = b"".join(cbpf.INSTRUCTION.pack(*one) for one in instructions)
    memory = ctypes.create_string_buffer(code, len(code))
    pointer = struct.pack("@HP", len(instructions), ctypes.addressof(memory))
    sock.setsockopt(socket.SOL_SOCKET, bpf.SO_ATTACH_FILTER, pointer)


def test_filters(net):
    with opened(net) as raw, opened(net, "a", socket.SOCK_DGRAM) as dgram:
        # ldh [12]; jeq ARP: the Ethernet type, and of it 20 bytes
        attach(raw, (0x28, 0, 0, 12), (0x15, 0, 1, ARP), (6, 0, 0, 20), (6, 0, 0, 0))
        # ldb [0]; jeq 0x45: the IP header
        attach(dgram, (0x30, 0, 0, 0), (0x15, 0, 1, 0x45), (6, 0, 0, 0xFFFF), (6, 0, 0, 0))
        datagram(net)
        assert [(len(data), source[1]) for data, source in drain(raw)] == [(20, ARP), (20, ARP)]
        ((data, _),) = drain(dgram)
        assert data[0] == 0x45
        # the ancillary protocol and packet type
        attach(raw, (0x28, 0, 0, 0xFFFFF000), (0x15, 0, 1, IP), (6, 0, 0, 0xFFFF), (6, 0, 0, 0))
        attach(dgram, (0x28, 0, 0, 0xFFFFF004), (0x15, 0, 1, 4), (6, 0, 0, 0xFFFF), (6, 0, 0, 0))
        raw.settimeout(0), datagram(net)
        assert [source[1] for _, source in drain(raw)] == [IP]
        assert [source[2] for _, source in drain(dgram)] == [4]


def test_a_filter_in_the_language_of_tcpdump(net):
    pytest.importorskip("cypcap")
    with opened(net) as raw, opened(net, "a", socket.SOCK_DGRAM) as dgram:
        bpf.attach(raw, "arp")
        bpf.attach(dgram, "udp port 7")
        datagram(net)
        assert [source[1] for _, source in drain(raw)] == [ARP, ARP]
        assert [source[1] for _, source in drain(dgram)] == [IP]


def test_the_other_calls(net):
    name, mac = device(net)
    with opened(net) as sender, opened(net) as sock:
        assert sock.family == socket.AF_PACKET and sock.type == socket.SOCK_RAW and isinstance(sock, socket.socket)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_DOMAIN) == socket.AF_PACKET
        assert sock.getsockname() == ("", ALL, 0, 0, b"")
        sender.bind((name, 0))
        frame = EVERYBODY + mac + b"\x88\xb5" + b"data"
        for send in (sender.send, sender.sendall, lambda data: sender.sendmsg([data[:9], data[9:]])):
            send(bytearray(frame) if send == sender.send else frame)
        sender.sendmsg([frame], [], 0, (name, 0))
        assert sock.recv(3, socket.MSG_PEEK) == frame[:3]
        assert sock.recvmsg(9)[0::2] == (frame[:9], socket.MSG_TRUNC)
        buffer = bytearray(100)
        assert sock.recv_into(buffer) == 18 and buffer[:18] == frame
        assert sock.recvfrom_into(buffer)[1][1] == 0x88B5
        assert sock.recvmsg_into([buffer])[0] == 18
        with pytest.raises(TimeoutError):
            sock.recv(1)
        with sock.dup() as copy, socket.socket(fileno=sock.fileno()) as second:
            sender.send(frame)
            assert copy.recvfrom(99)[0] == frame and second.getsockname()[1] == ALL
            second.detach()


def test_a_recording_has_the_frames_that_were_sent():
    out = Kept()
    with Network(seed=5) as net:
        net.record(out)
        a, b = net.host("a"), net.host("b")
        net.link(a, b, addrs=("10.0.0.1/24", "10.0.0.2/24"), delay=20 * MS)
        name, mac = device(net)
        with opened(net, "a", socket.SOCK_RAW, ARP) as sock:
            sock.sendto(EVERYBODY + mac + b"\x08\x06" + arp(1, mac, "10.0.0.1", bytes(6), "10.0.0.2"), (name, ARP))
            assert sock.recvfrom(99)[1][1] == ARP
    # The replay compares each frame, and there is no other sender of the first one than the recorded call.
    result = replay(io.BytesIO(out.kept))
    assert result.frames >= 2 and result.calls >= 4
    assert current.default() is None


def test_a_program_in_virtual_time(net):
    """Blocking code and asyncio, which know only the module socket."""

    def sniffer():
        import socket

        with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(IP)) as sock:
            return sock.recvfrom(2000)

    async def asking():
        import socket

        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(IP)) as sock:
            sock.setblocking(False)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
                udp.sendto(b"hello", ("10.0.0.2", 9))
            return await asyncio.wait_for(loop.sock_recvfrom(sock, 2000), 5)

    a, b = net.hosts["a"], net.hosts["b"]
    results = net.run({b: sniffer, a: asking})
    data, source = results[b]
    assert data.endswith(b"hello") and source == (device(net, "b")[0], IP, socket.PACKET_HOST, 1, device(net)[1])
    data, source = results[a]  # the ICMP error
    assert data[23] == 1 and data[34:36] == b"\x03\x03" and source[4] == device(net, "b")[1]
    assert net.now < 200 * MS
