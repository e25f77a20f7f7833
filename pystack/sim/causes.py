"""Why each program runs, step by step, and what each frame met on its way. Only a network that is recorded keeps this.

A step is a stretch of work of programs that takes no virtual time. It begins when an endpoint becomes ready, or when a time has come for which
a program slept. Programs that wake each other (by a lock, by their end, by a task) without any time between them are part of one step. The
recording gets a note of the step before the first call that the step makes on a host. So a reader of the recording (pystack/stepper/timing) finds
what let a program act just then.
"""

from typing import TYPE_CHECKING, Any
from zlib import crc32

if TYPE_CHECKING:
    from pystack.sim.network import Network

START, READY, SLEEP = "start", "ready", "sleep"


class Cause:
    """A step.

    why     START: the run began; READY: an endpoint became ready; SLEEP: a time had come
    time    when, in ns of the network's time
    parent  with SLEEP, the step that began to wait, or None if it is noted already (then `parent_number` is its number)
    host    with READY, the number in the recording of the host whose endpoint became ready, else -1
    record  with READY, the number of records in the recording then: the last input of the host among them woke the program
    number  the number of its note, or 0
    """

    __slots__ = ("why", "time", "parent", "parent_number", "host", "record", "number")

    def __init__(self, why: str, time: int, parent: "Cause | None" = None, host: int = -1, record: int = 0):
        self.why = why
        self.time = time
        self.parent = parent
        self.parent_number = 0
        self.host = host
        self.record = record
        self.number = 0


class Causes:
    """The steps of the programs of one network.

    current  the step whose code runs now, or that ran last
    wire     the number of the note of the frame that a switch receives now, or 0
    """

    def __init__(self, net: "Network"):
        self.net = net
        self.current = Cause(START, net.now)
        self.wire = 0
        self._steps = 0
        self._wires = 0
        self._noted: dict[str, int] = {}  # host -> the number of the step that was noted last

    # -- steps -------------------------------------------------------------------------------------------------------

    def ready(self, host: Any) -> None:
        """The stack of a host is about to notify programs of an endpoint that became ready."""
        recorder = host.recorder
        if recorder is not None:
            self.current = Cause(READY, self.net.now, None, recorder.number, recorder.recorder.writer.records)

    def now(self) -> Cause:
        """The step whose code runs now. If time has passed since the last step, the code has waited for it to pass."""
        if self.current.time != self.net.now:
            self.current = self.slept(self.current)
        return self.current

    def slept(self, parent: Cause) -> Cause:
        """The step that begins now because a time has come, for which the step `parent` waited."""
        if parent.time == self.net.now:
            return parent
        found = Cause(SLEEP, self.net.now, parent)
        if parent.why == SLEEP and parent.number == 0:
            # The step made no call, so it shows nowhere, and the two waits are one.
            found.parent, found.parent_number = parent.parent, parent.parent_number
        return found

    def called(self, host: Any) -> None:
        """A program is about to call the stack of a host: note the step."""
        step = self.now()
        if step.number == 0 or self._noted.get(host.name) != step.number:
            self._note(step, host)

    def _note(self, step: Cause, host: Any) -> None:
        if step.parent is not None:
            if step.parent.number == 0:
                self._note(step.parent, host)  # not deeper: a parent is no SLEEP without a number
            step.parent_number, step.parent = step.parent.number, None
        if step.number == 0:
            self._steps += 1
            step.number = self._steps
        told = {
            "number": step.number, "why": step.why, "began": step.time, "parent": step.parent_number, "woken": step.host,
            "after": step.record,
        }  # fmt: skip
        host.recorder.note(host.clock(), "program", "", "", "", told)
        self._noted[host.name] = step.number

    # -- frames on the way -------------------------------------------------------------------------------------------

    def send(self, port: Any, frame: bytes) -> None:
        """SimPort: put a frame on the link now, and note what it meets there."""
        net, channel = self.net, port.out
        # An object that stands in front of a channel may have no rate of its own.
        rate = getattr(channel, "rate", 0)
        begin = max(net.now, channel.free_at) if rate else net.now
        arrivals = channel.send(frame, net.now)
        self._wires += 1
        told = {
            "number": self._wires, "parent": self.wire if port.iface is None else 0, "link": getattr(channel, "name", ""),
            "length": len(frame), "crc": crc32(frame), "sent": net.now, "begin": begin, "end": channel.free_at if rate else begin,
            "delay": getattr(channel, "delay", 0), "to": getattr(getattr(port.peer.node, "recorder", None), "number", -1), "arrivals": [time for time, _ in arrivals],
        }  # fmt: skip
        if net.links_recorder is not None:  # a network of kernel hosts alone has no stack to record
            net.links_recorder.note(net.now, "wire", "", "", "", told)
        for time, data in arrivals:
            net.at(time, self._arrive, self._wires, port.peer, data)

    def _arrive(self, number: int, port: Any, frame: bytes) -> None:
        self.wire = number
        try:
            port.arrive(frame)
        finally:
            self.wire = 0


# -- what the kinds of programs call, on any network ------------------------------------------------------------------


def step_of(net: Any) -> Any:
    """The step (sim/causes.py) whose code runs now, or None if the network is not recorded."""
    return None if net.causes is None else net.causes.now()


def go_on(net: Any, step: Any) -> None:
    """The code of a step runs from now on."""
    if step is not None:
        net.causes.current = step


def after_a_time(net: Any, step: Any) -> None:
    """A step begins, because a time has come for which `step` waited."""
    if step is not None:
        net.causes.current = net.causes.slept(step)
