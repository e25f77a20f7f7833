"""Locks and files that a child process inherits from os.fork() and must not use.

A thread of the parent may hold such a lock, and the parent continues to write such a file.
docs/reference/driver-safety.md lists them.
"""

import os
import weakref
from collections.abc import Callable
from typing import Any

#: what to do instead of forking
ADVICE = (
    "a forked process has none of its sockets, so serve with threads or asyncio in one process (ThreadingMixIn, waitress or uvicorn "
    "instead of ForkingMixIn or gunicorn's workers), or call pystack.up in the child"
)
#: for each object, the function that makes the lock of an attribute
_locks: "weakref.WeakKeyDictionary[Any, dict[str, Callable[[], Any]]]" = weakref.WeakKeyDictionary()
_files: "weakref.WeakSet[Any]" = weakref.WeakSet()


def renewed(owner: Any, attribute: str, make: Callable[[], Any]) -> None:
    """Set an attribute to `make()`, and again in each child, where the thread that held the old lock is missing."""
    setattr(owner, attribute, make())
    _locks.setdefault(owner, {})[attribute] = make


def parents(file: Any) -> Any:
    """Mark `file` as written by this process only, and return it. In a child, the bytes in its buffer are discarded."""
    _files.add(file)
    return file


def _after_fork() -> None:
    for owner, attributes in list(_locks.items()):
        for name, make in attributes.items():
            setattr(owner, name, make())
    nowhere = -1
    for file in list(_files):
        try:
            number = file.fileno()
        except (OSError, ValueError):
            continue  # closed
        if nowhere < 0:
            nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        os.dup2(nowhere, number, inheritable=False)
    if nowhere >= 0:
        os.close(nowhere)
    _files.clear()


os.register_at_fork(after_in_child=_after_fork)
