"""Each section of an RFC that a file of the project names is in sections.csv, whose rows come from the RFCs' texts.

A new reference needs a row. Write it by hand, or let tools/rfc_refs.py write it from the text of the RFC. Look at the title then:
the test notices a section that does not exist, and not one that is about something else.
"""

import pytest

from tools import rfc_refs

#: RFCs that were replaced, and why they are named all the same
HISTORY = {
    "813": "the first description of the silly window, and of delayed acknowledgements",
    "896": "the first description of the congestion collapse, and of Nagle's algorithm",
    "2385": "the option of TCP that dissection names, and that the stack does not have",
    "2861": "what Linux does after an idle time",
    "3782": "the Impatient variant of NewReno, which RFC 6582 does not name any more",
    "5077": "session tickets of TLS 1.2",
    "5246": "TLS 1.2",
    "6093": "SO_OOBINLINE: RFC 9293 refers to it",
    "6937": "PRR without the condition of RFC 9937 (tcp_prr_safe)",
    "7540": "the upgrade to HTTP/2 and its priorities, which RFC 9113 does not have any more",
}


@pytest.fixture(scope="module")
def known():
    return rfc_refs.read_list()


@pytest.fixture(scope="module")
def named():
    return rfc_refs.all_references()


def test_each_section_that_is_named_exists(known, named):
    wrong = [one for one in named if one.section not in known.get(one.rfc, {})]
    assert not wrong, "no such section, or not in tests/rfc/sections.csv: " + "; ".join(
        f"{one.file}:{one.line}: {one.rfc} {one.section}" for one in wrong
    )
    assert len(named) > 3000 and sum(bool(one.section) for one in named) > 2300  # the files were really read


def test_the_list_has_no_more_than_what_is_named(known, named):
    used = {(one.rfc, one.section) for one in named} | {(rfc, key) for rfc in known for key in ("", "obsolete")}
    used |= {(rfc, section) for _, _, section, rfcs in rfc_refs.of_modules() for rfc in rfcs}
    assert [(rfc, section) for rfc in known for section in known[rfc] if (rfc, section) not in used] == []
    assert set(known) == {one.rfc for one in named}


def test_an_rfc_that_was_replaced_is_named_only_as_history(known):
    assert {rfc for rfc in known if "obsolete" in known[rfc]} == set(HISTORY)


def test_sections_without_an_rfc_belong_to_one_that_the_module_names(known):
    """In the core, "(3.8.6.2.1)" is a section of an RFC or draft that the same module names."""
    bare = list(rfc_refs.of_modules())
    for path, line, section, rfcs in bare:
        assert any(section in known[rfc] for rfc in rfcs), f"{path}:{line}: {section} of which RFC?"
    assert len(bare) > 100


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("RFC 9293 3.10.7.4.", [("9293", "3.10.7.4")]),
        ("(RFC 9293\n    # section 3.8.1; RFC 768)", [("9293", "3.8.1"), ("768", "")]),
        ("RFC 9293, sections 3.7.4 (Nagle) and 3.8.6.3 (delays), and RFC 5681, section 4.1", [
            ("9293", "3.7.4"), ("9293", "3.8.6.3"), ("5681", "4.1")]),
        ("RFC 9110, section 3.7 (gateways) and section 7.6.3 (Via)", [("9110", "3.7"), ("9110", "7.6.3")]),
        ("RFC 2018 (SACK), section 4", [("2018", "4")]),
        ("RFC 6675 4 and 5)", [("6675", "4"), ("6675", "5")]),
        ("RFC 7323 5.2 and 5.3, R1", [("7323", "5.2"), ("7323", "5.3")]),
        ("RFC 7323 appendix A, RFC 1112 I)", [("7323", "A"), ("1112", "I")]),
        ('RFC 792, section "Time Exceeded Message"', [("792", "Time Exceeded Message")]),
        ('"after 2 MSL (RFC 9293 "\n        "3.6.1)"', [("9293", "3.6.1")]),
        ("draft-ietf-ccwg-bbr-06 5.6.4.2", [("draft-ietf-ccwg-bbr", "5.6.4.2")]),
        ("RFC 1122 3.2.1.3 (g), RFC 4787 4.3 REQ-5", [("1122", "3.2.1.3"), ("4787", "4.3")]),
        ("by RFC 5681, 2 segments; RFC 768 8 bytes", [("5681", ""), ("768", "8")]),
    ],
)  # fmt: skip
def test_what_counts_as_a_reference(text, expected):
    assert [(one.rfc, one.section) for one in rfc_refs.references(text)] == expected


def test_headings_are_read_from_texts_of_rfcs():
    text = """
   Table of Contents

   1. Introduction ..................................... 1
   2. The Algorithm .................................... 2
      2.1. Timers ...................................... 2

1.  Introduction

   There are two cases:

   1.  The timer expires.

   3.  Another item, which is no section.

RFC 9999                     A Timer                    June 2020

2.1.  Timers

      4.2.3.6  TCP Keep-Alives

   (2.4) A rule.

Appendix A.  Notes
"""
    titles = {"1": "Introduction", "2": "The Algorithm", "2.1": "Timers", "4.2.3.6": "TCP Keep-Alives", "A": "Notes"}
    assert rfc_refs.headings(text) == titles
    assert rfc_refs.headings(text, rules=True) == titles | {"2.4": "rule (2.4)"}
    assert rfc_refs.named_heading("Fields\n------\n", "Fields") and not rfc_refs.named_heading(
        "Fields of it\n", "Fields"
    )


def test_the_list_is_written_from_texts(tmp_path, known):
    """A text that lacks a section makes the tool report each place that names it, and the rest of the list stays as it is."""
    (tmp_path / "rfc5082.txt").write_text("2.  Other\n\n\n4.  Things\n")
    rows, wrong = rfc_refs.written(tmp_path)
    assert {(one.rfc, one.section) for one in wrong} == {("5082", "3")}
    assert all(one.file.startswith("pystack_c/tcp/") for one in wrong)
    assert [row for row in rows if row[0] == "5082"] == [("5082", "", known["5082"][""])]
    others = [(rfc, section, title) for rfc in known for section, title in known[rfc].items() if rfc != "5082"]
    assert sorted(others) == sorted(row for row in rows if row[0] != "5082")
