"""Frames from numbers, fast and with every field open to lies: what the fuzzers and the hostile tests send."""

import struct

MAC_HOST = 0x020000000002
MAC_PEER = 0x020000000001
MAC_BCAST = 0xFFFFFFFFFFFF
#: of an address as the core has it, these are the bits in a packet
M32 = 0xFFFFFFFF


def fold(data: bytes, acc: int = 0) -> int:
    """The Internet checksum's sum (RFC 1071) of `data` and `acc`, folded, not inverted."""
    total = int.from_bytes(data + b"\0" if len(data) & 1 else data, "big") + acc
    rest = total % 0xFFFF
    return 0xFFFF if rest == 0 and total else rest


def inverted(data: bytes, acc: int = 0) -> int:
    """What goes into a checksum field."""
    return fold(data, acc) ^ 0xFFFF


def pseudo(src: int, dst: int, proto: int, length: int) -> int:
    """The pseudo-header's sum."""
    return fold(struct.pack(">IIHH", src & M32, dst & M32, proto, length & 0xFFFF))


def ether(payload: bytes, ethertype: int = 0x0800, src: int = MAC_PEER, dst: int = MAC_HOST) -> bytes:
    """An Ethernet frame."""
    return dst.to_bytes(6, "big") + src.to_bytes(6, "big") + ethertype.to_bytes(2, "big") + payload


def ipv4(
    src: int, dst: int, proto: int, payload: bytes, ident: int = 7, frag: int = 0, ttl: int = 64, tos: int = 0,
    options: bytes = b"", ihl: int | None = None, total: int | None = None, version: int = 4, checksum: int | None = None,
) -> bytes:  # fmt: skip
    """An IPv4 packet; `frag` is the whole 16-bit field with its flags. `ihl`, `total` and `checksum` may lie."""
    options += bytes(-len(options) % 4)
    words = 5 + len(options) // 4 if ihl is None else ihl
    length = 20 + len(options) + len(payload) if total is None else total
    first = (version << 4 | words & 15) & 0xFF
    head = (
        struct.pack(">BBHHHBBHII", first, tos, length & 0xFFFF, ident, frag, ttl, proto, 0, src & M32, dst & M32)
        + options
    )
    field = inverted(head) if checksum is None else checksum
    return head[:10] + field.to_bytes(2, "big") + head[12:] + payload


def tcp(
    src: int, sport: int, dst: int, dport: int, flags: int, seq: int, ack: int, payload: bytes = b"",
    options: bytes = b"", window: int = 65535, urg: int = 0, offset: int | None = None, checksum: int | None = None,
) -> bytes:  # fmt: skip
    """A TCP segment; `offset` (words) and `checksum` may lie."""
    options += bytes(-len(options) % 4)
    words = 5 + len(options) // 4 if offset is None else offset
    head = struct.pack(
        ">HHIIBBHHH", sport, dport, seq & 0xFFFFFFFF, ack & 0xFFFFFFFF, words << 4 & 0xF0 | flags >> 8 & 1, flags & 0xFF,
        window, 0, urg
    )  # fmt: skip
    whole = head + options + payload
    field = inverted(whole, pseudo(src, dst, 6, len(whole))) if checksum is None else checksum
    return whole[:16] + field.to_bytes(2, "big") + whole[18:]


def udp(
    src: int, sport: int, dst: int, dport: int, payload: bytes, length: int | None = None, checksum: int | None = None
) -> bytes:
    """A UDP datagram; `length` and `checksum` may lie (checksum 0: none)."""
    size = 8 + len(payload) if length is None else length
    head = struct.pack(">HHHH", sport, dport, size & 0xFFFF, 0)
    field = checksum
    if field is None:
        field = inverted(head + payload, pseudo(src, dst, 17, size)) or 0xFFFF
    return head[:6] + field.to_bytes(2, "big") + payload


def icmp(kind: int, code: int, rest: int, payload: bytes = b"", checksum: int | None = None) -> bytes:
    """An ICMP message."""
    whole = struct.pack(">BBHI", kind, code, 0, rest) + payload
    field = inverted(whole) if checksum is None else checksum
    return whole[:2] + field.to_bytes(2, "big") + whole[4:]


def arp(op: int, sha: int, spa: int, tha: int, tpa: int, eth_dst: int = MAC_BCAST) -> bytes:
    """A whole ARP frame."""
    ends = (
        sha.to_bytes(6, "big")
        + (spa & M32).to_bytes(4, "big")
        + tha.to_bytes(6, "big")
        + (tpa & M32).to_bytes(4, "big")
    )
    return ether(struct.pack(">HHBBH", 1, 0x0800, 6, 4, op) + ends, 0x0806, sha, eth_dst)


def fixup(frame: bytes, offset: int = 14) -> bytes:
    """The frame with its IP and transport checksums made right again, as far as its lengths let that be done."""
    ip = bytearray(frame[offset:])
    if len(ip) < 20:
        return frame
    hlen = max(20, (ip[0] & 15) * 4)
    if hlen > len(ip):
        return frame
    ip[10:12] = b"\0\0"
    ip[10:12] = inverted(bytes(ip[:hlen])).to_bytes(2, "big")
    end = min(len(ip), max(hlen, ip[2] << 8 | ip[3]))
    body = bytearray(ip[hlen:end])
    at = {1: 2, 6: 16, 17: 6}.get(ip[9], -1)
    if at >= 0 and len(body) >= at + 2 and (ip[6] & 0x3F | ip[7]) == 0:
        body[at : at + 2] = b"\0\0"
        size = len(body)
        if ip[9] == 17 and 8 <= (body[4] << 8 | body[5]) <= size:
            size = body[4] << 8 | body[5]
        src, dst = int.from_bytes(ip[12:16], "big"), int.from_bytes(ip[16:20], "big")
        acc = 0 if ip[9] == 1 else pseudo(src, dst, ip[9], size)
        body[at : at + 2] = (inverted(bytes(body[:size]), acc) or 0xFFFF).to_bytes(2, "big")
    return frame[:offset] + bytes(ip[:hlen]) + bytes(body) + bytes(ip[end:])


# TCP options


def opt_mss(value: int) -> bytes:
    """Maximum segment size."""
    return struct.pack(">BBH", 2, 4, value)


def opt_wscale(shift: int) -> bytes:
    """Window scale, padded."""
    return bytes((1, 3, 3, shift))


OPT_SACK_OK = b"\1\1\4\2"


def opt_ts(tsval: int, tsecr: int) -> bytes:
    """Timestamps, padded as in RFC 7323 appendix A."""
    return struct.pack(">BBBBII", 1, 1, 8, 10, tsval & 0xFFFFFFFF, tsecr & 0xFFFFFFFF)


def opt_sack(*blocks: tuple[int, int]) -> bytes:
    """SACK blocks, padded."""
    body = b"".join(struct.pack(">II", left & 0xFFFFFFFF, right & 0xFFFFFFFF) for left, right in blocks)
    return bytes((1, 1, 5, 2 + len(body))) + body


def pseudo6(src: bytes, dst: bytes, proto: int, length: int) -> int:
    """The sum of IPv6's pseudo-header."""
    return fold(src + dst + struct.pack(">II", length, proto))


def ipv6(
    src: bytes, dst: bytes, proto: int, payload: bytes, before: bytes = b"", hops: int = 64, label: int = 0, tos: int = 0,
    first: int | None = None, length: int | None = None, version: int = 6,
) -> bytes:  # fmt: skip
    """An IPv6 packet; `before` are extension headers, and `first` the number of the first of them. `length` may lie."""
    size = len(before) + len(payload) if length is None else length
    head = struct.pack(
        ">IHBB", version << 28 | tos << 20 | label, size & 0xFFFF, proto if first is None else first, hops
    )
    return head + src + dst + before + payload


def upper6(src: bytes, dst: bytes, proto: int, data: bytes) -> bytes:
    """A TCP segment, a UDP datagram or an ICMPv6 message with the checksum that it has over IPv6."""
    at = {6: 16, 17: 6, 58: 2}[proto]
    bare = data[:at] + b"\0\0" + data[at + 2 :]
    field = inverted(bare, pseudo6(src, dst, proto, len(bare))) or (0xFFFF if proto == 17 else 0)
    return data[:at] + field.to_bytes(2, "big") + data[at + 2 :]
