"""Frames built by hand for the tests, with a checksum of their own making."""

import struct

MAC_A = 0x020000000001
MAC_B = 0x020000000002


def ones(data: bytes) -> int:
    """The Internet checksum, word by word (RFC 1071)."""
    total = 0
    for at in range(0, len(data), 2):
        total += int.from_bytes(data[at : at + 2].ljust(2, b"\0"), "big")
        total = (total & 0xFFFF) + (total >> 16)
    return total


def bits(text: str) -> int:
    """The 32 bits of a dotted quad, as packets have them."""
    return int.from_bytes(bytes(map(int, text.split("."))), "big")


def addr(text: str) -> int:
    """The core's number for a dotted quad: IPv4 mapped into 128 bits, and 0 for 0.0.0.0."""
    return core(bits(text))


def core(number: int) -> int:
    """The core's form of an address of a packet."""
    return 0xFFFF << 32 | number if number else 0


def ether(payload: bytes, ethertype: int = 0x0800, src: int = MAC_A, dst: int = MAC_B) -> bytes:
    """An Ethernet frame."""
    return dst.to_bytes(6, "big") + src.to_bytes(6, "big") + ethertype.to_bytes(2, "big") + payload


def ipv4(src: str, dst: str, proto: int, payload: bytes, ident: int = 7, fragment: int = 0, ttl: int = 64) -> bytes:
    """An IPv4 packet."""
    head = struct.pack(">BBHHHBBHII", 0x45, 0, 20 + len(payload), ident, fragment, ttl, proto, 0, bits(src), bits(dst))
    return head[:10] + (ones(head) ^ 0xFFFF).to_bytes(2, "big") + head[12:] + payload


def pseudo(src: str, dst: str, proto: int, length: int) -> bytes:
    """The pseudo-header."""
    return struct.pack(">IIBBH", bits(src), bits(dst), 0, proto, length)


def tcp(
    src: str, sport: int, dst: str, dport: int, flags: int, seq: int, ack: int, payload: bytes = b"",
    options: bytes = b"", window: int = 1000, partial: bool = False,
) -> bytes:  # fmt: skip
    """A TCP segment; with `partial` the checksum field holds only the pseudo-header sum."""
    offset = (20 + len(options)) // 4 << 4
    head = struct.pack(">HHIIBBHHH", sport, dport, seq, ack, offset, flags, window, 0, 0) + options
    base = pseudo(src, dst, 6, len(head) + len(payload))
    field = ones(base) if partial else ones(base + head + payload) ^ 0xFFFF
    return head[:16] + field.to_bytes(2, "big") + head[18:] + payload


def udp(src: str, sport: int, dst: str, dport: int, payload: bytes) -> bytes:
    """A UDP datagram."""
    head = struct.pack(">HHHH", sport, dport, 8 + len(payload), 0)
    field = ones(pseudo(src, dst, 17, len(head) + len(payload)) + head + payload) ^ 0xFFFF
    return head[:6] + field.to_bytes(2, "big") + payload


def icmp(kind: int, code: int, rest: bytes, payload: bytes = b"") -> bytes:
    """An ICMP message."""
    head = bytes((kind, code, 0, 0)) + rest
    return head[:2] + (ones(head + payload) ^ 0xFFFF).to_bytes(2, "big") + rest + payload


def arp(op: int, sha: int, spa: str, tha: int, tpa: str) -> bytes:
    """An ARP packet."""
    head = struct.pack(">HHBBH", 1, 0x0800, 6, 4, op)
    ends = ((sha, spa), (tha, tpa))
    return head + b"".join(mac.to_bytes(6, "big") + bits(ip).to_bytes(4, "big") for mac, ip in ends)
