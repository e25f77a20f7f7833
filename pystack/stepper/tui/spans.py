"""The commands `time` and `span`: which request is shown, and the way to one of its spans; and a span in words."""

from pystack.stepper.timing.causes import CAUSES, WHYS
from pystack.stepper.timing.path import Path, Span
from pystack.stepper.timing.requests import event_of
from pystack.stepper.timing.text import ms, what
from pystack.stepper.tui.session import TerminalSession
from pystack.visible import one_line


def words(path: Path, span: Span) -> str:
    """Return a span in words: exactly how long, why, and what the cause means."""
    why = f"; {span.why}: {WHYS[span.why]}" if span.why else ""
    inferred = "; this was concluded, because the other side was not recorded" if span.inferred else ""
    begin, end = ms(span.start - path.begin), ms(span.end - path.begin)
    return one_line(
        f"{ms(span.duration)} {what(span)}, from {begin} to {end}: {span.text}; {span.cause}: {CAUSES[span.cause]}{why}{inferred}"
    )


def go_to_span(session: TerminalSession, text: str) -> str:
    """Move the cursor to a span: by its number from 1, by a step such as +1, or to the "largest". ValueError: there is none."""
    path = session.path()
    if text and "largest".startswith(text):
        lengths = [span.duration for span in path]
        text = str(lengths.index(max(lengths)) + 1)
    step = text[:1] in ("+", "-")
    if not text.lstrip("+-").isdigit() or len(text) > 9:
        raise ValueError("span needs a number from 1, a step such as +1 or -1, or the word largest")
    number = session.span(path) + int(text) if step else int(text) - 1
    at = max(0, min(number, len(path.spans) - 1)) if step else number
    if not 0 <= at < len(path.spans):
        raise ValueError(f"there are spans 1 to {len(path.spans)}")
    session.cursor.goto(event=event_of(session.timeline, path.spans[at]))
    session.clicked = (session.cursor.position, at)
    return ""


def request_of(text: str) -> tuple[str, str, str]:
    """Return (connection, from, to) of a command's arguments: [CONN] [from PLACE] [to PLACE]. ValueError: they are wrong."""
    conn, ends, parts = "", {"from": "", "to": ""}, text.split()
    while parts:
        part = parts.pop(0)
        if part in ends:
            if not parts:
                raise ValueError(f"{part} needs a place: frame=N, event=N or time=SECONDS")
            ends[part] = parts.pop(0)
        else:
            conn = f"{conn} {part}".strip()
    return conn, ends["from"], ends["to"]
