"""The TAP device by itself: what it reads, what it writes, what it does when there is nothing to do."""

import os
import socket as kernel
import struct

import pytest

import pystack_c.const as C
from pystack.kernel import netns as ns
from pystack.kernel.netns import Namespace
from pystack.phy.tap import TapDevice
from pystack.phy.tapio import VNET_HDR, FrameIO
from pystack_c.packet import Transmit
from tests.support.patience import PATIENCE


@pytest.fixture
def space():
    with Namespace.new() as made:
        made.quiet()
        yield made


def drain(device):
    frames = []
    while (got := device.recv()) is not None:
        frames.append(got)
    return frames


def udp_to(space, payload, address=("10.0.0.2", 9)):
    with space.call(kernel.socket, kernel.AF_INET, kernel.SOCK_DGRAM) as sock:
        sock.sendto(payload, address)


@pytest.mark.parametrize("offload", [True, False])
def test_nothing_to_read_is_none(space, offload):
    with TapDevice("tap0", netns=space, address="10.0.0.1/24", offload=offload) as device:
        drain(device)
        assert device.recv() is None


def test_tap_reads_an_arp_request(space):
    with TapDevice("tap0", netns=space, address="10.0.0.1/24") as device:
        udp_to(space, b"x")
        frame, offset, flags, gso_size = drain(device)[-1]
        assert offset == 10
        assert frame[offset + 12 : offset + 14] == b"\x08\x06"
        assert frame[offset + 6 : offset + 12] == ns.get_mac("tap0", space).to_bytes(6, "big")
        assert (flags, gso_size) == (0, 0)


def test_plain_tap_has_no_vnet_header(space):
    with TapDevice("tap0", netns=space, address="10.0.0.1/24", offload=False) as device:
        udp_to(space, b"x")
        frame, offset, flags, gso_size = drain(device)[-1]
        assert (offset, flags, gso_size) == (0, 0, 0)
        assert frame[12:14] == b"\x08\x06"


def test_tun_reads_bare_ip_with_unfinished_checksum(space):
    with TapDevice("tun0", mode="tun", netns=space, address="10.0.0.1/24") as device:
        assert device.kind == C.LINK_IP and device.mac == 0
        udp_to(space, b"hello")
        frame, offset, flags, gso_size = drain(device)[-1]
        assert offset == 10
        assert frame[offset] == 0x45
        assert frame.endswith(b"hello")
        assert flags == C.RX_CSUM_OK
        # control: what the kernel left in the checksum field really is not the checksum
        checksum = struct.unpack_from("!H", frame, offset + 26)[0]
        assert checksum == pseudo_sum(frame[offset + 12 : offset + 20], 17, 13)


def pseudo_sum(addresses, proto, length):
    total = sum(struct.unpack("!4H", addresses)) + proto + length
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def test_plain_tun_gets_finished_checksums(space):
    with TapDevice("tun0", mode="tun", netns=space, address="10.0.0.1/24", offload=False) as device:
        udp_to(space, b"hello")
        frame, offset, flags, _ = drain(device)[-1]
        assert flags == 0
        words = frame[offset + 20 :] + b"\0"
        total = pseudo_sum(frame[offset + 12 : offset + 20], 17, 13) + sum(struct.unpack("!7H", words))
        assert (total & 0xFFFF) + (total >> 16) == 0xFFFF


class Iface:
    name = "x"


def udp_packet(payload, partial):
    """An IPv4 UDP packet 10.0.0.2:5 -> 10.0.0.1:6; with `partial`, its checksum is left to the device."""
    addresses = bytes([10, 0, 0, 2, 10, 0, 0, 1])
    length = 8 + len(payload)
    ip = bytearray(struct.pack("!BBHHHBBH", 0x45, 0, 20 + length, 1, 0, 64, 17, 0) + addresses)
    total = sum(struct.unpack("!10H", ip))
    total = (total & 0xFFFF) + (total >> 16)
    struct.pack_into("!H", ip, 10, ~total & 0xFFFF)
    checksum = pseudo_sum(addresses, 17, length) if partial else 0
    return bytes(ip) + struct.pack("!HHHH", 5, 6, length, checksum)


@pytest.mark.parametrize("offload", [True, False])
@pytest.mark.parametrize("split", [True, False])
def test_kernel_takes_what_is_sent(space, offload, split):
    with TapDevice("tun0", mode="tun", netns=space, address="10.0.0.1/24", offload=offload) as device:
        with space.call(kernel.socket, kernel.AF_INET, kernel.SOCK_DGRAM) as sock:
            sock.settimeout(PATIENCE)
            sock.bind(("10.0.0.1", 6))
            head = udp_packet(b"payload", partial=offload)
            tx = Transmit(Iface(), head, b"payload") if split else Transmit(Iface(), head + b"payload")
            if offload:
                tx.csum_start, tx.csum_offset = 20, 6
            assert device.send(tx) is True
            assert sock.recvfrom(100) == (b"payload", ("10.0.0.2", 5))


def test_kernel_refuses_an_unfinished_checksum_that_is_not_announced(space):
    """Control of the test above: the partial checksum alone is a wrong checksum."""
    with TapDevice("tun0", mode="tun", netns=space, address="10.0.0.1/24") as device:
        with space.call(kernel.socket, kernel.AF_INET, kernel.SOCK_DGRAM) as sock:
            sock.settimeout(0.3)
            sock.bind(("10.0.0.1", 6))
            assert device.send(Transmit(Iface(), udp_packet(b"payload", partial=True), b"payload")) is True
            with pytest.raises(TimeoutError):
                sock.recvfrom(100)


def test_a_device_that_is_down_loses_frames_and_counts_them(space):
    with TapDevice("tun0", mode="tun", netns=space, address="10.0.0.1/24") as device:
        tx = Transmit(Iface(), udp_packet(b"", partial=False))
        assert device.send(tx) is True
        assert device.tx_errors == 0
        ns.configure("tun0", up=False, netns=space)
        assert device.send(tx) is True
        assert device.tx_errors == 1


def test_vnet_header_says_tso_and_ecn(space):
    seen = []
    reader, writer = os.pipe()
    with TapDevice("tun0", mode="tun", netns=space) as device:
        header = bytearray(40)
        header[20 + 13] = C.ACK
        for flags, gso_type in ((C.ACK, 1), (C.ACK | C.CWR, 0x81)):
            header[20 + 13] = flags
            tx = Transmit(Iface(), bytes(header), b"x" * 3000)
            tx.gso_size, tx.csum_start, tx.csum_offset, tx.hdr_len = 1000, 20, 16, 40
            assert FrameIO(writer, 2000, True).send(tx) == 0
            seen.append(VNET_HDR.unpack_from(os.read(reader, 4000)) == (1, gso_type, 40, 1000, 20, 16))
        assert device.gso_max > 60000
    assert seen == [True, True]


def test_mtu_address_and_device_are_as_asked_and_gone_afterwards(space):
    with TapDevice("tap7", netns=space, address="10.7.0.1/16", mtu=9000) as device:
        assert device.mtu == 9000
        assert ns.get_mtu("tap7", space) == 9000
        assert ns.get_address("tap7", space) == "10.7.0.1"
        assert "10.7.0.1/16" in space.run(["ip", "-4", "addr"], capture_output=True, text=True).stdout
    assert not ns.exists("tap7", space)
    device.close()
    assert device.fileno() == -1


def test_bad_mode_is_refused():
    with pytest.raises(ValueError, match="tap"):
        TapDevice("x", mode="tip")


def test_routes_and_addresses_by_netlink(space):
    with TapDevice("tap0", netns=space, address="10.0.0.1/24"):
        ns.add_route("10.9.0.0/16", gateway="10.0.0.2", netns=space)
        ns.add_address("tap0", "10.0.5.1/24", netns=space)
        out = space.run(["ip", "route"], capture_output=True, text=True).stdout
        assert "10.9.0.0/16 via 10.0.0.2 dev tap0" in out
        assert "10.0.5.0/24 dev tap0" in out


def test_namespace_leaves_nothing_behind():
    space = Namespace.new()
    device = TapDevice("tap0", netns=space)
    assert ns.exists("tap0", space) and not ns.exists("tap0")
    device.close()
    space.close()
    with pytest.raises(OSError):
        space.call(int)


def arrived(device):
    """The kernel's ports of the UDP datagrams that wait."""
    return sorted(int.from_bytes(f[o + 20 : o + 22], "big") for f, o, _, _ in drain(device) if f[o + 9] == 17)


def from_us(port):
    """An empty UDP datagram of the stack's own, 10.0.0.2:9 to 10.0.0.1:port, without a checksum."""
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 28, 0, 0, 64, 17, 0, bytes((10, 0, 0, 2)), bytes((10, 0, 0, 1)))
    checksum = 0xFFFF - sum(struct.unpack("!10H", head)) % 0xFFFF
    return head[:10] + checksum.to_bytes(2, "big") + head[12:] + struct.pack("!HHHH", 9, port, 8, 0)


def test_a_flow_stays_with_the_queue_that_sent_for_it(space):
    with (
        TapDevice("tun0", mode="tun", netns=space, address="10.0.0.1/24", multi_queue=True) as first,
        TapDevice("tun0", mode="tun", netns=space, multi_queue=True) as second,
    ):
        assert first.name == second.name and first.fileno() != second.fileno()
        socks = [space.call(kernel.socket, kernel.AF_INET, kernel.SOCK_DGRAM) for _ in range(32)]
        for sock in socks:
            sock.bind(("10.0.0.1", 0))
        ports = sorted(sock.getsockname()[1] for sock in socks)
        for sender, other in ((first, second), (second, first)):
            for port in ports:
                assert sender.send(Transmit(None, from_us(port)))
            drain(first), drain(second)
            for sock in socks:
                sock.sendto(b"x", ("10.0.0.2", 9))
            # Each once, and all where the stack's own datagrams of these flows came from.
            assert (arrived(sender), arrived(other)) == (ports, [])
        for sock in socks:
            sock.close()


def test_new_flows_are_spread_over_the_queues(space):
    with (
        TapDevice("tun0", mode="tun", netns=space, address="10.0.0.1/24", multi_queue=True) as first,
        TapDevice("tun0", mode="tun", netns=space, multi_queue=True) as second,
    ):
        for _ in range(64):
            udp_to(space, b"x")
        here, there = arrived(first), arrived(second)
        assert len(here) + len(there) == 64 and min(len(here), len(there)) >= 8


def test_a_second_queue_needs_a_device_that_may_have_several(space):
    with TapDevice("tun0", mode="tun", netns=space, address="10.0.0.1/24"):
        with pytest.raises(OSError):
            TapDevice("tun0", mode="tun", netns=space, multi_queue=True)
