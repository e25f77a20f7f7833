"""A lock that knows its thread, and a gate at which one thread waits.

There are two bodies, as in phy.tapio: compiled, the interpreter's
C locks (see lock.pxd); uncompiled, those of `threading`.
"""

import threading
from typing import Any

import pystack_c.const as C


def this_thread() -> int:
    """Return the number of the calling thread."""
    if C.COMPILED:
        return thread_ident()  # type: ignore[name-defined,no-any-return] # noqa: F821
    else:
        return threading.get_ident()


class Lock:
    """A reentrant lock, because a signal handler may use the stack wherever it interrupted its thread."""

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
        """Take the lock, and wait while another thread holds it."""
        if C.COMPILED:
            take_lock(self, True)  # type: ignore[name-defined] # noqa: F821
        else:
            self.rlock.acquire()

    def try_acquire(self) -> bool:
        """Take the lock if no other thread holds it. Returns True if it was taken."""
        if C.COMPILED:
            return take_lock(self, False)  # type: ignore[name-defined,no-any-return] # noqa: F821
        else:
            return bool(self.rlock.acquire(blocking=False))

    def release(self) -> None:
        """Release the lock. Call this once for each time the lock was taken."""
        if C.COMPILED:
            drop_lock(self)  # type: ignore[name-defined] # noqa: F821
        else:
            self.rlock.release()

    def mine(self) -> bool:
        """Return True if the calling thread holds the lock."""
        if C.COMPILED:
            return has_lock(self)  # type: ignore[name-defined,no-any-return] # noqa: F821
        else:
            return bool(self.rlock._is_owned())

    def renew(self) -> None:
        """Replace the lock in a child process after fork, where the other threads do not exist.

        A thread that held it still does.
        """
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
    """A gate for one waiting thread. It is shut until another thread opens it, which lets one thread through once."""

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
        """Let the waiting thread through, or the next thread that waits. The gate must be shut."""
        if C.COMPILED:
            open_gate(self)  # type: ignore[name-defined] # noqa: F821
        else:
            try:
                self.plain.release()
            except RuntimeError:
                return  # it is already open, because the thread for which it was opened went on without it

    def wait(self, timeout: int, opens: "Gate | None") -> bool:
        """Open `opens`, if given, and wait up to `timeout` ns (-1: forever).

        Returns True if the thread was let through.

        Signal handlers run, and their exceptions leave this call. Compiled, the other gate is opened without the
        interpreter's lock, so that its thread finds that lock free.
        """
        if C.COMPILED:
            return wait_gate(self, timeout, opens)  # type: ignore[name-defined,no-any-return] # noqa: F821
        else:
            if opens is not None:
                opens.open()
            if timeout < 0:
                return bool(self.plain.acquire())
            return bool(self.plain.acquire(timeout=min(timeout / 1e9, 1e6)))
