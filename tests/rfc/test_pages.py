"""docs/reference/rfc9293.md, rfc1122.md and rfc4787.md say what the tests are, and every mutant fits the source.

`make rfc` writes the pages (tools/conformance.py), `make mutants` tries the mutants (tools/mutate.py).
"""

import re
from collections import Counter

import pytest

from tests.rfc.mutants import ALL
from tools import conformance, mutate

ROOT = conformance.ROOT
PAGES = pytest.mark.parametrize("page", conformance.PAGES)


def rows(page):
    """The page's table, by requirement."""
    lines = (ROOT / "docs" / "reference" / f"{page}.md").read_text().splitlines()
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in lines
        if re.match(r"\| [A-Z]+-\d+[a-z]? ", line)
    ]
    return {cell[0]: cell for cell in cells}


def test_all_119_requirements_of_rfc_9293_are_listed():
    # Appendix B: 69 MUST (MUST NOT among them), 31 SHOULD, 18 MAY, one RECOMMENDED.
    expect = [
        f"{kind}-{n}"
        for kind, most in (("MUST", 69), ("SHLD", 31), ("MAY", 18), ("REC", 1))
        for n in range(1, most + 1)
    ]
    assert Counter(need.id for need in conformance.requirements("rfc9293")) == Counter(expect) and len(expect) == 119


@PAGES
def test_the_page_is_up_to_date(page):
    tests, found = conformance.collect(page), rows(page)
    assert list(found) == [need.id for need in conformance.requirements(page)]
    for need in conformance.requirements(page):
        cells = found[need.id]
        names = [name.replace("` `", ".py::") for name in re.findall(r"`(rfc\w+` `\w+)`", cells[4])]
        assert [f"test_{name}" for name in names] == tests.get(need.id, []), f"{need.id}: run make rfc"
        assert cells[1:4] == [need.level, need.section, need.text] and cells[7] == need.note, f"{need.id}: run make rfc"
        assert cells[6] == conformance.broken(page, need.id), f"{need.id}: run make mutants, make rfc"


@PAGES
def test_nothing_on_the_page_failed(page):
    for cells in rows(page).values():
        assert not cells[5] or cells[5].startswith("passed"), cells
        assert cells[6] in ("", "noticed"), cells


@PAGES
def test_each_requirement_has_a_test_or_an_excuse(page):
    tests = conformance.collect(page)
    known = {need.id for need in conformance.requirements(page)}
    assert set(tests) <= known, "tests of no requirement"
    for need in conformance.requirements(page):
        if need.id not in tests:
            assert need.note.startswith(("Not done", "Does not arise", "A rule for applications")), need


@PAGES
def test_each_test_has_a_mutant_that_fits(page):
    assert {mutant.id for mutant in ALL[page]} == set(conformance.collect(page))
    for mutant in ALL[page]:
        source = (ROOT / "pystack_c" / mutant.file).read_text()
        assert source.count(mutant.old) == 1, f"{mutant.id}: tests/rfc/mutants.py does not fit {mutant.file} any more"
        assert mutant.new != mutant.old


@pytest.mark.once
def test_a_mutant_that_changes_nothing_survives(tmp_path):
    """The control of tools/mutate.py: without a change the tests pass; with one they fail."""
    where = mutate.copy_tree(tmp_path)
    harmless = mutate.Mutant("MUST-65", "tcp/ack.py", "    ack = pkt.ack\n", "    ack = pkt.ack + 0\n")
    assert mutate.try_mutant(where, "rfc9293", harmless) == "survived"
    (real,) = (mutant for mutant in ALL["rfc9293"] if mutant.id == "MUST-65")
    assert mutate.try_mutant(where, "rfc9293", real) == "killed"
    assert mutate.try_mutant(where, "rfc9293", real._replace(old="no such text")).startswith("does not fit")
