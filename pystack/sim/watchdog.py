"""A program that waits in real time for a lock that was made before its run: nobody can release it, so the process would hang.

A lock that a module made when it was imported is the kernel's. If a program holds one while it sleeps in virtual time and another program of the
same thread wants it, the thread waits for itself. Python cannot see the owner of a lock, so a thread looks from outside: no step of the
network, no CPU time, asleep, and a call of `acquire` (or `with`) in progress, for `LOOKS` looks.
"""

import dis
import signal
import sys
import threading
import time
from contextvars import Context
from types import FrameType
from typing import Any

#: the time (s) between two looks, and the number of looks that have to find the same
INTERVAL = 1.0
LOOKS = 5
#: CPU time (s) between two looks below which a thread has done nothing
IDLE = 0.001
#: WebAssembly has no threads, so nothing can look from outside there
POSSIBLE = sys.platform not in ("emscripten", "wasi")


class Watchdog:
    """Watches the thread that runs the programs of a hub. It is made of real threads and locks, also if code on a simulated host makes it."""

    def __init__(self, hub: Any):
        self.hub = hub
        Context().run(self._begin)

    def _begin(self) -> None:
        self._watched = threading.get_ident()
        self._number = threading.get_native_id()
        self._clock = time.pthread_getcpuclockid(self._watched)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pystack-watchdog", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop watching."""
        Context().run(self._end.set)
        Context().run(self._thread.join)

    def _run(self) -> None:
        steps, cpu, same = -1, 0.0, 0
        while not self._end.wait(INTERVAL):
            before, steps = steps, self.hub.net.steps
            spent, cpu = time.clock_gettime(self._clock) - cpu, time.clock_gettime(self._clock)
            same = same + 1 if steps == before and spent < IDLE and self._sleeps() else 0
            if same >= LOOKS:
                same = 0
                frame = sys._current_frames().get(self._watched)
                if frame is not None and waits_for_lock(frame):
                    self._interrupt(frame)

    def _sleeps(self) -> bool:
        """Whether the thread waits for something, and not for a processor (proc_pid_stat(5)). True if that is not known."""
        try:
            with open(f"/proc/self/task/{self._number}/stat", encoding="latin-1") as file:
                return file.read().rpartition(")")[2].split()[0] in "SD"
        except (OSError, IndexError):
            return True

    def _interrupt(self, frame: FrameType) -> None:
        """End the wait by SIGINT, which `Hub.reason` explains. In other threads than the main one, only report it."""
        program = self.hub.running
        who = "a coroutine" if program is None else f"the program {program.name!r} on host {program.host.name!r}"
        place = f"{frame.f_code.co_filename}:{frame.f_lineno} ({frame.f_code.co_qualname})"
        first = self.hub.reason == ""
        self.hub.reason = (
            f"{who} waits in real time for a lock, at {place}: virtual time cannot pass meanwhile. A lock that was made before the run is the "
            "kernel's, and must not be held while a program sleeps or waits: make it in a program\n" + self.hub.report()
        )
        if self._watched == threading.main_thread().ident and callable(signal.getsignal(signal.SIGINT)):
            signal.pthread_kill(self._watched, signal.SIGINT)
        elif first:
            print(f"pystack: {self.hub.reason}", file=sys.stderr, flush=True)


def waits_for_lock(frame: FrameType) -> bool:
    """Whether the frame is inside a call of `acquire`, or at the beginning of a `with`."""
    line = ""
    for step in dis.get_instructions(frame.f_code):
        if step.starts_line not in (None, False):  # a number, or (since Python 3.13) a bool
            line = ""
        if step.opname in ("LOAD_ATTR", "LOAD_METHOD", "LOAD_SPECIAL"):
            line = str(step.argrepr)
        if step.offset >= frame.f_lasti:
            return step.opname == "BEFORE_WITH" or "acquire" in line or "__enter__" in line
    return False
