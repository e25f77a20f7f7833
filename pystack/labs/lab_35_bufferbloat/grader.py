"""Grades the queue: it stands in front of links of several rates, with a burst, one upload, and several."""

from types import ModuleType
from typing import NamedTuple

from pystack.labs.judging import function
from pystack.labs.lab_35_bufferbloat.beside import measured, network
from pystack.labs.values import WrongAnswer
from pystack.sim.programs import datagram
from pystack.sim.qdisc import Qdisc
from pystack.testing.lab import MS, B, S

DELAY = 20 * MS
FAST, SLOW = 5_000_000, 100_000  # bits a second
BURST = 15
HINTS = [
    "Run `pystack lab run 35`. How long does a packet wait on each of the two links if 16 packets are in the queue? So what must your queue look at?",
    "Two things last: since when packets wait too long, and how many have been dropped since then. Forget both as soon as a packet has not waited too long.",
    "In `dequeue`: if the packet is late for an INTERVAL, drop it and take the next one. Drop again at next_drop, and add INTERVAL / drops ** 0.5 to next_drop.",
]
WRONG = {
    "wrong_burst.py": "Your queue drops packets of a short burst. A queue is there for bursts: drop only if packets have waited too long for a whole INTERVAL.",
    "wrong_forever.py": "Your queue goes on with its drops after it has become short. The first packet that has not waited too long ends them.",
    "wrong_order.py": "Your queue sends a packet before one that came earlier. Keep their order: TCP takes a packet that is overtaken for a lost one.",
    "wrong_limit.py": "Your queue is short on a fast link, and too long on a slow one, because it counts packets. Look at the time for which they wait.",
    "wrong_last.py": "Your queue drops the last packet, and then a slow link has nothing to send. Do not drop if nothing waits behind the packet.",
    "wrong_constant.py": "If several senders share the link, one drop in each INTERVAL is not enough. As long as packets wait too long, drop more and more often.",
}


class Packet:
    """What the learner's queue gets: a length."""

    __slots__ = ("_frame", "since", "size")

    def __init__(self, frame: bytes, since: int):
        self.size, self.since, self._frame = len(frame), since, frame


class LearnersQueue(Qdisc):
    """The learner's queue as a queueing discipline. `waits` has the time at which each packet left, and how long it had waited (ns)."""

    kind = "learners"

    def __init__(self, answer: ModuleType):
        super().__init__()
        self.queue = function(answer, "Aqm")()
        self.inside: dict[int, Packet] = {}
        self.waits: list[tuple[int, int]] = []
        self.newest = 0  # when the packet that left last had come

    def enqueue(self, frame: bytes, now: int) -> bool:
        """See Qdisc."""
        packet = Packet(frame, now)
        self.inside[id(packet)] = packet
        self.qlen += 1
        self.queue.enqueue(packet, now)
        return True

    def dequeue(self, now: int) -> bytes | None:
        """See Qdisc. Whether packets are left is known only when the learner's queue says that it has none."""
        packet: object = self.queue.dequeue(now)
        if packet is None:
            self.qlen = 0
            return None
        known = self.inside.pop(id(packet), None)
        if known is None:
            raise WrongAnswer(
                "`dequeue` must return None, or a packet that `enqueue` has got, and each one once at most."
            )
        if known.since < self.newest:
            raise WrongAnswer(WRONG["wrong_order.py"])
        self.newest = known.since
        self.waits.append((now, now - known.since))
        return self.sent(known._frame)


class Result(NamedTuple):
    """What uploads made of a queue: the mean wait of packets in ms, and the share of the rate that the payload had, in per cent."""

    wait: float
    share: float


def burst(answer: ModuleType) -> int:
    """Send 15 datagrams at once over the fast link. Returns how many leave the queue."""
    queue = LearnersQueue(answer)
    lab = network(FAST, DELAY, queue)
    sock = datagram(lab.a)
    for _ in range(BURST):
        sock.sendto(bytes(1472), B, 9)
    lab.net.run(until=S)
    return len(queue.waits)


def uploads(answer: ModuleType, rate: int, flows: int, seconds: int, since: int) -> Result:
    """Let some uploads use the link."""
    queue = LearnersQueue(answer)
    share = measured(network(rate, DELAY, queue), rate, seconds, since, flows).share
    waits = [wait for at, wait in queue.waits if at >= since * S] or [0]
    return Result(sum(waits) / len(waits) / MS, 100 * share)


def check(answer: ModuleType) -> None:
    """Raise WrongAnswer unless the exercise is solved."""
    left = burst(answer)
    if left < BURST:
        raise WrongAnswer(f"{WRONG['wrong_burst.py']} ({left} of {BURST} packets have passed)")
    one = uploads(answer, FAST, 1, 5, 1)
    if one.share < 70:
        raise WrongAnswer(f"{WRONG['wrong_forever.py']} (an upload gets {one.share:.0f} % of 5 Mbit/s, and needs 70 %)")
    if one.wait > 30:
        raise WrongAnswer(
            f"With one upload over 5 Mbit/s, packets wait for {one.wait:.0f} ms in your queue, and may wait for 30 ms. Which packets can you drop?"
        )
    slow = uploads(answer, SLOW, 1, 30, 5)
    if slow.wait > 200:
        raise WrongAnswer(
            f"{WRONG['wrong_limit.py']} (they wait for {slow.wait:.0f} ms at 100 kbit/s, and may wait for 200 ms)"
        )
    if slow.share < 88:
        raise WrongAnswer(f"{WRONG['wrong_last.py']} (an upload gets {slow.share:.0f} % of 100 kbit/s, and needs 88 %)")
    crowd = uploads(answer, FAST, 4, 5, 1)
    if crowd.wait > 30:
        raise WrongAnswer(
            f"{WRONG['wrong_constant.py']} (with four uploads, packets wait for {crowd.wait:.0f} ms, and may wait for 30 ms)"
        )
    if crowd.share < 70:
        raise WrongAnswer(
            f"Four uploads get {crowd.share:.0f} % of 5 Mbit/s, and need 70 %. Your queue drops too much."
        )
