"""The header field to which a byte of a frame belongs, to describe how two frames differ."""

import pystack_c.const as C

# (length in bytes, name)
_ETHERNET = ((6, "destination MAC"), (6, "source MAC"), (2, "EtherType"))
_IPV4 = (
    (1, "version and header length"), (1, "DSCP and ECN"), (2, "total length"), (2, "identification"),
    (2, "flags and fragment offset"), (1, "TTL"), (1, "protocol"), (2, "header checksum"), (4, "source address"),
    (4, "destination address"),
)  # fmt: skip
_TCP = (
    (2, "source port"), (2, "destination port"), (4, "sequence number"), (4, "acknowledgment number"),
    (1, "data offset"), (1, "control bits"), (2, "window"), (2, "checksum"), (2, "urgent pointer"),
)  # fmt: skip
_UDP = ((2, "source port"), (2, "destination port"), (2, "length"), (2, "checksum"))
_ICMP = ((1, "type"), (1, "code"), (2, "checksum"), (4, "rest of header"))
_ARP = (
    (2, "hardware type"), (2, "protocol type"), (1, "hardware length"), (1, "protocol length"), (2, "operation"),
    (6, "sender MAC"), (4, "sender address"), (6, "target MAC"), (4, "target address"),
)  # fmt: skip
_UPPER = {C.IPPROTO_TCP: ("TCP", _TCP), C.IPPROTO_UDP: ("UDP", _UDP), C.IPPROTO_ICMP: ("ICMP", _ICMP)}

#: (protocol, name, offset, length)
Field = tuple[str, str, int, int]


def layout(frame: bytes, kind: int = C.LINK_ETHERNET) -> list[Field]:
    """Return the fields of a frame's headers, as far as they are present."""
    found: list[Field] = []
    at = 0
    if kind == C.LINK_ETHERNET:
        at = _append(found, "Ethernet", _ETHERNET, 0)
        ethertype = int.from_bytes(frame[12:14], "big")
        if ethertype == C.ETH_P_ARP:
            _append(found, "ARP", _ARP, at)
            return found
        if ethertype != C.ETH_P_IP:
            return found
    if len(frame) < at + 20:
        return found
    end = _append(found, "IPv4", _IPV4, at)
    l4 = at + (frame[at] & 15) * 4
    if l4 > end:
        found.append(("IPv4", "options", end, l4 - end))
    if int.from_bytes(frame[at + 6 : at + 8], "big") & 0x1FFF or frame[at + 9] not in _UPPER:
        return found
    name, fields = _UPPER[frame[at + 9]]
    end = _append(found, name, fields, l4)
    if name == "TCP" and len(frame) > l4 + 12:
        data = l4 + (frame[l4 + 12] >> 4) * 4
        if data > end:
            found.append(("TCP", "options", end, data - end))
    return found


def _append(found: list[Field], protocol: str, fields: tuple[tuple[int, str], ...], at: int) -> int:
    for length, name in fields:
        found.append((protocol, name, at, length))
        at += length
    return at


def field_at(frame: bytes, offset: int, kind: int = C.LINK_ETHERNET) -> Field:
    """Return the field that contains the byte at `offset`. The bytes after the headers are the field "payload"."""
    fields = layout(frame, kind)
    for field in fields:
        if field[2] <= offset < field[2] + field[3]:
            return field
    start = fields[-1][2] + fields[-1][3] if fields else 0
    return ("", "payload", start, max(len(frame) - start, 0))


def difference(expected: bytes, got: bytes, kind: int = C.LINK_ETHERNET) -> str:
    """Describe the first field in which two frames differ, or return "" if they are equal."""
    if expected == got:
        return ""
    common = min(len(expected), len(got))
    at = next((n for n in range(common) if expected[n] != got[n]), common)
    if at == common:
        return f"length {len(expected)} expected, {len(got)} got"
    protocol, name, start, length = field_at(expected, at, kind)
    title = f"{protocol} {name}".strip()
    if name in ("payload", "options"):
        return f"{title} differs at byte {at}: {expected[at]:#04x} expected, {got[at]:#04x} got"
    was, now = (int.from_bytes(frame[start : start + length], "big") for frame in (expected, got))
    return f"{title} (byte {start}): {was} ({was:#x}) expected, {now} ({now:#x}) got"
