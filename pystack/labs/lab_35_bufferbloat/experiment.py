"""An upload fills the queue in front of a slow link. How long does a small request beside it take, and how busy is the link?"""

from functools import cache
from typing import Any

from pystack.labs.lab_35_bufferbloat import beside
from pystack.labs.lab_35_bufferbloat.beside import SMALL, Beside, measured
from pystack.labs.looks import LabLook
from pystack.labs.values import LabControl, LabValue
from pystack.sim.programs import Program, datagram, sleep
from pystack.sim.qdisc import Codel
from pystack.testing.lab import MS, B, Lab, S, lab_net

R, RATE = 40 * MS, 5_000_000
FRAME = 1514  # bytes
MSS = 1460
DEEP = 100  # packets
BDP = RATE * R // S // 8  # bytes that are on their way if the link is busy
RIGHT = BDP // FRAME  # packets
TARGET, INTERVAL = 5 * MS, 100 * MS
WINDOW = (R + TARGET) * RATE / 8 / S / FRAME  # packets on their way if TARGET is the wait in the queue
SECONDS, SINCE = 8, 3


def sent(size: int) -> int:
    """Return for how long the link sends so many bytes (ns)."""
    return size * 8 * S // RATE


ALONE = R + sent(14 + 20 + 8 + SMALL)
WAIT = sent(FRAME)


def network(queue: str = f"pfifo limit {DEEP}", **settings: Any) -> Lab:
    """Build the network: a client `a` and a server `b`, and a queue in front of the slow link from a to b."""
    return beside.network(RATE, R // 2, queue, **settings)


@cache
def upload(queue: str, ecn: bool = False, flows: int = 1) -> Beside:
    """Run an upload, and requests beside it."""
    return measured(network(queue, **({"tcp_ecn": 1} if ecn else {})), RATE, SECONDS, SINCE, flows)


def repeated(ecn: bool) -> int:
    """Run an upload through CoDel. Returns how many segments TCP repeats."""
    return len(upload("codel ecn" if ecn else "codel", ecn).lab.log.resent("a"))


class Watched(Codel):
    """CoDel with a list of the times of its drops."""

    def __init__(self) -> None:
        super().__init__()
        self.times: list[int] = []

    def drop(self, frame: bytes, now: int, *rest: Any, **fields: Any) -> None:
        """See Qdisc."""
        self.times.append(now)
        super().drop(frame, now, *rest, **fields)


def drops(rate: int) -> list[int]:
    """Offer datagrams at a rate, without regard for drops. Returns when CoDel drops for the first five times (ns), if it does so within 2 s."""
    queue = Watched()
    lab = lab_net(R // 2, link={"ab": {"rate": RATE, "qdisc": queue}})
    sock = datagram(lab.a)

    def send() -> Program:
        while len(queue.times) < 5 and lab.net.now < 2 * S:
            sock.sendto(bytes(FRAME - 42), B, 9)
            yield sleep(FRAME * 8 * S // rate)

    lab.run(send())
    return queue.times[:5]


VALUES = [
    LabValue("deep", "A queue for 100 packets: how long does the slowest request take?", "R + 100 F / rate + s", ALONE + DEEP * WAIT,
             tolerance=WAIT),
    LabValue("deep share", "Which share of the rate is data of the upload?", "1,460 / 1,514", 100 * MSS / FRAME, "%", 1),
    LabValue("bdp", "A queue for R * rate, which is 16 packets: how long does the slowest request take?", "R + 16 F / rate + s",
             ALONE + RIGHT * WAIT, tolerance=WAIT),
    LabValue("bdp share", "Which share of the rate is data of the upload now?", "1,460 / 1,514", 100 * MSS / FRAME, "%", 2),
    LabValue("fq_codel", "FQ-CoDel: how long does the slowest request take?", "R + F / rate + s", ALONE + WAIT, tolerance=MS // 2),
    LabValue("drops", "CoDel, and a sender that does not care: the times between its first five drops?", "I / sqrt(n)",
             [round(INTERVAL / count**0.5) for count in (1, 2, 3, 4)], tolerance=WAIT),
    LabValue("marks", "CoDel marks packets instead (ECN): how many segments does TCP repeat?", "none", 0, "segments"),
]  # fmt: skip


def measure(name: str) -> Any:
    """Measure one of VALUES."""
    if name == "drops":
        times = drops(RATE * 6 // 5)
        return [after - before for before, after in zip(times, times[1:])]
    if name == "marks":
        return repeated(True)
    if name == "fq_codel":
        return max(upload("fq_codel").times(SINCE * S))
    found = upload(f"pfifo limit {DEEP if name.startswith('deep') else RIGHT}")
    return 100 * found.share if name.endswith("share") else max(found.times())


CONTROLS = [
    LabControl("Nothing but requests", LabValue("alone", "The slowest request", "R + s", ALONE)),
    LabControl("A sender of 95 % of the rate", LabValue("slower", "How many packets CoDel drops", "none", 0, "packets")),
    LabControl("CoDel drops instead of marking", LabValue("dropped", "Segments that TCP repeats in 8 s", "8 s / (W / 2 * (R + target))",
               SECONDS * S / (WINDOW / 2 * (R + TARGET)), "segments", 3)),
]  # fmt: skip


def control(name: str) -> Any:
    """Measure a control."""
    if name == "slower":
        return len(drops(RATE * 19 // 20))
    if name == "alone":
        return max(upload("pfifo", flows=0).times())
    return repeated(False)


def shortly(queue: str) -> None:
    """Run an upload and requests for 1.5 s, to look at."""
    measured(network(queue), RATE, 1.5, 1)


LOOKS = [
    LabLook("An upload fills a queue for 100 frames", lambda: shortly(f"pfifo limit {DEEP}"), 'event.kind == "drop"', "rtt", "a tcp"),
    LabLook("The same with FQ-CoDel", lambda: shortly("fq_codel"), 'event.kind == "drop"', "rtt", "a tcp"),
]  # fmt: skip
