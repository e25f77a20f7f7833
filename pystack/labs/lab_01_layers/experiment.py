"""A client sends one byte, and then a million, over Ethernet and over a link that carries IP packets only."""

from typing import Any

import pystack_c.const as C
from pystack.labs.lab_01_layers.hosts import one_byte
from pystack.labs.looks import LabLook
from pystack.labs.values import LabControl, LabValue
from pystack.testing.lab import MS, A, B, Lab, Network, S, pattern, stream
from pystack.testing.segments import OUTBOUND, decode

BULK = 1_000_000
UNSEEN = 8 + 4 + 12  # preamble, checksum, gap


def network(kind: int = C.LINK_ETHERNET, timestamps: bool = False) -> Lab:
    """Build the network: a client `a` and a server `b` on a link of this kind."""
    net = Network(1)
    a, b = (net.host(name, profile="lab", tcp_timestamps=timestamps) for name in "ab")
    link = net.link(a, b, delay=5 * MS, addrs=(A + "/24", B + "/24"), kind=kind)
    if kind == C.LINK_ETHERNET:
        net.introduce()
    return Lab(net, a, b, link)


def send(bulk: int, **options: Any) -> list[list[tuple[int, bytes]]]:
    """Send one byte, and then `bulk` bytes. Returns the frames of the client (with their times) before these, for one, and for the other."""
    lab = network(**options)
    parts: list[list[tuple[int, bytes]]] = [[]]

    def tap(time, direction, frame):
        if direction == OUTBOUND:
            parts[-1].append((time, frame))

    lab.a.port().taps.append(tap)
    listener = lab.listener()

    def serve():
        sock = yield listener.accept()
        assert (yield sock.recv_exactly(1 + bulk)) == b"!" + pattern(bulk)

    def dial():
        sock = stream(lab.a)
        yield sock.connect(B, 80)
        for data in (b"!", pattern(bulk)):
            parts.append([])
            yield sock.sendall(data)

    lab.run(serve(), dial(), limit=60 * S)
    return parts


def layers(**options: Any) -> list[int]:
    """Return the bytes of Ethernet, IP, TCP and data in the frame with one byte."""
    _, ((_, frame),), _ = send(0, **options)
    ip, tcp = (frame[14] & 15) * 4, (frame[46] >> 4) * 4
    return [14, ip, tcp, len(frame) - 14 - ip - tcp]


def goodput(**options: Any) -> float:
    """Return the share (%) of the data in what the wire carries."""
    bulk = send(BULK, **options)[2]
    return 100 * BULK / sum(len(frame) + UNSEEN for _, frame in bulk)


def both_links() -> list[tuple[tuple[int, bytes], tuple[int, bytes]]]:
    """Return the client's frames on Ethernet, each with the one on a link without it."""
    ethernet, bare = (sum(send(BULK, kind=kind), []) for kind in (C.LINK_ETHERNET, C.LINK_IP))
    return list(zip(ethernet, bare, strict=True))


def different() -> int:
    """Return how many segments differ in their time or in a bit."""
    count = 0
    for (one, frame), (other, packet) in both_links():
        first, second = decode(frame[14:]), decode(packet)
        count += first is None or second is None or (one, first.same()) != (other, second.same())
    return count


def shorter() -> Any:
    """Return how much shorter the frames without Ethernet are, or all differences if they are not the same."""
    sizes = sorted({len(frame) - len(packet) for (_, frame), (_, packet) in both_links()})
    return sizes[0] if len(sizes) == 1 else sizes


VALUES = [
    LabValue("layers", "How many bytes are Ethernet, IP, TCP and data?", "14, 20, 20, 1", [14, 20, 20, 1], "bytes"),
    LabValue("goodput", "Which share of the wire does bulk data get?", "1460 / 1538", 100 * 1460 / 1538, "%", 0.1),
    LabValue("different", "How many TCP segments differ without Ethernet?", "none", 0, "segments"),
    LabValue("shorter", "How much shorter is each packet without Ethernet?", "14", 14, "bytes"),
    LabValue("third", "Three hosts on a switch: how many frames of a's byte for c does b get?", "0", 0, "frames"),
    LabValue("router", "d is behind a router: how many of the two Ethernet addresses and of the two IP addresses are different at d, and by how much is the TTL lower?", "2, 0, 1", [2, 0, 1], ""),
]  # fmt: skip


def measure(name: str) -> Any:
    """Measure one of VALUES."""
    if name in ("layers", "goodput"):
        return layers() if name == "layers" else goodput()
    if name in ("third", "router"):
        return one_byte("c").seen if name == "third" else one_byte("d").changed()
    return different() if name == "different" else shorter()


CONTROLS = [
    LabControl(
        "With timestamps in each segment",
        LabValue("stamps goodput", "The share of bulk data", "1448 / 1538", 100 * 1448 / 1538, "%", 0.1),
    ),
    LabControl(
        "With timestamps in each segment",
        LabValue("stamps layers", "Ethernet, IP, TCP and data", "14, 20, 20 + 12, 1", [14, 20, 32, 1], "bytes"),
    ),
    LabControl(
        "No router, and the byte is for c", LabValue("near", "What is different at c", "0, 0, 0", [0, 0, 0], "")
    ),
]


def control(name: str) -> Any:
    """Measure a control."""
    if name == "near":
        return one_byte("c").changed()
    return (goodput if name.endswith("goodput") else layers)(timestamps=True)


LOOKS = [
    LabLook("One byte on an open connection", lambda: send(0), 'event.kind == "out" and event.fields.length == 1', "ladder"),
]  # fmt: skip
