"""An asyncio event loop that serves the stack itself while it waits.

    with asyncio.Runner(loop_factory=pystack.aio.EventLoop) as runner:    # or pystack.aio.run(main())
        runner.run(main())

All of asyncio works as on its own loop. While it runs, `asyncio.start_server(host, port)` and all other calls for the network use the stack,
and raise an error if the stack cannot do what they ask for. Unix sockets, pipes and processes are the kernel's, and so is a socket that was
made as one (`pystack.patching.kernel_socket`).

asyncio's own loop also works with a stack's sockets, by their readiness descriptors. This loop needs neither the hand-over from the thread
that reads the frames to the one that runs the loop, nor these descriptors: a socket has one only if the program asks for its `fileno()`.
"""

import asyncio
import errno
import selectors
from collections.abc import Coroutine, Iterator
from contextvars import copy_context
from typing import Any

from pystack.loops import _SelectorEventLoop, bind_task, loops_of, sendfile
from pystack.patching import live
from pystack.runtime.realtime import RealtimeHost
from pystack.runtime.selecting import Selection
from pystack.sockets import current as _current
from pystack.sockets.handles import Handle, lookup, runs_loop
from pystack.sockets.selectorbase import Keys, SelectorBase, check_events, number_of
from pystack.sockets.sockbase import SocketBase

#: where asyncio's own loop looks up the functions of `socket`, so that a program may replace them
_base: Any = asyncio.base_events


class Selector(SelectorBase):
    """A selector over sockets of one stack and descriptors of the kernel. `host` is the stack's; None means the default stack's."""

    def __init__(self, host: RealtimeHost | None = None):
        found = host if host is not None else _current.default()
        if not isinstance(found, RealtimeHost):
            raise OSError(errno.ENETDOWN, "no pystack stack is running here in real time: call pystack.up(...) first")
        self._host = found
        self._kernel = selectors.EpollSelector()
        self._selection = Selection(self._host, self._kernel.fileno())
        super().__init__()
        #: the stack's sockets, by the number under which they are registered; a socket may have another one (Handle.number, Handle.alias)
        self._handles: dict[int, Handle] = {}
        self._numbers: dict[Handle, int] = {}
        #: descriptors of the kernel
        self._kernels: set[int] = set()
        self._down = False
        self._map = _Keys(self)

    # -- registering -------------------------------------------------------------------------------------------------

    def _ours(self, fd: int) -> Handle | None:
        """The handle of a descriptor, if it is a socket of this stack."""
        handle = lookup(fd)
        if handle is None or handle.description is None or handle.description.host is not self._host:
            return None
        return handle

    def _find(self, fileobj: Any) -> int:
        """SelectorBase._find; a socket is found by either of its numbers."""
        fd = fileobj if type(fileobj) is int else super()._find(fileobj)
        if fd in self._interests or fd in self._kernels:
            return fd
        handle = lookup(fd)
        return fd if handle is None else self._numbers.get(handle, fd)

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """See selectors.BaseSelector."""
        fd = number_of(fileobj)
        handle = self._ours(fd)
        if handle is None:
            theirs = self._kernel.register(fileobj, events, data)
            self._kernels.add(fd)
            return theirs
        check_events(events)
        if handle in self._numbers:
            raise KeyError(f"{fileobj!r} (FD {fd}) is already registered")
        key = selectors.SelectorKey(fileobj, fd, events, data)
        description: Any = handle.description
        self._handles[fd] = handle
        self._numbers[handle] = fd
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
        del self._numbers[self._handles.pop(fd)]
        return interest.key  # type: ignore[no-any-return]

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """See selectors.BaseSelector."""
        fd = self._find(fileobj)
        interest = self._interests.get(fd)
        if interest is None:
            return self._kernel.modify(fileobj, events, data)
        check_events(events)
        key = selectors.SelectorKey(interest.key.fileobj, fd, events, data)
        self._selection.change(interest, events, key)
        return key

    def get_key(self, fileobj: Any) -> selectors.SelectorKey:
        """See selectors.BaseSelector."""
        fd = self._find(fileobj)
        interest = self._interests.get(fd)
        if interest is not None:
            return interest.key  # type: ignore[no-any-return]
        if fd >= 0 and fd not in self._kernels:
            # asyncio asks in this way whether a socket is registered, and the kernel's selector would take longer.
            raise KeyError(f"{fileobj!r} is not registered")
        return self._kernel.get_key(fileobj)

    # -- selecting ---------------------------------------------------------------------------------------------------

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """See selectors.BaseSelector. If the stack has stopped, its sockets are ready once, and their calls raise the reason."""
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

    def close(self) -> None:
        """See selectors.BaseSelector."""
        for fd in list(self._interests):
            self.unregister(fd)
        self._selection.close()
        self._kernel.close()


class _Keys(Keys):
    """The sockets of the stack and the kernel's descriptors."""

    def __len__(self) -> int:
        return super().__len__() + len(self._selector._kernel.get_map())

    def __iter__(self) -> Iterator[Any]:
        yield from super().__iter__()
        yield from self._selector._kernel.get_map()


class EventLoop(_SelectorEventLoop):
    """asyncio's loop on a `Selector`, which gets `host`.

    While it runs, the process is patched (pystack.patching.live): a host and a port mean the stack, whichever way a library opens its socket.
    """

    def __init__(self, host: RealtimeHost | None = None):
        self._named = host
        try:
            selector = Selector(host)
        except OSError:
            self._closed = True  # asyncio's finalizer looks at it
            raise
        super().__init__(selector)

    def run_forever(self) -> None:
        """See asyncio."""
        with live(self._named):
            before = runs_loop(self._selector._host)  # type: ignore[attr-defined]
            try:
                super().run_forever()
            finally:
                runs_loop(before)

    def create_task(self, coro: Any, **kwargs: Any) -> Any:
        """See asyncio. If the loop was made for one stack, the task's sockets are that stack's."""
        if self._named is not None:
            bind_task(self._named, kwargs)
        return super().create_task(coro, **kwargs)

    def _ensure_fd_no_transport(self, fd: Any) -> None:
        """See asyncio, which knows its transports by number. If a socket has two, this is the one that asyncio has."""
        handle = lookup(fd) if type(fd) is int else None
        super()._ensure_fd_no_transport(fd if handle is None else handle.known())  # type: ignore[misc]

    async def create_server(self, *args: Any, **kwargs: Any) -> Any:
        """See asyncio. If no address is one of the stack's (an IPv6 address), this raises an error. Older Pythons return a server of nothing."""
        server = await super().create_server(*args, **kwargs)
        if not server.sockets and kwargs.get("start_serving", True):
            server.close()
            raise OSError(
                errno.EAFNOSUPPORT, "the stack has sockets for none of these addresses; it speaks IPv4 (AF_INET)"
            )
        return server

    async def getaddrinfo(
        self, host: Any, port: Any, *, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0
    ) -> Any:
        """socket.getaddrinfo, which is the stack's now, in the executor, because a name may have to be asked for."""
        run, resolve = copy_context().run, _base.socket.getaddrinfo
        return await self.run_in_executor(None, run, resolve, host, port, family, type, proto, flags)

    async def getnameinfo(self, sockaddr: Any, flags: int = 0) -> Any:
        """socket.getnameinfo, which is the stack's now."""
        run, name = copy_context().run, _base.socket.getnameinfo
        return await self.run_in_executor(None, run, name, sockaddr, flags)

    async def _sock_sendfile_native(self, sock: Any, file: Any, offset: int, count: int | None) -> int:
        """Do what os.sendfile does for the kernel's sockets. (asyncio calls this for `sock_sendfile` and `sendfile`.)"""
        if not isinstance(sock, SocketBase) and lookup(sock.fileno()) is None:
            return await super()._sock_sendfile_native(sock, file, offset, count)  # type: ignore[misc,no-any-return]
        return await sendfile(self, sock, file, offset, count)


def _new_loop(host: RealtimeHost) -> EventLoop:
    """A loop for code that runs on `host`: for this stack alone if the code is bound to it."""
    return EventLoop(host if _current.bound_host() is host else None)


loops_of(RealtimeHost, _new_loop)


def run(main: Coroutine[Any, Any, Any], *, debug: bool | None = None) -> Any:
    """As asyncio.run, on the default stack's EventLoop, and patched throughout."""
    with live(), asyncio.Runner(debug=debug, loop_factory=EventLoop) as runner:
        return runner.run(main)
