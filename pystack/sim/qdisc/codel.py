"""CoDel: packets are dropped, or marked, if each one of the last 100 ms waited too long (RFC 8289, tc-codel(8))."""

from collections import deque
from math import isqrt
from typing import Protocol

from pystack.sim.qdisc.base import TXQUEUELEN, Qdisc, whole
from pystack.sim.units import time_text

MS = 1_000_000
#: a CE threshold that no packet reaches
NEVER = 1 << 62


class Owner(Protocol):
    """The discipline that a CoDel queue belongs to: it counts what CoDel decides."""

    ecn: bool
    ce_threshold: int

    def lost(self, frame: bytes) -> None:
        """A frame leaves the queue because it is dropped."""

    def drop(self, frame: bytes, now: int, name: str, why: str, rfc: str = "", **fields: object) -> None:
        """See Qdisc.drop."""

    def mark(self, frame: bytes, now: int, name: str, why: str, rfc: str, **fields: object) -> bytes | None:
        """See Qdisc.mark."""


class CoDelQueue:
    """One queue, and the variables of RFC 8289 5.2. Times are in ns."""

    def __init__(self, target: int, interval: int) -> None:
        self.target = target
        self.interval = interval
        self.frames: deque[tuple[int, bytes]] = deque()
        self.backlog = 0
        self.first_above_time = 0
        self.drop_next = 0
        self.count = self.lastcount = 0
        self.dropping = False
        self.maxpacket = 0
        self.ldelay = 0

    def append(self, frame: bytes, now: int) -> None:
        """Add a frame, with the time at which it arrived."""
        self.frames.append((now, frame))
        self.backlog += len(frame)

    def control_law(self, time: int) -> int:
        """The time of the next drop: the interval divided by the square root of the number of drops (RFC 8289 5.6)."""
        return time + isqrt(self.interval * self.interval // self.count)

    def _take(self, now: int) -> tuple[bytes | None, int, bool]:
        """Take the first frame. Returns it, its time in the queue, and whether it is too late for longer than an interval."""
        if not self.frames:
            self.first_above_time = 0
            return None, 0, False
        since, frame = self.frames.popleft()
        self.backlog -= len(frame)
        self.maxpacket = max(self.maxpacket, len(frame))
        delay = self.ldelay = now - since
        if delay < self.target or self.backlog <= self.maxpacket:
            # RFC 8289 4.1: with less than a packet in the queue, there is no standing queue.
            self.first_above_time = 0
            return frame, delay, False
        if self.first_above_time == 0:
            self.first_above_time = now + self.interval
            return frame, delay, False
        return frame, delay, now >= self.first_above_time

    def next(self, now: int, owner: Owner) -> bytes | None:
        """The next frame to send, after the drops that are due (RFC 8289 5.5)."""
        frame, delay, late = self._take(now)
        if not late:
            self.dropping = False
        elif self.dropping:
            frame, delay = self._while_dropping(frame, delay, now, owner)
        else:
            frame, delay = self._begin(frame, delay, now, owner)
        if frame is not None and delay > owner.ce_threshold:
            why = "the packet waited longer than ce_threshold"
            frame = owner.mark(frame, now, "ce", why, "RFC 8290 5.2.7", sojourn=delay) or frame
        return frame

    def _begin(self, frame: bytes | None, delay: int, now: int, owner: Owner) -> tuple[bytes | None, int]:
        """Enter the state in which packets are dropped: one is dropped now, and the next one an interval later."""
        self.dropping = True
        # RFC 8289 5.5: if the queue was controlled a short time ago, go on with the rate of drops that did it.
        delta = self.count - self.lastcount
        self.count = delta if delta > 1 and now - self.drop_next < 16 * self.interval else 1
        self.drop_next = self.control_law(now)
        self.lastcount = self.count
        if frame is None:
            return None, 0
        marked = self._mark(frame, delay, now, owner)
        if marked is not None:
            return marked, 0
        frame, delay, _ = self._lose(frame, delay, now, owner)
        return frame, delay

    def _while_dropping(self, frame: bytes | None, delay: int, now: int, owner: Owner) -> tuple[bytes | None, int]:
        """Drop what is due. Several drops may be, if no packet was sent for a while."""
        while self.dropping and now >= self.drop_next and frame is not None:
            self.count += 1
            marked = self._mark(frame, delay, now, owner)
            if marked is not None:
                self.drop_next = self.control_law(self.drop_next)
                return marked, 0
            frame, delay, late = self._lose(frame, delay, now, owner)
            if not late:
                self.dropping = False
            else:
                self.drop_next = self.control_law(self.drop_next)
        return frame, delay

    def _mark(self, frame: bytes, delay: int, now: int, owner: Owner) -> bytes | None:
        """Mark a packet, if the discipline marks. Returns it, or None if it has to be dropped."""
        if not owner.ecn:
            return None
        why = f"packets waited longer than the target of {time_text(self.target)} for a whole interval"
        fields = {"sojourn": delay, "count": self.count, "drop_next": self.drop_next}
        return owner.mark(frame, now, "codel", why, "RFC 8289 4.3", **fields)

    def _lose(self, frame: bytes, delay: int, now: int, owner: Owner) -> tuple[bytes | None, int, bool]:
        """Drop a packet, and take the next one."""
        why = f"packets waited longer than the target of {time_text(self.target)} for a whole interval"
        fields = {"sojourn": delay, "count": self.count, "drop_next": self.drop_next}
        owner.lost(frame)
        owner.drop(frame, now, "codel", why, "RFC 8289 4.3", **fields)
        return self._take(now)


class Codel(Qdisc):
    """`codel [limit PACKETS] [target TIME] [interval TIME] [ecn] [ce_threshold TIME]`: one queue for all packets."""

    kind = "codel"

    def __init__(
        self,
        limit: int = TXQUEUELEN,
        target: int = 5 * MS,
        interval: int = 100 * MS,
        ecn: bool = False,
        ce_threshold: int = NEVER,
    ) -> None:
        super().__init__()
        self.limit = whole("limit", limit)
        self.target, self.interval = whole("target", target), whole("interval", interval)
        self.ecn, self.ce_threshold = bool(ecn), whole("ce_threshold", ce_threshold, 0)
        self.queue = CoDelQueue(target, interval)
        self.drop_overlimit = 0

    def enqueue(self, frame: bytes, now: int) -> bool:
        """See Qdisc."""
        if self.qlen >= self.limit:
            self.drop_overlimit += 1
            self.drop(frame, now, "overlimit", "the queue is full", "RFC 7567 2")
            return False
        self.queue.append(frame, now)
        self.qlen += 1
        self.backlog += len(frame)
        return True

    def lost(self, frame: bytes) -> None:
        """See Owner."""
        self.qlen -= 1
        self.backlog -= len(frame)

    def dequeue(self, now: int) -> bytes | None:
        """See Qdisc."""
        frame = self.queue.next(now, self)
        if frame is None:
            return None
        self.lost(frame)
        return self.sent(frame)

    def text(self) -> str:
        """See Qdisc."""
        return " ".join((f"limit {self.limit}p", *codel_words(self.target, self.interval, self.ce_threshold, self.ecn)))

    def extra(self) -> list[str]:
        """See Qdisc."""
        queue = self.queue
        dropping = f" dropping drop_next {time_text(queue.drop_next)}" if queue.dropping else ""
        return [
            f"  count {queue.count} lastcount {queue.lastcount} ldelay {time_text(queue.ldelay)}{dropping}",
            f"  maxpacket {queue.maxpacket} ecn_mark {self.marks['codel']} drop_overlimit {self.drop_overlimit}",
        ]


def codel_words(target: int, interval: int, ce_threshold: int, ecn: bool) -> list[str]:
    """The parameters of CoDel as tc prints them."""
    words = [f"target {time_text(target)}", f"interval {time_text(interval)}"]
    if ce_threshold != NEVER:
        words.append(f"ce_threshold {time_text(ce_threshold)}")
    return [*words, *(["ecn"] if ecn else [])]
