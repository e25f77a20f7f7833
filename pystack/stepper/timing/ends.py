"""The ends of a request, if the user names none: where its connection begins, or the lookup of its name, and where its answer has arrived."""

from bisect import bisect_left
from heapq import merge

from pystack.stepper.timeline import Timeline
from pystack.stepper.timing.index import Lookup
from pystack.stepper.timing.path import PathError
from pystack.stepper.timing.waits import frame_wait


def client_of(timeline: Timeline, index: Lookup) -> str:
    """Return the connection that was opened first by a connect(), or the first one on which data arrived."""
    for at in merge(*index.calls):
        entry = timeline.events[at]
        if entry.conn and str(entry.fields.get("name", "")).startswith("connect"):
            return entry.conn
    for kind in ("tcp.data", "tcp.out"):
        for conn in timeline.connections:
            if index.all(kind, conn):
                return conn
    raise PathError("there is no TCP connection with data in it: say where the path begins and ends")


def only_server(timeline: Timeline, index: Lookup, conn: str) -> bool:
    """Return True if a connection was accepted by a recorded host, and the client was not recorded."""
    if not conn or timeline.other_end(conn):
        return False
    return not any(str(timeline.events[at].fields["name"]).startswith("connect") for at in index.all("call", conn))


def end_of(timeline: Timeline, index: Lookup, conn: str) -> int:
    """Return the event at which the last data of a connection arrived; if the client received none, at the other side."""
    other = timeline.other_end(conn)
    if not other and not any(
        str(timeline.events[at].fields["name"]).startswith("connect") for at in index.all("call", conn)
    ):
        # Only the server was recorded. Its answer has arrived when the client acknowledges the last of it.
        acked = [at for at in index.all("tcp.acked", conn) if timeline.events[at].fields["length"] > 0]
        if acked:
            return acked[-1]
    for kind, key in (("tcp.data", conn), ("tcp.data", other), ("tcp.acked", conn)):
        found = index.all(kind, key)
        if found:
            return found[-1]
    raise PathError(f"no data arrived on {conn or 'the connection'}: say where the path ends")


def begin_of(timeline: Timeline, index: Lookup, conn: str) -> int:
    """Return the question for the name, if the connection waited for the answer; else its first call, or its first event."""
    if conn in index.first:
        return question_before(timeline, index, index.first[conn])
    raise PathError(f"there is no connection {conn!r}; there are {', '.join(timeline.connections) or 'none'}")


def question_before(timeline: Timeline, index: Lookup, at: int) -> int:
    """Return the call that asked for a name whose answer let the program make a call, or the call itself: no name was looked up."""
    host = timeline.events[at].host
    calls = index.calls[timeline.hosts.index(host)]
    begin = here = at
    for _ in range(1000):
        entry = timeline.events[here]
        step = timeline.ways.steps.get(timeline.ways.step_of.get(here, 0))
        if step is None or step.why != "ready" or step.began != entry.time or timeline.hosts[step.woken] != host:
            break
        here = index.input_before(step.woken, step.after)
        woken = timeline.events[here]
        if (
            woken.kind == "frame.in"
            and woken.frame >= 0
            and frame_wait(timeline.frames[woken.frame])[0] == "name lookup"
        ):
            before = (timeline.events[at] for at in reversed(calls[: bisect_left(calls, here)]))
            asked = next(
                (one for one in before if str(one.fields.get("name")).startswith("send") and ":53" in one.subject), None
            )
            if asked is None:
                break
            begin = here = asked.index
        elif woken.kind != "call" or woken.time != entry.time:
            break
    return begin
