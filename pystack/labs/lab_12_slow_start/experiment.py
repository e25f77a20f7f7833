"""A client asks for a number of bytes, and the server's congestion window grows. Nothing is lost."""

from typing import Any

from pystack.labs.looks import LabLook
from pystack.labs.values import LabControl, LabValue
from pystack.testing.lab import MS, Lab, lab_net, rounds

R = 100 * MS  # the round trip
MSS = 1460  # bytes of a full segment
SSTHRESH = 80  # segments: from here on the window grows by one segment in a round

#: bytes of the answer -> k, the smallest number with 10 (2^k - 1) segments >= the answer
SIZES = {14_600: 1, 14_601: 2, 43_800: 2, 43_801: 3, 102_201: 4, 1_000_000: 7}


def network(**settings: Any) -> Lab:
    """Build the network: a client `a` and a server `b`, half a round trip apart each way."""
    return lab_net(R // 2, **settings)


def transfer(size: int) -> int:
    """Return the time (ns) from connect() to the last byte of an answer of `size` bytes."""
    return network().fetch(size)


def by_round(**settings: Any) -> list[int]:
    """Return how many segments the server sends in each round trip of a long answer, with an ssthresh of 80."""
    lab = network(tcp_init_ssthresh=SSTHRESH * MSS, **settings)
    lab.fetch(MSS * 600)
    return rounds(lab.log.data("b"), R)


VALUES = [
    LabValue(
        "rounds",
        "ssthresh is 80 segments. How many segments does the server send in each of the first 7 rounds?",
        "10 * 2^n up to 80, then + 1",
        [10, 20, 40, 80, 81, 82, 83],
        "segments",
    ),
    *(
        LabValue(
            f"{size} bytes", f"How long from connect() to the last byte of {size:,} bytes?", f"(1 + {k}) R", (1 + k) * R
        )
        for size, k in SIZES.items()
    ),
]


def measure(name: str) -> Any:
    """Measure one of VALUES."""
    return by_round()[:7] if name == "rounds" else transfer(int(name.split()[0]))


CONTROLS = [
    LabControl(
        "The sender counts acknowledgements, and not acknowledged bytes (no RFC 3465)",
        LabValue("acks", "Segments in the first 4 rounds", "* 1.5", [10, 15, 23, 35], "segments"),
    )
]


def control(name: str) -> list[int]:
    """Measure the control: a delayed acknowledgement is for two segments, so the window grows by half."""
    return by_round(tcp_abc_l=0)[:4]


LOOKS = [
    LabLook("The window doubles up to 80 segments, and then grows by one", lambda: by_round(), 'host == "b" and event.kind == "cwnd" and event.fields.old > 0', "cwnd", "b "),
]  # fmt: skip
