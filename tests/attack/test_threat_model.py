"""docs/explanation/threat-model.md: its bounds are the settings' defaults, and the tests that it names are there."""

import re
from pathlib import Path

import pytest

from pystack_c.config import FIELDS, Config

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "explanation" / "threat-model.md"
ROW = re.compile(r"^\| [^|]+ \| `(\w+)` \| ([^|]+) \|$", re.M)


def wrong(page: str) -> list[str]:
    """The settings whose default the page does not give."""
    config = Config()
    return [name for name, told in ROW.findall(page) if name not in FIELDS or str(int(getattr(config, name))) != told]


def test_each_bound_has_its_default():
    page = PAGE.read_text()
    assert len(ROW.findall(page)) >= 30 and wrong(page) == []


@pytest.mark.parametrize("old, new", [("| 1024 |", "| 1025 |"), ("`icmp_burst`", "`icmp_bursts`")])
def test_control_another_number_or_name_is_noticed(old, new):
    assert len(wrong(PAGE.read_text().replace(old, new, 1))) == 1


@pytest.mark.parametrize(
    "words", ["max", "limit", "ratelimit", "high", "thresh", "burst", "backlog"], ids=lambda word: word
)
def test_no_setting_that_sounds_like_a_bound_on_strangers_is_left_out(words):
    page = PAGE.read_text()
    # (These bound what the stack does by itself, or are other stacks' ways.)
    ours = {"tcp_rto_max", "tcp_gso_max", "port_max", "tcp_tlp_max_ack_delay", "tcp_hystart_limit", "tcp_limited_transmit",
            "tcp_probe_threshold", "tcp_init_ssthresh", "tcp_ssthresh_cwnd", "neigh_max_solicit", "igmp_max_memberships", "igmp_max_msf"}  # fmt: skip
    names = [name for name in FIELDS if words in name.split("_") and name not in ours]
    assert [name for name in names if f"`{name}`" not in page] == []


def test_what_it_names_is_there():
    page = PAGE.read_text()
    for path in re.findall(r"`((?:tests|pystack_c)/[\w/.]+)`", page):
        assert (ROOT / path).exists(), path
    for path in re.findall(r"\]\(([^)]+)\)", page):
        assert (PAGE.parent / path.partition("#")[0]).exists(), path
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    assert set(re.findall(r"`make ([a-z]+)`", page)) <= targets
