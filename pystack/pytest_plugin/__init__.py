"""The pytest plugin: tests in simulated networks, in virtual time (docs/howto/five-minutes.md).

pytest imports this module whether a project uses it or not. So it imports nothing of the stack, replaces nothing, and keeps all
state in pytest's objects. The other modules of this folder are imported when a test with the mark `pystack` or the fixture
`net` is found.
"""

import re
from collections.abc import Generator, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pytest

from pystack.pytest_plugin.items import WORLD, is_ours, settings_of

if TYPE_CHECKING:
    from pystack.pytest_plugin.network import MarkedNetwork
    from pystack.sim.network import Link
    from pystack.sim.nodes import SimHost

MARK = (
    "pystack(delay='50ms', loss=0.05, profile='lte', seed=1, hosts=2, schedule=['2s cut host1 until 5s'], shuffle=True, limit='60s', ...): "
    "run the test in virtual time, on a host of a simulated network. The keywords are settings of its links (delay, jitter, rate, queue, "
    "loss, burst, reorder, duplicate, corrupt, mtu, ...) or a profile (lan, dsl, lte, wifi, satellite), the seed that decides everything, "
    "further hosts (a number, or their names), a schedule of faults (cut, freeze, crash, reboot), whether the order of ready tasks is "
    "shuffled, the limit of virtual time, and the name of the test's host."
)
_REPLAY = pytest.StashKey[Any]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options."""
    group = parser.getgroup("pystack", "tests in simulated networks (pystack)")
    group.addoption(
        "--pystack-seed", type=_whole, metavar="N", help="Run tests with this seed, in place of the mark's or 1."
    )
    group.addoption(
        "--pystack-seeds",
        type=_whole,
        metavar="N",
        help="Run each test with N seeds: its own and those after it. Each is a test of its own, so xdist spreads them.",
    )
    group.addoption(
        "--pystack-record",
        metavar="DIR",
        help="Record each test, also one that passes, into this folder. Without this option, only a test that fails "
        "leaves files, in the folder of pytest's cache.",
    )
    group.addoption(
        "--pystack-shrink",
        type=_whole,
        metavar="N",
        default=200,
        help="Run a test that failed at most N more times (and for at most 20 seconds) to find a smaller run that fails in the same way. "
        "0 switches this off. [default: 200]",
    )
    group.addoption(
        "--pystack-replay",
        metavar="FILE",
        help="Repeat a failing run. The report of the failure has the whole command.",
    )


def _whole(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise ValueError(text)
    return int(text)


def pytest_configure(config: pytest.Config) -> None:
    """Register the mark, and check the options."""
    config.addinivalue_line("markers", MARK)
    if config.getoption("pystack_seeds") == 0:
        raise pytest.UsageError("--pystack-seeds: a test runs with at least 1 seed")
    if config.getoption("pystack_record"):
        from pystack.pytest_plugin.files import check_directory

        check_directory(config)
    if config.getoption("pystack_replay"):
        from pystack.pytest_plugin.plan import load

        try:
            config.stash[_REPLAY] = load(config.getoption("pystack_replay"))
        except ValueError as error:
            raise pytest.UsageError(f"--pystack-replay: {error}") from None


# -- collection --------------------------------------------------------------------------------------------------------


@pytest.hookimpl(trylast=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Check the marks, and make a test of each seed."""
    definition = metafunc.definition
    marked = definition.get_closest_marker("pystack") is not None
    if not marked and not _uses_network(metafunc.fixturenames, getattr(metafunc, "_arg2fixturedefs", {})):
        if "pystack_seed" in metafunc.fixturenames:
            _parametrize(metafunc, 1)
        return
    try:
        settings = settings_of(definition)
    except (TypeError, ValueError) as error:
        pytest.fail(f"{definition.nodeid}: {error}", pytrace=False)
    function = getattr(metafunc.function, "pytestmark", ())
    above = definition.parent.iter_markers() if definition.parent is not None else ()
    for other in (*function, *above):
        if other.name in ("asyncio", "anyio", "trio"):
            pytest.fail(
                f"{definition.nodeid} has the mark {other.name!r}, so it runs in real time, and it has the mark or the fixture `net` of "
                "pystack, so it runs in virtual time: remove one of them",
                pytrace=False,
            )
    for name in (WORLD, "pystack_seed"):
        if name not in metafunc.fixturenames:
            metafunc.fixturenames.append(name)
    _parametrize(metafunc, settings.seed)


def _uses_network(names: "list[str]", fixtures: Any) -> bool:
    """Whether one of the fixtures needs the network. Before pytest 9, the names do not have what a fixture of the same name behind it needs."""
    for name in names:
        for fixture in reversed(fixtures.get(name, ())):
            if WORLD in fixture.argnames:
                return True
            if name not in fixture.argnames:
                break  # it does not extend the one behind it
    return WORLD in names


def _parametrize(metafunc: pytest.Metafunc, seed: int) -> None:
    config = metafunc.config
    if config.getoption("pystack_replay"):
        return
    first = config.getoption("pystack_seed")
    count = config.getoption("pystack_seeds")
    first = seed if first is None else first
    seeds = list(range(first, first + count)) if count else _named(config, metafunc.definition.name)
    if seeds:
        metafunc.parametrize("pystack_seed", seeds, indirect=True, ids=[f"seed={each}" for each in seeds])


def _named(config: pytest.Config, test: str) -> list[int]:
    """The seeds that the command line names as parts of a test's id, such as `test_a.py::test_b[seed=7]`. So an id can be copied."""
    words = list(config.args)
    if config.getoption("lf", False) and getattr(config, "cache", None) is not None:
        words += [str(word) for word in config.cache.get("cache/lastfailed", {})]  # type: ignore[union-attr]
    parts = (part for word in words for part in word.partition(f"::{test}[")[2].partition("]")[0].split("-"))
    numbers = (part.removeprefix("seed=") for part in parts if part.startswith("seed="))
    return sorted({int(number) for number in numbers if number.isdecimal() and len(number) <= 18})


def pytest_itemcollected(item: pytest.Item) -> None:
    """Let a test with the mark have its network before its other fixtures."""
    names = getattr(item, "fixturenames", None)
    fixtures = getattr(getattr(item, "_fixtureinfo", None), "name2fixturedefs", {})
    if not is_ours(item) and not _uses_network(names or [], fixtures):
        return
    if names is None or getattr(item, "callspec", None) is None and _is_unittest(item):
        raise pytest.UsageError(
            f"{item.nodeid}: the mark pystack is for test functions and methods, and not for methods of unittest.TestCase"
        )
    if WORLD not in names:
        names.insert(0, WORLD)


def _is_unittest(item: Any) -> bool:
    import unittest

    return isinstance(getattr(item, "cls", None), type) and issubclass(item.cls, unittest.TestCase)


def pytest_collection_finish(session: pytest.Session) -> None:
    """A replay needs its test."""
    replay = session.config.stash.get(_REPLAY, None)
    if replay is None or hasattr(session.config, "workerinput") or session.config.pluginmanager.has_plugin("dsession"):
        return
    from pystack.pytest_plugin.report import plain_nodeid

    if not any(plain_nodeid(item.nodeid) == replay[0] for item in session.items):
        file = session.config.getoption("pystack_replay")
        raise pytest.UsageError(f"{file} replays {replay[0]}, which is not among the tests that were collected")


# -- running -----------------------------------------------------------------------------------------------------------


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: "pytest.Item | None") -> "bool | None":
    """Run a test in virtual time. If it fails, shrink the run before the report."""
    if not is_ours(item):
        return None
    if any(item.config.getoption(name, False) for name in ("setuponly", "setupshow", "setupplan")):
        return None  # pytest's own protocol shows the fixtures
    from pystack.pytest_plugin import protocol

    pytest_itemcollected(item)  # another plugin may have added the mark since then
    return protocol.run(item, nextitem, item.config.stash.get(_REPLAY, None))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: Any) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep how a test has failed."""
    report = yield
    if report.failed and call.excinfo is not None and is_ours(item):
        from pystack.pytest_plugin import protocol

        protocol.note_failure(item, call)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: Any) -> Generator[None, object, object]:
    """Let the test function run on its host. pytest calls it as a plain function."""
    __tracebackhide__ = True
    if WORLD not in pyfuncitem.fixturenames:
        return (yield)
    from pystack.pytest_plugin import running

    world = running.world_of(pyfuncitem)
    if world is None:
        return (yield)
    function = pyfuncitem.obj
    pyfuncitem.obj = running.in_world(world, pyfuncitem, function)
    try:
        return (yield)
    finally:
        pyfuncitem.obj = function


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_fixture_setup(fixturedef: Any, request: Any) -> Generator[None, object, object]:
    """Let the asynchronous fixtures of a test in virtual time run on its host."""
    function = fixturedef.func
    if WORLD not in request.fixturenames or fixturedef.scope != "function":
        return (yield)
    from pystack.pytest_plugin import running

    adapted = running.adapt_fixture(function, request)
    if adapted is None:
        return (yield)
    fixturedef.func = adapted
    try:
        return (yield)
    finally:
        fixturedef.func = function


# -- fixtures ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def pystack_seed(request: pytest.FixtureRequest) -> int:
    """The seed of a test in a simulated network: the mark's, or that of --pystack-seed or --pystack-seeds."""
    from pystack.pytest_plugin import running

    return running.seed_of(request)


@pytest.fixture
def _pystack(request: pytest.FixtureRequest, pystack_seed: int) -> "Iterator[Any]":
    """The network of a test, and what runs in it."""
    from pystack.pytest_plugin import running

    yield from running.open_world(request.node, pystack_seed)


@pytest.fixture
def net(_pystack: Any) -> "MarkedNetwork":
    """A simulated network, in whose virtual time the test runs. The test, `async def` or plain, is a program on its host "test".

    `net.host("a")` makes a host, which reaches all others by their names, through links with the faults of the mark `pystack`.
    `net.start("a", program)` runs a program beside the test, on that host: a coroutine function, or a plain function that may block.
    `await net.start(...)`, or `net.start(...).wait()` in a plain function, waits for its result. `net.now` is the time in nanoseconds.
    """
    return _pystack.net  # type: ignore[no-any-return]


@pytest.fixture
def hosts(_pystack: Any) -> "dict[str, SimHost]":
    """The hosts that the mark names (`hosts=["a", "b"]`, or `hosts=2` for host1 and host2), by their names."""
    return _pystack.hosts  # type: ignore[no-any-return]


@pytest.fixture
def links(_pystack: Any) -> "Mapping[str, Link]":
    """The links, by the names of their hosts: `links["a"].down()`, `links["a"].restore()`, `links["a"].set(loss=0.5)`.

    A link that the test makes with `net.link` has its own name, such as "a-b".
    """
    return _pystack.links  # type: ignore[no-any-return]
