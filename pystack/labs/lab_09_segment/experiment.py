"""A client sends segments with sequence numbers near 2**32, with a wrong bit, and with losses."""

from typing import Any

from pystack.labs.looks import LabLook
from pystack.labs.values import LabControl, LabValue
from pystack.phy.match import is_data
from pystack.testing.lab import MS, Lab, S, lab_net, pattern
from pystack.testing.segments import OUTBOUND

R = 100 * MS
MSS = 1460
SIZE, LONG = 12_345, 1_000_000
NEAR = 10_000  # how far the ISN is from 2**32
WRAP = 1 << 32
NOP = 1  # the option that pads


def network(**settings: Any) -> Lab:
    """Build the network: a client `a` and a server `b`, half a round trip apart each way."""
    return lab_net(R // 2, **settings)


def last_acknowledgement() -> int:
    """Send, and close. Returns how far the last acknowledgement is from the ISN."""
    lab = network()
    client, server = lab.connected()
    lab.upload(pattern(SIZE), client, server)
    client.close()
    lab.net.run(until=lab.net.now + S)
    first, last = lab.log.sent["a"][0], lab.log.sent["b"][-1]
    return (last.ack - first.seq) % WRAP


def across_zero() -> list[int]:
    """Send a megabyte. Returns the segments that begin before the numbers pass 0, and the retransmissions."""
    lab = network(client={"tcp_isn": WRAP - NEAR})
    client, server = lab.connected()
    lab.upload(pattern(LONG), client, server)  # which checks that it arrives unchanged
    numbers = [seg.seq for seg in lab.log.data("a")]
    assert numbers[0] == WRAP - NEAR + 1 and numbers[-1] < WRAP // 2
    return [sum(number >= WRAP // 2 for number in numbers), len(lab.log.resent("a"))]


def header() -> list[int]:
    """Open a connection, and send a byte. Returns the bytes of the TCP header of the SYN and of the data, and the kinds of the SYN's options."""
    lab = network()
    frames: list[bytes] = []
    lab.a.port().taps.append(lambda time, way, frame: frames.append(frame) if way == OUTBOUND else None)
    client, server = lab.connected()
    lab.upload(b"!", client, server)
    kinds = [kind for kind in lab.log.sent["a"][0].options if kind > NOP]
    sizes = [(frame[14 + 20 + 12] >> 4) * 4 for frame in (frames[0], next(filter(is_data, frames)))]
    return [*sizes, *sorted(kinds)]


def wrong_bit() -> list[int]:
    """Flip a bit of the fifth segment. Returns the number of retransmissions, and of the errors that the receiver counts."""
    lab = network()
    client, server = lab.connected()
    lab.link.ab.flip(5, bit=-100, match=is_data)
    lab.upload(pattern(10 * MSS), client, server)
    again = lab.log.resent("a")
    assert [seg.seq for seg in again] == [lab.log.data("a")[4].seq]
    return [len(again), int(lab.b.counters.TcpInCsumErrors)]


def two_lost(**settings: Any) -> tuple[int, list[int], list[int]]:
    """Lose segments 2 and 4 of 6. Returns the time (ns), the blocks of the last duplicate ACK, and the retransmitted segments.

    The receiver acknowledges each segment at once, so that segment 3 does not carry the acknowledgement of segment 1.
    """
    lab = network(server={"tcp_quickack_segs": 16}, **settings)
    client, server = lab.connected()
    lab.link.ab.drop(2, 4, match=is_data)
    took = lab.upload(pattern(6 * MSS), client, server)
    base = lab.log.data("a")[0].seq
    duplicates = [seg for seg in lab.log.sent["b"] if seg.ack == (base + MSS) % WRAP]
    blocks = [(number - base) % WRAP // MSS + 1 for block in duplicates[-1].sack for number in block]
    return took, blocks, [(seg.seq - base) % WRAP // MSS + 1 for seg in lab.log.resent("a")]


VALUES = [
    LabValue("last", "The last acknowledgement number, minus the ISN?", "12,345 + 2", SIZE + 2, ""),
    LabValue(
        "zero",
        "Segments that begin before 0, and retransmissions?",
        "9,999 / 1,460 rounded up, 0",
        [7, 0],
        "segments",
    ),
    LabValue(
        "header",
        "The TCP headers of the SYN and of data: how many bytes has each?",
        "20 + 4 + 2 + 3 + 3, 20",
        [32, 20],
        "bytes",
    ),
    LabValue(
        "kinds",
        "Which kinds of options has the SYN, the padding left out?",
        "MSS, window scale, SACK permitted",
        [2, 3, 4],
        "",
    ),
    LabValue("bit", "One wrong bit: retransmissions, and errors counted?", "1, 1", [1, 1], ""),
    LabValue("sack", "The blocks of the last duplicate ACK (four numbers)?", "[5, 7), [3, 4)", [5, 7, 3, 4], ""),
    LabValue("time", "How long do six segments take, if 2 and 4 are lost?", "R / 2 + R", R + R // 2),
    LabValue("resent", "Which segments are retransmitted?", "2, 4", [2, 4], ""),
]


def measure(name: str) -> Any:
    """Measure one of VALUES."""
    if name in ("header", "kinds"):
        return header()[:2] if name == "header" else header()[2:]
    if name in ("time", "sack", "resent"):
        return two_lost()[("time", "sack", "resent").index(name)]
    return {"last": last_acknowledgement, "zero": across_zero, "bit": wrong_bit}[name]()


ISNS = [WRAP - 5 * MSS, WRAP - 1, WRAP // 2 - 3 * MSS, 0]
CONTROLS = [
    LabControl("Without SACK", LabValue("no sack", "The time of six segments", "R / 2 + 2 R", 2 * R + R // 2)),
    LabControl("Without SACK", LabValue("no sack resent", "Retransmitted segments", "2, 4", [2, 4], "")),
    LabControl("With four other ISNs", LabValue("isn", "The time", "R / 2 + R", [R + R // 2] * len(ISNS))),
]


def control(name: str) -> Any:
    """Measure a control."""
    if name == "isn":
        return [two_lost(client={"tcp_isn": isn})[0] for isn in ISNS]
    took, blocks, again = two_lost(tcp_sack=False)
    assert not blocks
    return again if name.endswith("resent") else took


LOOKS = [
    LabLook("Segments 2 and 4 are lost, and SACK says so", two_lost, 'host == "a" and event.kind == "sack"', "ladder"),
    LabLook("Without SACK", lambda: two_lost(tcp_sack=False), 'event.kind == "retransmit"', "ladder"),
]  # fmt: skip
