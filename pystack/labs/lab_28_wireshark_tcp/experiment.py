"""A client uploads 1 MB, two segments are lost, and the server does not read for a second. What does a capture show?"""

from functools import cache
from pathlib import Path
from typing import Any

from pystack.labs import tshark
from pystack.labs.lab_28_wireshark_tcp import solution
from pystack.labs.looks import LabLook
from pystack.labs.values import LabControl, LabValue
from pystack.phy.match import is_data
from pystack.testing.lab import MS, Lab, S, lab_net, pattern, sleep
from pystack.testing.segments import M32, SYN

R = 20 * MS
SIZE, PAUSE, DROPS = 1_000_000, S, (20, 40)
FILTERS = {
    "repeated": "tcp.analysis.retransmission || tcp.analysis.fast_retransmission",
    "duplicates": "tcp.analysis.duplicate_ack",
    "closed": "tcp.analysis.zero_window",
    "damaged": "_ws.malformed || tcp.checksum.status == 0 || ip.checksum.status == 0",
}
NEEDS: dict[str, Any] = {"needs": "tshark"}


def network() -> Lab:
    """Build the network: a client `a` and a server `b`, half a round trip apart each way."""
    return lab_net(R // 2, server={"tcp_rmem": 65_536})


def upload(lab: Lab, drops: tuple[int, ...]) -> None:
    """Upload, with these data segments lost, and a server that sleeps in the middle."""
    lab.link.ab.drop(*drops, match=is_data)
    client, server = lab.connected()
    data = pattern(SIZE)

    def put():
        yield client.sendall(data)
        client.close()

    def take():
        first = yield server.recv_exactly(SIZE // 2)
        yield sleep(PAUSE)
        rest = yield server.recv_all()
        server.close()
        return first + rest

    assert lab.run(put(), take())[1] == data
    lab.net.run_until_idle()


def write(path: Path, drops: tuple[int, ...] = DROPS) -> None:
    """Write the client's capture, with what its stack decided."""
    lab = network()
    lab.net.annotated_capture(str(path), lab.a.port())
    upload(lab, drops)
    lab.net.close()


@cache
def found(what: str, drops: tuple[int, ...] = DROPS) -> int:
    """Ask tshark how many frames a filter finds."""
    return len(tshark.ask(lambda path: write(path, drops), FILTERS[what]))


@cache
def segments(drops: tuple[int, ...] = DROPS) -> list[tuple[str, int, int, int, bool]]:
    """Return the segments at the client, by pystack's own reading: (way, number, length, window, SACK), with numbers from 0 on."""
    lab = network()
    upload(lab, drops)
    first = lab.log.sent["a"][0].seq + 1
    rows = [(seg.time, 0, ("data", (seg.seq - first) & M32, len(seg), 0, False)) for seg in lab.log.data("a")]
    answers = [seg for seg in lab.log.got["a"] if not seg.has(SYN)]
    rows += [(seg.time, 1, ("ack", (seg.ack - first) & M32, 0, seg.window, bool(seg.sack))) for seg in answers]
    return [row for _, _, row in sorted(rows, key=lambda row: (row[0], -row[1]))]


VALUES = [
    LabValue("repeated", "How many retransmissions does Wireshark find?", "2: what was lost", 2, "frames", **NEEDS),
    LabValue("enough", "Are there at least 3 duplicate acknowledgements for each loss? (1 is yes)", "1", 1, "", **NEEDS),
    LabValue("closed", "Is the window closed at least once? (1 is yes)", "1", 1, "", **NEEDS),
    LabValue("damaged", "How many frames with a wrong checksum?", "0", 0, "frames", **NEEDS),
    LabValue("own", "Retransmissions by pystack's own reading?", "2", 2, "segments"),
    LabValue("agree", "By how many duplicates and closed windows do both readings differ?", "0, 0", [0, 0], "", **NEEDS),
]  # fmt: skip


def measure(name: str) -> Any:
    """Measure one of VALUES."""
    if name in ("enough", "closed"):
        return int(found("duplicates") >= 3 * len(DROPS) if name == "enough" else found("closed") >= 1)
    if name in FILTERS:
        return found(name)
    repeated, duplicates, closed = solution.count(segments())
    return repeated if name == "own" else [abs(duplicates - found("duplicates")), abs(closed - found("closed"))]


CONTROLS = [
    LabControl("Nothing is lost", LabValue("none", "Retransmissions", "0", 0, "frames", **NEEDS)),
    LabControl("Nothing is lost", LabValue("no duplicates", "Duplicate acknowledgements", "0", 0, "frames", **NEEDS)),
    LabControl(
        "Nothing is lost", LabValue("own none", "Retransmissions, duplicates by pystack's reading", "0, 0", [0, 0], "")
    ),
]


def control(name: str) -> Any:
    """Measure a control."""
    if name == "own none":
        return list(solution.count(segments(()))[:2])
    return found("repeated" if name == "none" else "duplicates", ())


LOOKS = [
    LabLook("Two lost segments, and a server that sleeps", lambda: upload(network(), DROPS), 'event.kind == "retransmit"', "sequence", "a "),
]  # fmt: skip
