"""The packets of a host that has no address yet: IP and UDP headers around a DHCP message, and ARP packets, for packet sockets."""

import struct
from typing import NamedTuple

from pystack.phy.segmenter import ones_sum

ETH_P_IP, ETH_P_ARP = 0x0800, 0x0806
_IP = struct.Struct(">BBHHHBBHII")
_UDP = struct.Struct(">HHHH")
_ARP = struct.Struct(">HHBBH6sI6sI")
_UDP_PROTOCOL = 17
_REQUEST = 1


class UdpPacket(NamedTuple):
    """A UDP datagram."""

    src: int
    sport: int
    dst: int
    dport: int
    data: bytes


class ArpPacket(NamedTuple):
    """An ARP packet: the sender's hardware and protocol addresses, and the target's protocol address."""

    mac: int
    sender: int
    target: int


def write_udp(src: int, dst: int, sport: int, dport: int, data: bytes) -> bytes:
    """An IP packet with a datagram."""
    size = _UDP.size + len(data)
    header = _UDP.pack(sport, dport, size, 0)
    pseudo = struct.pack(">IIHH", src, dst, _UDP_PROTOCOL, size)
    total = ones_sum(pseudo + header + data + bytes(len(data) & 1)) ^ 0xFFFF
    head = _IP.pack(0x45, 0, _IP.size + size, 0, 0, 64, _UDP_PROTOCOL, 0, src, dst)
    head = head[:10] + (ones_sum(head) ^ 0xFFFF).to_bytes(2, "big") + head[12:]
    return head + header[:6] + (total or 0xFFFF).to_bytes(2, "big") + data


def read_udp(packet: bytes) -> UdpPacket | None:
    """The datagram of an IP packet, or None if it has none, is a fragment, or a checksum is wrong."""
    if len(packet) < _IP.size or packet[0] >> 4 != 4:
        return None
    head = (packet[0] & 15) * 4
    _, _, total, _, fragment, _, proto, _, src, dst = _IP.unpack_from(packet)
    if not _IP.size <= head <= total - _UDP.size or total > len(packet) or proto != _UDP_PROTOCOL or fragment & 0x3FFF:
        return None
    if ones_sum(packet[:head]) != 0xFFFF:
        return None
    sport, dport, size, checksum = _UDP.unpack_from(packet, head)
    if not _UDP.size <= size <= total - head:
        return None
    datagram = packet[head : head + size]
    pseudo = struct.pack(">IIHH", src, dst, _UDP_PROTOCOL, size)
    # A kernel that leaves checksums to the device gives the sum of the pseudo-header alone to readers on the same machine.
    if checksum and ones_sum(pseudo + datagram + bytes(size & 1)) != 0xFFFF and checksum != ones_sum(pseudo):
        return None
    return UdpPacket(src, sport, dst, dport, datagram[_UDP.size :])


def write_arp(mac: int, sender: int, target: int) -> bytes:
    """An ARP request (RFC 826), of which a probe (sender 0) and an announcement (sender is target) are kinds."""
    return _ARP.pack(1, ETH_P_IP, 6, 4, _REQUEST, mac.to_bytes(6, "big"), sender, bytes(6), target)


def read_arp(packet: bytes) -> ArpPacket | None:
    """An ARP packet of IPv4 over Ethernet, or None."""
    if len(packet) < _ARP.size:
        return None
    kind, proto, size, length, op, mac, sender, _, target = _ARP.unpack_from(packet)
    if (kind, proto, size, length) != (1, ETH_P_IP, 6, 4) or op not in (1, 2):
        return None
    return ArpPacket(int.from_bytes(mac, "big"), sender, target)
