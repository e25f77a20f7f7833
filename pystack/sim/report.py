"""What each program of a network waits for: the text of a deadlock, and of a run that passes its limit."""

import asyncio
import os
from types import CodeType, FrameType
from typing import Any

from pystack.sockets.resolve import text
from pystack_c.tcp.snapshot import STATE_NAMES

_LIBRARY = os.path.dirname(os.__file__)
_OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
#: lines of a report at most
MOST = 60


def of(hub: Any) -> str:
    """One line for each task and each program that waits."""
    lines = [_program(program) for program in hub.programs if program.waiting is not None]
    for loop in hub.loops:
        lines += [_task(task) for task in _tasks(loop)]
        lines += [
            f"    waits for {_events(interest.events)} {endpoint(interest.watch.endpoint)}"
            for interest in loop._selector.interests()
        ]
    if len(lines) > MOST:
        lines = [*lines[:MOST], f"... and {len(lines) - MOST} more lines"]
    return "\n".join(lines) or "no program waits"


def _tasks(loop: Any) -> list[Any]:
    tasks = (task for task in asyncio.all_tasks(loop) if not task.done() and not getattr(task, "hidden", False))
    return sorted(tasks, key=lambda task: getattr(task, "number", 0))


def _events(events: int) -> str:
    return {1: "reading", 2: "writing", 3: "reading or writing"}[events]


def endpoint(found: Any) -> str:
    """An endpoint's addresses and state."""
    if not hasattr(found, "laddr"):
        return "another program's turn to send"
    ends = f"{text(found.laddr)}:{found.lport}"
    if found.raddr:
        ends += f"-{text(found.raddr)}:{found.rport}"
    state = getattr(found, "state", None)
    return ends if state is None else f"{ends} {STATE_NAMES[state]}"


def _host(host: Any) -> str:
    return "no host" if host is None else f"host {host.name!r}"


def _task(task: Any) -> str:
    """The task's name and host, and the line of the program where it waits, inside which call."""
    places: list[tuple[CodeType, int]] = []
    at: Any = task.get_coro()
    while at is not None and len(places) < 100:
        frame = getattr(at, "cr_frame", None) or getattr(at, "gi_frame", None) or getattr(at, "ag_frame", None)
        if frame is not None:
            places.append((frame.f_code, frame.f_lineno))
        at = getattr(at, "cr_await", None) or getattr(at, "gi_yieldfrom", None) or getattr(at, "ag_await", None)
    return f"{_host(getattr(task, 'host', None))}: task {task.get_name()!r} waits {_place(places)}"


def _program(program: Any) -> str:
    """The program's name and host, what it waits for, and where."""
    places: list[tuple[CodeType, int]] = []
    frame: FrameType | None = program.greenlet.gr_frame
    while frame is not None:
        places.append((frame.f_code, frame.f_lineno))
        frame = frame.f_back
    places.reverse()
    watch = getattr(program.waiting, "watch", None)
    what = getattr(program.waiting, "what", "") if watch is None else f"the socket {endpoint(watch.endpoint)}"
    return f"{_host(program.host)}: program {program.name!r} waits for {what} {_place(places)}"


def _place(places: list[tuple[CodeType, int]]) -> str:
    """The innermost place outside the standard library and pystack, and the call of theirs that was made there."""
    inner = ""
    for code, line in reversed(places):
        file = code.co_filename
        if not file.startswith((_OURS, "<")) and (not file.startswith(_LIBRARY) or "site-packages" in file):
            return (f"in {inner} " if inner else "") + f"at {file}:{line} ({code.co_qualname})"
        inner = code.co_qualname
    return f"in {inner}" if inner else ""
