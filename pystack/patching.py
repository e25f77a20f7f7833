"""The one module that replaces parts of the standard library while a program runs on a stack, and puts them back.

    with live(host):                 # a live stack (`pystack.patch`)
    with hold("sockets", "time"):    # virtual time

A replacement acts for code that has a stack of its own (pystack.sockets.current); for all other code it does what the original does. So it is
harmless if a module that was imported meanwhile keeps it. Replacements are the process's: a group is put in place when the first
`hold` names it and taken away when the last one ends, in whatever order and in whatever thread that happens.

A name is replaced in its own module, and in each module that has imported it by `from time import monotonic`, except in ours and in
those of debuggers and test runners, whose clocks must stay real. A class that was used as a base class before cannot be replaced.
"""

import contextlib
import functools
import importlib
import socket as _std
import sys
import threading
from collections.abc import Callable, Iterator
from types import FunctionType, ModuleType
from typing import Any

from pystack import socket as _ours
from pystack import tls as _tls
from pystack.runtime import forked
from pystack.sockets import current as _current
from pystack.sockets import files as _files
from pystack.sockets import servers as _servers
from pystack.sockets.sockobj import _KernelSocket

#: modules (and those below them) that keep the originals
APART = (
    "_socket", "pystack", "pystack_c", "pytest", "_pytest", "pluggy", "xdist", "execnet", "pytest_timeout", "hypothesis", "coverage",
    "importlib", "faulthandler", "debugpy", "pydevd", "greenlet", "gevent",
)  # fmt: skip
_APART = frozenset(APART)

#: (the module's name, the attribute's name, its replacement); `module:Class` names a class
Replacement = tuple[str, str, Any]
#: by the id of an object: the object, and another to put in its place
_Pairs = dict[int, tuple[Any, Any]]
_groups: dict[str, Callable[[], list[Replacement]]] = {}
_held: dict[str, int] = {}
_undo: dict[str, list[tuple[str, str, Any, Any]]] = {}
_lock = threading.RLock()
forked.renewed(sys.modules[__name__], "_lock", threading.RLock)


def group(name: str) -> Callable[[Callable[[], list[Replacement]]], Callable[[], list[Replacement]]]:
    """Register a function that lists the replacements of a group."""

    def register(make: Callable[[], list[Replacement]]) -> Callable[[], list[Replacement]]:
        _groups[name] = make
        return make

    return register


@contextlib.contextmanager
def hold(*names: str) -> Iterator[None]:
    """Replace what these groups list, until the end of the block."""
    taken: list[str] = []
    try:
        with _lock:
            everywhere: _Pairs = {}
            for name in names:
                if not _held.get(name, 0):
                    _undo[name] = _replace(_groups[name](), everywhere)
                _held[name] = _held.get(name, 0) + 1
                taken.append(name)
            _exchange(everywhere)
        yield
    finally:
        with _lock:
            back: _Pairs = {}
            for name in reversed(taken):
                _held[name] -= 1
                if not _held[name]:
                    _restore(_undo.pop(name), back)
            _exchange(back)


def held() -> list[str]:
    """The groups that are in place now."""
    return [name for name, count in _held.items() if count]


class _Unbound(staticmethod):  # type: ignore[type-arg]
    """A function that a class may have as an attribute without becoming its method, as a function of the standard library that is written in C.

    pyftpdlib has `_poller = select.epoll` in a class, and others have `clock = time.monotonic`. They call it by an instance.
    """

    def __reduce__(self) -> str:
        return str(self.__wrapped__.__qualname__)  # copied and pickled by its name, as a function is


@functools.cache
def _unbound(function: FunctionType) -> _Unbound:
    return _Unbound(function)


def _replace(wanted: list[Replacement], everywhere: _Pairs) -> list[tuple[str, str, Any, Any]]:
    """Put the replacements in place. Returns (module, name, original, replacement) of each; `everywhere` gets what to exchange."""
    done: list[tuple[str, str, Any, Any]] = []
    for module, name, value in wanted:
        owner = _owner(module)
        if not hasattr(owner, name):
            continue  # another Python's
        original = getattr(owner, name)
        if isinstance(value, FunctionType) and not isinstance(original, FunctionType) and ":" not in module:
            value = _unbound(value)
        if original is value:
            continue
        setattr(owner, name, value)
        done.append((module, name, original, value))
        if callable(original) and ":" not in module:
            everywhere[id(original)] = (original, value)
    return done


def _restore(done: list[tuple[str, str, Any, Any]], everywhere: _Pairs) -> None:
    """Put the originals back, also into modules that were imported meanwhile."""
    for module, name, original, value in reversed(done):
        owner = _owner(module)
        if getattr(owner, name) is value:
            setattr(owner, name, original)
        if callable(value) and ":" not in module:
            everywhere[id(value)] = (value, original)


def _owner(name: str) -> Any:
    """The module, or the class in it, whose attribute is replaced."""
    module, _, inner = name.partition(":")
    owner = importlib.import_module(module)
    return getattr(owner, inner) if inner else owner


def apart(name: str) -> bool:
    """Return True if the module `name` keeps the originals."""
    return name.partition(".")[0] in _APART


def _exchange(pairs: _Pairs) -> None:
    """In the global names of all modules, replace each first object by the second."""
    if not pairs:
        return
    wanted = pairs.keys()
    for name, module in list(sys.modules.items()):
        if apart(name) or not isinstance(module, ModuleType):
            continue
        space = vars(module)
        if wanted.isdisjoint(map(id, list(space.values()))):
            continue  # most modules; a loop of Python over all global names of a large program takes long
        for key, value in list(space.items()):
            found = pairs.get(id(value))
            if found is not None and found[0] is value:
                space[key] = found[1]


# -- sockets ---------------------------------------------------------------------------------------------------

_FUNCTIONS = (
    "getaddrinfo", "getnameinfo", "gethostbyname", "gethostbyname_ex", "gethostbyaddr", "gethostname", "sethostname",
    "getdefaulttimeout", "setdefaulttimeout", "close", "dup",
)  # fmt: skip


def _either(name: str) -> Callable[..., Any]:
    """The function `name` of the module `socket`: ours if there is a stack, else the standard library's."""
    ours: Callable[..., Any] = getattr(_ours, name)
    theirs: Callable[..., Any] = getattr(_std, name)

    @functools.wraps(theirs)
    def function(*args: Any, **kwargs: Any) -> Any:
        return (theirs if _current.default() is None else ours)(*args, **kwargs)

    return function


_either_of = {name: _either(name) for name in _FUNCTIONS if hasattr(_std, name)}


@group("sockets")
def _sockets() -> list[Replacement]:
    """What opens sockets and resolves names. The other functions of Lib/socket.py are made of these.

    The class needs a stack: a socket that is silently the kernel's is what patching is to prevent.
    """
    found: list[Replacement] = [("socket", name, value) for name, value in _either_of.items()]
    classes = [("socket", "socket", _ours.socket), ("socket", "SocketType", _ours.SocketType)]
    return [*found, *classes, ("socket", "has_ipv6", False)]


@group("files")
def _as_files() -> list[Replacement]:
    """The functions that use descriptors as files."""
    return list(_files.REPLACEMENTS)


@group("tls")
def _blocking_tls() -> list[Replacement]:
    return [("ssl:SSLContext", "wrap_socket", _tls.wrap)]


@group("servers")
def _forking_servers() -> list[Replacement]:
    return _servers.replacements()


def kernel_socket(*args: Any, **kwargs: Any) -> _std.socket:
    """Return a socket of the kernel, also while the program is patched. The arguments are those of `socket.socket`."""
    return _KernelSocket(*args, **kwargs)


#: what is replaced for a live stack
LIVE = ("sockets", "files", "tls", "asyncio", "servers")


@contextlib.contextmanager
def live(host: Any = None) -> Iterator[None]:
    """Run the block as a program on a live stack: a socket for the network is the stack's, or raises an error.

    host  the stack of sockets that this block opens (in its own context: threads that it starts have the newest stack of the process,
          which is this one until another is named); None: the default stack at the time
    """
    with contextlib.ExitStack() as undo:
        undo.enter_context(hold(*LIVE))
        _count(1)
        undo.callback(_count, -1)
        if host is not None:
            _current.push(host)
            undo.callback(_current.drop, host)
            undo.enter_context(_current.bound(host))
        yield


def _count(step: int) -> None:
    with _lock:
        _current.patched += step
