"""One test in virtual time: its network, the test's own program, and the programs that it starts beside itself.

One event loop serves the whole test, with its asynchronous fixtures. Time passes only while the test, or such a fixture, runs.
"""

import asyncio
import contextlib
import inspect
from collections.abc import Callable, Generator, Iterator, Mapping
from contextvars import copy_context
from types import FrameType, TracebackType
from typing import Any

from pystack.pytest_plugin.failure import is_apart
from pystack.pytest_plugin.network import MarkedNetwork
from pystack.pytest_plugin.plan import Plan
from pystack.pytest_plugin.settings import MarkSettings, ScheduleStep
from pystack.sim import green
from pystack.sim.hub import Signal
from pystack.sim.loop import SimLoop
from pystack.sim.network import Link
from pystack.sim.nodes import SimHost
from pystack.sim.running import LIMIT, end_programs, find_host
from pystack.sim.schedule import Schedule
from pystack.sim.scheduler import SimError
from pystack.sim.session import session
from pystack.sockets import current

Program = Callable[[], Any]
#: frames of a traceback at most
MOST_FRAMES = 100


def is_async(fn: Any) -> bool:
    """Whether a call of the function makes a coroutine."""
    return inspect.iscoroutinefunction(fn) or inspect.iscoroutinefunction(getattr(fn, "__call__", None))  # noqa: B004


class Started:
    """A program that runs beside the test. `await` it in a coroutine, or call `wait()` in a plain function: both give its result."""

    def __init__(self, world: "World", host: SimHost, fn: Program):
        self.world = world
        self.host = host
        self.fn = fn
        self.name = getattr(fn, "__name__", type(fn).__name__)
        self.done = False
        self.result: Any = None
        self.error: BaseException | None = None
        self.signal = Signal(f"the end of {self.name!r}")
        self._claimed = False
        self._future: asyncio.Future[None] | None = None
        self._task: Any = None
        self._green: Any = None

    def begin(self) -> None:
        """Begin, in the run that is under way."""
        if is_async(self.fn):
            self._task = self.world.task(self.host, self.fn, self.name)
            self._task.add_done_callback(self._task_ended)
            # The loop may be waiting, because a program that blocks makes this call.
            self._task.get_loop().call_soon_threadsafe(lambda: None)
        else:
            self._green = self.world.net.hub.spawn(self.host, self.fn, name=self.name, context=copy_context())
            self._green.ended.append(self._green_ended)

    def _task_ended(self, task: Any) -> None:
        if task.cancelled():
            self._end(None, None)
        else:
            self._end(None if task.exception() else task.result(), task.exception())

    def _green_ended(self) -> None:
        result, error = self._green.result, self._green.error
        if inspect.iscoroutine(result):
            result.close()
            error = TypeError(
                f"the program {self.name!r} returned a coroutine, which nobody runs: pass the coroutine function"
            )
        self._end(result, error)

    def _end(self, result: Any, error: BaseException | None) -> None:
        self.result, self.error, self.done = result, error, True
        self.signal.fire()
        if self._future is not None:
            self.world.wake(self._future)
        if error is not None and not self._claimed:
            self.world.failed(error)

    def stop(self) -> None:
        """End the program where it waits."""
        if self._task is not None:
            self._task.cancel()
        elif self._green is not None and not self.done:
            self._green.kill()

    def wait(self) -> Any:
        """Wait until the program has ended, and return its result or raise its error. Other programs run meanwhile."""
        self._claimed = True
        if not self.done:
            if not self.world.inside():
                raise RuntimeError("wait() is for tests that are plain functions; in a coroutine, use `await`")
            self.world.net.hub.park(self.signal, None)
        return self._outcome()

    def __await__(self) -> Generator[Any, None, Any]:
        self._claimed = True
        if not self.done:
            if self._future is None:
                self._future = asyncio.get_running_loop().create_future()
            yield from asyncio.shield(self._future).__await__()
        return self._outcome()

    def traceback(self) -> TracebackType | None:
        """A traceback of the place where the program waits, without the frames of pystack and the standard library."""
        frames: list[FrameType] = []
        at: Any = None if self._task is None else self._task.get_coro()
        while at is not None and len(frames) < MOST_FRAMES:
            frame = getattr(at, "cr_frame", None) or getattr(at, "gi_frame", None) or getattr(at, "ag_frame", None)
            if frame is not None:
                frames.append(frame)
            at = getattr(at, "cr_await", None) or getattr(at, "gi_yieldfrom", None) or getattr(at, "ag_await", None)
        frame = None if self._green is None else self._green.greenlet.gr_frame
        while frame is not None and len(frames) < MOST_FRAMES:
            frames.insert(0, frame)
            frame = frame.f_back
        found: TracebackType | None = None
        for frame in reversed(frames):
            if not is_apart(frame.f_code.co_filename):
                found = TracebackType(found, frame, frame.f_lasti, frame.f_lineno)
        return found

    def _outcome(self) -> Any:
        if self.error is not None:
            raise self.error
        return self.result


class Links(Mapping[str, Link]):
    """The links of a network, by the names of hosts (the host's first link) and by their own names."""

    def __init__(self, net: MarkedNetwork):
        self.net = net

    def __getitem__(self, name: str) -> Link:
        host = self.net.hosts.get(name)
        for link in self.net.links.values():
            if link.name == name or (host is not None and host in (link.a.node, link.b.node)):
                return link
        raise KeyError(f"there is no link of a host {name!r}, and no link with that name; there are {', '.join(self)}")

    def __iter__(self) -> Iterator[str]:
        return iter([*self.net.hosts, *self.net.links])

    def __len__(self) -> int:
        return len(self.net.hosts) + len(self.net.links)


class World:
    """The network of one test, and what runs in it."""

    def __init__(self, settings: MarkSettings, plan: Plan, record: str = "", test: str = ""):
        self.settings = settings
        self.plan = plan
        self.net = MarkedNetwork(settings, plan)
        self.net.world = self
        self.record = record
        if record:
            self.net.record(record, test=test)
        self.host = self.net.host(settings.host)
        #: the hosts that the mark names
        self.hosts: dict[str, SimHost] = {}
        for name in settings.hosts:
            if name in plan.without:
                self.net.skip_host()
            else:
                self.hosts[name] = self.net.host(name)
        self.links = Links(self.net)
        #: the steps of the schedule, each with whether it happens in this run
        self.steps = self._schedule()
        self.started: list[Started] = []
        self._queued: list[Started] = []
        self._runner: asyncio.Runner | None = None
        self._over: asyncio.Future[None] | None = None
        self._failure: BaseException | None = None
        self.closed = False

    def _schedule(self) -> tuple[str, ...]:
        """Put the faults of the schedule into the network. Returns the steps that happen."""
        schedule, plan = self.settings.schedule, Schedule(self.net)
        if callable(schedule):
            schedule(plan)
            return ()
        chosen = schedule if self.plan.steps is None else tuple(step for step in schedule if step in self.plan.steps)
        for text in chosen:
            step = ScheduleStep.read(text)
            if step.host not in self.net.hosts and step.host not in self.plan.without:
                # Hosts that the test makes are known when they exist. The time 0 would be over then.
                self.net.at(step.at, self._begin_later, step)
            elif step.host in self.net.hosts:
                self._begin(plan, step)
        return chosen

    def _begin_later(self, step: ScheduleStep) -> None:
        if step.host not in self.net.hosts:
            raise SimError(f"the schedule has a fault of the host {step.host!r}, which is not in the network")
        self._begin(Schedule(self.net), step)

    def _begin(self, plan: Schedule, step: ScheduleStep) -> None:
        host = self.net.hosts[step.host]
        if step.fault == "cut":
            plan.cut(
                step.at,
                *(link for link in self.net.links.values() if host in (link.a.node, link.b.node)),
                until=step.until,
            )
        elif step.fault == "freeze":
            plan.freeze(step.at, host, until=step.until)
        elif step.fault == "crash":
            plan.crash(step.at, host)
        else:
            assert step.until is not None
            plan.reboot(step.at, host, after=step.until - step.at)

    # -- running -----------------------------------------------------------------------------------------------------

    def inside(self) -> bool:
        """Whether the caller is a program of this network that may block."""
        return self.net.hub.running is not None

    def test(self, fn: Callable[..., Any], arguments: dict[str, Any]) -> Any:
        """Run the test function. If it passes and has no asynchronous fixtures, everything is ended with it, which saves a session."""
        __tracebackhide__ = True
        return self._call(self._runner is None, fn, (), arguments)

    def call(self, fn: Callable[..., Any], *args: Any) -> Any:
        """Run a function of a fixture."""
        __tracebackhide__ = True
        return self._call(False, fn, args, {})

    def _call(self, alone: bool, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run a function on the test's host, until it has ended. Its error is raised."""
        __tracebackhide__ = True
        if asyncio.events._get_running_loop() is not None:
            raise RuntimeError("a test in virtual time cannot run inside a coroutine of another event loop")
        if self._runner is None:
            schedule = self.plan.seed if self.settings.shuffle and self.plan.shuffle else None
            self._runner = asyncio.Runner(loop_factory=lambda: SimLoop(self.net, schedule))
        main = Started(self, self.host, lambda: fn(*args, **kwargs))
        if is_async(fn):
            main.fn = _coroutine_function(fn, args, kwargs)
        main.name = getattr(fn, "__name__", "test")
        main._claimed = True
        self.net.hub.limit = self.plan.limit or self.settings.limit
        error: BaseException | None = None
        with session(self.net):
            try:
                # Not Runner.run: it would only cancel a task at the first Ctrl-C, and a test that never waits would go on.
                self._runner.get_loop().run_until_complete(self._main(main))
            except SimError as exc:
                # The frames of the simulator say nothing. Show where the test waits.
                error = exc.with_traceback(main.traceback())
            except BaseException as exc:
                error = exc
            self._over = None
            if error is None:
                error = self._failure if self._failure is not None else main.error
            if error is None and alone:
                self._end()
        if error is None:
            return main.result
        if self.net.recorder is not None:
            self.net.recorder.close()  # the recording ends where the test failed
        raise error

    async def _main(self, main: Started) -> None:
        loop = asyncio.get_running_loop()
        asyncio.current_task().hidden = True  # type: ignore[union-attr]
        self._over = over = loop.create_future()
        queued, self._queued = self._queued, []
        for started in queued:
            started.begin()
        main._future = over
        main.begin()
        if not over.done():
            await over
        if not main.done:  # another program has failed
            main.stop()

    def start(self, host: Any, fn: Program) -> Started:
        """See MarkedNetwork.start."""
        if not callable(fn):
            raise TypeError(f"a program is a function without arguments, not {fn!r}")
        started = Started(self, find_host(self.net, host), fn)
        self.started.append(started)
        if self._over is None:
            self._queued.append(started)
        else:
            started.begin()
        return started

    def run_programs(
        self,
        programs: Mapping[Any, Any],
        *,
        background: "Mapping[Any, Any] | None" = None,
        limit: int | None = None,
        schedule: object = None,
    ) -> dict[Any, Any]:
        """Network.run, in a test that is a plain function: the programs run beside it."""
        if schedule is not None:
            raise ValueError("the order of tasks in a test is chosen by @pytest.mark.pystack(shuffle=True)")
        hub = self.net.hub
        before = hub.limit
        if limit is not None:
            hub.limit = limit
        behind = [self.start(host, fn) for host, fns in (background or {}).items() for fn in _several(fns)]
        running = {host: [self.start(host, fn) for fn in _several(fns)] for host, fns in programs.items()}
        try:
            results = {host: [started.wait() for started in each] for host, each in running.items()}
        finally:
            hub.limit = before
            for started in behind:
                started.stop()
        return {host: each if isinstance(programs[host], list) else each[0] for host, each in results.items()}

    def task(self, host: SimHost, fn: Program, name: str) -> Any:
        """A task on a host, in the loop of the test."""
        assert self._runner is not None
        context = copy_context()
        context.run(current.bind, host)
        return self._runner.get_loop().create_task(fn(), name=name, context=context)

    def wake(self, future: "asyncio.Future[None]") -> None:
        """Set a future of the loop, from any program."""

        def settle() -> None:
            if not future.done():
                future.set_result(None)

        loop = future.get_loop()
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle)

    def failed(self, error: BaseException) -> None:
        """A program for which nobody waits has failed, so the test fails."""
        if self._failure is None and self._over is not None and not self._over.done():
            self._failure = error
            self.wake(self._over)

    def _end(self) -> None:
        """End all programs and the loop, in a session."""
        runner, self._runner = self._runner, None
        self.net.most_steps = 0
        self.net.hub.limit = self.net.now + LIMIT
        if runner is not None:
            runner.get_loop().set_exception_handler(_ending)
            with contextlib.suppress(SimError):
                try:
                    runner.close()
                finally:
                    end_programs(self.net.hub)

    def close(self) -> None:
        """End all programs and the loop, as a kernel ends processes, and finish the recording."""
        self.closed = True
        if self._runner is not None:
            with session(self.net):
                self._end()
        self.net.hub.limit = None
        self.net.close()
        self.net.world = None


def _ending(loop: Any, context: dict[str, Any]) -> None:
    """The exception handler of a loop that ends: a server that was cancelled is no error (Python 3.11 reports it as one)."""
    if not isinstance(context.get("exception"), asyncio.CancelledError):
        loop.default_exception_handler(context)


def _coroutine_function(fn: Callable[..., Any], args: Any, kwargs: Any) -> Program:
    async def call() -> Any:
        return await fn(*args, **kwargs)

    return call


def _several(programs: Any) -> list[Program]:
    return programs if isinstance(programs, list) else [programs]


def check_greenlet() -> None:
    """ImportError if greenlet is missing, without which a plain function cannot wait in virtual time."""
    if not green.available():
        raise ImportError(
            "a test that is a plain function runs in a greenlet: pip install 'pystack[pytest]', or write `async def`"
        )
