"""Prints frames as they pass: one line for each frame, with the stack's decisions and reasons.

The probe delivers frames while the stack's lock is held, so it only puts them into a queue. The narrator's own thread
prints them. If a step has thousands of frames, the narrator shows the first and the last ones, the remarkable ones
between them (a drop, a retransmission, a change of state), and a count of the others.
"""

import queue
import re
import textwrap
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from pystack.style import Style
from pystack.trace.annotate import CALL, IN, OUT, TIMER, FrameRecord
from pystack.visible import one_line

#: the number of frames that are shown at the beginning of a step, and at its end
HEAD = 14
TAIL = 4
#: the most remarkable frames that are shown in between
REMARKABLE = 20
#: the kinds of event that make a frame worth showing among thousands
_REMARKABLE_KINDS = frozenset(("drop", "tcp.retransmit", "tcp.lost", "tcp.recovery", "tcp.rto", "tcp.probe"))
_TIMESTAMPS = re.compile(r", options \[nop,nop,TS val \d+ ecr \d+\]")
_ARROWS = {IN: ("<", "cyan"), OUT: (">", "green"), TIMER: ("*", "yellow"), CALL: ("=", "dim")}


@dataclass
class Tally:
    """Counts of the frames and bytes of a step or of the whole run."""

    frames_in: int = 0
    frames_out: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    drops: int = 0

    def add(self, record: FrameRecord) -> None:
        """Count one record."""
        self.drops += len(record.drops)
        if record.direction == IN:
            self.frames_in += 1
            self.bytes_in += len(record.frame)
        elif record.direction == OUT:
            self.frames_out += 1
            self.bytes_out += len(record.frame)


def amount(count: float) -> str:
    """Return a number of bytes in readable form: 512 B, 1.5 KB, 10.0 MB."""
    for unit in ("B", "KB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError


class Narrator:
    """Prints steps, the lines of the programs that run, and frames. Any thread may call its methods."""

    def __init__(self, style: Style | None = None, everything: bool = False, quiet: bool = False):
        self.style = Style() if style is None else style
        self.everything = everything
        self.quiet = quiet
        self.total = Tally()
        self.step_tally = Tally()
        self.flush: Callable[[], None] | None = None
        self._queue: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._start: int | None = None
        self._shown = 0
        self._remarkable = 0
        self._held: deque[FrameRecord] = deque()
        self._skipped = Tally()
        self._thread = threading.Thread(target=self._run, name="pystack-narrator", daemon=True)
        self._thread.start()

    # -- from any thread -----------------------------------------------------------------------------------------

    def frame(self, record: FrameRecord) -> None:
        """Queue a frame with its reasons (the sink of a FrameProbe)."""
        self._queue.put(lambda: self._frame(record))

    def say(self, text: str = "") -> None:
        """Print a line of text after all frames that came before it."""
        if self.flush is not None:
            self.flush()
        self._queue.put(lambda: self._print(text))

    def step(self, title: str) -> None:
        """Begin a new step."""
        self._queue.put(lambda: self._step(title))

    def settle(self) -> Tally:
        """Print the rest of this step and return its tally. Raises TimeoutError if that takes more than 30 s."""
        if self.flush is not None:
            self.flush()
        done = threading.Event()

        def end() -> None:
            self._end_of_step()
            done.set()

        self._queue.put(end)
        if not done.wait(30):
            raise TimeoutError("the narrator did not finish within 30 s")
        return self.step_tally

    def close(self) -> None:
        """Print the rest and end the thread. A second call does nothing."""
        self._queue.put(None)
        self._thread.join(10)

    # -- in the narrator's thread --------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            try:
                job = self._queue.get(timeout=0.05)
            except queue.Empty:
                # The last frame is complete only when the next one begins, so pass it on after a silence.
                if self.flush is not None:
                    self.flush()
                continue
            if job is None:
                return
            try:
                job()
            except BrokenPipeError:
                self.quiet = True

    def _print(self, text: str) -> None:
        self.style.stream.write(text + "\n")
        self.style.stream.flush()

    def _step(self, title: str) -> None:
        self._end_of_step()
        self.step_tally = Tally()
        self._shown = self._remarkable = 0
        self._print("\n" + self.style(title, "bold"))

    def _frame(self, record: FrameRecord) -> None:
        self.total.add(record)
        self.step_tally.add(record)
        if record.direction in (TIMER, CALL) and not record.drops:
            return
        if self._start is None:
            self._start = record.time
        if self.quiet:
            return
        if self.everything or self._shown < HEAD:
            self._shown += 1
            self._show(record)
        elif self._remarkable < REMARKABLE and is_remarkable(record):
            self._remarkable += 1
            self._count_held()
            self._say_skipped()
            self._show(record)
        else:
            self._held.append(record)
            if len(self._held) > TAIL:
                self._skipped.add(self._held.popleft())

    def _count_held(self) -> None:
        while self._held:
            self._skipped.add(self._held.popleft())

    def _say_skipped(self) -> None:
        skipped, self._skipped = self._skipped, Tally()
        count = skipped.frames_in + skipped.frames_out
        if count:
            text = (
                f"... {count} more: {skipped.frames_in} in ({amount(skipped.bytes_in)}), "
                f"{skipped.frames_out} out ({amount(skipped.bytes_out)}) ..."
            )
            self._print(" " * 12 + self.style(text, "dim"))

    def _end_of_step(self) -> None:
        self._say_skipped()
        while self._held:
            self._show(self._held.popleft())

    def _show(self, record: FrameRecord) -> None:
        assert self._start is not None
        self._print(self.frame_line((record.time - self._start) / 1e9, record))

    def _short(self, summary: str) -> str:
        """Return the summary without the timestamps that every segment has. SYNs and SACKs keep their options."""
        return summary if self.everything else _TIMESTAMPS.sub("", summary)

    def frame_line(self, when: float, record: FrameRecord) -> str:
        """Return the line for a frame: time, direction, summary, and the stack's reasons."""
        arrow, color = _ARROWS[record.direction]
        head = f"{when:10.6f} {arrow} "
        summary = one_line(self._short(record.summary))
        drops = [line for line in record.comments() if line.startswith("DROPPED")]
        why = one_line("; ".join([*record.reasons, *drops]))
        why_color = "red" if drops else "dim"
        width = self.style.width()
        paint = self.style
        if not why:
            return paint(head, "dim") + paint(summary, color)
        if not width or len(head) + len(summary) + 2 + len(why) + 2 <= width:
            return paint(head, "dim") + paint(summary, color) + "  " + paint("# " + why, why_color)
        room = max(20, width - len(head) - 2)
        wrapped = textwrap.wrap(why, room, break_on_hyphens=False)
        told = textwrap.wrap(summary, room, break_on_hyphens=False)
        lines = [paint(head, "dim") + paint(told[0], color)]
        lines += [" " * (len(head) + 2) + paint(line, color) for line in told[1:]]
        lines += [
            " " * len(head) + paint(("# " if i == 0 else "  ") + line, why_color) for i, line in enumerate(wrapped)
        ]
        return "\n".join(lines)


def is_remarkable(record: FrameRecord) -> bool:
    """Return True for a frame that is worth showing among thousands."""
    return bool(record.drops) or any(event.kind in _REMARKABLE_KINDS for event in record.events)
