"""The decisions of chance in a network: each is recorded, and a later run can make the same ones, or fewer."""

from typing import Any, NamedTuple

from pystack.pytest_plugin.plan import MOST_FAULTS, Fault
from pystack.sim.channel import Chance, Channel


class Made(NamedTuple):
    """A fault that happened: the time (ns) at which the frame was sent, and the frame."""

    fault: Fault
    time: int
    frame: bytes


class Decisions:
    """The faults that happened by chance in one network, in the order of time.

    script  the faults that happen, and no others; None: chance decides
    """

    def __init__(self, net: Any, script: tuple[Fault, ...] | None = None):
        self.net = net
        self.made: list[Made] = []
        #: there were more faults than are kept
        self.overflow = False
        self.script: dict[tuple[str, int], dict[str, int]] | None = None
        if script is not None:
            self.script = {}
            for fault in script:
                self.script.setdefault((fault.channel, fault.number), {})[fault.kind] = fault.value

    def note(self, fault: Fault, frame: bytes) -> None:
        """Record a fault."""
        if len(self.made) < MOST_FAULTS:
            self.made.append(Made(fault, self.net.now, frame))
        else:
            self.overflow = True


class DecidedChannel(Channel):
    """A channel whose chances are recorded, or follow a script."""

    def __init__(self, seed: object, name: str, decisions: Decisions, **settings: Any):
        super().__init__(seed, name, **settings)
        self.decisions = decisions

    def chance(self, frame: bytes) -> Chance:
        """Channel.chance."""
        script = self.decisions.script
        if script is None:
            chance = super().chance(frame)
        else:
            planned = script.get((self.name, self.stats.frames), {})
            chance = Chance(
                "loss" if "lost" in planned else "",
                "late" in planned,
                "twice" in planned,
                "corrupt" in planned,
                planned.get("jitter", 0),
            )
        if chance.lost:
            self._note("lost", 0, frame)
        else:
            if chance.late:
                self._note("late", 0, frame)
            elif chance.extra:
                self._note("jitter", chance.extra, frame)
            if chance.twice:
                self._note("twice", 0, frame)
        return chance

    def bit(self, frame: bytes) -> int:
        """Channel.bit."""
        script = self.decisions.script
        if script is None:
            bit = super().bit(frame)
        else:
            bit = script[self.name, self.stats.frames]["corrupt"] % (len(frame) * 8)
        self._note("corrupt", bit, frame)
        return bit

    def _note(self, kind: str, value: int, frame: bytes) -> None:
        self.decisions.note(Fault(self.name, self.stats.frames, kind, value), frame)
