"""The timer queue: one binary heap for the whole stack, ordered by (deadline, order of arming).

A timer has one owner and one kind. The layers arm, move and cancel it; it fires only in `Stack.handle_timeout`.
Moving a timer to a later time costs nothing, and that is the common case, because each ACK moves the
retransmission timer. The heap entry keeps its old, earlier key, and the queue corrects it when the entry
reaches the top. The queue also removes a timer there that was only stopped.
"""

from typing import Any


class TimerOwner:
    """The base class of everything that owns timers."""

    def on_timer(self, kind: int) -> None:
        """Handle the expiry of the timer of that kind. The timer is no longer armed at that point."""
        raise NotImplementedError

    def subject(self) -> str:
        """Return a short name of the owner, for events."""
        return ""


class Timer:
    """One deadline of one owner. `deadline` is in ns, and -1 while the timer is idle."""

    def __init__(self, owner: TimerOwner, kind: int) -> None:
        self.begin(owner, kind)

    def begin(self, owner: TimerOwner, kind: int) -> None:
        """Give every field its first value."""
        self.owner = owner
        self.kind = kind
        self.deadline = -1
        self.order = 0
        self.key = -1
        self.key_order = 0
        self.index = -1

    def armed(self) -> bool:
        """Return True while the timer is set."""
        return self.deadline >= 0


def new_timer(owner: TimerOwner, kind: int) -> Timer:
    """Create a Timer(owner, kind) without the cost of a Python-level constructor call."""
    timer: Timer = Timer.__new__(Timer)
    timer.begin(owner, kind)
    return timer


def _before(a: Timer, b: Timer) -> bool:
    if a.key != b.key:
        return a.key < b.key
    return a.key_order < b.key_order


class TimerQueue:
    """An indexed binary heap of timers."""

    def __init__(self) -> None:
        self.heap: list[Any] = []
        self.next_order = 1

    def __len__(self) -> int:
        return len(self.heap)

    def arm(self, timer: Timer, deadline: int) -> None:
        """Set or move the timer to `deadline`, in nanoseconds."""
        timer.deadline = deadline
        timer.order = self.next_order
        self.next_order += 1
        if timer.index >= 0 and timer.key <= deadline:
            return
        timer.key = deadline
        timer.key_order = timer.order
        if timer.index < 0:
            timer.index = len(self.heap)
            self.heap.append(timer)
        self._up(timer.index)

    def cancel(self, timer: Timer | None) -> None:
        """Remove the timer. Nothing happens if it is not set, or does not exist (None)."""
        if timer is None:
            return
        timer.deadline = -1
        if timer.index >= 0:
            self._remove(timer)

    def stop(self, timer: Timer) -> None:
        """Stop the timer but keep its place in the heap, which is cheap if it will soon be set to a later time."""
        timer.deadline = -1

    def next_deadline(self) -> int:
        """Return the earliest deadline in ns, or -1 if no timer is set."""
        while self.heap:
            top: Timer = self.heap[0]
            if top.key == top.deadline and top.key_order == top.order:
                return top.deadline
            if top.deadline < 0:
                self._remove(top)
                continue
            top.key = top.deadline
            top.key_order = top.order
            self._down(0)
        return -1

    def pop_due(self, now: int) -> Any:
        """Remove and return the first timer that is due at `now`, or None."""
        deadline = self.next_deadline()
        if deadline < 0 or deadline > now:
            return None
        top: Timer = self.heap[0]
        top.deadline = -1
        self._remove(top)
        return top

    def _remove(self, timer: Timer) -> None:
        i = timer.index
        last: Timer = self.heap.pop()
        timer.index = -1
        if last is not timer:
            self.heap[i] = last
            last.index = i
            self._up(i)
            self._down(last.index)

    def _up(self, i: int) -> None:
        timer: Timer = self.heap[i]
        while i > 0:
            parent: Timer = self.heap[(i - 1) >> 1]
            if not _before(timer, parent):
                break
            self.heap[i] = parent
            parent.index = i
            i = (i - 1) >> 1
        self.heap[i] = timer
        timer.index = i

    def _down(self, i: int) -> None:
        size = len(self.heap)
        timer: Timer = self.heap[i]
        while True:
            c = 2 * i + 1
            if c >= size:
                break
            child: Timer = self.heap[c]
            if c + 1 < size:
                other: Timer = self.heap[c + 1]
                if _before(other, child):
                    child = other
                    c += 1
            if not _before(child, timer):
                break
            self.heap[i] = child
            child.index = i
            i = c
        self.heap[i] = timer
        timer.index = i
