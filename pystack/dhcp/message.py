"""DHCP messages (RFC 2131 section 2, RFC 2132): bytes to fields and back.

The codec is short and its input is hostile, so it is written here. The tests compare it with tshark's and pyroute2's reading.
Addresses are IPv4 addresses as numbers of 32 bits.
"""

import struct
from dataclasses import dataclass, field

SERVER_PORT, CLIENT_PORT = 67, 68
BOOTREQUEST, BOOTREPLY = 1, 2
DISCOVER, OFFER, REQUEST, DECLINE, ACK, NAK, RELEASE, INFORM = range(1, 9)
NAMES = ("", "DISCOVER", "OFFER", "REQUEST", "DECLINE", "ACK", "NAK", "RELEASE", "INFORM")
#: the flag of a client that can receive only broadcasts (RFC 2131 section 2, figure 2)
BROADCAST_FLAG = 0x8000
COOKIE = b"\x63\x82\x53\x63"
#: the shortest message that a BOOTP relay passes on (RFC 1542 section 2.1), and the longest that each client takes (RFC 2131 section 2)
SHORTEST, LONGEST = 300, 548
#: the most bytes of a message that are read
MOST = 4096

# the codes of options (RFC 2132, unless another RFC is named)
PAD, SUBNET_MASK, ROUTER, DNS, HOST_NAME, DOMAIN_NAME, MTU, BROADCAST_ADDR = 0, 1, 3, 6, 12, 15, 26, 28
REQUESTED_ADDR, LEASE_TIME, OVERLOAD, MESSAGE_TYPE, SERVER_ID = 50, 51, 52, 53, 54
PARAMETERS, MESSAGE, MAX_SIZE, T1, T2, CLIENT_ID, AGENT, ROUTES, END = 55, 56, 57, 58, 59, 61, 82, 121, 255

_HEADER = struct.Struct(">BBBBIHHIIII16s64s128s")


class Malformed(ValueError):
    """The bytes are no DHCP message."""


@dataclass(slots=True)
class DhcpMessage:
    """One message, with the names of RFC 2131's figure 1. `options` is in the order of the message."""

    op: int = BOOTREQUEST
    htype: int = 1
    hlen: int = 6
    hops: int = 0
    xid: int = 0
    secs: int = 0
    flags: int = 0
    ciaddr: int = 0
    yiaddr: int = 0
    siaddr: int = 0
    giaddr: int = 0
    chaddr: bytes = b""
    sname: bytes = b""
    file: bytes = b""
    options: dict[int, bytes] = field(default_factory=dict)

    @property
    def kind(self) -> int:
        """The message type (DISCOVER, ...), or 0 for BOOTP."""
        value = self.options.get(MESSAGE_TYPE, b"")
        return value[0] if len(value) == 1 and 1 <= value[0] <= INFORM else 0

    @property
    def name(self) -> str:
        """The message type as the RFC writes it."""
        return NAMES[self.kind] or "BOOTP"

    def number(self, code: int) -> int | None:
        """The option as a number of 32 bits, or None if it is missing or has another length."""
        value = self.options.get(code, b"")
        return int.from_bytes(value, "big") if len(value) == 4 else None

    def addresses(self, code: int) -> list[int]:
        """The option as a list of addresses. Empty if it is missing or its length is no multiple of 4."""
        value = self.options.get(code, b"")
        if len(value) % 4:
            return []
        return [int.from_bytes(value[at : at + 4], "big") for at in range(0, len(value), 4)]

    def text(self, code: int) -> str:
        """The option as a text of printable ASCII characters, or "" (the sender may have put anything into it)."""
        value = self.options.get(code, b"").rstrip(b"\0")
        return value.decode("ascii") if value.isascii() and value.decode("ascii").isprintable() else ""

    def client_key(self) -> bytes:
        """The bytes that identify the client (RFC 2131 section 4.2): the option client identifier, or the hardware address."""
        return b"\xff" + self.options[CLIENT_ID] if self.options.get(CLIENT_ID) else bytes((self.htype,)) + self.chaddr


def addr_bytes(*addrs: int) -> bytes:
    """Addresses as an option has them."""
    return b"".join(addr.to_bytes(4, "big") for addr in addrs)


def read(data: bytes) -> DhcpMessage:
    """Read a message. Malformed: it is none, or one of its options has no room."""
    if not _HEADER.size + 4 <= len(data) <= MOST:
        raise Malformed(f"{len(data)} bytes are too few or too many for a DHCP message")
    (op, htype, hlen, hops, xid, secs, flags, ciaddr, yiaddr, siaddr, giaddr, chaddr, sname, file) = (
        _HEADER.unpack_from(data)
    )
    if data[_HEADER.size : _HEADER.size + 4] != COOKIE:
        raise Malformed("the magic cookie is missing (RFC 2131 section 3)")
    if op not in (BOOTREQUEST, BOOTREPLY) or hlen > 16:
        raise Malformed("the operation or the length of the hardware address is impossible")
    options: dict[int, bytes] = {}
    _options(data[_HEADER.size + 4 :], options)
    # RFC 2131 section 4.1: the fields "file" and "sname" hold more options if option 52 says so, "file" first.
    overload = options.pop(OVERLOAD, b"")
    if overload:
        if overload not in (b"\1", b"\2", b"\3"):
            raise Malformed("the option overload has an impossible value")
        if overload[0] & 1:
            _options(file, options)
            file = b""
        if overload[0] & 2:
            _options(sname, options)
            sname = b""
        if OVERLOAD in options:
            raise Malformed("an option overload inside an overloaded field")
    return DhcpMessage(
        op, htype, hlen, hops, xid, secs, flags, ciaddr, yiaddr, siaddr, giaddr, chaddr[:hlen],
        sname.split(b"\0", 1)[0], file.split(b"\0", 1)[0], options,
    )  # fmt: skip


def _options(data: bytes, found: dict[int, bytes]) -> None:
    """Read one field of options. The parts of an option that appears several times are joined (RFC 3396 section 7)."""
    at = 0
    while at < len(data):
        code = data[at]
        at += 1
        if code == END:
            return
        if code == PAD:
            continue
        if at >= len(data) or at + 1 + data[at] > len(data):
            raise Malformed(f"option {code} is longer than the message")
        length = data[at]
        found[code] = found.get(code, b"") + data[at + 1 : at + 1 + length]
        at += 1 + length


def write(message: DhcpMessage, limit: int = 0) -> bytes:
    """The bytes of a message, padded for BOOTP relays.

    limit  the most bytes that the receiver takes (0: no limit). The options that do not fit are left out, the last ones first,
           except the relay agent's (82).
    """
    head = _HEADER.pack(
        message.op, message.htype, message.hlen, message.hops, message.xid, message.secs & 0xFFFF, message.flags,
        message.ciaddr, message.yiaddr, message.siaddr, message.giaddr, message.chaddr, message.sname, message.file,
    )  # fmt: skip
    last = _option(AGENT, message.options[AGENT]) if AGENT in message.options else b""
    room = (limit or MOST) - len(head) - len(COOKIE) - len(last) - 1
    body = bytearray()
    for code, value in message.options.items():
        part = _option(code, value) if code != AGENT else b""
        if len(body) + len(part) <= room:
            body += part
    return (head + COOKIE + bytes(body) + last + b"\xff").ljust(SHORTEST, b"\0")


def _option(code: int, value: bytes) -> bytes:
    """One option, in parts of 255 bytes (RFC 3396 section 6)."""
    parts = [value[at : at + 255] for at in range(0, len(value), 255)] or [b""]
    return b"".join(bytes((code, len(part))) + part for part in parts)


def read_routes(value: bytes) -> list[tuple[int, int, int]]:
    """The classless static routes (RFC 3442): (network, prefix length, router). Empty if the option is malformed."""
    found, at = [], 0
    while at < len(value):
        length = value[at]
        size = (length + 7) // 8
        if length > 32 or at + 1 + size + 4 > len(value):
            return []
        mask = (0xFFFFFFFF << (32 - length)) & 0xFFFFFFFF
        network = int.from_bytes(value[at + 1 : at + 1 + size].ljust(4, b"\0"), "big") & mask
        found.append((network, length, int.from_bytes(value[at + 1 + size : at + 5 + size], "big")))
        at += 5 + size
    return found


def write_routes(routes: "list[tuple[int, int, int]]") -> bytes:
    """The classless static routes as bytes of the option 121."""
    parts = []
    for network, length, router in routes:
        parts.append(bytes((length,)) + network.to_bytes(4, "big")[: (length + 7) // 8] + router.to_bytes(4, "big"))
    return b"".join(parts)
