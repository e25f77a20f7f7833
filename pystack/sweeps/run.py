"""`pystack.sweep`: run a function with many parameters and seeds, in processes or in an executor, and keep each row that finishes."""

import functools
import hashlib
import inspect
import multiprocessing
import os
import pickle
import signal
import sys
import threading
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Future, ProcessPoolExecutor, wait
from pathlib import Path
from typing import Any, NamedTuple

from pystack.sweeps import work
from pystack.sweeps.errors import SweepError
from pystack.sweeps.results import Sweep, SweepRow, row_of
from pystack.sweeps.store import Store
from pystack.sweeps.values import Task, tasks

#: tasks that an executor of the caller has at once: it may have many workers, and does not say how many
IN_FLIGHT = 1000
#: how often a task alone may end its worker process before its row becomes an error
DEATHS = 2


class Progress(NamedTuple):
    """How far a sweep is. `row` is the row that has just finished, or None at the beginning."""

    done: int
    total: int
    errors: int
    row: SweepRow | None


def sweep(
    function: Callable[..., Any],
    parameters: Any,
    seeds: Any,
    *,
    executor: Any = None,
    file: "str | os.PathLike[str] | None" = None,
    name: str = "",
    workers: int | None = None,
    progress: Callable[[Progress], object] | None = None,
    retry_errors: bool = False,
    changed: bool = False,
) -> Sweep:
    """Call `function(**parameters, seed=seed)` for all parameters and seeds, and return the results.

    parameters    {name: values}, of which all combinations run, or a list of dicts
    seeds         a number n (the seeds are 0 to n-1), or a list of ints
    executor      a concurrent.futures.Executor (Dask's client.get_executor() is one), or a pool with apply_async; None: processes here
    file          a SQLite file that keeps each finished row: it never runs again, in this call and in later ones. None: memory only
    name          the name of the sweep in the file; by default, the function's. Several sweeps may share a file
    workers       the number of processes; by default, one for each processor
    progress      called with a Progress at the beginning and after each row
    retry_errors  run the rows with an error in the file again
    changed       keep the rows in the file although the function's source has changed

    If the function raises an exception, its row has the error, and the other rows go on. SweepError: rows are missing, because workers
    died or could not import the function. Whatever has finished is kept, and the same call goes on with the rest.
    """
    chosen = tasks(parameters, seeds)
    _check(function, chosen[0], workers)
    name = name or name_of(function)
    with Store(file) as store:
        number = store.begin(name, sorted(chosen[0].parameters), source_of(function), changed)
        if retry_errors:
            store.forget_errors(number)
        answers = {row[0]: row[3] for row in store.rows(number)}
        keys = {task.key for task in chosen}
        answers = {key: answer for key, answer in answers.items() if key in keys}
        runner = _Runner(store, number, chosen, answers, progress)
        runner.tell(None)
        if runner.pending:
            runner.run(function, executor, workers or os.cpu_count() or 1)
        result = runner.sweep(name)
    if result.missing:
        raise SweepError(
            f"{result.missing} of {len(chosen)} rows have not finished ({runner.trouble}); "
            + ("the same call goes on with them" if file is not None else "the others are in `sweep` of this error"),
            result,
        )
    return result


class _Runner:
    """One call of `sweep`."""

    def __init__(
        self,
        store: Store,
        number: int,
        chosen: list[Task],
        answers: dict[str, work.Answer],
        progress: Callable[[Progress], object] | None,
    ):
        self.store = store
        self.number = number
        self.chosen = chosen
        self.answers = answers
        self.progress = progress
        self.pending = deque(task for task in chosen if task.key not in answers)
        self.errors = sum(1 for answer in answers.values() if answer.error)
        self.trouble = ""

    def run(self, function: Any, executor: Any, workers: int) -> None:
        """Run what is pending."""
        if executor is None:
            self._own(pickled(function), workers)
        else:
            # A broken executor cannot be mended here: its rows are missing, and the next call has another executor.
            self._batch(_as_executor(executor), function, self.pending, IN_FLIGHT)

    def _own(self, function: bytes, workers: int) -> None:
        """Run it in processes. If one dies, start others, and find the task that ends its process by running the suspects alone."""
        deaths: Counter[str] = Counter()
        with _Processes(min(workers, len(self.pending))) as processes:
            processes.check(function)
            while self.pending:
                suspects = deque(self._batch(processes.pool(), function, self.pending, 2 * workers))
                while suspects:
                    task = suspects[0]
                    if not self._batch(processes.pool(), function, deque([task]), 1):
                        suspects.popleft()
                        continue
                    deaths[task.key] += 1
                    if deaths[task.key] == DEATHS:
                        suspects.popleft()
                        text = "the worker process ended: it was killed, ran out of memory, or the function ended it"
                        self.finish(task, work.Answer(0.0, error=f"WorkerDied: {text} ({DEATHS} times)"))

    def _batch(self, executor: Any, function: Any, queue: "deque[Task]", width: int) -> list[Task]:
        """Run the tasks of a queue, `width` at a time. Returns those that were running when the executor broke."""
        running: dict[Future[Any], Task] = {}
        broken = False
        try:
            while running or (queue and not broken):
                while queue and not broken and len(running) < width:
                    try:
                        future = executor.submit(work.run_task, function, queue[0].parameters, queue[0].seed)
                    except RuntimeError as error:  # it is broken, or was shut down
                        self.trouble = work.one_line(error)
                        broken = True
                        break
                    running[future] = queue.popleft()
                done = {future: task for future, task in running.items() if future.done()}
                for future, task in done.items():
                    broken = broken or _is_broken(future)
                    self._lost(future, task)
                if broken:
                    wait(running, timeout=60)
                    return [task for future, task in running.items() if self._lost(future, task)]
                running = {future: task for future, task in running.items() if future not in done}
                if running:
                    wait(running, return_when=FIRST_COMPLETED)
        except BaseException:
            for future, task in running.items():
                if not future.cancel() and future.done():
                    self._lost(future, task)
            raise
        return []

    def _lost(self, future: "Future[Any]", task: Task) -> bool:
        """Keep the answer of a future that is done. Returns True if there is none, because the executor lost the task."""
        if task.key in self.answers:
            return False
        try:
            answer = future.result(timeout=0)
        except KeyboardInterrupt:
            raise
        except (Exception, CancelledError) as error:
            self.trouble = self.trouble or work.one_line(error)
            return True
        if answer.unready:
            raise SweepError(f"the workers cannot import the function: {answer.unready}", self.sweep(""))
        self.finish(task, answer)
        return False

    def finish(self, task: Task, answer: work.Answer) -> None:
        """Keep a row."""
        self.store.put(self.number, task, answer)
        self.answers[task.key] = answer
        self.errors += bool(answer.error)
        self.tell(row_of(task.parameters, task.seed, answer))

    def tell(self, row: SweepRow | None) -> None:
        """Report the progress."""
        if self.progress is not None:
            self.progress(Progress(len(self.answers), len(self.chosen), self.errors, row))

    def sweep(self, name: str) -> Sweep:
        """The rows that have finished, in the order of the tasks."""
        rows = [
            row_of(task.parameters, task.seed, self.answers[task.key])
            for task in self.chosen
            if task.key in self.answers
        ]
        return Sweep(name, rows, len(self.chosen) - len(rows))


class _Processes:
    """A pool of processes that is made again if it broke. They are spawned, so they share nothing with this process."""

    def __init__(self, workers: int):
        self.workers = workers
        self._pool: ProcessPoolExecutor | None = None

    def pool(self) -> ProcessPoolExecutor:
        """The pool, which works."""
        pool = self._pool
        if pool is None or getattr(pool, "_broken", False):
            self._end()
            context = multiprocessing.get_context("spawn")
            pool = self._pool = ProcessPoolExecutor(self.workers, mp_context=context, initializer=_begin_worker)
        return pool

    def check(self, function: bytes) -> None:
        """SweepError if a worker cannot start, or cannot import the function."""
        try:
            unready = self.pool().submit(work.ready, function).result()
        except BrokenExecutor:
            raise SweepError(
                'the worker processes do not start: a script that sweeps needs `if __name__ == "__main__":` around the call, '
                "because each worker imports the script"
            ) from None
        if unready:
            raise SweepError(
                f"the worker processes cannot import the function: {unready}; "
                "put it at the top of a module that is installed or beside the script"
            )

    def _end(self, kill: bool = False) -> None:
        pool, self._pool = self._pool, None
        if pool is None:
            return
        if kill:
            # Without this, the end would wait for the functions that run.
            for process in list((getattr(pool, "_processes", None) or {}).values()):
                process.terminate()
        pool.shutdown(wait=True, cancel_futures=True)

    def __enter__(self) -> "_Processes":
        return self

    def __exit__(self, kind: object, *exc: object) -> None:
        self._end(kill=kind is not None)


def _is_broken(future: "Future[Any]") -> bool:
    """Whether a future that is done says that its executor broke."""
    return not future.cancelled() and isinstance(future.exception(), BrokenExecutor)


class _PoolExecutor:
    """`submit` for a pool that has only apply_async, such as multiprocessing's and Ray's."""

    def __init__(self, pool: Any):
        self.pool = pool

    def submit(self, function: Callable[..., Any], *args: Any) -> "Future[Any]":
        """See Executor.submit."""
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()
        self.pool.apply_async(function, args, callback=future.set_result, error_callback=future.set_exception)
        return future


def _as_executor(executor: Any) -> Any:
    if callable(getattr(executor, "submit", None)):
        return executor
    if callable(getattr(executor, "apply_async", None)):
        return _PoolExecutor(executor)
    raise TypeError(
        f"{executor!r:.80} is no executor: give an object with submit (concurrent.futures.Executor), or with apply_async"
    )


def _begin_worker() -> None:
    """Prepare a worker process. Ctrl-C reaches all processes of a terminal, but the sweep ends its workers itself."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process if the one that started it was killed. Otherwise it would wait for tasks for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


# -- the function ------------------------------------------------------------------------------------------------------


def _check(function: Any, task: Task, workers: Any) -> None:
    """Raise at once what each row would otherwise report."""
    if not callable(function):
        raise TypeError(f"a sweep needs a function, not {function!r:.60}")
    inner = getattr(function, "sweep_function", function)
    if inspect.iscoroutinefunction(inner) or inspect.isgeneratorfunction(inner):
        raise TypeError(
            f"{name_of(function)} returns a coroutine or a generator when it is called, and a sweep needs its result: "
            "wrap it in a function that runs it"
        )
    if workers is not None and (not isinstance(workers, int) or isinstance(workers, bool) or not 1 <= workers <= 1024):
        raise ValueError(f"workers={workers!r:.60}: write a number of processes from 1 to 1024")
    try:
        signature = inspect.signature(inner)
    except ValueError:
        return  # a function in C may have none
    try:
        signature.bind(**task.parameters, seed=task.seed)
    except TypeError as error:
        wanted = ", ".join([*(f"{name}=..." for name in task.parameters), "seed=..."])
        raise TypeError(f"the sweep calls {name_of(function)}({wanted}): {error}") from None


def _inner(function: Any) -> Any:
    while isinstance(function, functools.partial):
        function = function.func
    return function


def name_of(function: Any) -> str:
    """The name of a function in a file: its module's and its own. A script that runs has the name that it has if it is imported."""
    function = _inner(function)
    given = getattr(function, "sweep_name", None)
    if given:
        return str(given)
    module = getattr(function, "__module__", "") or ""
    if module == "__main__":
        path = getattr(sys.modules["__main__"], "__file__", None)
        module = Path(path).stem if path else "__main__"
    return f"{module}:{getattr(function, '__qualname__', type(function).__qualname__)}"


def source_of(function: Any) -> str:
    """A hash of the function's source, or "" if it has none here."""
    source = getattr(_inner(function), "sweep_source", None)
    if source is None:
        try:
            source = inspect.getsource(_inner(function))
        except (OSError, TypeError):
            return ""
    while isinstance(function, functools.partial):
        source += repr((function.args, sorted(function.keywords.items())))
        function = function.func
    return hashlib.blake2b(source.encode(), digest_size=16).hexdigest()


def pickled(function: Any) -> bytes:
    """The function for another process. TypeError if it cannot be sent there."""
    try:
        return pickle.dumps(function)
    except Exception as error:
        raise TypeError(
            f"{name_of(function)} cannot be sent to worker processes ({work.one_line(error)}): "
            "write it with `def` at the top of a module, and not as a lambda or inside a function"
        ) from None
