"""How much work and memory something takes: lines that are run, time of the processor, bytes that are kept and at most in use.

Lines are exact: the same on each run and machine. But a line may stand for any amount of work in C (a pattern that goes back and forth,
bytes that are copied), and compiled modules run no lines at all: for these there is the processor's time, and `Endless` for
what takes longer than it is given.
"""

import gc
import signal
import sys
import time
import tracemalloc
from collections.abc import Callable
from typing import Any


class Endless(BaseException):
    """The work did not end within what it was given. (No handler of the code that is measured may take it for its own.)"""


class Watchdog:
    """Ends what is done inside it after so many seconds of the processor's time, in C too, if that looks for signals."""

    def __init__(self, seconds: float):
        self.seconds = seconds

    def __enter__(self) -> "Watchdog":
        self.before = signal.signal(signal.SIGVTALRM, self._end)
        signal.setitimer(signal.ITIMER_VIRTUAL, self.seconds)
        return self

    def __exit__(self, *args: Any) -> None:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, self.before)

    def _end(self, *_: Any) -> None:
        raise Endless(f"more than {self.seconds} s of the processor's time")


def lines_of(work: Callable[[], object], most: int = 1 << 62) -> int:
    """The lines of Python that `work` runs; Endless where they are more than `most`."""
    count = 0

    def line(frame: Any, event: str, arg: Any) -> Any:
        nonlocal count
        if event == "line":
            count += 1
            if count > most:
                raise Endless(f"more than {most} lines")
        return line

    before = sys.gettrace()
    collecting = gc.isenabled()
    # (A collection would run the finalizers of others, whenever it comes.)
    gc.disable()
    sys.settrace(line)
    try:
        work()
    finally:
        sys.settrace(before)
        if collecting:
            gc.enable()
    return count


def time_of(work: Callable[[], object]) -> int:
    """Nanoseconds of the processor that `work` takes."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        started = time.thread_time_ns()
        work()
        return time.thread_time_ns() - started
    finally:
        if collecting:
            gc.enable()


def memory_of(work: Callable[[], object]) -> tuple[int, int]:
    """Bytes that are in use at most while `work` runs, and that its result keeps."""
    gc.collect()
    tracemalloc.start()
    try:
        begin = tracemalloc.get_traced_memory()[0]
        kept = work()
        peak = tracemalloc.get_traced_memory()[1] - begin
        gc.collect()
        held = tracemalloc.get_traced_memory()[0] - begin
        del kept
        return peak, held
    finally:
        tracemalloc.stop()
