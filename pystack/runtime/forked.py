"""What a child process made by os.fork() inherits and must not use: locks that a thread of the parent has, files that the parent writes.

The table in docs/reference/driver-safety.md lists them all.
"""

import os
import weakref
from collections.abc import Callable
from typing import Any

#: objects, and by attribute what makes the lock anew
_locks: "weakref.WeakKeyDictionary[Any, dict[str, Callable[[], Any]]]" = weakref.WeakKeyDictionary()
_files: "weakref.WeakSet[Any]" = weakref.WeakSet()


def renewed(owner: Any, attribute: str, make: Callable[[], Any]) -> None:
    """Set an attribute to `make()`, and to another one in each child: the thread that has the lock is not there to give it back."""
    setattr(owner, attribute, make())
    _locks.setdefault(owner, {})[attribute] = make


def parents(file: Any) -> Any:
    """A file that this process writes. What a child has inherited of it, the bytes in its buffer too, goes nowhere."""
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
