"""docs/reference/course.md: the table has each lecture and each lab, and each name in it exists."""

import re
from pathlib import Path

import pytest

from pystack.labs.course import lectures
from pystack.labs.folders import labs
from pystack.stepper import scenarios

ROOT = Path(__file__).resolve().parents[2]
TABLE = re.compile(r"^\| ([-\d, ]+) \| ([^|]+) \| [^|]{20,} \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", re.M)
ROWS = TABLE.findall((ROOT / "docs" / "reference" / "course.md").read_text())
LAB = re.compile(r"\[(\d+)\]\(../../pystack/labs/(\w+)/page\.md\)")

pytestmark = pytest.mark.once


def numbers(text):
    return [int(number) for number in re.findall(r"\d+", text)]


def test_each_lecture_with_something_to_try_is_there_once():
    # There is no experiment for the others.
    found = [number for row in ROWS for number in numbers(row[0])]
    assert sorted(found) == [number for number in range(5, 53) if number != 35]


def test_each_lab_is_there_with_the_lectures_of_the_list_of_labs():
    lectures = {}
    for row in ROWS:
        assert len(LAB.findall(row[2])) == len(row[2].split(", "))
        for number, folder in LAB.findall(row[2]):
            lectures.setdefault((int(number), folder), []).extend(numbers(row[0]))
    assert set(lectures) == {(lab.number, lab.path.name) for lab in labs()}
    page = (ROOT / "docs" / "howto" / "labs.md").read_text()
    for (number, folder), those in lectures.items():
        (listed,) = re.findall(
            rf"^\| {number} \| \[.*\]\(../../pystack/labs/{folder}/page\.md\) \| ([\d, ]*) \|$", page, re.M
        )
        assert sorted(those) == numbers(listed), number


def test_the_table_is_that_of_the_course_in_a_browser():
    """pystack/labs/course/lectures.py has it: change both."""
    page = [
        (row[0], row[1], [int(number) for number, _ in LAB.findall(row[2])], re.findall(r"`([^`]+)`", row[3]))
        for row in ROWS
    ]
    assert page == [(row.numbers, row.topic, list(row.labs), list(row.scenarios)) for row in lectures.ROWS]


def test_each_lab_has_the_lectures_and_scenarios_of_its_rows():
    assert lectures.lectures_of(5) == "12, 20, 31" and lectures.lectures_of(999) == ""
    assert lectures.scenarios_of(17)[0] == "nagle" and lectures.scenarios_of(999) == []


def test_each_scenario_and_page_exists_and_most_scenarios_are_in_the_table():
    named = {name for row in ROWS for name in re.findall(r"`([^`]+)`", row[3])}
    assert named and all(scenarios.known(name) for name in named)
    assert {name for name in scenarios.NAMES if ":" not in name} <= named
    for row in ROWS:
        assert row[3] == "none" or re.fullmatch(r"`[^`]+`(, `[^`]+`)*", row[3])
        pages = re.findall(r"\]\(([^)]+)\)", row[4])
        assert pages and all((ROOT / "docs" / "reference" / page).is_file() for page in pages)
