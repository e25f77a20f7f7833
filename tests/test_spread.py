"""The table that spreads the tests over the runs names tests that exist, and each run has what it is there for."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.conftest import pytest_collection_modifyitems
from tests.support.spread import LONGEST, SPREAD, in_order, left_out, mark_of

ROOT = Path(__file__).resolve().parents[1]


def marks(room):
    """The marks of a folder's files."""
    files = sorted((ROOT / "tests" / room).rglob("test_*.py"))
    assert files
    return {mark_of(f"{path.relative_to(ROOT)}::test_x") for path in files}


def test_each_entry_names_a_test_a_file_or_a_folder():
    for name in SPREAD:
        path, _, test = name.partition("::")
        assert (ROOT / path).exists(), name
        assert not test or f"def {test}(" in (ROOT / path).read_text(), name
    assert {mark for mark, _ in SPREAD.values()} == {"once", "compiled", "builds", "all"}


def test_each_exception_is_one():
    """An entry changes something: without it, the test would have another mark, or another reason."""
    for name, entry in SPREAD.items():
        outer = [other for other in SPREAD if other != name and name.startswith((f"{other}/", f"{other}::"))]
        assert entry[1] and entry != SPREAD.get(max(outer, key=len, default="")), name
        assert outer or entry[0] != "all", name


def test_the_core_is_tested_on_both_builds():
    """What a room's tests say about the core, they say about both builds."""
    for room in ("pystack_c", "socket", "runtime", "rfc", "fuzz", "attack", "phy", "services"):
        assert marks(room) <= {None, "builds"}, room
    left = [name for name in SPREAD if name.startswith("tests/parity") and SPREAD[name][0] == "once"]
    assert left == ["tests/parity/test_networks.py"]  # each of its tests runs both builds itself
    assert {mark_of(f"tests/kernel/test_{name}.py::test_x") for name in ("aio", "device", "tcp", "udp")} == {None}


def test_what_depends_on_the_version_is_tested_on_both_pythons():
    for room in ("socket", "runtime", "phy", "services", "sweeps"):
        assert marks(room) <= {None, "compiled"}, room
    for room in (
        "pystack_c",
        "sim",
        "kernel",
        "programs",
        "cli",
        "proxies",
        "pytest_plugin",
        "cpython",
        "trace",
        "labs",
    ):
        assert marks(room) & {None, "compiled"}, room
    # The process in which the grader runs a learner's file depends on the version. All that it may and may not do is tried on both.
    for name in ("grading", "inside", "class", "command"):
        assert mark_of(f"tests/labs/test_{name}.py::test_x") == "compiled"
    for name in ("the_experiment_gives_what_the_formulas_say", "the_grader_accepts_the_solution"):
        assert mark_of(f"tests/labs/test_labs.py::test_{name}[nagle]") == "compiled"
    for name in ("sim/test_asyncio.py", "sim/test_patching.py", "programs/test_tls.py", "kernel/test_aio.py"):
        assert mark_of(f"tests/{name}::test_x") is None


def test_the_runs_leave_out_what_the_table_says():
    assert '-m "not once and not compiled" ' in (ROOT / "Makefile").read_text()
    assert '-m "not slow and not once and not builds" ' in (ROOT / "tools" / "test_other.sh").read_text()
    tests = (ROOT / "tools" / "compilers.sh").read_text()
    assert "${TESTS:-tests/pystack_c tests/parity}" in tests  # what the third run leaves out of them is run there


PURE, OTHER = "not once and not compiled", "not slow and not once and not builds"


@pytest.mark.parametrize("expression", [PURE, OTHER, "not once"])
def test_a_run_does_not_import_files_of_which_it_takes_no_test(expression):
    unwanted = {part.removeprefix("not ") for part in expression.split(" and ")}
    out = 0
    for path in (ROOT / "tests").rglob("test_*.py"):
        name = str(path.relative_to(ROOT))
        tests = [entry for entry in SPREAD if entry.startswith(f"{name}::")]
        expected = all(mark_of(test) in unwanted for test in [f"{name}::test_x", *tests])
        assert left_out(name, expression) == expected, name
        out += expected
    assert out > 50


def test_a_file_stays_if_one_of_its_tests_does():
    assert mark_of("tests/cli/test_up.py::test_x") == "compiled"
    assert not left_out("tests/cli/test_up.py", PURE)  # test_record_then_replay runs everywhere
    assert not left_out("tests/kernel/test_cmsg.py", "not once")
    assert left_out("tests/kernel/test_cmsg.py", PURE)


@pytest.mark.parametrize("expression", ["", "once", "not once or kernel", "kernel and not once", "not (once)", "not  "])
def test_other_expressions_leave_no_file_out(expression):
    assert not left_out("tests/test_words.py", expression)


@pytest.mark.parametrize(
    ("name", "mark"),
    [
        ("tests/stepper/tui/test_panes.py::test_x", "once"),
        ("tests/stepper/tui/test_story.py::test_x[80x24]", "compiled"),
        ("tests/sim/test_loop.py::test_x", "builds"),
        ("tests/sim/test_asyncio.py::test_x", None),
        ("tests/simple/test_x.py::test_x", None),
        ("tests/kernel/test_cmsg.py::test_igmp_as_the_kernel", "once"),
        ("tests/kernel/test_cmsg.py::test_igmp_as_the_kernels_router", "compiled"),
    ],
)
def test_the_longest_beginning_decides(name, mark):
    assert mark_of(name) == mark


def test_the_marks_arrive():
    given = [
        SimpleNamespace(nodeid=name, marks=[])
        for name in ("tests/test_words.py::test_a", "tests/sim/test_asyncio.py::test_b")
    ]
    for item in given:
        item.add_marker = item.marks.append
    pytest_collection_modifyitems(given)
    assert [item.marks for item in given] == [["once"], []]


@pytest.mark.parametrize("processes", [1, 2, 3, 4, 6])
def test_each_process_begins_with_some_of_the_longest(processes):
    others = [f"tests/test_words.py::test_{number}" for number in range(997)]
    long = [
        f"{name}[{number}]" if "::" in name else f"{name}::test_{number}" for name in LONGEST for number in range(3)
    ]
    names = others[:500] + long + others[500:]
    order = in_order(names, processes)
    assert sorted(order) == list(range(len(names)))
    ordered = [names[number] for number in order]
    begun, left = [], len(ordered)
    for process in range(processes):  # as xdist divides them
        size = left // (processes - process)
        part, ordered, left = ordered[:size], ordered[size:], left - size
        count = sum(name.startswith(tuple(LONGEST)) for name in part)
        assert count and all(name.startswith(tuple(LONGEST)) for name in part[:count])
        begun.append(count)
        assert [names.index(name) for name in part[count:]] == sorted(names.index(name) for name in part[count:])
    assert sum(begun) == len(long)


@pytest.mark.parametrize(
    "names", [[], ["tests/test_words.py::test_a"], [f"{next(iter(LONGEST))}/test_a.py::test_{n}" for n in range(9)]]
)
def test_few_tests_are_all_there(names):
    assert sorted(in_order(names, 4)) == list(range(len(names)))


def test_the_longest_exist():
    for name in LONGEST:
        path, _, test = name.partition("::")
        assert (ROOT / path).exists(), name
        assert not test or f"def {test}(" in (ROOT / path).read_text(), name
