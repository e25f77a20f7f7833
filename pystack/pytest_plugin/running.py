"""Test functions and fixtures that run on a host of a simulated network."""

import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pystack.pytest_plugin.items import WORLD, settings_of
from pystack.pytest_plugin.plan import Plan

#: the plan and the recording of the next run of a test
PLAN = pytest.StashKey[Plan]()
RECORD = pytest.StashKey[str]()
#: steps of the simulation after which a run is cut
MOST_STEPS = pytest.StashKey[int]()
#: the world of the run that is under way, or of the last one
LAST = pytest.StashKey[Any]()


def world_of(item: Any) -> Any:
    """The world of a test that runs, or None."""
    world = item.stash.get(LAST, None)
    return None if world is None or world.closed else world


def seed_of(request: Any) -> int:
    """The seed of a test."""
    plan = request.node.stash.get(PLAN, None)
    if plan is not None:
        return int(plan.seed)
    if getattr(request, "param", None) is not None:
        return int(request.param)
    chosen = request.config.getoption("pystack_seed")
    return settings_of(request.node).seed if chosen is None else int(chosen)


def open_world(item: Any, seed: int) -> Iterator[Any]:
    """The body of the fixture that makes the network of a test."""
    from pystack.pytest_plugin.world import World

    settings = settings_of(item)
    plan = item.stash.get(PLAN, None)
    world = World(settings, Plan(seed) if plan is None else plan, item.stash.get(RECORD, ""), item.nodeid)
    world.net.most_steps = item.stash.get(MOST_STEPS, 0)
    item.stash[LAST] = world
    try:
        yield world
    finally:
        world.close()


def in_world(world: Any, item: Any, function: Callable[..., Any]) -> Callable[..., Any]:
    """The test function as a plain function, which runs it in virtual time."""
    inner = inspect.unwrap(function)
    if inspect.iscoroutinefunction(inner) and type(item).__module__.startswith("pytest_asyncio"):
        # pytest-asyncio has taken it, because it takes all coroutine functions in its mode "auto".
        bound = getattr(function, "__self__", None) or item.instance
        function = inner if bound is None or inspect.ismethod(inner) else inner.__get__(bound)
    if not inspect.iscoroutinefunction(function):
        from pystack.pytest_plugin.world import check_greenlet

        check_greenlet()

    def test(**arguments: Any) -> Any:
        __tracebackhide__ = True
        return world.test(function, arguments)

    return test


def adapt_fixture(function: Any, request: Any) -> Callable[..., Any] | None:
    """An asynchronous fixture as a plain one, which runs on the host of the test. None: it is none, or another plugin's.

    Such a fixture has the network of the test, also if it does not name it.
    """
    if hasattr(function, "_force_asyncio_fixture") or function.__name__ == WORLD:
        return None  # (the first is pytest-asyncio's own kind)
    instance = request.instance
    if inspect.ismethod(function) and instance is not None and type(function.__self__) is type(instance):
        function = function.__func__.__get__(instance)  # pytest made another instance for the collection
    if inspect.isasyncgenfunction(function):

        @functools.wraps(function)
        def generator(*args: Any, **kwargs: Any) -> Iterator[Any]:
            world = request.getfixturevalue(WORLD)
            values = function(*args, **kwargs)
            yield world.call(_begin, values)
            world.call(_finish, values)

        return _plain(generator)
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        def plain(*args: Any, **kwargs: Any) -> Any:
            return request.getfixturevalue(WORLD).call(functools.partial(function, **kwargs), *args)

        return _plain(plain)
    return None


def _plain(function: Any) -> Any:
    """Without the attribute by which other plugins find the asynchronous function inside."""
    del function.__wrapped__
    return function


async def _begin(values: Any) -> Any:
    """Run the first part of an asynchronous fixture."""
    return await values.__anext__()


async def _finish(values: Any) -> None:
    """Run the end of an asynchronous fixture."""
    try:
        await values.__anext__()
    except StopAsyncIteration:
        return
    raise RuntimeError("an asynchronous fixture has more than one `yield`")
