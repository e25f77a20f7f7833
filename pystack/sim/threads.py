"""Threads in virtual time: on a simulated host, `threading.Thread` is a program of its own in a greenlet, and locks park programs.

Conditions, events, semaphores, barriers, timers, queues and executors are the standard library's, which makes them of locks. A lock that was
made before, by a module that was imported before, is the kernel's. If two programs contend for it, the thread waits for itself, and
sim/watchdog.py ends that. A threading.local that was made before is replaced if it is a global name of a module.
"""

import _threading_local
import queue
import sys
import threading
import weakref
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context, ContextVar
from types import ModuleType
from typing import Any

from pystack.patching import Replacement, apart, group
from pystack.sim import green
from pystack.sim.blocking import either
from pystack.sim.hub import Signal
from pystack.sim.selector import here

_current_thread = threading.current_thread
#: the program of a run (sim/running.py) to which the running code belongs, or None
owner: ContextVar[Any] = ContextVar("pystack_program", default=None)


def _hub() -> Any:
    """The hub of the network whose code runs."""
    host = here()
    if host is None:
        raise RuntimeError("a lock of virtual time cannot be waited for outside its network")
    return host.net.hub


def _later(hub: Any, seconds: float) -> int:
    """The network's time in so many seconds of the clock of the host whose code runs."""
    host = here()
    delay = round(seconds * 1e9)
    return int(hub.net.now + (delay if host is None else host.span(delay)))


class SimLock:
    """threading.Lock in virtual time. The program that has waited longest gets it first."""

    def __init__(self) -> None:
        self._held = False
        self._queue: deque[Signal] = deque()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """See threading.Lock."""
        if not blocking and timeout != -1:
            raise ValueError("can't specify a timeout for a non-blocking call")
        if timeout < 0 and timeout != -1:
            raise ValueError("timeout value must be a non-negative number")
        if not self._held:
            self._held = True
            return True
        if not blocking:
            return False
        hub = _hub()
        signal = Signal("a lock")
        self._queue.append(signal)
        try:
            if hub.park(signal, None if timeout == -1 else _later(hub, min(timeout, 4e9))):
                return True
        except BaseException:
            if signal.fired:
                self.release()
            raise
        finally:
            if not signal.fired:
                self._queue.remove(signal)
        return False

    def release(self) -> None:
        """See threading.Lock. A program that waits has the lock from this moment on."""
        if not self._held:
            raise RuntimeError("release unlocked lock")
        if self._queue:
            self._queue.popleft().fire()
        else:
            self._held = False

    def locked(self) -> bool:
        """See threading.Lock."""
        return self._held

    def _at_fork_reinit(self) -> None:
        self.__init__()  # type: ignore[misc]

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *exc: object) -> None:
        self.release()


class SimRLock:
    """threading.RLock in virtual time."""

    def __init__(self) -> None:
        self._lock = SimLock()
        self._owner = 0
        self._count = 0

    def _me(self) -> int:
        host = here()
        return 1 if host is None else host.net.hub.caller()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """See threading.RLock."""
        if self._owner == self._me():
            self._count += 1
            return True
        if not self._lock.acquire(blocking, timeout):
            return False
        self._owner = self._me()
        self._count = 1
        return True

    def release(self) -> None:
        """See threading.RLock."""
        if self._owner != self._me():
            raise RuntimeError("cannot release un-acquired lock")
        self._count -= 1
        if not self._count:
            self._owner = 0
            self._lock.release()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *exc: object) -> None:
        self.release()

    # what threading.Condition asks for

    def _is_owned(self) -> bool:
        return self._owner == self._me()

    def _recursion_count(self) -> int:
        """How often the caller has it (multiprocessing asks)."""
        return self._count if self._is_owned() else 0

    def _release_save(self) -> tuple[int, int]:
        state = (self._count, self._owner)
        self._count = self._owner = 0
        self._lock.release()
        return state

    def _acquire_restore(self, state: tuple[int, int]) -> None:
        self._lock.acquire()
        self._count, self._owner = state

    def _at_fork_reinit(self) -> None:
        self.__init__()  # type: ignore[misc]


# -- threads -----------------------------------------------------------------------------------------------------


def _start(host: Any, thread: Any) -> None:
    """Thread.start: the thread is a program from now on."""
    if thread._started.is_set():
        raise RuntimeError("threads can only be started once")
    context, mine = Context(), owner.get()
    context.run(owner.set, mine)
    program = host.net.hub.spawn(host, _bootstrap, thread, name=thread.name, context=context)
    _appear(program, thread)
    if mine is not None and not thread.daemon:
        mine.adopt(program)


def _bootstrap(thread: Any) -> None:
    try:
        thread.run()
    except (green.Exit, KeyboardInterrupt):
        raise
    except SystemExit:
        pass
    except BaseException:
        thread._invoke_excepthook(thread)


def end_executors(programs: list[Any]) -> None:
    """Do what the interpreter does at its end for the executors that a program has not shut down: their workers end when nothing is left to do."""
    for program in programs:
        arguments = getattr(program.thread, "_args", ())
        executor = arguments[0]() if arguments and isinstance(arguments[0], weakref.ref) else None
        if isinstance(executor, ThreadPoolExecutor):
            executor.shutdown(wait=False)


def join_own() -> None:
    """Wait for the threads of the running program, daemons excepted, as the interpreter does at its end."""
    mine = owner.get()
    end_executors(mine.threads)
    while mine.threads:
        mine.threads[0].thread.join()


def _join(thread: Any, timeout: float | None = None) -> None:
    program = getattr(thread, "_pystack_program", None)
    if program is None:
        _thread_join(thread, timeout)
        return
    hub = program.hub
    if hub.running is program:
        raise RuntimeError("cannot join current thread")
    if not program.done:
        signal = Signal(f"the end of thread {thread.name!r}")
        program.ended.append(signal.fire)
        hub.park(signal, None if timeout is None else _later(hub, max(0.0, timeout)))


def _is_alive(thread: Any) -> bool:
    program = getattr(thread, "_pystack_program", None)
    return bool(_thread_is_alive(thread)) if program is None else not program.done


_thread_start = threading.Thread.start
_thread_join = threading.Thread.join
_thread_is_alive = threading.Thread.is_alive


def _thread_of(host: Any) -> Any:
    """threading.current_thread: a program has a thread object of its own, which is not the main thread."""
    program = host.net.hub.running
    return _current_thread() if program is None else _appearance(program)


def _appearance(program: Any) -> Any:
    """The thread object of a program."""
    if program.thread is None:
        _appear(program, threading.Thread(name=program.name, daemon=False))  # its threads inherit this
    return program.thread


def _appear(program: Any, thread: Any) -> None:
    """Let a program appear as this thread object, which has started."""
    program.thread = thread
    thread._pystack_program = program
    thread._ident = program.number
    thread._started.set()


def _threads_of(host: Any) -> list[Any]:
    """threading.enumerate: the main thread, in which coroutines run, and the programs of the host."""
    programs = [program for program in host.net.hub.programs if program.host is host]
    return [threading.main_thread(), *(_appearance(program) for program in programs)]


def _ident_of(host: Any) -> int:
    program = host.net.hub.running
    return int(_get_ident() if program is None else program.number)


_get_ident = threading.get_ident
_SIMPLE_QUEUE: Any = queue._PySimpleQueue  # type: ignore[attr-defined]
_LOCK = either(threading.Lock, lambda host: SimLock())
_RLOCK = either(threading.RLock, lambda host: SimRLock())


class ProgramLocal(_threading_local.local):
    """threading.local in virtual time. It asks current_thread, and is right for all threads.

    The class is not _threading_local.local itself, because the end of a run replaces the class in the global names of all modules.
    """


_THREADING: dict[str, Any] = {
    "Lock": _LOCK,
    "_allocate_lock": _LOCK,
    "RLock": _RLOCK,
    "current_thread": either(_current_thread, _thread_of),
    "enumerate": either(threading.enumerate, _threads_of),
    "active_count": either(threading.active_count, lambda host: len(_threads_of(host))),
    "get_ident": either(_get_ident, _ident_of),
    "local": ProgramLocal,
}


_START = either(_thread_start, _start)
_ThreadLocal = threading.local


class Local:
    """In the place of a threading.local that a module has made before: each program of the network sees its own attributes.

    Code without a host sees the attributes of the original.
    """

    def __init__(self, original: Any):
        object.__setattr__(self, "_original", original)
        object.__setattr__(self, "_of_programs", ProgramLocal())

    def __getattribute__(self, name: str) -> Any:
        chosen = "_original" if here() is None else "_of_programs"
        return getattr(object.__getattribute__(self, chosen), name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(object.__getattribute__(self, "_original" if here() is None else "_of_programs"), name, value)

    def __delattr__(self, name: str) -> None:
        delattr(object.__getattribute__(self, "_original" if here() is None else "_of_programs"), name)


_LOCAL_TYPES = {_ThreadLocal}


def _locals() -> list[Replacement]:
    """The global names of all modules that are a threading.local, which would be the same object for all programs."""
    made: dict[int, Local] = {}
    found: list[Replacement] = []
    for name, module in list(sys.modules.items()):
        if apart(name) or not isinstance(module, ModuleType):
            continue
        if _LOCAL_TYPES.isdisjoint(map(type, list(vars(module).values()))):
            continue  # most modules, as in patching._exchange
        for key, value in list(vars(module).items()):
            if type(value) is _ThreadLocal:
                found.append((name, key, made.setdefault(id(value), Local(value))))
    return found


@group("threads")
def _threads() -> list[Replacement]:
    return [
        *_locals(),
        *(("threading", name, value) for name, value in _THREADING.items()),
        ("queue", "SimpleQueue", _SIMPLE_QUEUE),
        ("threading:Thread", "start", _START),
        ("threading:Thread", "join", _join),
        ("threading:Thread", "is_alive", _is_alive),
    ]
