"""What there is to step through and to draw in a lab: each look has its moment, and its plot is SVG."""

import xml.etree.ElementTree as ET

import pytest

from pystack.labs.folders import lab_of, labs
from pystack.labs.looks import LabLook

SVG = "{http://www.w3.org/2000/svg}"
EACH_LOOK = pytest.mark.parametrize(
    "look", [pytest.param(look, id=f"{lab.name}-{n}") for lab in labs() for n, look in enumerate(lab.looks())]
)


def test_each_lab_has_something_to_look_at_or_says_why_not():
    for lab in labs():
        assert bool(lab.looks()) != bool(lab.no_looks()), lab.name
        assert len({look.title for look in lab.looks()}) == len(lab.looks())
        assert all(look.plot for look in lab.looks())
        assert lab.looks() or hasattr(lab.module("experiment"), "NO_LOOKS"), lab.name
    assert "by the real clock" in lab_of("37").no_looks()


@EACH_LOOK
def test_a_look_opens_at_its_moment_and_its_plot_is_svg_with_the_title(look):
    if look.missing():
        pytest.skip(look.missing())
    timeline, cursor, scenario = look.open()
    assert timeline.complete and cursor.entry is not None and (scenario is None) == callable(look.run)
    root = ET.fromstring(look.svg(timeline))
    assert root.tag == SVG + "svg"
    words = [" ".join("".join(node.itertext()).split()) for node in root.iter(SVG + "text")]
    assert any(look.title in text for text in words) and len(words) > 5


def test_the_moment_of_lab_17_is_the_hold_of_the_second_write():
    timeline, cursor, scenario = lab_of("17").looks()[0].open()
    entry = cursor.entry
    assert (entry.host, entry.kind, entry.time) == ("a", "tcp.hold", 15_000_000) and scenario is None
    assert cursor.breakpoints == [] and timeline.events[cursor.position - 1].kind != "tcp.hold"


def test_a_scenario_opens_where_its_question_is_answered():
    timeline, cursor, scenario = LabLook("A lost segment", "loss-fast-retransmit").open()
    assert scenario.name == "loss-fast-retransmit" and cursor.entry.kind == "tcp.retransmit"
    assert cursor.position == scenario.answers(timeline)[0]


def test_a_moment_that_is_not_there_is_an_error():
    look = LabLook("Nothing", lab_of("17").looks()[0].run, 'event.kind == "reset"')
    with pytest.raises(ValueError, match="no event of the run fits"):
        look.open()
    with pytest.raises(ValueError, match="there is no frame 4000"):
        LabLook("Nothing", look.run, "frame=4000").open()
    with pytest.raises(ValueError, match="makes no network"):
        LabLook("Nothing", lambda: None).open()
