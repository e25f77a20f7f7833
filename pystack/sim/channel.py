"""A model of one direction of a link: delay, rate and queue, loss, reordering, duplication, corruption, MTU.

A channel has neither a clock nor a scheduler: `send(frame, now)` returns the bytes that arrive, and the times. The simulator puts the
answers into virtual time, and a device wrapper can put them into real time. The order is that of a real link: the frame waits in the
sender's queue, takes its time on the wire, and may be damaged there.

Each random impairment draws once a frame from a generator of its own, whose seed comes from the channel's seed and
the impairment's name. So if you switch one on, the others behave as before.
"""

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import pystack_c.const as C
from pystack.phy.match import Match
from pystack.sim.impairments import Burst, LinkTrace, check_setting
from pystack_c.base.rng import Rng
from pystack_c.packet import Transmit
from pystack_c.wire.vlan import TAG_LEN, TPID

Arrivals = list[tuple[int, bytes]]
#: the action of a rule on a frame that it has chosen: (frame, arrival) -> arrivals, or the reason of a drop
Action = Callable[[bytes, int], "Arrivals | str"]


class Chance(NamedTuple):  # python
    """What chance decides for one frame."""

    #: "loss", "burst", or "" if the frame is not lost
    lost: str = ""
    late: bool = False
    twice: bool = False
    corrupt: bool = False
    #: the part of the jitter (ns) that the frame gets
    extra: int = 0


class Stats:
    """Counts of what happened in a channel."""

    def __init__(self) -> None:
        self.frames = 0  # offered
        self.bytes = 0
        self.delivered = 0  # arrivals, duplicates included
        self.delivered_bytes = 0
        self.drops: dict[str, int] = {}
        self.duplicated = 0
        self.corrupted = 0
        self.reordered = 0
        self.marked = 0  # marked CE by the queue
        self.queue_max = 0  # the most frames that waited at once
        self.wait_max = 0  # the longest time for which a frame waited before its first bit was sent, in ns
        self.busy = 0  # the time for which the wire was in use, in ns

    def dropped(self) -> int:  # python
        """All drops."""
        return sum(self.drops.values())

    def as_dict(self) -> dict[str, object]:  # python
        """All values by name."""
        return {name: getattr(self, name) for name in _COUNTS}


class Rule:  # python
    """An action on chosen frames. The frames that `match` accepts are counted from 1, and `chosen(n)` picks among them."""

    def __init__(self, match: Match | None, chosen: Callable[[int], bool], action: Action):
        self.match = match
        self.chosen = chosen
        self.action = action
        self.count = 0

    def applies(self, frame: bytes) -> bool:
        """Count the frame. Returns True if the action applies to it."""
        if self.match is not None and not self.match(frame):
            return False
        self.count += 1
        return self.chosen(self.count)


def flip_bit(frame: bytes, bit: int) -> bytes:  # python
    """The frame with one bit (counted from the first byte's highest) changed."""
    out = bytearray(frame)
    out[bit >> 3] ^= 0x80 >> (bit & 7)
    return bytes(out)


def mark_ce(frame: bytes, at: int) -> bytes:  # python
    """The frame with its IPv4 packet, which begins at `at`, marked CE. The frame is unchanged if the packet is not ECN-capable (RFC 3168 5)."""
    if len(frame) < at + 20 or frame[at] >> 4 != 4 or frame[at + 1] & 3 in (0, 3):
        return frame
    out = bytearray(frame)
    out[at + 1] |= 3
    # RFC 1624: HC' = ~(~HC + ~m + m')
    total = (~int.from_bytes(frame[at + 10 : at + 12], "big") & 0xFFFF) + (~frame[at + 1] & 0xFFFF) + out[at + 1]
    total = (total & 0xFFFF) + (total >> 16)
    out[at + 10 : at + 12] = (~((total & 0xFFFF) + (total >> 16)) & 0xFFFF).to_bytes(2, "big")
    return bytes(out)


class Channel:
    """One direction of a link. You may change all settings at any time. They hold for the frames that are sent from then on.

    delay          ns from the last bit sent to its arrival
    rate           bit/s, or 0: infinite
    queue          frames that may wait while one is being sent (None: no bound); queue_bytes: the same in bytes
    mark           ECN-capable packets are marked CE while more than so many frames wait (None: never)
    mtu            longest IP packet in bytes (0: no bound); longer ones are dropped. The tag of a VLAN does not count (IEEE 802.3 3.2.7)
    overhead       bytes each frame takes on the wire besides its own (24 for Ethernet's FCS, preamble and gap)
    loss           probability that a frame is lost
    burst          loss in bursts (impairments.Burst), besides `loss`; None: none
    trace          a rate and a delay that follow a trace (impairments.LinkTrace) and replace `rate` and `delay`; None: they stay.
                   A frame never overtakes another one because the delay of the trace falls
    reorder        probability that a frame takes `reorder_delay` longer, so that others overtake it
    duplicate      probability that a frame arrives twice
    corrupt        probability that one bit of a frame is flipped
    jitter         a delay up to this many ns longer, without overtaking
    """

    def __init__(
        self,
        seed: object = 0,
        name: str = "channel",
        *,
        delay: int = 0,
        rate: int = 0,
        queue: int | None = None,
        queue_bytes: int | None = None,
        mark: int | None = None,
        mtu: int = 0,
        overhead: int = 0,
        loss: float = 0.0,
        burst: Burst | None = None,
        trace: LinkTrace | None = None,
        reorder: float = 0.0,
        reorder_delay: int = 0,
        duplicate: float = 0.0,
        corrupt: float = 0.0,
        jitter: int = 0,
        kind: int = C.LINK_ETHERNET,
    ):
        self.name = name
        self.seed = seed
        self.delay = delay
        self.rate = rate
        self.queue = queue
        self.queue_bytes = queue_bytes
        self.mark = mark
        self.mtu = mtu
        self.overhead = overhead
        self.loss = loss
        self.burst = burst
        self.trace = trace
        self.reorder = reorder
        self.reorder_delay = reorder_delay
        self.duplicate = duplicate
        self.corrupt = corrupt
        self.jitter = jitter
        #: called with each frame, the time and what arrives; it returns what arrives instead (stepper/branch.py)
        self.meddle: Callable[[bytes, int, Arrivals], Arrivals] | None = None
        self.up = True
        for setting in SETTINGS:
            check_setting(setting, getattr(self, setting))
        self.header = C.ETH_HLEN if kind == C.LINK_ETHERNET else 0
        self.rules: list[Rule] = []
        self.stats = Stats()
        self._rngs = {what: Rng(f"{seed}/{name}/{what}") for what in _RANDOM}
        self._free_at = 0  # the time at which the wire has sent all that was accepted, rounded up to ns
        self._ahead = 0  # the part of a ns, in units of 1 / _ahead_of, by which it has sent it earlier
        self._ahead_of = 1
        self._last_arrival = 0
        self._bad = False  # the state of `burst`
        self._starts: deque[tuple[int, int]] = deque()  # (start of sending, length) of the frames that wait
        self._waiting_bytes = 0

    @property
    def free_at(self) -> int:
        """The time (ns) at which the wire has sent all that was accepted. It may have passed."""
        return self._free_at

    # -- rules by number -------------------------------------------------------------------------------------------

    def drop(self, *numbers: int, match: Match | None = None) -> Rule:  # python
        """From now on, lose these frames, counted from 1 among those that `match` accepts."""
        return self.rule(match, lambda n: n in numbers, lambda frame, arrival: "rule")

    def drop_every(self, period: int, match: Match | None = None) -> Rule:  # python
        """Lose every `period`-th frame."""
        return self.rule(match, lambda n: n % period == 0, lambda frame, arrival: "rule")

    def drop_if(self, match: Match) -> Rule:  # python
        """Lose all frames that `match` accepts."""
        return self.rule(match, lambda n: True, lambda frame, arrival: "rule")

    def hold(self, *numbers: int, extra: int, match: Match | None = None) -> Rule:  # python
        """Let these frames arrive `extra` ns later."""
        return self.rule(match, lambda n: n in numbers, lambda frame, arrival: [(arrival + extra, frame)])

    def repeat(self, *numbers: int, match: Match | None = None, extra: int = 0) -> Rule:  # python
        """Let these frames arrive twice, the second time `extra` ns later."""
        return self.rule(
            match, lambda n: n in numbers, lambda frame, arrival: [(arrival, frame), (arrival + extra, frame)]
        )

    def flip(self, *numbers: int, bit: int, match: Match | None = None) -> Rule:  # python
        """Change bit `bit` of these frames (negative: from the end)."""
        return self.rule(
            match,
            lambda n: n in numbers,
            lambda frame, arrival: [(arrival, flip_bit(frame, bit if bit >= 0 else len(frame) * 8 + bit))],
        )

    def rule(self, match: Match | None, chosen: Callable[[int], bool], action: Action) -> Rule:  # python
        """Add a rule. The first rule that applies decides, and all rules count."""
        rule = Rule(match, chosen, action)
        self.rules.append(rule)
        return rule

    # -- the model -------------------------------------------------------------------------------------------------

    def send(self, frame: bytes, now: int) -> Arrivals:
        """Take a frame from the sender. Returns the times and bytes of what arrives at the other end; [] if nothing does."""
        arrivals = self._send(frame, now)
        if self.meddle is not None:
            arrivals = self.meddle(frame, now, arrivals)
        return arrivals

    def _send(self, frame: bytes, now: int) -> Arrivals:
        stats = self.stats
        length = len(frame)
        stats.frames += 1
        stats.bytes += length
        if not self.up:
            return self._lost("down")
        if self.mtu and length - self.header > self.mtu and not self._fits(frame):
            return self._lost("mtu")
        if self.trace is not None:
            _, rate, self.delay = self.trace.at(now)  # object
            self.rate = rate or 0
        sent = now
        if self.rate:
            sent = self._transmit(length, now)
            if sent < 0:
                return self._lost("queue")
            if self.mark is not None and len(self._starts) > self.mark:
                plain, frame = frame, mark_ce(frame, self.header)
                stats.marked += frame is not plain
        if not (
            self.loss
            or self.rules
            or self.reorder
            or self.duplicate
            or self.corrupt
            or self.jitter
            or self.burst is not None
            or self.trace is not None
        ):  # the usual case, quickly
            stats.delivered += 1
            stats.delivered_bytes += length
            return [(sent + self.delay, frame)]
        arrivals = self._wire(frame, sent + self.delay)
        for _, data in arrivals:  # object
            stats.delivered += 1
            stats.delivered_bytes += len(data)
        return arrivals

    def only_delays(self) -> bool:
        """Whether it does nothing but delay frames, and lose those that are longer than the MTU."""
        return not self.rate and self.is_steady()

    def is_steady(self) -> bool:
        """Whether chance, rules and traces have no part in what happens to a frame."""
        if self.loss or self.reorder or self.duplicate or self.corrupt or self.jitter:
            return False
        busy = bool(self.rules) or self.burst is not None or self.trace is not None
        return self.up and not busy and self.meddle is None and type(self) is Channel

    def send_group(self, count: int, longest: int, last: int, now: int) -> int:
        """Take a group of frames that leave behind each other, the last of which may be shorter. Returns when the last one arrives.

        The queue and the wire treat them as single frames. -1: nothing was taken, because one of the frames would be lost or marked, or
        because all of them together take longer than GROUP_TIME. The first one would arrive too late then.
        """
        if not self.is_steady() or self.mark is not None or (self.mtu and longest - self.header > self.mtu):
            return -1
        length = (count - 1) * longest + last
        if self.rate:
            if (length + count * self.overhead) * 8_000_000_000 > self.rate * GROUP_TIME:
                return -1
            starts = self._starts  # object
            while starts and starts[0][0] <= now:
                self._waiting_bytes -= starts.popleft()[1]
            if self.queue is not None and len(starts) + count > self.queue:
                return -1
            if self.queue_bytes is not None and self._waiting_bytes + length > self.queue_bytes:
                return -1
            end = now
            for number in range(count):
                end = self._transmit(last if number == count - 1 else longest, now)
        else:
            end = now
        stats = self.stats
        stats.frames += count
        stats.bytes += length
        stats.delivered += count
        stats.delivered_bytes += length
        return end + self.delay  # type: ignore[no-any-return]

    def send_whole(self, tx: Transmit) -> bool:
        """Take a frame that a network card would cut or complete. It arrives as it is, `delay` later.

        Returns False, and takes nothing, if something on this link needs the single frames.
        """
        if self.rate:
            return False
        length = len(tx)
        longest = length
        last = length
        count = 1
        if tx.gso_size > 0:
            header = tx.header
            headers = tx.csum_start + (header[tx.csum_start + 12] >> 4) * 4
            count = (length - headers + tx.gso_size - 1) // tx.gso_size
            longest = min(length, headers + tx.gso_size)
            last = length - (count - 1) * tx.gso_size
        return self.send_group(count, longest, last, 0) >= 0

    def _fits(self, frame: bytes) -> bool:  # python
        """Whether a frame that is longer than the MTU is so only because of the tag of its VLAN."""
        return bool(self.header) and frame[12:14] == TPID and len(frame) - self.header <= self.mtu + TAG_LEN

    def _lost(self, reason: str) -> Arrivals:  # python
        self.stats.drops[reason] = self.stats.drops.get(reason, 0) + 1
        return []

    def _burst_loses(self, burst: Burst) -> bool:  # python
        """Take the step of the chain for a frame. Returns True if the frame is lost."""
        lost = self._rngs["burst loss"].random() < (burst.bad if self._bad else burst.good)
        if self._rngs["burst"].random() < (burst.r if self._bad else burst.p):
            self._bad = not self._bad
        return lost

    def _transmit(self, length: int, now: int) -> int:
        """The time at which the last bit will have been sent, or -1 if the queue is full."""
        stats = self.stats
        starts = self._starts  # object
        while starts and starts[0][0] <= now:
            self._waiting_bytes -= starts.popleft()[1]
        start = self._free_at
        if start <= now:
            start = now
            self._ahead = 0
        else:
            if self.queue is not None and len(starts) >= self.queue:
                return -1
            if self.queue_bytes is not None and self._waiting_bytes + length > self.queue_bytes:
                return -1
            starts.append((start, length))
            self._waiting_bytes += length
            stats.queue_max = max(stats.queue_max, len(starts))
            stats.wait_max = max(stats.wait_max, start - now)
        duration, self._ahead = self._duration(length, start)
        self._ahead_of = self.rate
        stats.busy += duration
        self._free_at = start + duration
        return self._free_at

    def _duration(self, length: int, start: int) -> tuple[int, int]:  # python
        """The time in ns for which the frame occupies the wire from `start` on, rounded up, and the excess in units of 1 / rate of a ns.

        It is never faster than the rate. The excess does not add up over frames that follow each other, because the next frame begins earlier.
        """
        ahead = self._ahead if start == self._free_at and self._ahead_of == self.rate else 0
        bits = (length + self.overhead) * 8
        duration, over = divmod(ahead - bits * 1_000_000_000, self.rate)
        return -duration, over

    def arrival_of(self, length: int, now: int, queued: bool) -> int:  # python
        """The time at which the frame that was sent just now, and lost, would have arrived. `queued`: it had its place on the wire."""
        if self.rate:
            start = max(now, self._free_at)
            now = start + (0 if queued else self._duration(length, start)[0])
        return now + self.delay

    def _wire(self, frame: bytes, arrival: int) -> Arrivals:  # python
        """Apply what happens on the way: the rules first, then chance."""
        arrivals: Arrivals = [(arrival, frame)]
        done: Arrivals | str | None = None
        for rule in self.rules:
            if rule.applies(frame) and done is None:
                done = rule.action(frame, arrival)
        chance = self.chance(frame)
        if isinstance(done, str):
            return self._lost(done)
        if chance.lost:
            return self._lost(chance.lost)
        if done is not None:
            arrivals = done
            self._count_rule(frame, arrival, arrivals)
        if chance.late:
            self.stats.reordered += 1
            arrivals = [(at + self.reorder_delay, data) for at, data in arrivals]
        elif self.jitter or self.trace is not None:
            # A frame that a rule holds back is overtaken, as without jitter. The frames behind it do not wait.
            self._last_arrival = max(self._last_arrival, arrival + chance.extra)
            arrivals = [(at + self._last_arrival - arrival, data) for at, data in arrivals]
        if chance.corrupt and frame:
            self.stats.corrupted += 1
            bit = self.bit(frame)
            arrivals = [(at, flip_bit(data, bit)) for at, data in arrivals]
        if chance.twice:
            self.stats.duplicated += 1
            arrivals = [*arrivals, arrivals[len(arrivals) - 1]]  # compiled code does not count from the end
        return arrivals

    def chance(self, frame: bytes) -> Chance:  # python
        """Draw what happens to a frame by chance. A subclass may decide otherwise. `stats.frames` is the frame's number, from 1 on."""
        rngs = self._rngs
        lost = self.loss > 0 and rngs["loss"].random() < self.loss
        in_burst = self.burst is not None and self._burst_loses(self.burst)
        late = self.reorder > 0 and rngs["reorder"].random() < self.reorder
        twice = self.duplicate > 0 and rngs["duplicate"].random() < self.duplicate
        corrupt = self.corrupt > 0 and rngs["corrupt"].random() < self.corrupt
        extra = rngs["jitter"].below(self.jitter + 1) if self.jitter else 0
        return Chance("loss" if lost else "burst" if in_burst else "", late, twice, corrupt, extra)

    def bit(self, frame: bytes) -> int:  # python
        """Draw the bit of a corrupted frame that is flipped."""
        return self._rngs["bit"].below(len(frame) * 8)

    def _count_rule(self, frame: bytes, arrival: int, arrivals: Arrivals) -> None:  # python
        stats = self.stats
        stats.duplicated += len(arrivals) - 1
        stats.reordered += arrivals[0][0] > arrival
        stats.corrupted += arrivals[0][1] != frame

    def set(self, **settings: object) -> None:  # python
        """Change settings by name, as in the constructor. An unknown name is a TypeError, a value that is not allowed a ValueError.

        Nothing is changed then.
        """
        for name, value in settings.items():
            if name not in SETTINGS:
                raise TypeError(f"a channel has no setting named {name!r}; there are {', '.join(SETTINGS)}")
            check_setting(name, value)
        for name, value in settings.items():
            setattr(self, name, value)


#: the longest time (ns) on the wire of a group of frames that arrives as one
GROUP_TIME = 600_000
_COUNTS = (
    "frames", "bytes", "delivered", "delivered_bytes", "drops", "duplicated", "corrupted", "reordered", "marked", "queue_max",
    "wait_max", "busy",
)  # fmt: skip
_RANDOM = ("loss", "burst", "burst loss", "reorder", "duplicate", "corrupt", "jitter", "bit")
SETTINGS = (
    "delay", "rate", "queue", "queue_bytes", "mark", "mtu", "overhead", "loss", "burst", "trace", "reorder", "reorder_delay",
    "duplicate", "corrupt", "jitter", "up",
)  # fmt: skip
