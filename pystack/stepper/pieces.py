"""Puts the fragments of an IP packet together, so that the message in a large datagram (such as an answer of DNS) can be shown.

The frame that completes the packet has the message, as in Wireshark. The rules are the receiver's: fragments that overlap are refused
(RFC 5722, RFC 8200 4.5), and all must come within 30 s (RFC 791 3.2). Every byte is hostile, so a frame looks at few others, and a packet has few fragments.
"""

from typing import TYPE_CHECKING, NamedTuple

from pystack.stepper.dissect import Node, Tree, dissect, ipv4, ipv6
from pystack.stepper.dissect import layout as t
from pystack.trace import headers
from pystack_c.wire import checksum

if TYPE_CHECKING:
    from pystack.stepper.records import Frame
    from pystack.trace.headers import IpPacket

#: how many frames before a fragment are searched for the others, and how many fragments a packet may have
BACK, MOST_PIECES = 200, 128
#: the longest packet (RFC 791 3.1), and how long its fragments may take (RFC 791 3.2, RFC 8200 4.5)
LONGEST, WITHIN = 65_535, 30_000_000_000


class PutTogether(NamedTuple):
    """What a packet in fragments carries above IP, the frames that brought it, and where the payload of the last one begins in it and in its frame."""

    packet: "IpPacket"
    data: bytes
    frames: list[int]
    offset: int
    at: int


def completed(frame: "Frame") -> PutTogether | None:
    """Return the packet that a frame completes, or None: it is no fragment, others are missing, or they contradict each other."""
    mine = _piece(frame)
    if mine is None:
        return None
    found = [(mine, frame.index, _bytes(frame, mine))]
    frames = frame._timeline.frames
    for index in range(frame.index - 1, max(frame.index - BACK, 0) - 1, -1):
        other = frames[index]
        if frame.time - other.time > WITHIN or len(found) > MOST_PIECES:
            break
        if (other.host, other.to, other.iface) != (frame.host, frame.to, frame.iface):
            continue
        packet = _piece(other)
        if packet is not None and key(packet) == key(mine):
            found.append((packet, index, _bytes(other, packet)))
    data = join([(packet.offset, packet.more, piece) for packet, _, piece in found])
    if (
        data is None
        or len(found) > 1
        and join([(one.offset, one.more, piece) for one, _, piece in found[1:]]) is not None
    ):
        return None  # a copy of a fragment completes nothing
    first = next(packet for packet, _, _ in found if not packet.offset)
    return PutTogether(first, data, sorted(index for _, index, _ in found), mine.offset, mine.at)


def join(pieces: list[tuple[int, bool, bytes]]) -> bytes | None:
    """Return the bytes of fragments (offset, whether others follow, bytes), or None if they are not all there, overlap, or are too long."""
    if len(pieces) > MOST_PIECES:
        return None
    whole, total = b"", -1
    before: tuple[int, bool, bytes] | None = None
    for one in sorted(pieces):
        offset, more, piece = one
        if one == before:
            continue  # the same fragment, captured twice
        if (
            offset != len(whole)
            or total >= 0
            or not piece
            or (more and len(piece) % 8)
            or offset + len(piece) > LONGEST
        ):
            return None
        whole += piece
        total = -1 if more else len(whole)
        before = one
    return whole if total >= 0 else None


def _piece(frame: "Frame") -> "IpPacket | None":
    """Return the packet in a frame if it is a fragment that was captured whole."""
    found = headers.find(frame.data, frame.link, frame.length)
    if found is None or not (found.offset or found.more) or not 0 <= found.at <= found.end <= len(frame.data):
        return None
    return found


def _bytes(frame: "Frame", packet: "IpPacket") -> bytes:
    return bytes(frame.data[packet.at : packet.end])


def key(packet: "IpPacket") -> tuple[object, ...]:
    """Return what all fragments of a packet have in common."""
    # Only the first fragment of IPv6 says reliably which protocol follows (RFC 8200 4.5).
    proto = packet.proto if packet.version == 4 else 0
    return packet.version, packet.source, packet.target, packet.ident, proto


def layers_of(whole: PutTogether) -> list[Node]:
    """Return the layers above IP of a packet that was put together, with places in their own bytes."""
    packet, size = whole.packet, len(whole.data)
    if packet.version == 4:
        source, target = (int.from_bytes(one, "big") for one in (packet.source, packet.target))
        pseudo = checksum.pseudo_sum(source, target, packet.proto, size)
        above = t.Above(pseudo, False, False, 0, ipv4.quoted)
        upper = ipv4.UPPER.get(packet.proto)
    else:
        pseudo = ipv6.pseudo_sum(packet.source, packet.target, packet.proto, size)
        above = t.Above(pseudo, False, False, 0, ipv6.quoted, 6)
        upper = ipv6.UPPER.get(packet.proto)
    return upper(whole.data, 0, size, above) if upper is not None else []


def tree_of(frame: "Frame") -> Tree:
    """Return the fields of a frame. If it completes a packet, the layers above IP are those of the whole packet."""
    tree = dissect(frame.data, frame.link, frame.length)
    whole = completed(frame)
    found = layers_of(whole) if whole is not None else []
    if whole is None or not found:
        return tree
    last = min(whole.at + len(whole.data) - whole.offset, len(frame.data))
    named = ", ".join(str(index + 1) for index in whole.frames)
    header = next(number for number, layer in enumerate(tree.layers) if layer.abbrev in ("ip", "ipv6"))
    tree.layers = tree.layers[: header + 1]
    for layer in found:
        tree.layers.append(moved(layer, (whole.at - whole.offset) * 8, whole.at * 8, last * 8))
    tree.layers[-len(found)].children.insert(
        0, t.note(f"put together from the fragments in frames {named}", whole.at, whole.at)
    )
    return tree


def moved(node: Node, shift: int, first: int, last: int) -> Node:
    """Return a field at its place in the frame. Of a field in several frames, the part in this one is marked."""
    start = node.offset_bits + shift
    stop = min(max(start + node.width_bits, first), last)
    begin = min(max(start, first), last)
    value = node.value
    if stop - begin != node.width_bits and isinstance(value, int):
        value = value.to_bytes(-(-node.width_bits // 8), "big")
    children = [moved(child, shift, first, last) for child in node.children]
    return Node(node.name, node.abbrev, begin, stop - begin, value, node.text, node.meaning, children)
