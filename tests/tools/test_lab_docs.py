"""docs/reference/lab-values.md: the page is what the tool writes, and its tests exist."""

import re

from pystack.labs.folders import labs
from tools import lab_docs


def test_the_page_is_what_the_labs_measure():
    text = lab_docs.PAGE.read_text()
    assert text == lab_docs.page(), "run tools/lab_docs.py"
    assert all(f"\n## [{lab.number}: {lab.title}](" in text for lab in labs())
    rows = re.findall(r"^\| .* \| (exact|± .*) \|$", text, re.M)
    assert len(rows) == sum(len(lab.values()) + len(lab.module("experiment").CONTROLS) for lab in labs())
    assert rows.count("exact") > 0.85 * len(rows)


def test_the_tests_that_the_page_names_exist():
    named = set(re.findall(r"`(tests/[^`]+)`", lab_docs.HEAD))
    assert len(named) == 4 and all((lab_docs.ROOT / path).is_file() for path in named)
