"""`pystack ip`: routes and rules of a running stack, through its control socket."""

import pytest
from click.testing import CliRunner

from pystack.cli.main import cli
from pystack.control import server as control
from pystack.running import up


@pytest.fixture
def running(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with up(tap=None, name="one", control=True) as made:
        yield made


def command(text: str):
    """The result of `pystack ip --name one ...`."""
    return CliRunner().invoke(cli, ["ip", "--name", "one", *text.split()])


def test_a_route_and_a_rule_are_added_shown_asked_for_and_removed(running):
    for words in (
        "route add 10.1.0.0/16 dev lo table 7",
        "rule add to 10.1.2.0/24 fwmark 5 table 7",
        "route add prohibit 10.9.0.0/16",
    ):
        result = command(words)
        assert (result.exit_code, result.output) == (0, "")
    assert command("rule").output.splitlines() == [
        "0:\tfrom all lookup local",
        "32765:\tfrom all to 10.1.2.0/24 fwmark 0x5 lookup 7",
        "32766:\tfrom all lookup main",
        "32767:\tfrom all lookup default",
    ]
    assert command("route get 10.1.2.3 mark 5").output.startswith("10.1.2.3 dev lo table 7 ")
    refused = command("route get 10.1.2.3")
    assert refused.exit_code == 1 and "RTNETLINK answers: Network is unreachable" in refused.output
    assert "Permission denied" in command("route get 10.9.1.1").output
    rows = {(row["dst"], row["table"], row["type"]) for row in control.query("one", "routes")}
    assert {("10.1.0.0/16", "7", "unicast"), ("10.9.0.0/16", "main", "prohibit")} <= rows
    assert "10.1.0.0/16" in CliRunner().invoke(cli, ["route", "-n", "one"]).output
    assert command("rule del fwmark 5").exit_code == 0 and len(command("rule").output.splitlines()) == 3


def test_nonsense_is_an_error_and_changes_nothing(running):
    before = command("rule").output
    for words, why in (
        ("rule add fwmark x", "is not a number"),
        ("route add 10.0.0.0/33 dev lo", "is not an IPv4 prefix"),
        ("neigh show", "neither `route` nor `rule`"),
        ("route add 10.9.0.0/16 via 203.0.113.1", "Error: the gateway is not on a link"),
        ("route add default nexthop", "a nexthop needs `via ADDRESS` or `dev INTERFACE`"),
        ("rule add prio 5 fwmark 0x1ffffffff table 7", "numbers of 32 bits"),
    ):
        result = command(words)
        assert result.exit_code == 1 and why in result.output and result.output.count("Error:") == 1
    assert command("rule").output == before
    result = CliRunner().invoke(cli, ["ip", "--name", "none", "rule"])
    assert result.exit_code == 1 and "no stack named 'none'" in result.output
