"""The data of the pane "Time": the critical path of a request, with all words and links that the page shows.

The shapes are those of web/src/types.ts. Times are in ns since the start of the trace.
"""

from typing import TYPE_CHECKING, Any

from pystack.stepper.timing.causes import CAUSES, GROUPS, WHYS, group
from pystack.stepper.timing.path import Path, PathError
from pystack.stepper.timing.requests import Requests, event_of
from pystack.stepper.timing.text import rows

if TYPE_CHECKING:
    from pystack.stepper.timeline import Timeline

#: the most spans that the page gets; neighbours with the same cause are one span if there are more
MOST_SPANS = 4000
#: the most letters of a place or a connection
MOST_LETTERS = 500


def answer(requests: Requests, conn: str, begin: str = "", end: str = "") -> dict[str, Any]:
    """Return the path of a request. ValueError says why there is none."""
    if not all(isinstance(text, str) and len(text) <= MOST_LETTERS for text in (conn, begin, end)):
        raise PathError("a connection and its places are short texts")
    return _data(requests.timeline, requests.path(conn, begin, end))


def answer_or_error(requests: Requests, conn: str) -> dict[str, Any]:
    """Return the same, or the error as the page gets it."""
    try:
        return answer(requests, conn)
    except PathError as error:
        return {"error": str(error)}


def _data(timeline: "Timeline", path: Path) -> dict[str, Any]:
    start = timeline.start
    totals = path.totals()
    causes = {cause: [group(cause), CAUSES[cause]] for cause, _ in totals}
    return {
        "connection": path.conn,
        "begin": path.begin - start,
        "end": path.end - start,
        "first": path.first,
        "last": path.last,
        "spans": [
            {
                "start": span.start - start, "end": span.end - start, "cause": span.cause, "why": span.why, "host": span.host,
                "frame": span.frame, "event": span.event, "go": event_of(timeline, span), "text": span.text, "inferred": span.inferred,
            }
            for span in rows(path, MOST_SPANS)
        ],
        "totals": [[cause, why, time] for (cause, why), time in totals.items()],
        "causes": causes,
        "whys": {why: WHYS[why] for _, why in totals if why},
        "groups": {name: words for name, (words, _) in GROUPS.items() if name in [one for one, _ in causes.values()]},
    }  # fmt: skip
