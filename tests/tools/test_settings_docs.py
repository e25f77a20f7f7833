"""docs/reference/settings.md: the page is what the tool prints, and every setting is described."""

import re

import pytest

from pystack.pkt.settings import PROFILES as PKT_PROFILES
from pystack_c.config import FIELDS, PROFILES
from tools import settings_docs
from tools.settings_docs import FOLDER, MODULES, described, entries

ALL = [entry for module in MODULES for entry in entries(FOLDER / module)]
QUIRKS = [entry.name for entry in entries(FOLDER / "quirks.py")]


def test_the_page_is_up_to_date():
    assert settings_docs.PAGE.read_text() == settings_docs.page(), "run tools/settings_docs.py"


def test_every_setting_is_in_it_once():
    assert [entry.name for entry in ALL] == list(FIELDS)
    named = re.findall(r"^\| `(\w+)` \|", settings_docs.page(), re.M)
    assert sorted(named) == sorted(FIELDS)


def test_control_a_setting_without_a_description_or_a_unit_fails():
    assert described("tcp_retries1", "g", "The number of tries. Unit: tries. Source: RFC 1.", 3).unit == "tries"
    for comment in ("", "retries", "retries of a segment.", "The number of tries", "Unit: tries."):
        with pytest.raises(SystemExit, match="tcp_retries1: no description"):
            described("tcp_retries1", "g", comment, 3)
    with pytest.raises(SystemExit, match="tcp_retries1: a number without a unit"):
        described("tcp_retries1", "g", "The number of tries.", 3)
    assert described("tcp_time_wait", "g", "The time of waiting.", 3).unit == "ns"
    assert described("udp_rmem", "g", "The size of a queue.", 3).unit == "bytes"


def test_no_profile_of_the_stack_sets_a_quirk():
    """The quirks are for the packetdrill runner alone."""
    assert len(QUIRKS) > 30
    assert not [name for changes in PROFILES.values() for name in changes if name in QUIRKS]
    assert [name for name in PKT_PROFILES["linux"][1] if name in QUIRKS]  # control


def test_no_method_of_the_declarations_hides_another():
    """The classes inherit from each other: two methods of one name would leave settings without a value."""
    names = [name for module in MODULES for name in re.findall(r"def (_\w+)\(", (FOLDER / module).read_text())]
    methods = [name for name in names if name != "__init__"]
    assert len(methods) > 20
    assert len(methods) == len(dict.fromkeys(methods))
