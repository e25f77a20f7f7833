"""Grades `reassemble` with what a server got, from connections that lose, repeat and reorder, and with overlaps."""

from types import ModuleType
from typing import Any

from pystack.labs.judging import compare
from pystack.labs.lab_09_segment.experiment import MSS, WRAP, network
from pystack.phy.match import is_data
from pystack.testing.lab import MS, pattern

HINTS = [
    "Run `pystack lab run 9`. Which number does the first byte of the stream have, and what comes after 2**32 - 1?",
    "Calculate the place of each segment in the stream: (number - isn - 1) % 2**32. Sort by that.",
    "Go through the sorted segments. Stop at a place beyond the end of the stream, and cut off what the stream has already.",
]
WRONG = {
    "wrong_sort.py": "A connection whose numbers pass 0 comes out wrong. Compare differences modulo 2**32, and not the numbers.",
    "wrong_hole.py": "A segment is missing, and your stream goes on behind it. Nobody may read beyond a hole.",
    "wrong_twice.py": "Bytes are in your stream twice. A retransmission may bring what is there already, or a part of it.",
    "wrong_begins.py": "Your stream ends where no segment begins, although one that begins earlier goes on there. Use the part of it that is new.",
    "wrong_syn.py": "Your stream is empty, or its first byte is wrong. The SYN has a number of its own, so the data begins at ISN + 1.",
}
SIZE = 20 * MSS + 100
Segments = list[tuple[int, bytes]]


def arrived(isn: int, case: str) -> Segments:
    """Return the segments that a server gets."""
    lab = network(client={"tcp_isn": isn})
    client, server = lab.connected()
    if "two" in case:
        lab.link.ab.drop(3, 7, match=is_data)
    if "twice" in case:
        lab.link.ab.repeat(2, 5, match=is_data)
    if "late" in case:
        lab.link.ab.hold(4, extra=3 * MS, match=is_data)
    lab.upload(pattern(SIZE), client, server)
    return [(seg.seq, seg.payload) for seg in lab.log.got["b"] if seg.payload]


def cases() -> dict[str, tuple[int, Segments, int]]:
    """Return for each case the ISN, the segments, and the length of the stream."""
    found = {}
    for isn in (1000, WRAP - 7000):
        where = "" if isn == 1000 else ", and the numbers pass 0"
        for case in ("nothing is lost", "segments are twice there", "two segments are lost", "one is late"):
            found[case + where] = (isn, arrived(isn, case), SIZE)
        lost = [segment for number, segment in enumerate(arrived(isn, "nothing is lost"), 1) if number not in (4, 6)]
        found["segment 4 is missing" + where] = (isn, lost, 3 * MSS)
        data, near = pattern(3000), isn if isn == 1000 else WRAP - 1500
        overlaps = [(at, data[at - 1 : at + 999]) for at in (1501, 1, 501, 2001, 1)]
        found["segments overlap" + where] = (near, [((near + at) % WRAP, part) for at, part in overlaps], 3000)
    return found


def check(answer: ModuleType) -> None:
    """Raise WrongAnswer unless the exercise is solved."""
    known = cases()

    def play(reassemble: Any, case: str) -> str:
        isn, segments, _ = known[case]
        return described(reassemble(isn, list(segments)))

    def right(case: str) -> str:
        return described(pattern(SIZE)[: known[case][2]])

    compare(
        answer,
        "reassemble",
        [(case,) for case in known],
        right,
        WRONG,
        __package__,
        play,
        lambda case: f"If {case}, the result",
    )


def described(stream: Any) -> str:
    """Return what is compared."""
    if not isinstance(stream, bytes | bytearray):
        return f"{type(stream).__name__}, which is not bytes"
    good = next((at for at, (one, other) in enumerate(zip(stream, pattern(SIZE))) if one != other), len(stream))
    return f"{len(stream)} bytes" + ("" if good == len(stream) else f", of which the first {good} are right")
