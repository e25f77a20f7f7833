"""docs/reference/real-programs.md says what the tests are. `make programs` writes it from the tests' results (tools/programs_docs.py)."""

import re

import pytest

pytest.importorskip("aioquic", reason="needs the extra `programs`")

from tests.programs.real import test_table
from tests.programs.real.table import COLUMNS, ROWS
from tools import programs_docs

TEXT = programs_docs.PAGE.read_text()


def lines():
    """The rows of the page's table, as lists of cells."""
    found = [line for line in TEXT.splitlines() if line.startswith("| ")][1:]
    return [[part.strip() for part in line.strip("|").split("|")] for line in found]


def test_the_page_has_the_rows_of_the_tests():
    everything = {f"test_{column}[{row.key}]": "passed" for row in ROWS for column in COLUMNS}
    expected = [programs_docs.line(row, "", everything) for row in ROWS]
    found = ["| " + " | ".join([cells[0], "", *cells[2:]]) + " |" for cells in lines()]
    assert found == expected, "run make programs"


def test_each_version_is_there():
    for cells, row in zip(lines(), ROWS, strict=True):
        assert len(re.findall(r"\d+\.\d+", cells[1])) >= len(row.packages), cells[0]


def test_the_words_of_the_page_are_the_tools():
    assert TEXT.startswith(programs_docs.HEAD) and TEXT.endswith(programs_docs.TAIL + "\n"), "run make programs"


def test_control_a_cell_without_a_result_is_no_cell_of_the_page():
    (row,) = [row for row in ROWS if row.key == "redis"]
    assert "Valkey" not in programs_docs.line(row, "", {"test_client[redis]": "failed"})
    assert "| FAILED |" in programs_docs.line(row, "", {"test_client[redis]": "failed"})
    assert "| MISSING |" in programs_docs.line(row, "", {})


@pytest.mark.parametrize("column", COLUMNS)
def test_each_cell_is_a_test(column):
    (mark,) = [mark for mark in getattr(test_table, f"test_{column}").pytestmark if mark.name == "parametrize"]
    assert [case.id for case in mark.args[1]] == [row.key for row in ROWS if getattr(row, column) is not None]
