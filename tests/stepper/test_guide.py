"""docs/tutorial/stepper.md: its program runs, and its list of scenarios is the list of scenarios."""

import re
from pathlib import Path

from pystack.stepper import changes, expr, scenarios

PAGE = Path(__file__).resolve().parents[2] / "docs" / "tutorial" / "stepper.md"


def table() -> str:
    """The list of scenarios as the page has it."""
    rows = (
        f"| `{name}` | {scenarios.get(name).title} | {scenarios.get(name).question} |\n" for name in scenarios.NAMES
    )
    return "| name | what happens | the question |\n|---|---|---|\n" + "".join(rows)


def test_the_pages_program_runs(capsys):
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)
    exec(compile("\n".join(blocks), str(PAGE), "exec"), {})
    said = capsys.readouterr().out
    assert "Fast retransmit: bytes 5793:7241, first sent in frame 8" in said
    assert "Frame 8 never arrived" in said


def test_the_list_of_scenarios():
    found = re.search(r"<!-- scenarios -->\n(.*?)<!-- end -->", PAGE.read_text(), re.S)
    assert found is not None and found.group(1) == table(), f"write this into the page:\n{table()}"


def test_all_that_the_issue_names_is_there():
    wanted = (
        "arp ping traceroute fragment handshake http-get simultaneous-open loss-fast-retransmit rto zero-window nagle "
        "delayed-ack syn-flood reset time-wait pmtud tfo firewall-reject-or-drop dhcp dns-recursion bufferbloat load-balancer-l4 load-balancer-l7 docker-publish nat port-forward hairpin "
        "slow-start accept-queue udp routing keep-alive head-of-line pmtud-blackhole sack ecn bbr-vs-cubic post"
    )
    assert set(wanted.split()) <= set(scenarios.NAMES)
    for name in scenarios.NAMES:
        assert len(scenarios.get(name).story) > 100


def test_changes_and_names_are_in_the_page():
    text = PAGE.read_text()
    for form in changes.FORMS:
        assert f"{form.partition('=')[0]}=" in text
    for name in expr.names()["names"]:
        assert f"`{name}`" in text or f"`{name}." in text or f"{name}`" in text
