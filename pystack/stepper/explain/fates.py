"""Follows a frame over routers and queues, to say what became of its packet in the end."""

from pystack.stepper.explain import arrival
from pystack.stepper.records import Frame
from pystack.stepper.timeline import Timeline

#: how many hops are followed
HOPS = 64


def fate(timeline: Timeline, frame: Frame) -> str:
    """Return what happened to the packet of a frame: "was lost on the way", "arrived" and so on."""
    last = frame
    for _ in range(HOPS):
        following = _onward(timeline, last)
        if following is None:
            break
        last = following
    carried = f" as frame {last.number}" if last is not frame else ""
    if last.fate == "lost":
        where = f"{carried} between {last.host} and {last.to or 'its receivers'}" if carried else " on the way"
        return f"was lost{where}"
    if last.fate == "dropped":
        return f"was dropped{carried} by {'the queue of ' if ':' in last.to else ''}{last.to}"
    if last.fate == "delivered":
        return "arrived"
    return "got no answer"


def _onward(timeline: Timeline, frame: Frame) -> "Frame | None":
    """Return the frame in which a router or a queue sent the packet of this frame on, or None."""
    if frame.arrived < 0:
        return None
    work = arrival.work_of(timeline, frame.arrived)
    if any(entry.kind == "ip.forward" for entry in work):
        sent = next((entry for entry in work if entry.kind == "frame.out" and entry.frame >= 0), None)
        return None if sent is None else timeline.frames[sent.frame]
    if ":" not in frame.to:
        return None
    # The queue of an interface, which sends the same bytes, perhaps much later.
    for index in range(frame.arrived + 1, min(frame.arrived + arrival.REACH, len(timeline.events))):
        if timeline.kind(index) == "frame.out" and timeline.events[index].host == frame.to:
            found = timeline.frames[timeline.events[index].frame]
            if found.front == frame.front and found.length == frame.length:
                return found
    return None
