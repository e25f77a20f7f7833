"""A timeline as plain text: the story of all frames, one place, the answer to a scenario's question.

A host's name cannot break a line, and cannot send control characters to a terminal.
"""

import re
from collections.abc import Iterator
from typing import Any

from pystack.stepper import snapshot
from pystack.stepper.cursor import Cursor
from pystack.stepper.keys import ConnKey
from pystack.stepper.records import Entry, Frame
from pystack.stepper.timeline import Timeline
from pystack.trace import annotate
from pystack.visible import one_line

#: the fields of a connection, in the order in which to read them
SHOWN = (
    "state", "snd_una", "snd_nxt", "snd_wnd", "rcv_nxt", "rcv_wnd", "cwnd", "ssthresh", "in_flight", "unsent", "sacked",
    "lost", "dupacks", "ca_state", "mss", "srtt", "rttvar", "rto", "backoff", "recvbuf", "ooo",
)  # fmt: skip
TIMES = ("srtt", "rttvar", "rto", "min_rtt")
#: a slow-start threshold as high as this means that there was no loss yet
INFINITE = 1 << 30
FRAMES = ("frame.in", "frame.out")
QUIET = annotate.QUIET | {*FRAMES}


def seconds(timeline: Timeline, time: int) -> str:
    """Return a time since the start, to the microsecond."""
    return f"{(time - timeline.start) / 1e9:.6f}"


def value(name: str, number: Any, state: "dict[str, Any] | None" = None) -> str:
    """Format a field for display: times in ms, and sequence numbers relative to the initial ones."""
    if number is None or (name in snapshot.UNSET and not number):
        return "-"
    if name in TIMES and isinstance(number, int):
        return f"{number / 1e6:g} ms" if number > 0 else "-"
    if name == "ssthresh" and number >= INFINITE:
        return "infinite"
    if name == "timers":
        return ", ".join(number) or "none"
    if state is not None and isinstance(number, int):
        if name in snapshot.SEND_SEQUENCE and state["iss"]:
            return str((number - state["iss"]) & 0xFFFFFFFF)
        if name in snapshot.RECEIVE_SEQUENCE and state["irs"]:
            return str((number - state["irs"]) & 0xFFFFFFFF)
    return str(number)


def frame_line(frame: Frame) -> str:
    """Return a frame in one line."""
    timeline = frame._timeline
    fate = "" if frame.fate in ("delivered", "unknown") else f"  ** {frame.fate} **"
    arrow = f"{frame.host} > {frame.to or '*'}"
    return f"{frame.number:>5} {seconds(timeline, frame.time)} {arrow:10} {frame.summary}{fate}"


def messages(frame: Frame) -> list[str]:
    """Return what the messages of programs in a frame say, each in one line, if the package for the dissection is there."""
    try:
        from pystack.stepper.messages import beside_lines
    except ImportError:
        return []
    return beside_lines(frame)


def story(timeline: Timeline) -> Iterator[str]:
    """Yield every frame with its reasons, and every other decision with its time."""
    told = -1
    width = max(4, *(len(lane) for lane in timeline.lanes))
    for entry in timeline.events:
        kind = str(entry.kind)
        if kind == "frame.out" or (kind == "frame.in" and timeline.frames[entry.frame].outside):
            frame = timeline.frames[entry.frame]
            if frame.index != told:
                told = frame.index
                yield one_line(frame_line(frame))
                yield from (one_line(f"{'':6}{message}") for message in messages(frame))
        if kind not in QUIET:
            yield one_line(f"{'':6}{seconds(timeline, entry.time)} {entry.host:{width}} {kind:16} {entry.text()}")


def changes(timeline: Timeline, index: int) -> list[str]:
    """Return what an event changed, with one line for each connection."""
    lines = []
    for key, fields in timeline.diff(index).items():
        if key not in timeline.connections:
            after = timeline.arp(index).get(key)
            lines.append(f"{key}: {after['state'] if after else 'gone'}")
            continue
        state = timeline.tcb(index, key) or timeline.tcb(index - 1, key)
        new = timeline.tcb(index - 1, key) is None
        parts = [
            f"{name} {value(name, old, state)} -> {value(name, now, state)}" for name, (old, now) in fields.items()
        ]
        gone = timeline.tcb(index, key) is None
        lines.append(f"{key}: " + ("exists now" if new else "is gone" if gone else ", ".join(parts)))
    return lines


def connection(timeline: Timeline, index: int, key: str) -> list[str]:
    """Return the fields of a connection, five in a line."""
    state = timeline.tcb(index, key)
    if state is None:
        return []
    cells = [f"{name} {value(name, state[name], state)}" for name in SHOWN]
    lines = [f"  {key}"]
    for at in range(0, len(cells), 5):
        lines.append("    " + "  ".join(f"{cell:22}" for cell in cells[at : at + 5]).rstrip())
    entry = timeline.events[index]
    for name, deadline in state["timers"].items():
        lines.append(f"    timer {name}: expires in {(deadline - entry.time) / 1e6:g} ms")
    return lines


def after_frame(timeline: Timeline, entry: Entry) -> int:
    """Return the index of the last event that an arrival caused, or that belongs to a frame that was sent.

    An arrival comes first and its effects follow, and a timer for a sent frame is set after the frame.
    """
    last = entry.index
    for index in range(entry.index + 1, len(timeline.events)):
        other = timeline.events[index]
        if other.record != entry.record or other.host != entry.host:
            break
        if entry.kind == "frame.out" and (str(other.kind) in FRAMES or other.frame not in (entry.frame, -1)):
            break
        last = index
    return last


def place(cursor: Cursor, whole: bool = False) -> str:
    """Describe the place of a cursor: event, frame, reasons, changes, the connection, and why.

    If `whole` is true, the place is a frame: the changes and the connection are those after everything that belongs to it.
    """
    timeline, entry = cursor.timeline, cursor.entry
    if entry is None:
        return f"before the first event of {timeline.name}"
    lines = [f"event {entry.index}  {seconds(timeline, entry.time)} s  {entry.host}  {entry.kind}  {entry.subject}"]
    lines.append(f"  {entry.text()}")
    link = timeline.link(entry.rfc)
    if link:
        lines.append(f"  {link}")
    if entry.frame >= 0:
        frame = timeline.frames[entry.frame]
        lines.append(f"  frame {frame_line(frame).strip()}")
        lines.extend(f"    {message}" for message in messages(frame))
        lines.extend(f"    {reason}" for reason in (*frame.reasons, *(f"DROPPED {drop}" for drop in frame.drops)))
    last = after_frame(timeline, entry) if whole and str(entry.kind) in FRAMES else entry.index
    for index in range(entry.index, last + 1):
        lines.extend(f"  changed: {line}" for line in changes(timeline, index))
    known = [e.conn for e in timeline.events[entry.index : last + 1] if e.conn]
    # What a SYN made says more than the listener that it came to.
    key = next((conn for conn in known if not ConnKey.of(conn).unconnected), known[0] if known else "")
    if key:
        lines.extend(connection(timeline, last, key))
    lines.extend(_why(timeline, entry))
    return "\n".join(map(one_line, lines))


def _why(timeline: Timeline, entry: Entry) -> list[str]:
    from pystack.stepper.explain import why

    explanation = why(timeline, event=entry.index)
    return [
        f"  why: {sentence}" if number == 0 else f"       {sentence}"
        for number, sentence in enumerate(explanation.sentences)
    ]


def answer(timeline: Timeline, scenario: Any) -> str:
    """Return a scenario's story, its question, and the answer at the events that it points to."""
    from pystack.stepper.explain import why

    lines = [f"{scenario.name}: {scenario.title}", "", *(" ".join(scenario.story.split()),), "", scenario.question]
    answers = scenario.answers(timeline)
    for index in answers:
        entry = timeline.events[index]
        lines.append(f"  (event {index}, {seconds(timeline, entry.time)} s, {entry.host}: {entry.text()})")
        lines.extend(f"  {sentence}" for sentence in why(timeline, event=index).sentences)
    if not answers:
        lines.append("  (no such event happened in this run)")
    return "\n".join(map(one_line, lines))


def side_by_side(one: Timeline, two: Timeline, width: int = 160) -> Iterator[str]:
    """Yield two runs, frame beside frame: "=" if both are the same, "~" if only the time or a detail differs."""
    from pystack.stepper.branch import compare, figures

    half = max((width - 3) // 2, 40)

    def cell(frame: "Frame | None") -> str:
        if frame is None:
            return " " * half
        fate = "" if frame.fate in ("delivered", "unknown") else f"[{frame.fate}] "
        summary = re.sub(r", (options \[[^][]*\]|win \d+)", "", frame.summary).removeprefix("IP ").removeprefix("IP6 ")
        line = (
            f"{frame.number:>4} {seconds(frame._timeline, frame.time)} {frame.host}>{frame.to or '*'} {fate}{summary}"
        )
        return line[:half].ljust(half)

    yield f"{one.name[:half]:{half}}   {two.name[:half]}".rstrip()
    same = 0
    for row in compare(one, two):
        if row.same:
            same += 1
            continue
        if same:
            yield f"{'':5}= {same} frames are the same in both"
            same = 0
        mark = "~" if row.left is not None and row.right is not None else "<" if row.right is None else ">"
        yield f"{cell(row.left)} {mark} {cell(row.right)}".rstrip()
    if same:
        yield f"{'':5}= {same} frames are the same in both"
    for name, value_ in figures(one).items():
        other = figures(two)[name]
        unit = " s" if name == "last data" else ""
        yield f"{name}: {value_:g}{unit}, and {other:g}{unit}"


def conversations(timeline: Timeline) -> Iterator[str]:
    """Yield a line for each conversation of TCP and UDP: its ends, frames and bytes of data each way, its times."""
    from pystack.stepper import streams

    talks = streams.conversations(timeline)
    yield f"{'':>4} {'':4}{'client > server':43} {'bytes >':>10} {'bytes <':>10} {'frames':>7} {'begins':>11} {'lasts':>11}"
    for talk in talks:
        ends = f"{talk.client} > {talk.server}"
        yield (
            f"{talk.number + 1:>4} {talk.protocol:4}{ends:43} {talk.data[0]:>10} {talk.data[1]:>10} {sum(talk.frames):>7} "
            f"{talk.start / 1e9:>9.6f} s {(talk.end - talk.start) / 1e9:>9.6f} s"
        )
    if not talks:
        yield "     no conversation of TCP or UDP in it"
