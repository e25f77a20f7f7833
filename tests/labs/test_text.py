"""Pages in the width of a terminal."""

import re

from pystack.labs.folders import labs
from pystack.labs.text import WIDEST, fill, width


def test_paragraphs_and_lists_are_filled_and_the_rest_stays():
    text = "## A heading that is long\n\none two\nthree four\n\n- five six\n  seven\n- eight\n\n```sh\nsome  long  code\n```\n\n| a | table |"
    assert fill(text, 10) == (
        "## A heading that is long\n\none two\nthree four\n\n- five six\n  seven\n- eight\n\n```sh\nsome  long  code\n```\n\n| a | table |"
    )
    assert fill("one two\nthree four", 100) == "one two three four"
    assert fill("- five six\nseven", 10) == "- five six\n  seven"


def test_no_page_loses_a_word_and_lines_fit():
    for lab in labs():
        for columns in (40, 80):
            filled = fill(lab.page, columns)
            assert filled.split() == lab.page.split()
            lines = [line for line in filled.splitlines() if not re.match("[#|]", line) and len(line) > columns]
            assert all(len(line.split()) <= 2 for line in lines)  # a single long word


def test_the_width_is_the_terminals_but_not_too_wide(monkeypatch):
    for columns, expected in (("72", 72), ("300", WIDEST), ("5", 20)):
        monkeypatch.setenv("COLUMNS", columns)
        assert width() == expected
