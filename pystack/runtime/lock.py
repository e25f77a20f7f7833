"""A lock that knows its thread, and a gate that one thread waits at.

Two bodies, as phy.tapio has: compiled, the interpreter's own C locks (see lock.pxd); uncompiled, those of `threading`.
"""

import threading
from typing import Any

import pystack_c.const as C


def this_thread() -> int:
    """The number of the thread that asks."""
    if C.COMPILED:
        return thread_ident()  # type: ignore[name-defined,no-any-return] # noqa: F821
    else:
        return threading.get_ident()


class Lock:
    """A reentrant lock: a signal handler may use the stack wherever it interrupted its thread."""

    def __init__(self) -> None:
        self.rlock: Any = None
        if C.COMPILED:
            make_lock(self)  # type: ignore[name-defined] # noqa: F821
        else:
            self.rlock = threading.RLock()

    def __dealloc__(self) -> None:
        if C.COMPILED:
            free_lock(self)  # type: ignore[name-defined] # noqa: F821

    def acquire(self) -> None:
        """Take it; waits while another thread has it."""
        if C.COMPILED:
            take_lock(self, True)  # type: ignore[name-defined] # noqa: F821
        else:
            self.rlock.acquire()

    def try_acquire(self) -> bool:
        """Take it if no other thread has it."""
        if C.COMPILED:
            return take_lock(self, False)  # type: ignore[name-defined,no-any-return] # noqa: F821
        else:
            return bool(self.rlock.acquire(blocking=False))

    def release(self) -> None:
        """Give it back, once for each time it was taken."""
        if C.COMPILED:
            drop_lock(self)  # type: ignore[name-defined] # noqa: F821
        else:
            self.rlock.release()

    def mine(self) -> bool:
        """Whether this very thread has it."""
        if C.COMPILED:
            return has_lock(self)  # type: ignore[name-defined,no-any-return] # noqa: F821
        else:
            return bool(self.rlock._is_owned())

    def renew(self) -> None:
        """In a child process after fork: the threads that had it, or waited for it, are not there. It stays this thread's if it was."""
        if C.COMPILED:
            renew_lock(self)  # type: ignore[name-defined] # noqa: F821
        else:
            old = self.rlock
            self.rlock = threading.RLock()
            while old._is_owned():
                old.release()
                self.rlock.acquire()

    def __enter__(self) -> "Lock":  # noqa: PYI034
        self.acquire()
        return self

    def __exit__(self, *exc: object) -> None:
        self.release()


class Gate:
    """Shut until somebody opens it once for the one thread that waits at it."""

    def __init__(self) -> None:
        self.plain: Any = None
        if C.COMPILED:
            make_gate(self)  # type: ignore[name-defined] # noqa: F821
        else:
            self.plain = threading.Lock()
            self.plain.acquire()

    def __dealloc__(self) -> None:
        if C.COMPILED:
            free_gate(self)  # type: ignore[name-defined] # noqa: F821

    def open(self) -> None:
        """Let through the thread that waits, or the next that comes. It must be shut."""
        if C.COMPILED:
            open_gate(self)  # type: ignore[name-defined] # noqa: F821
        else:
            try:
                self.plain.release()
            except RuntimeError:
                return  # it is open already: whoever it was opened for went on without

    def wait(self, timeout: int, opens: "Gate | None") -> bool:
        """Open another gate, if there is one, and wait up to `timeout` ns (-1: for ever) to be let through.

        Signal handlers run; what they raise comes out. Compiled, the other is opened without the interpreter's lock, so
        that its thread finds that lock free.
        """
        if C.COMPILED:
            return wait_gate(self, timeout, opens)  # type: ignore[name-defined,no-any-return] # noqa: F821
        else:
            if opens is not None:
                opens.open()
            if timeout < 0:
                return bool(self.plain.acquire())
            return bool(self.plain.acquire(timeout=min(timeout / 1e9, 1e6)))
