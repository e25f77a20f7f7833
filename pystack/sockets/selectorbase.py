"""The part that is the same in each selector over the sockets of stacks: pystack.aio's, and the one of virtual time (pystack.sim.selector)."""

import selectors
from collections.abc import Iterator, Mapping
from typing import Any

from pystack.runtime.waiting import READ, WRITE, Interest

assert (READ, WRITE) == (selectors.EVENT_READ, selectors.EVENT_WRITE)


def number_of(fileobj: Any) -> int:
    """The number of a file object, as the module selectors takes it. ValueError if there is none."""
    fd = fileobj if isinstance(fileobj, int) else None
    if fd is None:
        try:
            fd = int(fileobj.fileno())
        except (AttributeError, TypeError, ValueError):
            raise ValueError(f"Invalid file object: {fileobj!r}") from None
    if fd < 0:
        raise ValueError(f"Invalid file descriptor: {fd}")
    return fd


def check_events(events: int) -> None:
    """Raise ValueError if these are no events that a selector can wait for."""
    if not events or events & ~(READ | WRITE):
        raise ValueError(f"Invalid events: {events!r}")


class SelectorBase(selectors.BaseSelector):
    """A selector that keeps its sockets by descriptor."""

    def __init__(self) -> None:
        #: by descriptor; the `key` of an interest is its SelectorKey
        self._interests: dict[int, Interest] = {}
        self._map: Mapping[Any, selectors.SelectorKey] = Keys(self)

    def _find(self, fileobj: Any) -> int:
        """The descriptor of an object that was registered, also if it is closed by now."""
        if type(fileobj) is int:
            return fileobj
        try:
            return number_of(fileobj)
        except ValueError:
            for fd, interest in self._interests.items():
                if interest.key.fileobj is fileobj:
                    return fd
            return -1

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        """See selectors.BaseSelector."""
        return self._map

    def get_key(self, fileobj: Any) -> selectors.SelectorKey:
        """See selectors.BaseSelector."""
        interest = self._interests.get(self._find(fileobj))
        if interest is None:
            raise KeyError(f"{fileobj!r} is not registered")
        return interest.key  # type: ignore[no-any-return]


class Keys(Mapping[Any, selectors.SelectorKey]):
    """The map of a selector. It finds a key by a file object or a descriptor, and iterates over the descriptors."""

    def __init__(self, selector: SelectorBase):
        self._selector: Any = selector

    def __len__(self) -> int:
        return len(self._selector._interests)

    def __getitem__(self, fileobj: Any) -> selectors.SelectorKey:
        return self._selector.get_key(fileobj)  # type: ignore[no-any-return]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._selector._interests)
