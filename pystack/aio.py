"""An asyncio event loop that serves the stack itself while it waits.

    with asyncio.Runner(loop_factory=pystack.aio.EventLoop) as runner:    # or pystack.aio.run(main())
        runner.run(main())

Everything of asyncio works as on its own loop, with sockets of the stack and of the kernel alike. asyncio's own loop
works with a stack's sockets too, by their readiness descriptors; this one does without them, and without the hand-over from
the thread that reads the frames to the one that runs the loop.

While a socket is registered here, its descriptor shows no news to anybody else's select or epoll.
"""

import asyncio
import errno
import os
import selectors
from collections.abc import Coroutine, Iterator, Mapping
from typing import Any

from pystack.runtime.realtime import RealtimeHost
from pystack.runtime.selecting import READ, WRITE, Interest, Selection
from pystack.runtime.waiting import Watch
from pystack.sockets import current as _current
from pystack.sockets.handles import Handle, lookup

#: bytes of a file that are read at once
_PIECE = 1 << 18

assert (READ, WRITE) == (selectors.EVENT_READ, selectors.EVENT_WRITE)


class Selector(selectors.BaseSelector):
    """A selector over sockets of one stack and descriptors of the kernel. `host`: the default stack's where None."""

    def __init__(self, host: RealtimeHost | None = None):
        found = host if host is not None else _current.default()
        if not isinstance(found, RealtimeHost):
            raise OSError(errno.ENETDOWN, "no pystack stack is running here in real time: call pystack.up(...) first")
        self._host = found
        self._kernel = selectors.EpollSelector()
        self._selection = Selection(self._host, self._kernel.fileno())
        #: by descriptor: ours, whose `key` is a SelectorKey, with their handles, and the kernel's
        self._interests: dict[int, Interest] = {}
        self._handles: dict[int, Handle] = {}
        self._kernels: set[int] = set()
        #: sockets whose descriptors have to show their readiness again
        self._restore: list[tuple[Handle, Watch]] = []
        self._down = False
        self._map = _Keys(self)

    # -- registering -------------------------------------------------------------------------------------------------

    def _ours(self, fd: int) -> Handle | None:
        """The socket behind a descriptor, where it is one of this stack."""
        handle = lookup(fd)
        if handle is None or handle.description is None or handle.description.host is not self._host:
            return None
        return handle

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """See selectors.BaseSelector."""
        fd = _fd(fileobj)
        handle = self._ours(fd)
        if handle is None:
            theirs = self._kernel.register(fileobj, events, data)
            self._kernels.add(fd)
            return theirs
        if not events or events & ~(READ | WRITE):
            raise ValueError(f"Invalid events: {events!r}")
        if fd in self._interests:
            raise KeyError(f"{fileobj!r} (FD {fd}) is already registered")
        key = selectors.SelectorKey(fileobj, fd, events, data)
        description: Any = handle.description
        if handle.readiness is not None:
            description.host.hide(description.watch, handle.readiness)
        self._handles[fd] = handle
        self._interests[fd] = self._selection.add(description.watch, events, key)
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        """See selectors.BaseSelector."""
        fd = self._find(fileobj)
        interest = self._interests.pop(fd, None)
        if interest is None:
            theirs = self._kernel.unregister(fileobj)
            self._kernels.discard(theirs.fd)
            return theirs
        self._selection.remove(interest)
        # As a rule it is closed next: a descriptor that shows nothing until then is less to do.
        self._restore.append((self._handles.pop(fd), interest.watch))
        return interest.key  # type: ignore[no-any-return]

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """See selectors.BaseSelector."""
        fd = self._find(fileobj)
        interest = self._interests.get(fd)
        if interest is None:
            return self._kernel.modify(fileobj, events, data)
        if not events or events & ~(READ | WRITE):
            raise ValueError(f"Invalid events: {events!r}")
        key = selectors.SelectorKey(interest.key.fileobj, fd, events, data)
        self._selection.change(interest, events, key)
        return key

    def _find(self, fileobj: Any) -> int:
        """The descriptor of what was registered, also where it is closed by now."""
        if type(fileobj) is int:
            return fileobj
        try:
            return _fd(fileobj)
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
        fd = self._find(fileobj)
        interest = self._interests.get(fd)
        if interest is not None:
            return interest.key  # type: ignore[no-any-return]
        if fd >= 0 and fd not in self._kernels:
            # asyncio asks this way whether a socket is registered: what the kernel's would say takes it longer.
            raise KeyError(f"{fileobj!r} is not registered")
        return self._kernel.get_key(fileobj)

    # -- selecting ---------------------------------------------------------------------------------------------------

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """See selectors.BaseSelector. A stack that ended makes its sockets ready, once: their calls say why."""
        if self._restore:
            self._show_again()
        if self._down:
            return self._kernel.select(timeout)
        try:
            ready: list[Any] = self._selection.select(timeout)
        except OSError as exc:
            if exc.errno != errno.ENETDOWN:
                raise
            self._down = True
            return [(interest.key, interest.events) for interest in self._interests.values()]
        if self._selection.outside:
            ready += self._kernel.select(0)
        return ready

    def _show_again(self) -> None:
        restore, self._restore = self._restore, []
        for handle, watch in restore:
            fd = handle.number
            if handle.description is not None and handle.readiness is not None and fd not in self._interests:
                handle.description.host.show(watch, handle.readiness)

    def close(self) -> None:
        """See selectors.BaseSelector."""
        for fd in list(self._interests):
            self.unregister(fd)
        if not self._down:
            self._show_again()
        self._selection.close()
        self._kernel.close()


class _Keys(Mapping[Any, selectors.SelectorKey]):
    """All that is registered, by file object."""

    def __init__(self, selector: Selector):
        self._selector = selector

    def __len__(self) -> int:
        return len(self._selector._interests) + len(self._selector._kernel.get_map())

    def __getitem__(self, fileobj: Any) -> selectors.SelectorKey:
        return self._selector.get_key(fileobj)

    def __iter__(self) -> Iterator[Any]:
        yield from self._selector._interests
        yield from self._selector._kernel.get_map()


def _fd(fileobj: Any) -> int:
    """The number of a file object, as the selectors module takes it."""
    fd = fileobj if isinstance(fileobj, int) else None
    if fd is None:
        try:
            fd = int(fileobj.fileno())
        except (AttributeError, TypeError, ValueError):
            raise ValueError(f"Invalid file object: {fileobj!r}") from None
    if fd < 0:
        raise ValueError(f"Invalid file descriptor: {fd}")
    return fd


class EventLoop(asyncio.SelectorEventLoop):
    """asyncio's loop on a `Selector`; `host` as there."""

    def __init__(self, host: RealtimeHost | None = None):
        try:
            selector = Selector(host)
        except OSError:
            self._closed = True  # asyncio's finalizer looks at it
            raise
        super().__init__(selector)

    async def _sock_sendfile_native(self, sock: Any, file: Any, offset: int, count: int | None) -> int:
        """What os.sendfile does for the kernel's sockets. (asyncio calls this for `sock_sendfile` and `sendfile`.)"""
        if lookup(sock.fileno()) is None:
            return await super()._sock_sendfile_native(sock, file, offset, count)  # type: ignore[misc,no-any-return]
        try:
            fileno = file.fileno()
            size = os.fstat(fileno).st_size
        except (AttributeError, OSError) as exc:
            raise asyncio.SendfileNotAvailableError("not a regular file") from exc
        end = size if count is None else min(size, offset + count)
        at = offset
        try:
            while at < end and (data := os.pread(fileno, min(end - at, _PIECE), at)):
                await self.sock_sendall(sock, data)
                at += len(data)
        finally:
            if at > offset:
                os.lseek(fileno, at, os.SEEK_SET)
        return at - offset


def run(main: Coroutine[Any, Any, Any], *, debug: bool | None = None) -> Any:
    """As asyncio.run, on the default stack's EventLoop."""
    with asyncio.Runner(debug=debug, loop_factory=EventLoop) as runner:
        return runner.run(main)
