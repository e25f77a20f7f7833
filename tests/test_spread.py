"""The table that spreads the tests over the runs names tests that exist, and leaves the core's own tests on both builds."""

from pathlib import Path
from types import SimpleNamespace

from tests.conftest import pytest_collection_modifyitems
from tests.support.spread import SPREAD, mark_of

ROOT = Path(__file__).resolve().parents[1]


def test_each_entry_names_a_file_or_a_folder():
    assert [name for name in SPREAD if not (ROOT / name).exists()] == []
    assert {mark for mark, _ in SPREAD.values()} == {"once", "compiled"}


def test_the_core_is_tested_on_both_builds():
    for room in ("pystack_c", "parity", "socket", "runtime", "rfc", "fuzz", "trace"):
        assert [name for name in SPREAD if name.startswith(f"tests/{room}")] == []
    # Control: the longest beginning decides.
    assert (
        mark_of("tests/stepper/tui/test_story.py::test_x") == "compiled" and mark_of("tests/sim/test_loop.py") is None
    )


def test_the_marks_arrive():
    given = [
        SimpleNamespace(nodeid=name, marks=[])
        for name in ("tests/test_words.py::test_a", "tests/sim/test_loop.py::test_b")
    ]
    for item in given:
        item.add_marker = item.marks.append
    pytest_collection_modifyitems(given)
    assert [item.marks for item in given] == [["once"], []]
