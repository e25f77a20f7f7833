"""Shrinking (pystack/pytest_plugin/shrink.py), the decisions of channels, and the files that replay a run."""

import asyncio
import json
import random

import pytest

from pystack.pytest_plugin import failure, files, plan, report, settings
from pystack.pytest_plugin.network import MarkedNetwork
from pystack.pytest_plugin.plan import Fault, Plan
from pystack.pytest_plugin.shrink import Outcome, Shrinker
from pystack.sim import SimDeadlock


def faults(*numbers):
    return tuple(Fault("a-lan/ab", number, "lost") for number in numbers)


def shrink(fails, count=100, hosts=(), steps=(), runs=1000, kind="bad", **options):
    """Shrink a run with so many faults, which fails if fails(numbers, without, steps) is true. Returns the Shrinker."""
    first = Outcome(kind, faults(*range(1, count + 1)), tuple(steps), 10**9)

    def attempt(smaller):
        numbers = [fault.number for fault in smaller.faults]
        found = fails(numbers, smaller.without, smaller.steps)
        return Outcome(found if isinstance(found, str) else "bad" if found else None, smaller.faults, smaller.steps)

    shrinker = Shrinker(attempt, Plan(1), first, runs, **options)
    shrinker.same = shrinker.run(hosts)
    shrinker.numbers = [fault.number for fault in shrinker.best.faults or ()]
    return shrinker


def test_nothing_is_left_if_nothing_is_needed():
    found = shrink(lambda numbers, without, steps: True, hosts=["a", "b"], steps=["1s cut a"])
    assert (found.numbers, found.best.without, found.best.steps) == ([], ("a", "b"), ()) and found.runs <= 4


@pytest.mark.parametrize("needed", [{1}, {100}, {37}, {3, 50}, {1, 2, 99, 100}, {10, 20, 30, 40, 50, 60}])
def test_the_faults_that_are_needed_are_left_and_no_others(needed):
    found = shrink(lambda numbers, without, steps: needed <= set(numbers))
    assert set(found.numbers) == needed and found.same and found.runs < 150


def test_faults_steps_and_hosts_are_left_out_together():
    def fails(numbers, without, steps):
        return 5 in numbers and "2s cut b" in steps and "c" not in without

    found = shrink(fails, hosts=list("abcdef"), steps=["1s cut a", "2s cut b", "3s cut c"])
    assert found.numbers == [5] and found.best.steps == ("2s cut b",) and set(found.best.without) == set("abdef")


def test_each_result_is_one_minimal_also_if_the_failure_is_not_monotone():
    rng = random.Random(1)
    for _ in range(30):
        needed = [set(rng.sample(range(1, 41), rng.randrange(1, 6))) for _ in range(3)]
        spoils = rng.randrange(1, 41)

        def fails(numbers, without, steps, needed=needed, spoils=spoils):
            return len(numbers) == 40 or any(each <= set(numbers) for each in needed) and spoils not in numbers

        found = shrink(fails, 40)
        assert fails(found.numbers, (), ())
        for number in found.numbers:
            assert not fails([each for each in found.numbers if each != number], (), ())


def test_a_fault_that_only_moves_another_one_is_left_out():
    """A lost frame is retransmitted, so it makes the numbers of the frames behind it larger."""

    def attempt(smaller):
        numbers = [fault.number for fault in smaller.faults]
        bad = numbers in ([2], [1, 3], [1, 3, 4])
        return Outcome("bad" if bad else None, smaller.faults, smaller.steps)

    shrinker = Shrinker(attempt, Plan(1), Outcome("bad", faults(1, 3, 4)), 100)
    assert shrinker.run(()) and shrinker.best.faults == faults(2)


def test_a_failure_of_another_kind_does_not_count():
    found = shrink(lambda numbers, without, steps: True if 7 in numbers else "another")
    assert found.numbers == [7]


def test_a_failure_that_does_not_repeat_is_noticed():
    found = shrink(lambda numbers, without, steps: False)
    assert not found.same and found.runs == 1
    assert not shrink(lambda numbers, without, steps: "another").same


def test_the_runs_and_the_time_are_bounded():
    found = shrink(lambda numbers, without, steps: {3, 50} <= set(numbers), runs=5)
    assert found.same and found.runs == 5 and {3, 50} <= set(found.numbers)
    found = shrink(lambda numbers, without, steps: True, runs=0)
    assert found.same and found.runs == 0 and found.best.faults is None
    now = iter(range(1000))
    found = shrink(lambda numbers, without, steps: {3, 50} <= set(numbers), seconds=7, clock=lambda: next(now))
    assert found.same and found.runs < 7


def test_faults_that_did_not_happen_are_not_in_the_plan():
    first = Outcome("bad", faults(*range(1, 11)), (), 10**9)

    def attempt(smaller):  # fails at the third frame
        happened = tuple(fault for fault in smaller.faults if fault.number <= 3)
        return Outcome("bad" if faults(3)[0] in happened else None, happened, smaller.steps)

    shrinker = Shrinker(attempt, Plan(1), first, 1)
    assert shrinker.run(()) and shrinker.best.faults == faults(1, 2, 3)


def test_a_run_that_ends_at_its_limit_is_ended_earlier():
    first = Outcome("bad", (), (), 3600 * 10**9, at_limit=True)
    shrinker = Shrinker(
        lambda smaller: Outcome(
            "bad" if not 0 < smaller.limit < 200 * 10**9 else None, ended_at=3600 * 10**9, at_limit=True
        ),
        Plan(1),
        first,
        100,
    )
    assert shrinker.run(()) and shrinker.best.limit == 225 * 10**9


# -- decisions ---------------------------------------------------------------------------------------------------------

EVERYTHING = {
    "loss": 0.1, "reorder": 0.1, "reorder_delay": 10**7, "duplicate": 0.1, "corrupt": 0.1, "jitter": 10**6, "delay": 10**7,
}  # fmt: skip


def flow(made):
    """Send 200 frames through a channel, and return what arrives."""
    net = MarkedNetwork(settings.read(EVERYTHING), Plan(3, made))
    a, b = net.wire("a"), net.wire("b")
    link = net.link(a, b)
    for number in range(200):
        net.at(number * 10**6, a.send, bytes([number]) * 100)
    net.run(10**10)
    return b.got, net.decisions.made, link.ab.stats.as_dict()


def test_recorded_decisions_give_the_same_frames_at_the_same_times():
    got, made, stats = flow(None)
    assert stats["drops"]["loss"] > 5 and min(stats[name] for name in ("reordered", "duplicated", "corrupted")) > 5
    assert {each.fault.kind for each in made} == set(plan.KINDS)
    again, made_again, _ = flow(tuple(each.fault for each in made))
    assert again == got and made_again == made
    clean, nothing, stats = flow(())
    assert nothing == [] and [time for time, _ in clean] == [number * 10**6 + 10**7 for number in range(200)]


def test_the_channels_draw_as_those_of_the_simulator():
    from pystack.sim.network import Network

    net = Network(3)
    a, b = net.wire("a"), net.wire("b")
    net.link(a, b, **EVERYTHING)
    for number in range(200):
        net.at(number * 10**6, a.send, bytes([number]) * 100)
    net.run(10**10)
    assert flow(None)[0] == b.got


# -- files -------------------------------------------------------------------------------------------------------------


def test_a_plan_is_read_as_it_was_written(tmp_path):
    whole = Plan(
        7, (Fault("a-lan/ab", 3, "lost"), Fault("a-lan/ba", 4, "jitter", 99)), ("1s cut a",), ("b",), False, 10**9
    )
    path = str(tmp_path / "a.json")
    for each in (whole, Plan(0), Plan(5, ())):
        files.write_plan(path, each, "test_a.py::test_b")
        assert plan.load(path) == ("test_a.py::test_b", each)


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "3", '{"version": 2}', '{"version": 1}', "[" * 100_000, "\xff\xfe",
        '{"version": 1, "test": "a", "seed": -1, "without": [], "shuffle": true, "limit": 0}',
        '{"version": 1, "test": "a", "seed": 1, "without": [3], "shuffle": true, "limit": 0}',
        '{"version": 1, "test": "a", "seed": 1, "without": [], "shuffle": true, "limit": 0, "faults": [["a", 1, "eaten", 0]]}',
        '{"version": 1, "test": "a", "seed": 1, "without": [], "shuffle": true, "limit": 0, "faults": [["a", 1]]}',
        '{"version": 1, "test": "a", "seed": 1, "without": [], "shuffle": true, "limit": 1e400, "faults": 3}',
    ],
)  # fmt: skip
def test_a_broken_plan_is_one_line(tmp_path, text):
    path = tmp_path / "a.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match="a.json does not replay a test: ") as caught:
        plan.load(str(path))
    assert len(str(caught.value).splitlines()) == 1 and len(str(caught.value)) < 300
    with pytest.raises(ValueError, match=r"none.json: No such file"):
        plan.load(str(tmp_path / "none.json"))


def test_each_test_has_files_of_its_own():
    names = [
        "test_a.py::test_b", "test_a.py::test_b[x]", "test_a.py::A::test_b", "test_a.py::test_b[x y]", "test_a.py::test_b[x-y]",
        "test_a.py::test_b[x/y]", "tests/test_a.py::test_b", "../test_a.py::test_b", "test_a.py::test_b[../../etc]",
        "test_a.py::test_b[" + "x" * 500 + "]", "test_a.py::test_b[" + "x" * 501 + "]",
    ]  # fmt: skip
    stems = [files.stem(name) for name in names]
    assert len(set(stems)) == len(names)
    assert stems[:3] == ["test_a/test_b", "test_a/test_b-x", "test_a/A.test_b"]
    assert not any(".." in stem.split("/") or len(stem) > 150 for stem in stems)


@pytest.mark.parametrize(
    ("nodeid", "plain"),
    [
        ("a.py::b[seed=7]", "a.py::b"),
        ("a.py::b[x-seed=7]", "a.py::b[x]"),
        ("a.py::b[seed=7-x]", "a.py::b[x]"),
        ("a.py::b[x-seed=7-y]", "a.py::b[x-y]"),
        ("a.py::b[reseed=7]", "a.py::b[reseed=7]"),
        ("a.py::b", "a.py::b"),
    ],
)
def test_the_id_of_a_test_without_its_seed(nodeid, plain):
    assert report.plain_nodeid(nodeid) == plain


# -- kinds of failures -------------------------------------------------------------------------------------------------


def kind(function, host="test"):
    try:
        function()
    except BaseException as error:
        return failure.kind_of("call", error, host)


def test_the_kind_is_the_type_and_the_place():
    def one():
        raise ValueError("a")

    def other(error):
        raise error

    assert kind(one) == kind(one) != kind(lambda: other(ValueError("a")))
    assert kind(lambda: other(ValueError("a"))) != kind(lambda: other(TypeError("a")))

    def library():
        json.loads("{")

    # The line of the user's code counts, and not the line of the library that it calls.
    assert kind(library)[2] == (__file__, library.__code__.co_firstlineno + 1)
    group = kind(lambda: other(ExceptionGroup("some", [ValueError("b"), TypeError("c")])))
    assert group[1] == "builtins.ExceptionGroup" and len(group) == 4
    assert failure.place(None) is None


def test_the_kind_of_a_deadlock_is_what_the_test_waits_for():
    def net(wait):
        net = MarkedNetwork(settings.read({}), Plan(1))
        host = net.host("test")
        net.run({host: wait})

    async def one():
        await asyncio.Event().wait()

    async def two():
        await asyncio.sleep(1)
        await asyncio.Event().wait()

    first = kind(lambda: net(one))
    assert first[1] == f"{SimDeadlock.__module__}.SimDeadlock" and first[2].startswith(__file__)
    assert first == kind(lambda: net(one)) != kind(lambda: net(two))
