"""Running programs on the hosts of a network: `Network.run({host: program, ...})`.

A program is a coroutine function, which runs in one event loop with all others (sim/loop.py), or a plain function, which may block and runs
in a greenlet (sim/green.py). Either takes no arguments. On a kernel host, a program is a command, which is a list of words.
"""

import asyncio
import contextlib
import gc
import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextvars import copy_context
from typing import Any

from pystack.sim import blocking, descriptors, threads
from pystack.sim.commands import HostCommand, Stay, check_place, is_command, several
from pystack.sim.hub import RealPace, Signal
from pystack.sim.loop import SimLoop
from pystack.sim.scheduler import SimError
from pystack.sim.session import LIMIT, session
from pystack.sockets import current

Program = Callable[[], Any] | HostCommand | Stay
__all__ = ["LIMIT", "SimLoop", "blocking", "descriptors", "end_programs", "run", "threads"]


def run(
    net: Any,
    programs: Mapping[Any, "Program | list[Program]"],
    *,
    background: "Mapping[Any, Program | list[Program]] | None" = None,
    limit: int | None = None,
    schedule: object = None,
    real_time: bool = False,
) -> dict[Any, Any]:
    """Run programs until all have ended, with the threads that they started, daemons excepted. Returns what they returned, by the keys of `programs` (a list for a list).

    programs    host, or its name -> a program, or a list of programs; the result of a command is its exit status
    background  the same, of programs that are ended when the others have ended (servers)
    limit       the virtual time (ns) at which the run is an error; by default a day from now
    schedule    a seed by which the order of ready tasks is shuffled; the same seed, the same order
    real_time   whether virtual time passes as slowly as real time, so that a user can watch the programs

    An exception in a program ends the run and is raised. SimDeadlock: nothing can ever happen again. SimError: the limit is reached.
    """
    if asyncio.events._get_running_loop() is not None:
        raise RuntimeError(
            "Network.run cannot run programs inside a coroutine, because it does not return until they have ended"
        )
    hub = net.hub
    if hub.running is not None:
        raise RuntimeError(
            f"the program {hub.running.name!r} is part of a run of this network: it cannot begin another one; use a thread"
        )
    chosen = [_Running(net, key, fn, False) for key, fn in _each(programs)]
    chosen += [_Running(net, key, fn, True) for key, fn in _each(background or {})]
    before = hub.limit
    hub.limit = net.now + LIMIT if limit is None else limit
    hub.pace = RealPace(net.now) if real_time else None
    with session(net):
        try:
            if any(one.is_async for one in chosen):
                _run_loop(net, chosen, schedule)
                _wait_for_threads(net, chosen)
            else:
                signal = Signal("the programs")
                _start_blocking(net, chosen, signal.fire)
                if not _over(chosen):
                    hub.park(signal, None)
        finally:
            hub.limit, hub.pace = before, None
            for one in chosen:
                one.ended = _nothing
            end_programs(hub)
            for host in net.kernels.values():
                host.end()
    for one in chosen:
        if one.error is not None:
            raise one.error
    return {key: _results(chosen, key, several(fn)) for key, fn in programs.items()}


def find_host(net: Any, key: Any) -> Any:
    """The host of a network by its name, or the host itself. ValueError: it is not in this network."""
    host = (net.hosts.get(key) or net.kernels.get(key)) if isinstance(key, str) else key
    if host is None or getattr(host, "net", None) is not net:
        raise ValueError(f"{key!r} is no host of this network, and no name of one")
    return host


class _Running:
    """One program of a run, and how it ended."""

    def __init__(self, net: Any, key: Any, fn: Program, background: bool):
        self.key = key
        self.host = find_host(net, key)
        self.fn = fn
        check_place(self.host, fn)
        self.background = background
        self.is_async = inspect.iscoroutinefunction(fn) or inspect.iscoroutinefunction(getattr(fn, "__call__", None))  # noqa: B004
        self.name = str(getattr(fn, "__name__", type(fn).__name__))
        self.done = False
        self.result: Any = None
        self.error: BaseException | None = None
        #: the task; a loop refers to its tasks weakly, and one that waits is otherwise garbage
        self.task: Any = None
        #: its threads that are no daemons and have not ended, as programs of the hub
        self.threads: list[Any] = []
        #: called when it ends, or one of its threads that end after it
        self.ended: Callable[[], Any] = _nothing

    def adopt(self, program: Any) -> None:
        """It has started a thread, for whose end the run waits."""
        self.threads.append(program)

        def ended() -> None:
            self.threads.remove(program)
            if self.done:
                self.ended()

        program.ended.append(ended)

    def end(self, result: Any, error: BaseException | None) -> None:
        """It has ended."""
        if error is None and not self.is_async:
            error = _not_run(self.name, result)
        self.result, self.error, self.done = result, error, True
        threads.end_executors(self.threads)
        self.ended()


def _nothing() -> None:
    """In the place of a call that is not wanted any more."""


def _not_run(name: str, result: Any) -> TypeError | None:
    """The error for a plain function that has only made a coroutine or a generator, and has run nothing of it."""
    if not (inspect.iscoroutine(result) or inspect.isgenerator(result) or inspect.isasyncgen(result)):
        return None
    if not inspect.isasyncgen(result):
        result.close()
    return TypeError(
        f"the program {name!r} returned {result!r}, which nobody runs: "
        "a program is a coroutine function (async def), or a plain function without yield"
    )


def _each(programs: Mapping[Any, Any]) -> Iterator[tuple[Any, Program]]:
    if not isinstance(programs, Mapping):
        raise TypeError(f"the programs of a run are a mapping, {{host: program}}, not {programs!r}")
    for key, fn in programs.items():
        for one in fn if several(fn) else [fn]:
            if is_command(one):
                yield key, HostCommand(one)
            elif callable(one):
                yield key, one
            else:
                raise TypeError(f"a program is a function without arguments, not {one!r}")


def _results(chosen: list[_Running], key: Any, several: bool) -> Any:
    results = [one.result for one in chosen if one.key == key and not one.background]
    return results if several else results[0]


def _over(chosen: list[_Running]) -> bool:
    """Whether the run is over, up to the threads of coroutines: all have ended that shall, or one has failed.

    As after asyncio.run, the threads of a coroutine end after its loop. (anyio's workers end because the loop's first task has.)
    """
    if any(one.error is not None for one in chosen):
        return True
    return all(one.background or (one.done and (one.is_async or not one.threads)) for one in chosen)


def _wait_for_threads(net: Any, chosen: list[_Running]) -> None:
    """Wait until the threads of coroutines have ended, if no program has failed."""
    signal = Signal("the threads of the programs")

    def left() -> bool:
        failed = any(one.error is not None for one in chosen)
        return not failed and any(one.threads for one in chosen if not one.background)

    def ended() -> None:
        if not left():
            signal.fire()

    for one in chosen:
        one.ended = ended
    if left():
        net.hub.park(signal, None)


def _start_blocking(net: Any, chosen: list[_Running], over: Callable[[], Any]) -> None:
    """Start the programs that may block. `over` is called when the run is over by one of them."""

    def ended() -> None:
        if _over(chosen):
            over()

    for one in chosen:
        one.ended = ended
        if one.is_async:
            continue
        if isinstance(one.fn, HostCommand | Stay):
            one.fn.start(one.host, one.end)
            continue
        context = copy_context()
        context.run(threads.owner.set, one)
        program = net.hub.spawn(one.host, one.fn, name=one.name, context=context)

        def finished(one: _Running = one, program: Any = program) -> None:
            if not one.done:  # otherwise the run is over
                one.end(program.result, program.error)

        program.ended.append(finished)


def _run_loop(net: Any, chosen: list[_Running], schedule: object) -> None:
    """Run everything with one event loop, which drives the network."""
    runner = asyncio.Runner(loop_factory=lambda: SimLoop(net, schedule))
    failed = True
    try:
        runner.run(_main(net, chosen))
        failed = False
    finally:
        # To cancel the tasks takes virtual time, too.
        net.hub.limit = net.now + LIMIT
        with contextlib.suppress(SimError) if failed else contextlib.nullcontext():
            runner.close()


async def _main(net: Any, chosen: list[_Running]) -> None:
    loop = asyncio.get_running_loop()
    asyncio.current_task().hidden = True  # type: ignore[union-attr] # it is no program, and in no report
    over = loop.create_future()

    def finish() -> None:
        if not over.done():
            over.set_result(None)

    for one in chosen:
        if not one.is_async:
            continue
        context = copy_context()
        context.run(current.bind, one.host)
        context.run(threads.owner.set, one)
        task = loop.create_task(one.fn(), name=one.name, context=context)

        def ended(task: Any, one: _Running = one) -> None:
            if one.done:
                return  # the run is over
            if task.cancelled():
                one.end(None, asyncio.CancelledError())
            else:
                one.end(None if task.exception() else task.result(), task.exception())

        task.add_done_callback(ended)
        one.task = task
    _start_blocking(net, chosen, lambda: loop.call_soon_threadsafe(finish))
    if not _over(chosen):
        await over
    for one in chosen:
        one.done = True  # a task that is cancelled from now on has not failed


def end_programs(hub: Any) -> None:
    """End the programs that still run, as a kernel ends processes, which closes their sockets."""
    if not hub.programs:
        return
    hub.ending = True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            while hub.programs:
                hub.programs[0].kill()
            gc.collect()
    finally:
        hub.ending = False
